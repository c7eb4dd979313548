"""Settings: flag > environment > ``countermark.toml`` > defaults. Never a secret: only where it is kept.

The file is ``countermark.toml`` in the working folder, or the one that ``COUNTERMARK_CONFIG`` names. Environment
variables are ``COUNTERMARK_HOME``, ``COUNTERMARK_WATERMARK__PSNR`` and so on: two underscores step into a section.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from countermark.errors import SettingsInvalid
from countermark.keys import Purpose

CONFIG_FILE: Final = "countermark.toml"
PREFIX: Final = "COUNTERMARK_"
MAX_CONFIG_BYTES: Final = 1 << 20
_NOT_SETTINGS: Final = {"COUNTERMARK_CONFIG"}


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WatermarkSettings(_Section):
    """Which watermark, how strong. ``psnr`` is the target in dB; higher is fainter."""

    backend: Literal["lattice", "imwatermark"] = "lattice"
    psnr: float = Field(default=40.0, ge=34, le=48)


class GeneratorSettings(_Section):
    """Which generation core: the embedded one, or a diffusers pipeline by local path or hub id."""

    model: str = "embedded"
    allow_download: bool = False


class CredentialSettings(_Section):
    """The signing identity and the anchors to trust; left out, a development PKI is made at first use."""

    chain: Path | None = None
    key: Path | None = None
    anchors: Path | None = None
    timestamp_anchors: Path | None = None


class LogSettings(_Section):
    """The audit log's name (its origin line) and where it is kept."""

    origin: str = Field(default="", max_length=200, pattern=r"^[^\s+]*$")
    level: Literal["debug", "info", "warning", "error"] = "warning"
    style: Literal["console", "json"] = "console"


class OutputSettings(_Section):
    """How released files are written. ``quality`` is for lossy formats, 1..100."""

    format: Literal["image/png", "image/jpeg", "image/webp", "image/avif"] = "image/png"
    quality: int = Field(default=92, ge=50, le=100)


class Settings(_Section):
    """Everything that can be set."""

    home: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("countermark")))
    policy: Path | None = None
    provider: str = Field(default="", max_length=200)
    tenant: str = Field(default="default", min_length=1, max_length=100)
    objects: str = ""
    watermark: WatermarkSettings = WatermarkSettings()
    generator: GeneratorSettings = GeneratorSettings()
    credentials: CredentialSettings = CredentialSettings()
    log: LogSettings = LogSettings()
    output: OutputSettings = OutputSettings()
    keys: dict[Purpose, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Loaded:
    """Settings and, for each dotted name, where its value came from."""

    settings: Settings
    origins: Mapping[str, str]


def load_settings(flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Loaded:
    """Merge the four sources.

    Args:
        flags: dotted names and values from the command line; ``None`` values do not count.
        environ: the environment; the process's own unless given.

    Raises:
        SettingsInvalid: a file is not TOML, a name is unknown, or a value does not fit; the message names the source.
    """
    environ = os.environ if environ is None else environ
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    path = _config_path(environ)
    if path is not None:
        for name, value in _flatten(_read_toml(path)):
            merged[name], origins[name] = value, str(path)
    for variable, value in sorted(environ.items()):
        if variable.startswith(PREFIX) and variable not in _NOT_SETTINGS:
            name = variable.removeprefix(PREFIX).lower().replace("__", ".")
            merged[name], origins[name] = value, f"environment {variable}"
    for name, value in (flags or {}).items():
        if value is not None:
            merged[name], origins[name] = value, "command line"
    try:
        settings = Settings.model_validate(_nest(merged, origins))
    except ValidationError as error:
        raise SettingsInvalid(_explain(error, origins)) from error
    return Loaded(
        settings, {name: origins.get(name, "default") for name, _ in _flatten(settings.model_dump())} | origins
    )


def flat(settings: Settings) -> dict[str, Any]:
    """Every setting by dotted name."""
    return dict(_flatten(settings.model_dump()))


def _config_path(environ: Mapping[str, str]) -> Path | None:
    named = environ.get("COUNTERMARK_CONFIG")
    if named:
        if not Path(named).is_file():
            raise SettingsInvalid(f"COUNTERMARK_CONFIG names {named}, which is not a file.")
        return Path(named)
    return Path(CONFIG_FILE) if Path(CONFIG_FILE).is_file() else None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        raw = path.read_bytes()
        if len(raw) > MAX_CONFIG_BYTES:
            raise SettingsInvalid(f"{path} holds {len(raw):,} bytes: that is no settings file.")
        return tomllib.loads(raw.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsInvalid(
            f"{path} is not valid TOML: {error}.", remedy=f"Mend {path} at the place named."
        ) from error
    except OSError as error:
        raise SettingsInvalid(f"{path} cannot be read: {error.strerror or error}.") from error


def _flatten(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{name}.")
        elif not isinstance(value, Mapping):
            yield name, value


def _nest(flat: Mapping[str, Any], origins: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *sections, leaf = name.split(".")
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
            if not isinstance(node, dict):
                raise SettingsInvalid(f"{origins[name]}: '{name}' steps into '{section}', which holds a value.")
        if isinstance(node.get(leaf), dict):
            raise SettingsInvalid(f"{origins[name]}: '{name}' is a section, not a value.")
        node[leaf] = value
    return tree


def _explain(error: ValidationError, origins: Mapping[str, str]) -> str:
    lines = []
    for fault in error.errors():
        name = ".".join(str(part) for part in fault["loc"] if part != "[key]")
        source = origins.get(name) or next((o for n, o in origins.items() if n.startswith(name)), "settings")
        lines.append(f"{source}: {name}: {fault['msg']}")
    return "\n".join(lines)
