"""What the suites of ``countermark bench`` write: a report as JSON, and a picture of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from countermark.cli.output import note

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def plan(path: Path | None, *, force: bool) -> None:
    """Find out before the long work whether a file can be written.

    Raises:
        OutputUnwritable: it cannot, or is there already.
    """
    from countermark.cli.writing import plan_output

    if path is not None:
        plan_output(path, force=force)


def write_report(text: str, save: Path | None, *, force: bool) -> None:
    """Write a report's JSON where one is asked for."""
    from countermark.files import write_new

    if save is not None:
        write_new(save, text.encode() + b"\n", overwrite=force)
        note(f"Report: {save}")


def write_picture(draw: Callable[[], NDArray[np.uint8]], path: Path | None, what: str, *, force: bool) -> None:
    """Draw and write a picture where one is asked for; ``what`` it is, is said."""
    from countermark import imaging
    from countermark.files import write_new

    if path is not None:
        write_new(path, imaging.encode(imaging.from_array(draw()), "image/png"), overwrite=force)
        note(f"{what}: {path}")
