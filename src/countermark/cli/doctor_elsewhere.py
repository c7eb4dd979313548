"""What ``countermark doctor`` says of what settings name outside this program: generator, object store, witnesses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING

from countermark.cli.diagnosis import Diagnosis, guarded
from countermark.errors import CountermarkError, MissingExtra, OutputUnwritable

if TYPE_CHECKING:
    from countermark.audit.witness import WitnessClient
    from countermark.settings import Settings

GENERATING = ("torch", "diffusers", "transformers")


def generator(settings: Settings) -> Iterator[Diagnosis]:
    """The generation core that settings name, as far as that goes without loading gigabytes or fetching anything."""
    embedded = settings.generator.model == "embedded"
    name = "embedded generator" if embedded else "generator"
    if any(util.find_spec(module) is None for module in GENERATING):
        lacking = MissingExtra("diffusers", "Generating images on this machine")
        yield Diagnosis(name, "warning" if embedded else "failed", lacking.message, lacking.remedy)
    else:
        yield from guarded(name, _embedded if embedded else lambda: _pipeline(settings))


def _embedded() -> Diagnosis:
    from countermark.generators import EmbeddedGenerator

    model = EmbeddedGenerator().model
    return Diagnosis("embedded generator", "ok", f"{model.id} {model.version}, weights {(model.digest or '')[:16]}…")


def _pipeline(settings: Settings) -> Diagnosis:
    from countermark.errors import NotFound
    from countermark.generators.loading import find_pipeline, is_hub_id

    chosen = settings.generator
    try:
        found = find_pipeline(chosen.model)
    except NotFound as error:
        if not (chosen.allow_download and is_hub_id(chosen.model)):
            raise
        return Diagnosis("generator", "warning", f"{chosen.model}: {error.message} It is fetched at the first image.")
    return Diagnosis("generator", "ok", f"{chosen.model}, a {found}; its weights are read at the first image")


def objects(settings: Settings) -> Iterator[Diagnosis]:
    """Whether the object store is there; nothing is made or kept in it."""
    place = settings.objects or str(settings.home / "objects")
    if "://" in place and not place.startswith("file://"):
        yield from guarded("object store", lambda: _object_store(place))
    else:
        yield from guarded("object store", lambda: _folder(Path(place.removeprefix("file://"))))


def _object_store(url: str) -> Diagnosis:
    from countermark.objects.store import listable

    if listable(url):
        return Diagnosis("object store", "ok", f"{url} answers; whether it can be written shows at the first image")
    return Diagnosis("object store", "warning", f"{url} answers, but does not let its objects be listed")


def _folder(folder: Path) -> Diagnosis:
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise OutputUnwritable(
            f"The object store {folder} cannot be {'written' if there == folder else 'made'}.",
            remedy="Set objects to a folder that you own.",
        )
    return Diagnosis("object store", "ok", f"{folder}{'' if there == folder else ', made with the first image'}")


def witnesses(settings: Settings) -> Iterator[Diagnosis]:
    """Each witness, asked for the checkpoint of this log that it holds, and whether those who answer make a quorum."""
    from countermark.compose import Home, witness_clients

    try:
        clients = witness_clients(settings.audit)
        keys = Home(settings).log_keys()
    except CountermarkError as error:
        yield Diagnosis("witnesses", "failed", error.message, error.remedy)
        return
    # Without a log key there is no log yet: any name shows whether the witness answers.
    looks = [partial(_witness, client, keys[0] if keys else "countermark.invalid/none") for client in clients]
    found = [
        diagnosis
        for client, look in zip(clients, looks, strict=True)
        for diagnosis in guarded(f"witness {client.name}", look)
    ]
    answered = sum(diagnosis.state == "ok" for diagnosis in found)
    enough = answered >= settings.audit.witness_quorum
    for diagnosis in found:
        state = "warning" if diagnosis.state == "failed" and enough else diagnosis.state
        yield Diagnosis(diagnosis.name, state, diagnosis.detail, diagnosis.remedy)


def _witness(client: WitnessClient, verifier_key: str) -> Diagnosis:
    note = client.latest(verifier_key)
    held = f"holds a checkpoint of {note.splitlines()[1]} entries" if note else "holds no checkpoint of this log"
    return Diagnosis(f"witness {client.name}", "ok", f"answers, and {held}")
