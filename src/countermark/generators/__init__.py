"""Generation cores behind one interface: our own embedded model, and any diffusers pipeline.

Importing this room is cheap; torch and diffusers are loaded when an adapter is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from countermark.errors import MissingExtra
from countermark.generators.interface import Generated, Generator, OnStep, Watch

if TYPE_CHECKING:
    from countermark.generators.diffusers import DiffusersGenerator
    from countermark.generators.embedded.adapter import EmbeddedGenerator
    from countermark.generators.wrapped import WrappedOutput, WrappedPipeline

__all__ = [
    "DiffusersGenerator",
    "EmbeddedGenerator",
    "Generated",
    "Generator",
    "OnStep",
    "Watch",
    "WrappedOutput",
    "WrappedPipeline",
]

_ADAPTERS = {
    "DiffusersGenerator": "countermark.generators.diffusers",
    "EmbeddedGenerator": "countermark.generators.embedded.adapter",
    "WrappedOutput": "countermark.generators.wrapped",
    "WrappedPipeline": "countermark.generators.wrapped",
}
_NEEDED = ("torch", "diffusers", "transformers")


def __getattr__(name: str) -> Any:
    """Load an adapter on first use (PEP 562).

    Raises:
        MissingExtra: the adapter's libraries are not installed.
    """
    if name not in _ADAPTERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        return getattr(import_module(_ADAPTERS[name]), name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] in _NEEDED:
            raise MissingExtra("diffusers", "Generating images on this machine") from error
        raise
