"""``countermark log verify|reindex``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from countermark.cli.log.shared import home_of, open_held, opened, read_checkpoint
from countermark.cli.output import Integer, common, console, literal, note, print_json, progress
from countermark.errors import ProofInvalid, SettingsInvalid

if TYPE_CHECKING:
    from countermark.audit import AuditLog, LogFinding, VerifyReport
    from countermark.audit.witness.compare import Comparison
    from countermark.compose import Home
    from countermark.compose.witnessing import Asked

_INCONCLUSIVE = 3
_PROOF_FAILED = 13


@click.command("verify")
@click.option(
    "--checkpoint",
    "--since",
    "held_paths",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A checkpoint held outside the store; may be repeated.",
)
@click.option("--store", type=click.Path(path_type=Path), help="Another audit.db or its folder, for example a copy.")
@click.option("--quorum", type=Integer(min=0), help="How many configured witnesses must have cosigned.")
@click.option("--ask-witnesses", is_flag=True, help="Ask the witnesses what they cosigned (uses the network).")
@common
def verify(
    *,
    held_paths: tuple[Path, ...],
    store: Path | None,
    quorum: int | None,
    ask_witnesses: bool,
    as_json: bool,
    home: Path | None,
) -> int:
    """Hash every entry again and hold the log against what it signed, and against checkpoints held outside.

    Where witnesses are configured, the log is held against what they cosigned, too.

    Exit codes: 0 intact, 13 changed, and every change is named; 3 nothing is wrong, but too few of the witnesses that
    were asked showed what they cosigned: the quorum, or one.
    """
    notes = {path: read_checkpoint(path) for path in held_paths}
    place = home_of(home)
    if ask_witnesses:
        _require_witnesses(place)
    with _unreadable(), opened(place, store) as log, progress("Verifying the log") as advance:
        newest = _newest(log, notes)
        report = log.verify(notes[newest] if newest else None, progress=advance, jobs=None)
        held = [_hold_against(log, path, text) for path, text in notes.items()]
        witnessing, asked = _hold_against_witnesses(log, place, quorum, ask=ask_witnesses)
        origin = log.origin
    # What contradicts the newest one is in the report, with the entries where they can be named.
    contradictions = [one.fault for one in held if one.fault and one.path != newest]
    findings = (*report.findings, *contradictions, *witnessing.findings)
    enough = asked is None or asked.enough
    if as_json:
        print_json(
            {
                "schema": "countermark.log-verification/1",
                "intact": False if findings else True if enough else None,
                "origin": origin,
                "size": report.size,
                "root": report.root.hex(),
                "held_checkpoints": [
                    {"file": str(one.path), "size": one.size, "continued": one.fault is None} for one in held
                ],
                "witnessed": {"size": witnessing.size, "by": witnessing.names, "time": witnessing.time},
                "asked": _plain(asked) if asked else None,
                "compared": list(report.compared),
                "not_compared": list(report.not_compared),
                "findings": [_finding(finding) for finding in findings],
            }
        )
    else:
        known = store is None and place.log_public_key() is not None
        _show_report(report, findings, witnessing, origin, held, key_is_known=known)
        if asked and not enough:
            console().print(
                f"[yellow]?[/] [bold]INCONCLUSIVE[/] {len(asked.showed)} of {len(place.settings.audit.witnesses)}"
                f" witnesses showed what they cosigned; {asked.needed} must (exit code"
                f" {_PROOF_FAILED if findings else _INCONCLUSIVE}). What is kept in this home, somebody could have"
                " replaced."
            )
    if findings:
        return _PROOF_FAILED
    return 0 if enough else _INCONCLUSIVE


@dataclass(frozen=True)
class _Held:
    """A checkpoint that was given, and how the log contradicts it, if it does."""

    path: Path
    size: int
    fault: LogFinding | None


def _newest(log: AuditLog, notes: dict[Path, str]) -> Path | None:
    """Which of the checkpoints given is of the most entries: only one takes part in the verification itself."""
    from countermark.audit.checkpoint import peek_checkpoint

    for path, text in notes.items():
        with suppress(ProofInvalid):  # which is a finding
            open_held(log, path, text)
    return max(notes, key=lambda path: peek_checkpoint(notes[path]).size, default=None)


def _hold_against(log: AuditLog, path: Path, text: str) -> _Held:
    from countermark.audit import LogFinding, LogFindingKind
    from countermark.audit.checkpoint import peek_checkpoint
    from countermark.audit.witness.compare import contradiction

    size = peek_checkpoint(text).size
    try:
        checkpoint = open_held(log, path, text)
    except ProofInvalid as error:
        return _Held(path, size, LogFinding(LogFindingKind.CHECKPOINT, error.message))
    return _Held(path, size, contradiction(log, checkpoint, f"The checkpoint of {size} entries in {path}"))


def _require_witnesses(place: Home) -> None:
    """Before the whole log is read for nothing."""
    from countermark.compose.witnessing import NAME_SOME

    if not place.settings.audit.witnesses:
        raise SettingsInvalid("No witness is configured, so none can be asked.", remedy=NAME_SOME)


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


def _hold_against_witnesses(
    log: AuditLog, place: Home, quorum: int | None, *, ask: bool
) -> tuple[Comparison, Asked | None]:
    from countermark.compose import held_against_witnesses

    witnessing, asked = held_against_witnesses(place, log, quorum=quorum, ask=ask)
    if asked:
        for error in asked.silent.values():
            note(error.message)
        for name in asked.cosigned_none:
            note(f"The witness {name} cosigned no checkpoint of this log.")
    return witnessing, asked


def _plain(asked: Asked) -> dict[str, Any]:
    return {
        "showed": asked.showed,
        "cosigned_none": asked.cosigned_none,
        "silent": {name: error.to_dict() for name, error in asked.silent.items()},
        "needed": asked.needed,
    }


def _show_report(
    report: VerifyReport,
    findings: Sequence[LogFinding],
    witnessing: Comparison,
    origin: str,
    held: Sequence[_Held],
    *,
    key_is_known: bool,
) -> None:
    from countermark.audit.findings import span

    for finding in findings:
        where = f"{span(finding.index, finding.last or finding.index)}: " if finding.index is not None else ""
        console().print(f"[red]✗[/] {where}[bold]{literal(finding.kind)}[/]: {literal(finding.message)}")
    if findings:
        for one in held:
            mark, verb = ("[red]✗[/]", "contradicts") if one.fault else ("[green]✓[/]", "continues")
            console().print(f"{mark} its tree {verb} the held checkpoint {literal(one.path)} of {one.size} entries.")
        kinds = {str(finding.kind) for finding in findings}
        if kinds == {"unwitnessed"}:
            console().print(
                f"[bold red]NOT WITNESSED[/] No change was found in {literal(origin)}, but it lacks the cosignatures"
                f" that are demanded (exit code {_PROOF_FAILED}). Collect them: countermark witness collect"
            )
            return
        index_only = kinds == {"index"}
        what = "The look-up index of" if index_only else "The log"
        mend = "; its entries are what was signed. Mend it: countermark log reindex" if index_only else ""
        console().print(f"[bold red]CHANGED[/] {what} {literal(origin)} was altered{mend} (exit code {_PROOF_FAILED}).")
        return
    console().print(f"[green]✓[/] {report.size} entries of {literal(origin)} are what was signed.")
    if "index" not in report.compared:
        console().print(
            "[yellow]![/] The look-up index is of an older version and was not compared. Build it anew:"
            " countermark log reindex"
        )
    for sentence in report.not_compared:
        console().print(f"[yellow]![/] {literal(sentence)}")
    for one in held:
        console().print(f"[green]✓[/] they continue the held checkpoint {literal(one.path)} of {one.size} entries.")
    if witnessing.names:
        names = literal(", ".join(witnessing.names))
        console().print(f"[green]✓[/] they continue the checkpoint of {witnessing.size} entries that {names} cosigned.")
    if not held and not witnessing.names:
        who = "holds the signing key" if key_is_known else "can write the store, which names its key itself,"
        console().print(
            f"[yellow]![/] No checkpoint from outside was given: whoever {who} could have rewritten all."
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
