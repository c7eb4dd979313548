"""``countermark log``: read the audit log, prove entries, verify the whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from countermark.cli.output import common, console, load, print_json, progress
from countermark.errors import NotFound, UsageError

if TYPE_CHECKING:
    from countermark.audit import AuditLog
    from countermark.model import Event

MAX_CHECKPOINT_BYTES = 1 << 16
_PROOF_FAILED = 13


@click.group("log")
def command() -> None:
    """Read and prove the audit log. Reading never changes it."""


@contextmanager
def _open(home: Path | None, store: Path | None = None) -> Iterator[AuditLog]:
    """The log, read-only; of another store where one is named."""
    from countermark.audit import AuditLog
    from countermark.compose import Home

    place = Home(load(home=home).settings)
    path = store or place.audit_db
    if not path.exists():
        raise NotFound(f"There is no audit log at {path}.", remedy="Generate or mark an image first, or name --home.")
    log = AuditLog.open(path, read_only=True) if store else place.open_log(read_only=True)
    try:
        yield log
    finally:
        log.close()


def _locate(log: AuditLog, name: str) -> int:
    """An entry by index, event id (or its beginning), attempt, watermark payload or file digest."""
    if name.isdecimal() and len(name) < 12 and int(name) < log.size:
        return int(name)
    lowered = name.lower()
    found: tuple[int, ...] = ()
    if len(lowered) == 12 and all(c in "0123456789abcdef" for c in lowered):
        found = log.find(record_id=int(lowered, 16))
    found = found or log.find(event_id=lowered) or log.find(output_sha256=lowered) or log.find(attempt=lowered)
    if not found:
        raise NotFound(f"The log holds no entry {name}.", remedy="See what it holds with: countermark log list")
    return found[0]


@command.command("list")
@click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@click.option("--before", type=int, help="Only entries before this index (for the next page).")
@click.option("--type", "event_type", help="For example generation.released.")
@click.option("--tenant")
@click.option("--since", help="RFC 3339 time, for example 2026-11-22T00:00:00Z.")
@click.option("--until", help="RFC 3339 time.")
@common
def list_entries(
    *,
    limit: int,
    before: int | None,
    event_type: str | None,
    tenant: str | None,
    since: str | None,
    until: str | None,
    as_json: bool,
    home: Path | None,
) -> int:
    """List entries, newest first."""
    with _open(home) as log:
        rows = log.list(limit=limit, before=before, type=event_type, tenant=tenant, since=since, until=until)
    if as_json:
        print_json([{"index": index, **_plain(event)} for index, event in rows])
        return 0
    from rich.table import Table

    table = Table("index", "time (UTC)", "what", "by rule", "watermark", box=None, pad_edge=False)
    for index, event in rows:
        payload = event.output.watermark_payload if event.output else ""
        time = event.time[:19].replace("T", " ")
        table.add_row(str(index), time, event.type.removeprefix("generation."), event.rule or event.error, payload)
    console().print(table)
    return 0


@command.command("show")
@click.argument("entry")
@common
def show(entry: str, as_json: bool, home: Path | None) -> int:
    """Show ENTRY: an index, event id, attempt, watermark payload or file digest. Protected fields stay closed."""
    with _open(home) as log:
        index = _locate(log, entry)
        event = log.event(index)
    if as_json:
        print_json({"index": index, **_plain(event)})
        return 0
    console().print_json(data={"index": index, **_plain(event)})
    return 0


@command.command("proof")
@click.argument("entry")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write (default: stdout).")
@common
def proof(entry: str, output: Path | None, as_json: bool, home: Path | None) -> int:
    """Write the receipt of ENTRY: event, inclusion proof and signed checkpoint, checkable offline."""
    from countermark.imaging import write_new

    with _open(home) as log:
        receipt = log.receipt(_locate(log, entry))
    document = receipt.model_dump(mode="json", by_alias=True)
    if output is None:
        print_json(document)
        return 0
    write_new(output, receipt.model_dump_json(by_alias=True, indent=2).encode() + b"\n")
    if as_json:
        print_json({"file": str(output)})
    else:
        console().print(f"[green]✓[/] wrote {output}; check it with: python audit/verify_log.py --receipt {output}")
    return 0


@command.command("checkpoint")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write (default: stdout).")
@common
def checkpoint(output: Path | None, as_json: bool, home: Path | None) -> int:
    """Print the newest signed checkpoint. Keep it where the log's administrator cannot write."""
    from countermark.imaging import write_new

    with _open(home) as log:
        note, key, size = log.checkpoint(), log.verifier_key, log.size
    if output is not None:
        write_new(output, note.encode())
    if as_json:
        print_json({"checkpoint": note, "log_key": key, "size": size})
    elif output is None:
        click.echo(note, nl=False)
    else:
        console().print(
            f"[green]✓[/] wrote {output} (size {size}). Keep it where the log's administrator cannot write."
        )
    return 0


