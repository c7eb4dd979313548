"""Model files are loaded when they are first needed, once for all threads, and waited for only so long.

A file on a slow disk, or one that sends its reader round in circles, must not keep a request waiting for ever: whoever
cannot have the model in time has not looked, which stops a release.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

from countermark.errors import StillLoading

T = TypeVar("T")

LONGEST_LOADING: Final = 300.0
"""Seconds; the shipped models take one or two, and minutes on a machine that has hardly any time for them."""


class Loaded(Generic[T]):
    """What ``load`` gives, called in a thread of its own when it is first asked for.

    A thread cannot be stopped. One that is late goes on, and until it is done nobody waits for it any more and nothing
    is loaded a second time; then what it loaded is there for all. A loading that failed is begun anew by whoever asks
    next.

    Args:
        load: gives the model; may raise anything.
        seconds: how long it is waited for, from its beginning.
    """

    def __init__(self, load: Callable[[], T], seconds: float = LONGEST_LOADING) -> None:
        self._load = load
        self._seconds = seconds
        self._lock = threading.Lock()
        self._loading: Future[T] | None = None
        self._ends = 0.0

    def get(self, *, patiently: bool = False) -> T:
        """What was loaded, or whatever ``load`` raises.

        Args:
            patiently: wait however long it takes, for who has nothing else to do.

        Raises:
            StillLoading: it takes too long.
        """
        loading, ends = self._begun()
        try:
            return loading.result(None if patiently else max(0.0, ends - time.monotonic()))
        except TimeoutError:
            if loading.done():  # just now, or the error is its own
                return loading.result()
            raise StillLoading(f"A model was not loaded within {self._seconds:g} s.") from None

    def _begun(self) -> tuple[Future[T], float]:
        with self._lock:
            if self._loading is None or (self._loading.done() and self._loading.exception() is not None):
                self._loading, self._ends = Future(), time.monotonic() + self._seconds
                threading.Thread(target=self._run, args=(self._loading,), daemon=True).start()
            return self._loading, self._ends

    def _run(self, loading: Future[T]) -> None:
        try:
            loading.set_result(self._load())
        except BaseException as error:  # it is raised where the model is waited for
            loading.set_exception(error)
