"""``countermark log export``: a bundle that verifies offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from countermark.cli.log.shared import cosigned_checkpoint, home_of, on_warrant, opened, read_checkpoint, warrant
from countermark.cli.output import common, console, print_json, progress
from countermark.errors import UsageError

if TYPE_CHECKING:
    from countermark.audit import AuditLog
    from countermark.audit.export import Format


@click.command("export")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="A new folder, or a new FILE.zip.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["jsonl", "csv", "parquet"]),
    help="A view beside the entries, which are always there as JSON lines. May be repeated.",
)
@click.option("--from", "first", help="The first entry: an index, or an RFC 3339 time or any beginning of one.")
@click.option("--to", "end", help="Where to stop: an index or a time, exclusive.")
@click.option(
    "--since",
    type=click.Path(path_type=Path),
    help="The auditor's last checkpoint: the bundle begins where it ends, and proves that it continues it.",
)
@click.option("--witnessed", is_flag=True, help="Under the newest checkpoint that witnesses cosigned.")
@click.option("--reveal", is_flag=True, help="With the protected fields in the clear; each access is recorded first.")
@on_warrant(reason_required=False)
@common
def export(
    *,
    output: Path,
    formats: tuple[Format, ...],
    first: str | None,
    end: str | None,
    since: Path | None,
    witnessed: bool,
    reveal: bool,
    reason: str | None,
    actor: str | None,
    as_json: bool,
    home: Path | None,
) -> int:
    """Write a bundle of entries that an auditor verifies offline; the export is recorded before it appears.

    Entries of a time are those from the first to the last of it, so that the range has no gap.
    """
    if since and first:
        raise UsageError("--since says where to begin, so --from cannot.", remedy="Give one of the two.")
    if reveal and not reason:
        raise UsageError("Protected fields are disclosed only for a reason.", remedy="Say why with --reason.")
    place = home_of(home)
    asked = warrant(place, reason or "export", actor)
    with opened(place, writing=True) as log, progress("Exporting the log") as advance:
        start = _continue(log, read_checkpoint(since)) if since else None
        from_time, to_time = (text if text and not text.isdecimal() else None for text in (first, end))
        within = log.span(from_time, to_time, progress=advance) if from_time or to_time else (0, None)
        exported = log.export(
            output,
            asked,
            first=start if start is not None else int(first) if first and first.isdecimal() else within[0],
            end=int(end) if end and end.isdecimal() else within[1],
            formats=formats,
            reveal=reveal,
            under=cosigned_checkpoint(place) if witnessed else None,
            progress=advance,
        )
    made = exported.manifest
    if as_json:
        print_json(
            {
                "path": str(exported.path),
                "first": made.first,
                "end": made.end,
                "size": made.size,
                "disclosed": exported.disclosed,
                "export_entry": exported.entry,
            }
        )
        return 0
    console().print(
        f"[green]✓[/] wrote {exported.path}: {made.end - made.first} entries from {made.first} on, proved under a"
        f" checkpoint of {made.size}. Recorded as entry {exported.entry}."
    )
    if exported.disclosed:
        console().print(f"[yellow]![/] It discloses the protected fields of {exported.disclosed} events. Guard it.")
    console().print(f"  Verify it with: python audit/verify_log.py {exported.path}")
    return 0


def _continue(log: AuditLog, note: str) -> int:
    """Where a bundle must begin that continues a checkpoint, which must be this log's."""
    from countermark.audit import open_checkpoint
    from countermark.errors import AuditStoreDamaged

    checkpoint = open_checkpoint(note, log.verifier_key)
    if log.root(checkpoint.size) != checkpoint.root:
        raise AuditStoreDamaged(f"The log contradicts the checkpoint of {checkpoint.size} entries that was given.")
    return checkpoint.size


COMMANDS = {"export": export}
