"""Readers that wait for their next use. A forked child has none of its parent's: on one connection, two would talk."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar
from weakref import WeakSet

Reader = TypeVar("Reader")
_ALL: Final[WeakSet[IdleReaders[Any]]] = WeakSet()


class IdleReaders(Generic[Reader]):
    """At most ``most`` readers, for any number of threads; ``end`` closes one that is not kept."""

    def __init__(self, most: int, end: Callable[[Reader], None]) -> None:
        self._most = most
        self._end = end
        self._idle: list[Reader] = []
        self._lock = threading.Lock()
        self._closed = False
        _ALL.add(self)

    def take(self) -> Reader | None:
        """One of them, if there is one; it is the caller's until :meth:`give`."""
        with self._lock:
            return self._idle.pop() if self._idle else None

    def give(self, reader: Reader) -> None:
        """Keep a reader for the next who asks, or end it."""
        with self._lock:
            if not self._closed and len(self._idle) < self._most:
                self._idle.append(reader)
                return
        self._end(reader)

    def close(self) -> None:
        """End all of them, and those that are given back later."""
        with self._lock:
            self._closed = True
            readers, self._idle = self._idle, []
        for reader in readers:
            self._end(reader)

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()  # another thread of the parent may have held the old one
        self._parents, self._idle = self._idle, []  # kept, for what is dropped would be closed


def _in_the_child() -> None:
    for readers in list(_ALL):
        readers._begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_the_child)
