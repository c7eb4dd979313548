"""Data files that ship with the package but live at the top of the checkout, such as ``policies/``."""

from __future__ import annotations

from pathlib import Path

from countermark.errors import WeightsMissing

_PACKAGE = Path(__file__).resolve().parent


def data_path(relative: str) -> Path:
    """Where a shipped data file or folder is: in the installed wheel, else in the checkout.

    Args:
        relative: for example ``policies/default.yaml``.

    Raises:
        WeightsMissing: it is in neither place; the installation is incomplete.
    """
    for root in (_PACKAGE / "_data", _PACKAGE.parent.parent):
        if (root / relative).exists():
            return root / relative
    raise WeightsMissing(f"The data file {relative} is missing from this installation.")
