"""Changing a store behind the log's back."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def alter(path: Path, *statements: str) -> None:
    """Run statements on a store in SQLite, as whoever may write the file can."""
    store = sqlite3.connect(path)
    for statement in statements:
        store.execute(statement)
    store.commit()
    store.close()
