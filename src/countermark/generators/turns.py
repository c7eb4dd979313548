"""What several threads must not do at once: run one pipeline, or change a setting of the whole process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")
_guard = threading.Lock()
_turns: Final[WeakKeyDictionary[Any, threading.RLock]] = WeakKeyDictionary()


def turn_of(pipe: Any) -> threading.RLock:
    """The lock of a pipeline, the same for all generators around it: its scheduler counts one run's steps.

    Pipelines that share parts have a lock each. One thread may take it again, from a step callback.
    """
    try:
        with _guard:
            return _turns.setdefault(pipe, threading.RLock())
    except TypeError:  # not hashable, or without weak references: then each generator around it has a lock of its own
        return threading.RLock()


class WhileAnyone(Generic[T]):
    """A setting of the whole process, changed while any thread needs it and put back after the last.

    Args:
        change: makes the change; returns what there was before.
        restore: puts that back.
    """

    def __init__(self, change: Callable[[], T], restore: Callable[[T], object]) -> None:
        self._change, self._restore = change, restore
        self._lock = threading.Lock()
        self._before: list[T] = []
        self._count = 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._count:
                self._before = [self._change()]
            self._count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._count -= 1
            if not self._count:
                self._restore(self._before.pop())
