"""One writer at a time: an advisory lock on a file beside the store, released by the system when its holder dies."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final
from weakref import WeakSet

from countermark.errors import HomeLocked, OutputUnwritable

_HELD: Final[WeakSet[WriterLock]] = WeakSet()


class WriterLock:
    """Held from construction until :meth:`release`.

    Raises:
        HomeLocked: another log, in this process or another, writes to the same store.
        OutputUnwritable: the lock file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise OutputUnwritable(
                f"The lock file {path} cannot be opened: {error.strerror or error}.",
                remedy="Whoever writes to a log must be able to write in its folder. Reading and verifying need not.",
            ) from error
        try:
            _lock(self._handle)
        except OSError:
            os.close(self._handle)
            raise HomeLocked(f"This or another process writes to the audit log guarded by {path} already.") from None
        _HELD.add(self)

    def release(self) -> None:
        """Let others write. The file stays: removing it would let two writers lock different files."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _let_go() -> None:
    """In a forked child: the lock is its parent's, and would outlive the parent in the child's copy of the file."""
    for lock in list(_HELD):
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)

if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
