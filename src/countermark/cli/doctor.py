"""``countermark doctor``: what this installation has, what it lacks, and how to mend it."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import click

from countermark.cli.output import common, console, load, print_json
from countermark.errors import EXIT_INTERNAL, CountermarkError
from countermark.settings import Settings

if TYPE_CHECKING:
    from countermark.safety.adapters.opinion import Opinion
    from countermark.safety.adapters.options import Options
    from countermark.safety.hash_store import HashListStore

LOW_DISK = 512 * 2**20
_EXTRAS = {"diffusers": ("torch", "diffusers", "transformers"), "imwatermark": ("imwatermark",)}


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "warning", "failed"]
    detail: str
    remedy: str = ""


@click.command("doctor")
@common
def command(as_json: bool, home: Path | None) -> int:
    """Look at everything that can be missing or broken; nothing is changed.

    Exit codes: 0 nothing failed, 1 something did.
    """
    from rich.markup import escape

    settings = load(home=home).settings
    found = list(_examine(settings))
    failed = any(d.state == "failed" for d in found)
    if as_json:
        print_json({"schema": "countermark.doctor/1", "healthy": not failed, "checks": [asdict(d) for d in found]})
        return EXIT_INTERNAL if failed else 0
    marks = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "failed": "[red]✗[/]"}
    for d in found:
        detail = d.detail.replace("\n", "\n    ")  # a file with several faults has a line for each
        console().print(f"{marks[d.state]} [bold]{d.name}[/]: {escape(detail)}")
        if d.remedy:
            console().print(f"    [green]remedy:[/] {escape(d.remedy)}")
    return EXIT_INTERNAL if failed else 0


def _examine(settings: Settings) -> Iterator[Diagnosis]:
    yield Diagnosis("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield from _extras()
    yield _opencv()
    yield from _guarded("policy", lambda: _policy(settings))
    yield from _guarded("prompt models", lambda: _prompt_models(settings))
    yield from _guarded("image models", _image_models)
    yield from _opinions(settings)
    if util.find_spec("torch") is not None:
        yield from _guarded("embedded generator", _embedded)
    yield from _guarded("home", lambda: _home(settings))
    if settings.home.is_dir():
        yield from _hash_lists(settings)
        yield from _guarded("keys", lambda: _keys(settings))
        yield from _guarded("certificate", lambda: _certificate(settings))
        yield from _guarded("audit log", lambda: _log(settings))


def _guarded(name: str, look: Callable[[], Diagnosis]) -> Iterator[Diagnosis]:
    try:
        yield look()
    except CountermarkError as error:
        yield Diagnosis(name, "failed", error.message, error.remedy)


def _extras() -> Iterator[Diagnosis]:
    for extra, modules in _EXTRAS.items():
        lacking = [module for module in modules if util.find_spec(module) is None]
        if lacking:
            remedy = f'pip install "countermark[{extra}]"'
            yield Diagnosis(f"extra {extra}", "warning", f"not installed ({', '.join(lacking)})", remedy)
        else:
            yield Diagnosis(f"extra {extra}", "ok", "installed")


def _opencv() -> Diagnosis:
    """Two wheels ship the same ``cv2`` folder; whichever was installed last is the one that runs."""
    wheels = {}
    for name in ("opencv-python", "opencv-python-headless"):
        try:
            wheels[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if len(set(wheels.values())) > 1:
        remedy = "pip install --force-reinstall --no-deps opencv-python-headless"
        return Diagnosis("opencv", "warning", f"two wheels of different versions: {wheels}", remedy)
    both = " (both wheels hold the same files at this version)" if len(wheels) > 1 else ""
    return Diagnosis("opencv", "ok", ", ".join(f"{n} {v}" for n, v in wheels.items()) + both)


def _policy(settings: Settings) -> Diagnosis:
    from countermark.policy import load_policy

    ref = load_policy(settings.policy).ref
    return Diagnosis("policy", "ok", f"{ref.id} {ref.version}, sha256 {ref.digest[:16]}…")


def _prompt_models(settings: Settings) -> Diagnosis:
    """The shipped models and the lists, those of names too, that settings name."""
    from countermark.compose import default_prompt_safety
    from countermark.safety import PromptEnsemble

    default_prompt_safety(settings)
    ensemble = PromptEnsemble(terms=settings.safety.prompt.terms, verify=True)
    return Diagnosis("prompt models", "ok", f"{ensemble.detector.id} {ensemble.detector.version}, digests match")


def _image_models() -> Diagnosis:
    from countermark.safety import ImageEnsemble

    ensemble = ImageEnsemble(verify=True)
    return Diagnosis("image models", "ok", f"{ensemble.detector.id} {ensemble.detector.version}, digests match")


def _opinions(settings: Settings) -> Iterator[Diagnosis]:
    """Each second opinion that settings name, made ready as far as that goes without sending anything."""
    from countermark.safety.adapters.build import image_opinion, prompt_opinion

    for number, options in enumerate(settings.safety.prompt.opinions, 1):
        name = f"prompt opinion {number} ({options.kind})"
        yield from _guarded(name, partial(_opinion, name, prompt_opinion(options), options))
    for number, image_options in enumerate(settings.safety.image.opinions, 1):
        name = f"image opinion {number} ({image_options.kind})"
        yield from _guarded(name, partial(_opinion, name, image_opinion(image_options), image_options))


def _opinion(name: str, opinion: Opinion, options: Options) -> Diagnosis:
    from countermark.safety.adapters.options import ServiceOptions

    opinion.load()
    who = opinion.detector
    state = f"sha256 {who.digest}" if who.digest else "loaded"
    if isinstance(options, ServiceOptions):
        state = f"its key is there; asks {urlsplit(options.url).hostname}, which was not tried"
    return Diagnosis(name, "ok", f"{who.id} ({', '.join(sorted(opinion.categories))}), {options.when}; {state}")


def _embedded() -> Diagnosis:
    from countermark.generators import EmbeddedGenerator

    model = EmbeddedGenerator().model
    return Diagnosis("embedded generator", "ok", f"{model.id} {model.version}, weights {(model.digest or '')[:16]}…")


def _home(settings: Settings) -> Diagnosis:
    home = settings.home
    if not home.exists():
        return Diagnosis("home", "ok", f"{home} does not exist yet; the first image makes it")
    free = shutil.disk_usage(home).free
    if home.stat().st_mode & 0o077 and sys.platform != "win32":
        return Diagnosis("home", "warning", f"{home} is open to other users", f"chmod 700 {home}")
    if free < LOW_DISK:
        return Diagnosis("home", "warning", f"{home} has only {free // 2**20} MiB free", "Make room.")
    return Diagnosis("home", "ok", f"{home}, {free // 2**30} GiB free")


def _hash_lists(settings: Settings) -> Iterator[Diagnosis]:
    """Each imported list, and whether policy heeds them."""
    from countermark.compose.hash_lists import hash_lists

    store = hash_lists(settings.home)
    for name in store.names():
        yield from _guarded(f"hash list {name}", partial(_hash_list, store, name))
    if store.names():
        yield from _guarded("hash lists", lambda: _heeded(settings))


def _hash_list(store: HashListStore, name: str) -> Diagnosis:
    return Diagnosis(f"hash list {name}", "ok", f"{len(store.read(name)):,} hashes")


def _heeded(settings: Settings) -> Diagnosis:
    from countermark.model import Category, Outcome
    from countermark.policy import load_policy

    policy = load_policy(settings.policy)
    stages = policy.categories.get(Category.HASH_MATCH)
    if stages is None or stages.image is None:
        remedy = "Name it in your policy: hash_match: {image: {severity: {review: 2, block: 6}}}"
        return Diagnosis("hash lists", "warning", "policy does not name hash_match: a hit stops nothing", remedy)
    if policy.on_silence(stages.image) is Outcome.ALLOW:
        remedy = "Take on_not_assessed away from hash_match in your policy: then a damaged list stops the release."
        return Diagnosis("hash lists", "warning", "policy lets pass what a list could not be asked about", remedy)
    return Diagnosis("hash lists", "ok", "policy heeds them, and stops what they could not be asked about")


def _keys(settings: Settings) -> Diagnosis:
    from countermark.compose import Home

    infos = Home(settings).keys.list()
    if not infos:
        return Diagnosis("keys", "warning", "none yet", "countermark keys init")
    return Diagnosis("keys", "ok", ", ".join(f"{info.purpose} {info.key_id}" for info in infos))


def _certificate(settings: Settings) -> Diagnosis:
    from countermark.compose import Home

    home = Home(settings)
    development = not settings.credentials.chain
    if development and not (home.certificates / "signer.pem").exists():
        return Diagnosis("certificate", "ok", "none yet; a development one is made at first use")
    identity = home.identity()
    detail = f"{identity.name}, until {identity.not_after:%Y-%m-%d}"
    if development:
        remedy = "For production set credentials.chain and credentials.key to a certificate from a C2PA trust list."
        return Diagnosis(
            "certificate", "warning", f"{detail}: a development certificate that nobody else trusts", remedy
        )
    return Diagnosis("certificate", "ok", detail)


def _log(settings: Settings) -> Diagnosis:
    from countermark.compose import Home

    home = Home(settings)
    if not home.has_log():
        return Diagnosis("audit log", "ok", "empty; the first attempt makes it")
    log = home.open_log(read_only=True)
    try:
        return Diagnosis("audit log", "ok", f"{log.origin}, {log.size} entries; to prove them: countermark log verify")
    finally:
        log.close()