@command.command("verify")
@click.option("--checkpoint", "held_path", type=click.Path(path_type=Path), help="A checkpoint held outside the store.")
@click.option("--since", "held_path", type=click.Path(path_type=Path), help="The same as --checkpoint.")
@click.option("--store", type=click.Path(path_type=Path), help="Another audit.db, for example a copy.")
@common
def verify(held_path: Path | None, store: Path | None, as_json: bool, home: Path | None) -> int:
    """Hash every entry again and hold the log against what it signed, and against a checkpoint held outside.

    Exit codes: 0 intact, 13 changed; every change is named.
    """
    held = _read_checkpoint(held_path) if held_path else None
    with _open(home, store) as log, progress("Verifying the log") as advance:
        report = log.verify(held, progress=advance)
        origin = log.origin
    if as_json:
        print_json(
            {
                "schema": "countermark.log-verification/1",
                "intact": not report.findings,
                "origin": origin,
                "size": report.size,
                "root": report.root.hex() if isinstance(report.root, bytes) else report.root,
                "held_checkpoint": str(held_path) if held_path else None,
                "findings": [_finding(f) for f in report.findings],
            }
        )
    else:
        _show_report(report, origin, held_path)
    return _PROOF_FAILED if report.findings else 0


def _show_report(report: Any, origin: str, held_path: Path | None) -> None:
    from rich.markup import escape

    for finding in report.findings:
        where = f"entry {finding.index}: " if finding.index is not None else ""
        console().print(f"[red]✗[/] {where}[bold]{escape(finding.kind)}[/]: {escape(finding.message)}")
    if report.findings:
        console().print(f"[bold red]CHANGED[/] The log {escape(origin)} was altered (exit code {_PROOF_FAILED}).")
        return
    console().print(f"[green]✓[/] {report.size} entries of {escape(origin)} are what was signed.")
    if held_path:
        console().print(f"[green]✓[/] they continue the held checkpoint {escape(str(held_path))}.")
    else:
        console().print(
            "[yellow]![/] No checkpoint from outside was given: whoever holds the signing key could have rewritten all."
            " Keep one: countermark log checkpoint -o FILE"
        )


def _finding(finding: Any) -> dict[str, Any]:
    return {"kind": str(finding.kind), "index": finding.index, "detail": finding.message}


def _read_checkpoint(path: Path) -> str:
    if not path.is_file():
        raise NotFound(f"There is no checkpoint file {path}.")
    if path.stat().st_size > MAX_CHECKPOINT_BYTES:
        raise UsageError(f"{path} is too large to be a checkpoint.", remedy="Give the file that log checkpoint wrote.")
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a checkpoint: not UTF-8.", remedy="Give what log checkpoint wrote.") from error


def _plain(event: Event) -> dict[str, Any]:
    return event.model_dump(mode="json", by_alias=True, exclude_none=True)
