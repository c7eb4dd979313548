"""``countermark keys``: make and list keys, and export what others need in order to trust this installation."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from countermark.cli.output import common, console, load, print_json


@click.group("keys")
def command() -> None:
    """Make and list keys. Secrets are never printed."""


@command.command("init")
@common
def init(as_json: bool, home: Path | None) -> int:
    """Make every key that is missing, and the development certificate; nothing that exists is changed."""
    from countermark.compose import Home

    place = Home(load(home=home).settings)
    place.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = place.keys.ensure()
    identity = place.identity()
    if as_json:
        print_json({"made": [asdict(info) for info in made], "certificate": identity.name})
        return 0
    for info in made:
        console().print(f"[green]✓[/] made {info.purpose} key {info.key_id}: {info.location}")
    if not made:
        console().print("All keys are there already; nothing was changed.")
    console().print(f"[green]✓[/] manifests are signed by {identity.name}")
    return 0


@command.command("list")
@common
def list_keys(as_json: bool, home: Path | None) -> int:
    """List the keys: purpose, epoch, public id and where each is kept."""
    from rich.table import Table

    from countermark.compose import Home

    infos = Home(load(home=home).settings).keys.list()
    if as_json:
        print_json([asdict(info) for info in infos])
        return 0
    if not infos:
        console().print("There are no keys yet: countermark keys init")
        return 0
    table = Table("purpose", "epoch", "key id", "algorithm", "created", "kept in", box=None, pad_edge=False)
    for info in infos:
        table.add_row(info.purpose, str(info.epoch), info.key_id, info.algorithm, info.created, info.location)
    console().print(table)
    return 0


@command.command("export-trust")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
@common
def export_trust(output: Path, as_json: bool, home: Path | None) -> int:
    """Write what others need to check our files and receipts: anchors and the log's public key, no secrets."""
    from countermark.compose import trust_document
    from countermark.imaging import write_new

    document = trust_document(load(home=home).settings)
    write_new(output, document)
    if as_json:
        print_json({"file": str(output)})
    else:
        console().print(f"[green]✓[/] wrote {output}; others use it with: countermark verify FILE --trust {output}")
    return 0
