"""What ``countermark doctor`` says of one thing that it looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from countermark.errors import CountermarkError


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at; ``absent`` is what is not there and that no setting asks for."""

    name: str
    state: Literal["ok", "absent", "warning", "failed"]
    detail: str
    remedy: str = ""


def guarded(name: str, look: Callable[[], Diagnosis]) -> Iterator[Diagnosis]:
    """The diagnosis, or the error that the look ended with."""
    try:
        yield look()
    except CountermarkError as error:
        yield Diagnosis(name, "failed", error.message, error.remedy)
