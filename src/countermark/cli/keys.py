"""``countermark keys``: make and list keys, and export what others need in order to trust this installation."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from countermark.cli.log.shared import home_of, on_warrant, warrant
from countermark.cli.output import common, console, literal, load, print_json, table

if TYPE_CHECKING:
    from countermark.keys.ring import KeyInfo


@click.group("keys")
def command() -> None:
    """Make, list and rotate keys, and export what others need to trust them. Secrets are never printed.

    \b
    countermark keys init
    countermark keys rotate watermark --reason "yearly"
    countermark keys export-trust -o trust.json

    What each is for: docs/keys.md.
    """  # noqa: D301 (a raw string would hide the backspace that keeps click from joining the examples' lines)


@command.command("init")
@common
def init(as_json: bool, home: Path | None) -> int:
    """Make every key that is missing, and the development certificate; nothing that exists is changed.

    Keys that settings name elsewhere (docs/keys.md) are read, and nothing is made where one cannot be used.
    """
    from countermark.compose import Home

    place = Home(load(home=home).settings)
    place.keys.list()
    place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = place.keys.ensure()
    identity = place.identity()
    if as_json:
        print_json({"made": [asdict(info) for info in made], "certificate": identity.name})
        return 0
    for info in made:
        console().print(f"[green]✓[/] made {info.purpose} key {info.key_id}: {literal(info.location)}")
    if not made:
        console().print("All keys are there already; nothing was changed.")
    console().print(f"[green]✓[/] manifests are signed by {literal(identity.name)}")
    return 0


@command.command("list")
@common
def list_keys(as_json: bool, home: Path | None) -> int:
    """List the keys: purpose, epoch, public id and where each is kept; with --json, an array of them."""
    from countermark.compose import Home

    infos = Home(load(home=home).settings).keys.list()
    if as_json:
        print_json([asdict(info) for info in infos])
        return 0
    if not infos:
        console().print("There are no keys yet: countermark keys init")
        return 0
    rows = table("purpose", "epoch", "key id", "algorithm", "created", "kept in")
    for info in infos:
        rows.add_row(info.purpose, str(info.epoch), info.key_id, info.algorithm, info.created, literal(info.location))
    console().print(rows)
    return 0


@command.command("rotate")
@click.argument("purpose", type=click.Choice(["watermark", "master", "pseudonym"]))
@on_warrant()
@common
def rotate(*, purpose: str, reason: str, actor: str | None, as_json: bool, home: Path | None) -> int:
    """Make a new key take over for PURPOSE; older ones stay, for what was made with them.

    It is an event of the audit log, recorded before the key is used. Running processes go on with the old key until
    they are started again. The log's own key cannot be rotated: it is what checkpoints and receipts are trusted by.
    """
    from countermark.audit.warrant import Warrant
    from countermark.model import EventType

    place = home_of(home)
    asked: Warrant = warrant(place, reason, actor)

    with place.open_log() as log:

        def announce(before: KeyInfo, epoch: int, key_id: str) -> None:
            params = {"purpose": purpose, "epoch": str(epoch), "key_id": key_id, "before_key_id": before.key_id}
            log.append(asked.event(EventType.KEY_ROTATED, params=params))

        info = place.keys.rotate(purpose, announce)
    if as_json:
        print_json(asdict(info))
    else:
        what = f"{purpose} key {info.key_id} of epoch {info.epoch}"
        console().print(f"[green]✓[/] {what} is in force: {literal(info.location)}")
        console().print("  Start running processes again, so that they use it; keep the older keys.")
    return 0


@command.command("export-trust")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="A new file, to be given away.")
@common
def export_trust(output: Path, as_json: bool, home: Path | None) -> int:
    """Write what others need to check our files and receipts: anchors and the log's public key, no secrets.

    They use it with `countermark verify FILE --trust OUTPUT`.
    """
    from countermark.compose import trust_document
    from countermark.files import write_new

    document = trust_document(load(home=home).settings)
    write_new(output, document)
    if as_json:
        print_json({"file": str(output)})
    else:
        use = f"countermark verify FILE --trust {shlex.quote(str(output))}"
        console().print(f"[green]✓[/] wrote {literal(output)}; others use it with: {literal(use)}")
    return 0
