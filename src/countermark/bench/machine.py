"""What the figures were measured on, and CPU time."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from countermark.model.base import Frozen

_PACKAGES = ("countermark", "numpy", "opencv-python-headless", "pillow", "scikit-image", "invisible-watermark")
_BUDGET = 3.0  # seconds of CPU after which a slow step is not repeated


class Machine(Frozen):
    """Processor, cores and versions; an absent package has no version."""

    processor: str
    cores: int
    system: str
    python: str
    versions: dict[str, str]


def describe() -> Machine:
    """This machine."""
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        versions=dict(_versions()),
    )


def _versions() -> list[tuple[str, str]]:
    found = []
    for name in _PACKAGES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def cpu_milliseconds(work: Callable[[], object], repeats: int = 7) -> float:
    """Median CPU time of all threads in milliseconds, after one run to warm up; slow work is repeated less often."""
    times: list[float] = []
    for _ in range(repeats + 1):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
        if sum(times) > _BUDGET:
            break
    return 1000 * statistics.median(times[1:] or times)
