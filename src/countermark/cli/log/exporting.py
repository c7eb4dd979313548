"""``countermark log export``: a bundle that verifies offline."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from countermark.cli.log.shared import (
    cosigned_checkpoint,
    home_of,
    offline_check,
    on_warrant,
    open_held,
    opened,
    read_checkpoint,
    warrant,
)
from countermark.cli.output import common, console, literal, note, print_json, progress
from countermark.errors import UsageError

if TYPE_CHECKING:
    from countermark.audit import AuditLog
    from countermark.audit.export import Format

_YEAR = re.compile(r"(19|20|21)[0-9]{2}")


@click.command("export")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="A new folder, or a new FILE.zip.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["jsonl", "csv", "parquet"]),
    help="A view beside the entries, which are always there as JSON lines. May be repeated.",
)
@click.option(
    "--from", "first", help="The first entry: an index, or an RFC 3339 time or a beginning of one, such as 2026-01."
)
@click.option("--to", "end", help="Where to stop: an index or a time, exclusive. A number alone is an index, no year.")
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
    if since and first is not None:
        raise UsageError("--since says where to begin, so --from cannot.", remedy="Give one of the two.")
    if reveal and not reason:
        raise UsageError("Protected fields are disclosed only for a reason.", remedy="Say why with --reason.")
    place = home_of(home)
    asked = warrant(place, reason or "export", actor)
    with opened(place, writing=True) as log, progress("Exporting the log") as advance:
        begin = _continue(log, since) if since else _index(first)
        stop = _index(end)
        from_time, to_time = (None if index is not None else text for index, text in ((begin, first), (stop, end)))
        timed = from_time is not None or to_time is not None
        within = log.span(from_time, to_time, progress=advance) if timed else (0, None)
        exported = log.export(
            output,
            asked,
            first=within[0] if begin is None else begin,
            end=within[1] if stop is None else stop,
            formats=formats,
            reveal=reveal,
            under=cosigned_checkpoint(place) if witnessed else None,
            progress=advance,
        )
        key = log.verifier_key
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
        f"[green]✓[/] wrote {literal(exported.path)}: {made.end - made.first} entries from {made.first} on, proved"
        f" under a checkpoint of {made.size}. Recorded as entry {exported.entry}."
    )
    if exported.disclosed:
        console().print(f"[yellow]![/] It discloses the protected fields of {exported.disclosed} events. Guard it.")
    console().print(f"  Verify it with: {offline_check(exported.path, key, since)}", markup=False)
    if since is None:
        console().print(
            f"  and --checkpoint FILE, one of {made.first} to {made.end} entries that the auditor kept: without it,"
            " whoever holds the signing key could have rewritten all."
        )
    return 0


def _index(text: str | None) -> int | None:
    """The index that a range's end names; ``None`` where it is a time, or not given."""
    if text is None or not text.isdecimal():
        return None
    if _YEAR.fullmatch(text):
        note(f"{text} is taken as an index; the year begins at {text}-01.")
    return int(text)


def _continue(log: AuditLog, since: Path) -> int:
    """Where a bundle must begin that continues a checkpoint, which must be this log's."""
    from countermark.audit.witness.compare import contradiction
    from countermark.errors import AuditStoreDamaged

    checkpoint = open_held(log, since, read_checkpoint(since))
    fault = contradiction(log, checkpoint, f"The checkpoint of {checkpoint.size} entries in {since}")
    if fault:
        raise AuditStoreDamaged(fault.message)
    return checkpoint.size


COMMANDS = {"export": export}
