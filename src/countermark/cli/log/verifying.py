"""``countermark log verify|reindex``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from countermark.cli.log.shared import home_of, opened, read_checkpoint
from countermark.cli.output import common, console, note, print_json, progress

if TYPE_CHECKING:
    from countermark.audit import AuditLog, LogFinding, VerifyReport
    from countermark.audit.witness.compare import Comparison
    from countermark.compose import Home

_PROOF_FAILED = 13


@click.command("verify")
@click.option("--checkpoint", "held_path", type=click.Path(path_type=Path), help="A checkpoint held outside the store.")
@click.option("--since", "held_path", type=click.Path(path_type=Path), help="The same as --checkpoint.")
@click.option("--store", type=click.Path(path_type=Path), help="Another audit.db, for example a copy.")
@click.option("--quorum", type=click.IntRange(min=0), help="How many configured witnesses must have cosigned.")
@click.option("--ask-witnesses", is_flag=True, help="Ask the witnesses what they cosigned (uses the network).")
@common
def verify(
    *,
    held_path: Path | None,
    store: Path | None,
    quorum: int | None,
    ask_witnesses: bool,
    as_json: bool,
    home: Path | None,
) -> int:
    """Hash every entry again and hold the log against what it signed, and against checkpoints held outside.

    Where witnesses are configured, the log is held against what they cosigned, too.

    Exit codes: 0 intact, 13 changed; every change is named.
    """
    held = read_checkpoint(held_path) if held_path else None
    place = home_of(home)
    with _unreadable(), opened(place, store) as log, progress("Verifying the log") as advance:
        report = log.verify(held, progress=advance, jobs=None)
        witnessing = _hold_against_witnesses(log, place, quorum, ask=ask_witnesses)
        origin = log.origin
    findings = (*report.findings, *witnessing.findings)
    if as_json:
        print_json(
            {
                "schema": "countermark.log-verification/1",
                "intact": not findings,
                "origin": origin,
                "size": report.size,
                "root": report.root.hex(),
                "held_checkpoint": str(held_path) if held_path else None,
                "witnessed": {"size": witnessing.size, "by": witnessing.names, "time": witnessing.time},
                "compared": list(report.compared),
                "findings": [_finding(finding) for finding in findings],
            }
        )
    else:
        _show_report(report, witnessing, origin, held_path)
    return _PROOF_FAILED if findings else 0


@contextmanager
def _unreadable() -> Iterator[None]:
    """What a damaged store's error advises elsewhere is this very command; here nothing more can be found out."""
    from countermark.errors import AuditStoreDamaged

    try:
        yield
    except AuditStoreDamaged as damage:
        if damage.remedy == AuditStoreDamaged.default_remedy:
            damage.remedy = "Do not write to this store. Keep it as evidence and restore a good copy beside it."
        raise


def _hold_against_witnesses(log: AuditLog, place: Home, quorum: int | None, *, ask: bool) -> Comparison:
    from countermark.compose import held_against_witnesses

    witnessing, silent = held_against_witnesses(place, log, quorum=quorum, ask=ask)
    for error in silent:
        note(error.message)
    return witnessing


def _show_report(report: VerifyReport, witnessing: Comparison, origin: str, held_path: Path | None) -> None:
    from rich.markup import escape

    findings = (*report.findings, *witnessing.findings)
    for finding in findings:
        where = f"entry {finding.index}: " if finding.index is not None else ""
        console().print(f"[red]✗[/] {where}[bold]{escape(finding.kind)}[/]: {escape(finding.message)}")
    if findings:
        index_only = all(finding.kind == "index" for finding in findings)
        what = "The look-up index of" if index_only else "The log"
        mend = "; its entries are what was signed. Mend it: countermark log reindex" if index_only else ""
        console().print(f"[bold red]CHANGED[/] {what} {escape(origin)} was altered{mend} (exit code {_PROOF_FAILED}).")
        return
    console().print(f"[green]✓[/] {report.size} entries of {escape(origin)} are what was signed.")
    if "index" not in report.compared:
        console().print(
            "[yellow]![/] The look-up index is of an older version and was not compared. Build it anew:"
            " countermark log reindex"
        )
    if held_path:
        console().print(f"[green]✓[/] they continue the held checkpoint {escape(str(held_path))}.")
    if witnessing.names:
        names = escape(", ".join(witnessing.names))
        console().print(f"[green]✓[/] they continue the checkpoint of {witnessing.size} entries that {names} cosigned.")
    if not held_path and not witnessing.names:
        console().print(
            "[yellow]![/] No checkpoint from outside was given: whoever holds the signing key could have rewritten all."
            " Keep one: countermark log checkpoint -o FILE"
        )


def _finding(finding: LogFinding) -> dict[str, Any]:
    return {"kind": str(finding.kind), "index": finding.index, "last": finding.last, "detail": finding.message}


@click.command("reindex")
@common
def reindex(*, as_json: bool, home: Path | None) -> int:
    """Build the look-up index anew from the entries, each checked against its recorded hash first.

    Needs no key and changes no entry or proof. Nothing else may have the log open for writing.
    """
    from countermark.audit import AuditLog

    place = home_of(home)
    with progress("Building the index") as advance:
        size = AuditLog.reindex(place.log_address, progress=advance)
    if as_json:
        print_json({"entries": size})
    else:
        console().print(f"[green]✓[/] the look-up index was built anew from {size} entries.")
    return 0


@click.command("migrate")
@common
def migrate(*, as_json: bool, home: Path | None) -> int:
    """Bring the tables of a log in PostgreSQL to this version's format. Stop every writer first, and make a copy."""
    from countermark.audit import AuditLog

    before, after = AuditLog.migrate(home_of(home).log_address)
    if as_json:
        print_json({"before": before or None, "after": after})
    else:
        console().print(f"[green]✓[/] the tables have format {after} (before: {before or 'none'}).")
    return 0


COMMANDS = {"verify": verify, "reindex": reindex, "migrate": migrate}
