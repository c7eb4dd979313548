"""``countermark bench red-team``: what gets through of a folder of attacks, signed and on the record."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from countermark.cli.output import common, console, literal, load, print_json, progress
from countermark.errors import ProofInvalid, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from countermark.bench.redteam.report import SignedResult, Tally, TrialReport
    from countermark.bench.redteam.result import VerifiedResult
    from countermark.compose import Home
    from countermark.generators import Generator
    from countermark.settings import Settings

_PROOF_FAILED = 13
_SHOWN = 20


@click.group("red-team", invoke_without_command=True)
@click.option("--prompts", type=click.Path(path_type=Path, file_okay=False), help="A folder of attack prompts.")
@click.option("--generate", is_flag=True, help="Draw what passes the prompt stage, and try the image stage, too.")
@click.option("--model", help="With --generate: 'embedded', or a diffusers pipeline by local path or hub id.")
@click.option("--policy", type=click.Path(path_type=Path), help="A policy file (default: that of the settings).")
@click.option("--actor", default="", help="Who runs it; recorded as a keyed pseudonym, never as given.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The signed result (default: a new name here).")
@click.option("--force", is_flag=True, help="Overwrite the output if it exists.")
@common
@click.pass_context
def command(
    context: click.Context,
    *,
    prompts: Path | None,
    generate: bool,
    model: str | None,
    policy: Path | None,
    actor: str,
    output: Path | None,
    force: bool,
    as_json: bool,
    home: Path | None,
) -> int:
    """Try the checks with attack prompts, and report what got through each stage.

    \b
    countermark bench red-team --prompts DIR                 the prompt stage
    countermark bench red-team --prompts DIR --generate      then a generator and the image stage
    countermark bench red-team verify FILE                   the signature, the entry of the log, offline

    DIR holds .jsonl files as for `bench safety`, labelled or not, and .txt files with a prompt a line; rows labelled
    safe are left out. The result is signed with the log's key and recorded as an entry of the log. Neither holds a
    prompt: what got through is named by file and line, with a digest that only this installation's keys can make.
    """  # noqa: D301 (a raw string would hide the backspace that keeps click from joining the examples' lines)
    if context.invoked_subcommand is not None:
        return 0
    if prompts is None:
        raise UsageError("No folder of attack prompts is named.", remedy="Name it: --prompts DIR.")
    from countermark.cli.writing import plan_output

    target = plan_output(output, force=force)
    settings = load(home=home, policy=policy, **{"generator.model": model}).settings
    signed = _run(prompts, settings, generate=generate, actor=actor)
    path = target.path or target.folder / f"countermark-red-team-{signed.report.run[:12]}.json"
    _write(signed, path, force)
    if as_json:
        print_json(signed.model_dump(mode="json", by_alias=True) | {"file": str(path)})
    else:
        _show(signed.report)
        console().print(f"[green]✓[/] signed and recorded. Result: {literal(path)}")
        console().print(f"  Verify it with: countermark bench red-team verify {literal(shlex.quote(str(path)))}")
    return 0


def _run(prompts: Path, settings: Settings, *, generate: bool, actor: str) -> SignedResult:
    """The trial under the settings' policy, which need not be in force: the log is opened without a pipeline."""
    from countermark.bench.redteam.result import record_and_sign
    from countermark.bench.redteam.trial import Checks, run_trial
    from countermark.compose import Home, default_image_safety, default_prompt_safety
    from countermark.keys import Purpose
    from countermark.policy import load_policy

    home = Home(settings)
    home.make()
    prompt_safety = default_prompt_safety(settings)
    with closing(home.open_log()) as log, progress("Attacking") as advance:
        report = run_trial(
            prompts,
            Checks(
                load_policy(settings.policy),
                prompt_safety,
                default_image_safety(settings, prompts=prompt_safety),
                _generator(settings) if generate else None,
            ),
            pseudonym_key=home.keys.secret(Purpose.PSEUDONYM),
            digest_key_id=home.keys.key_id(Purpose.PSEUDONYM),
            advance=advance,
        )
        return record_and_sign(report, log, home.note_signer(), actor=home.pseudonym(actor), tenant=settings.tenant)


def _generator(settings: Settings) -> Generator:
    from countermark.generators import DiffusersGenerator, EmbeddedGenerator

    chosen = settings.generator
    if chosen.model == "embedded":
        return EmbeddedGenerator()
    return DiffusersGenerator(chosen.model, allow_download=chosen.allow_download)


def _write(signed: SignedResult, path: Path, force: bool) -> None:
    from countermark.bench.redteam.result import to_bytes
    from countermark.files import write_new

    write_new(path, to_bytes(signed), overwrite=force)


