"""countermark: every generated image checked, marked, and written down so that nobody can quietly change the story.

The public API, loaded lazily: ``import countermark`` is instant, and torch is imported only where images are made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from countermark.compose import Countermark, verify
    from countermark.errors import CountermarkError
    from countermark.pipeline import Result
    from countermark.settings import Settings

_PUBLIC = {
    "Countermark": "countermark.compose",
    "CountermarkError": "countermark.errors",
    "Result": "countermark.pipeline",
    "Settings": "countermark.settings",
    "verify": "countermark.compose",
}

__all__ = ["Countermark", "CountermarkError", "Result", "Settings", "__version__", "verify"]


def __dir__() -> list[str]:
    """What there is, loaded or not, for whoever explores it."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'countermark' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PUBLIC[name]), name)
