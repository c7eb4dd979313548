"""``countermark witness``: be a witness of others' logs, or ask witnesses to cosign this one."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from countermark.cli.output import common, console, literal, load, note, print_json
from countermark.errors import (
    AuditError,
    CountermarkError,
    KeyUnavailable,
    OutputUnwritable,
    SettingsInvalid,
    UsageError,
)
from countermark.files import read_small

if TYPE_CHECKING:
    from countermark.audit.note import NoteVerifier
    from countermark.audit.witness import WitnessServer, WitnessState

STATE = "witness.db"
MAX_KEY_FILE_BYTES = 1 << 16
_NOT_COLLECTED = 1
_state = click.option("--state", type=click.Path(path_type=Path), help=f"Its state (default: {STATE} in the home).")


@click.group("witness")
def command() -> None:
    """Cosign the checkpoints of others' logs (C2SP tlog-witness), or collect cosignatures of this one."""


@command.command("init")
@click.option(
    "--name", required=True, help="The witness's name: an address without scheme, such as witness.example/w1."
)
@_state
@common
def init(name: str, state: Path | None, as_json: bool, home: Path | None) -> int:
    """Make a witness: its key and its empty state. Prints the verifier key that others configure."""
    from countermark.audit.note import is_key_name
    from countermark.audit.witness import WitnessState
    from countermark.compose import Home, cosigner
    from countermark.keys import Purpose

    if not is_key_name(name):
        raise UsageError(
            f"'{name}' cannot name a witness.",
            remedy="Use one without spaces or plus signs, such as witness.example/w1.",
        )
    place = Home(load(home=home).settings)
    if place.keys.epochs(Purpose.WITNESS):
        raise KeyUnavailable(
            f"There is a witness's key in {place.keys.folder} already.",
            remedy="A key goes with the state it was made with. For a new witness name another --home.",
        )
    path = state or place.folder / STATE
    if path.exists():
        raise OutputUnwritable(f"{path} exists already.", remedy="Name another --state, and keep this one.")
    if place.has_log():
        note("This home holds an audit log: a witness beside the log that it watches protects against nobody.")
    place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = place.keys.ensure([Purpose.WITNESS])
    try:
        vkey = cosigner(place.keys, name).verifier.vkey
        WitnessState.create(path, vkey)
    except CountermarkError:
        for key in made:  # nobody has seen it, and without its state it would only be in the way of the next try
            Path(key.location).unlink(missing_ok=True)
        raise
    if as_json:
        print_json({"name": name, "vkey": vkey, "state": str(path)})
    else:
        click.echo(vkey)
        note(f"Made {path}. Never lose it and never restore an older copy: what it forgot, it would cosign anew.")
    return 0


@command.command("serve")
@click.option("--listen", default="127.0.0.1:8090", show_default=True, help="Host and port.")
@click.option(
    "--log",
    "log_files",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="A file with the verifier keys of logs to cosign, one a line.",
)
@_state
@common
def serve(listen: str, log_files: tuple[Path, ...], state: Path | None, as_json: bool, home: Path | None) -> int:
    """Cosign what extends what was cosigned before, until told to stop (SIGTERM or Ctrl-C)."""
    from countermark.audit.witness import Witness, WitnessServer
    from countermark.compose import Home, cosigner

    place = Home(load(home=home).settings)
    kept, ring = _open_state(place.folder, state), place.keys
    witness = Witness(kept, cosigner(ring, _name(kept)), _read_log_keys(log_files))
    host, port = _address(listen)
    try:
        server = WitnessServer((host, port), witness)
    except OSError as error:
        raise AuditError(
            f"The witness cannot listen on {listen}: {error.strerror or error}.", remedy="Choose another: --listen"
        ) from error
    if as_json:
        print_json({"url": server.url, "vkey": kept.vkey})
    else:
        note(f"{_name(kept)} listens on {server.url}")
    serve_until_signalled(server)
    return 0


