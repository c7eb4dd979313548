"""CPU time of each stage, for the record and the benchmark."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Timer:
    """Sums the process's CPU time by stage, in microseconds."""

    def __init__(self) -> None:
        self.microseconds: dict[str, int] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count what runs inside under ``stage``."""
        start = time.process_time_ns()
        try:
            yield
        finally:
            spent = (time.process_time_ns() - start) // 1000
            self.microseconds[stage] = self.microseconds.get(stage, 0) + spent