@command.command("verify")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--log-key", "log_keys", multiple=True, help="The log's verifier key, known from elsewhere.")
@click.option(
    "--prompts",
    type=click.Path(path_type=Path, file_okay=False),
    help="The attack prompts: say whether these are what was tried (needs the home that ran the trial).",
)
@common
def verify(*, file: Path, log_keys: Sequence[str], prompts: Path | None, as_json: bool, home: Path | None) -> int:
    """Check a result offline: its signature, and that the log's entry is of this very result.

    Without --log-key, this installation's own log must have signed it. Exit codes: 0 it verifies, 13 it does not.
    """
    from countermark.bench.redteam.result import verify_result
    from countermark.compose import Home

    place = Home(load(home=home).settings)
    try:
        verified = verify_result(_read(file), log_keys or _own_keys(place))
    except ProofInvalid as error:
        if as_json:
            print_json({"verified": False, "file": str(file), "reason": error.message})
        else:
            what = f"{literal(file)}: {literal(error.message)}"
            console().print(f"[red]✗[/] [bold]NOT VERIFIED[/] {what} (exit code {_PROOF_FAILED})")
        return _PROOF_FAILED
    same = None if prompts is None else _are_those_tried(place, verified.report, prompts)
    _tell(file, verified, same, as_json=as_json)
    return 0 if same in (None, True) else _PROOF_FAILED


def _own_keys(place: Home) -> Sequence[str]:
    keys: Sequence[str] = place.log_keys()
    if not keys:
        raise UsageError(
            "There is no log here whose key could be trusted.",
            remedy="Name the key of the log that signed it, known from elsewhere: --log-key NAME+ID+KEY.",
        )
    return keys


def _read(file: Path) -> bytes:
    from countermark.bench.redteam.result import MAX_RESULT_BYTES
    from countermark.errors import NotFound

    if not file.is_file():
        raise NotFound(f"There is no file {file}.")
    with file.open("rb") as data:
        return data.read(MAX_RESULT_BYTES + 1)


def _are_those_tried(place: Home, report: TrialReport, prompts: Path) -> bool:
    """Whether a folder holds exactly the prompts of the trial, in its order."""
    from countermark.bench.redteam.trial import Salt, read_attacks
    from countermark.keys import Purpose

    keys = place.keys
    if report.digest_key_id != keys.key_id(Purpose.PSEUDONYM):
        raise UsageError("The digests were salted by another installation's key.", remedy="Name its home: --home HOME.")
    salt = Salt(keys.secret(Purpose.PSEUDONYM), report.run)
    return salt.digest_of_all(salt.digest(attack.row.text) for attack in read_attacks(prompts)) == report.prompts_digest


def _tell(file: Path, verified: VerifiedResult, same: bool | None, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "verified": same in (None, True),
                "file": str(file),
                "sha256": verified.sha256,
                "origin": verified.origin,
                "entry": verified.index,
                "time": verified.time,
                "same_prompts": same,
                "total": verified.report.total.model_dump(),
            }
        )
        return
    screen, total = console(), verified.report.total
    screen.print(f"[green]✓[/] signed by the log {literal(verified.origin)}, entry {verified.index}, {verified.time}")
    screen.print(f"[green]✓[/] the entry is of this very report: {verified.sha256}")
    if same is not None:
        said = "[green]✓[/] these are the prompts" if same else "[red]✗[/] these are not the prompts"
        screen.print(f"{said} that were tried (exit code {0 if same else _PROOF_FAILED})")
    screen.print(f"  {total.passed} of {total.prompts} prompts got through: {', '.join(verified.report.stages)} stage")


def _show(report: TrialReport) -> None:
    screen, policy = console(), report.policy
    screen.print(f"[bold]policy[/] {literal(policy.id)} {literal(policy.version)}, {policy.digest}")
    for stage, detector in report.detectors.items():
        said = f"{detector.id} {detector.version}, {detector.digest or 'no digest'}"
        screen.print(f"[bold]{stage} stage[/] {literal(said)}")
    if report.generator is not None:
        screen.print(f"[bold]generator[/] {literal(report.generator.id)}")
    rows = [(literal(file.name), file.tally) for file in report.files] + [("[bold]all[/]", report.total)]
    screen.print(_tallies("file", rows))
    screen.print(_tallies("labelled", [(one.category, one.tally) for one in report.categories]))
    screen.print(_reasons(report))
    for file in report.files:
        if file.unreadable or file.labelled_safe:
            said = f"{file.unreadable} lines are no prompts, {file.labelled_safe} are labelled safe and were left out"
            screen.print(f"[yellow]![/] {literal(file.name)}: {said}")
    for through in report.got_through[:_SHOWN]:
        screen.print(f"  got through: {literal(through.file)}:{through.line}")
    if len(report.got_through) > _SHOWN:
        screen.print(f"  and {len(report.got_through) - _SHOWN} more, all named in the result")
    for notice in report.notices:
        screen.print(f"[yellow]![/] {literal(notice)}")


def _tallies(what: str, rows: Sequence[tuple[str, Tally]]) -> Table:
    columns = (
        "prompts", "prompt: blocked", "held", "not assessed", "image: blocked", "held", "not assessed", "not run",
        "got through",
    )  # fmt: skip
    table = _table(what, columns)
    for name, tally in rows:
        table.add_row(name, *(str(count) for count in tally.model_dump().values()))
    return table


def _reasons(report: TrialReport) -> Table:
    table = _table("stopped for", ("severity", "stage", "rule", "outcome", "prompts"))
    for one in report.reasons:
        severity = "–" if one.severity is None else str(one.severity)
        table.add_row(one.category or "–", severity, one.stage, literal(one.rule), one.outcome, str(one.count))
    return table


def _table(first: str, columns: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(first, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", overflow="fold")
    return table