def serve_until_signalled(server: WitnessServer) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are answered."""

    def stop(_number: int, _frame: object) -> None:
        threading.Thread(target=server.shutdown, daemon=True).start()  # shutdown waits for the loop that runs here

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    server.serve_forever(poll_interval=0.1)
    server.server_close()


@command.command("show")
@_state
@common
def show(state: Path | None, as_json: bool, home: Path | None) -> int:
    """Show the witness's verifier key, what it cosigned last of each log, and what it refused.

    What contradicts it is another tree of as many entries, signed by the log: the two convict the log. What is unproved
    came with a wrong proof, which anybody can attach: compare it with the log.
    """
    from countermark.compose import Home

    kept = _open_state(Home(load(home=home).settings).folder, state)
    logs = [
        {
            "origin": origin,
            "size": seen.size,
            "root": seen.root.hex(),
            "time": seen.time,
            "checkpoint": seen.note,
            "refused": [refused.note for refused in kept.evidence(origin)],
            "unproved": [refused.note for refused in kept.unproved(origin)],
        }
        for origin, seen in kept.all_seen().items()
    ]
    if as_json:
        print_json({"vkey": kept.vkey, "logs": logs})
        return 0
    click.echo(kept.vkey)
    for log in logs:
        refused = f", refused {len(log['refused'])} that contradict it" if log["refused"] else ""  # type: ignore[arg-type]
        unproved = f", {len(log['unproved'])} unproved" if log["unproved"] else ""  # type: ignore[arg-type]
        console().print(f"{log['origin']}: {log['size']} entries{refused}{unproved}", markup=False)
    return 0


@command.command("collect")
@common
def collect(as_json: bool, home: Path | None) -> int:
    """Ask every configured witness to cosign the newest checkpoint of this log, once.

    Exit codes: 0 the quorum cosigned (without one: all did), 1 fewer did.
    """
    from countermark.compose import Home, open_collector
    from countermark.compose.witnessing import NAME_SOME

    place = Home(load(home=home).settings)
    with place.open_log(read_only=True) as log:
        collector = open_collector(place, log)
        if collector is None:
            raise SettingsInvalid("No witness is configured.", remedy=NAME_SOME)
        outcome = collector.collect()
    needed = place.settings.audit.witness_quorum or len(place.settings.audit.witnesses)
    if as_json:
        failures = {name: error.to_dict() for name, error in outcome.failures.items()}
        print_json({"size": outcome.size, "cosigned_by": outcome.cosigned_by, "failures": failures})
    else:
        for name in outcome.cosigned_by:
            console().print(f"[green]✓[/] {literal(name)} cosigned {outcome.size} entries")
        for error in outcome.failures.values():
            note(f"{error.message}\n  {error.remedy}")
    return 0 if len(outcome.cosigned_by) >= needed else _NOT_COLLECTED


def _open_state(home: Path, state: Path | None) -> WitnessState:
    from countermark.audit.witness import WitnessState

    return WitnessState(state or home / STATE)


def _name(state: WitnessState) -> str:
    return state.vkey.partition("+")[0]


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise UsageError(f"{listen} is not an address to listen on.", remedy="Give host and port: 127.0.0.1:8090")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _read_log_keys(paths: tuple[Path, ...]) -> dict[str, list[NoteVerifier]]:
    """Verifier keys by origin; a log's key is named after its origin."""
    from countermark.audit import NoteVerifier

    remedy = "Get it with: countermark log checkpoint --json"
    logs: dict[str, list[NoteVerifier]] = {}
    for path in paths:
        data = read_small(path, "a list of log keys", at_most=MAX_KEY_FILE_BYTES, remedy=remedy)
        try:
            lines = data.decode().splitlines()
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is not a list of log keys: not UTF-8.", remedy=remedy) from error
        for line in lines:
            if line.strip() and not line.startswith("#"):
                verifier = NoteVerifier.parse(line)
                logs.setdefault(verifier.name, []).append(verifier)
    if not logs:
        raise UsageError("There is no log key in the files named.", remedy=remedy)
    return logs
