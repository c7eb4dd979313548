"""Settings: flag > environment > ``countermark.toml`` > defaults. Never a secret: only where it is kept.

The file is ``countermark.toml`` in the working folder, or the one that ``COUNTERMARK_CONFIG`` names. Environment
variables are ``COUNTERMARK_HOME``, ``COUNTERMARK_WATERMARK__PSNR`` and so on: two underscores step into a section.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from countermark.errors import SettingsInvalid
from countermark.settings.sections import Settings

CONFIG_FILE: Final = "countermark.toml"
PREFIX: Final = "COUNTERMARK_"
_PASSWORD = re.compile(r"(://[^/?#@:]*:).*(?=@)|([?&](?:ssl)?password=)[^&#]*", re.IGNORECASE)
MAX_CONFIG_BYTES: Final = 1 << 20
_NOT_SETTINGS: Final = {"COUNTERMARK_CONFIG"}


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
        for name, value in _read_toml(path):
            merged[name], origins[name] = value, str(path)
    for variable, value in sorted(environ.items()):
        if variable.startswith(PREFIX) and variable not in _NOT_SETTINGS:
            name = variable.removeprefix(PREFIX).lower().replace("__", ".")
            if name.startswith("keys."):
                name = name.replace("_", "-")  # keys.audit-log: no shell takes a hyphen in a variable's name
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
    """Every setting by dotted name, to be shown: without the passwords that addresses may hold."""
    return {name: _without_password(value) for name, value in _flatten(settings.model_dump())}


def _without_password(value: Any) -> Any:
    if not isinstance(value, str) or "://" not in value:
        return value
    return _PASSWORD.sub(lambda found: f"{found[1] or found[2]}***", value)


def _config_path(environ: Mapping[str, str]) -> Path | None:
    named = environ.get("COUNTERMARK_CONFIG")
    if named:
        if not Path(named).is_file():
            raise SettingsInvalid(f"COUNTERMARK_CONFIG names {named}, which is not a file.")
        return Path(named)
    return Path(CONFIG_FILE) if Path(CONFIG_FILE).is_file() else None


def _read_toml(path: Path) -> list[tuple[str, Any]]:
    """The values of a file by dotted name; editors on Windows begin it with a byte order mark."""
    try:
        raw = path.read_bytes()
        if len(raw) > MAX_CONFIG_BYTES:
            raise SettingsInvalid(f"{path} holds {len(raw):,} bytes: that is no settings file.")
        return list(_flatten(tomllib.loads(raw.decode("utf-8-sig"))))
    except RecursionError:
        raise SettingsInvalid(f"{path} is nested too deeply to be read.") from None
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
        # The fault may lie above the setting that was given (a section), or below it (in a list).
        near = (o for n, o in origins.items() if n.startswith(name) or name.startswith(f"{n}."))
        source = origins.get(name) or next(near, "settings")
        lines.append(f"{source}: {name}: {fault['msg']}")
    return "\n".join(lines)
