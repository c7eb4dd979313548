"""How long a model on this machine is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from countermark.safety.adapters.opinion import CouldNotLook

T = TypeVar("T")


class Patience:
    """Asks in a thread of its own and waits for so many seconds.

    A thread cannot be stopped. One that is late goes on until it is done, and until then nothing more is asked: a
    model that hangs costs one thread, not one for each request.

    Args:
        seconds: from the question to the answer.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._late = 0

    def ask(self, look: Callable[[], T]) -> T:
        """The answer, or whatever ``look`` raises.

        Raises:
            CouldNotLook: it takes too long, or an earlier question does.
        """
        with self._lock:
            if self._late:
                raise CouldNotLook("is still busy with a question that it did not answer in time")
        question = _Question(look)
        thread = threading.Thread(target=self._run, args=(question,), daemon=True)
        thread.start()
        question.done.wait(self._seconds)
        with self._lock:
            if not question.done.is_set():
                question.given_up = True
                self._late += 1
                raise CouldNotLook(f"did not answer within {self._seconds:g} s")
        return question.answer()

    def _run(self, question: _Question[T]) -> None:
        question.put()
        with self._lock:
            question.done.set()
            if question.given_up:
                self._late -= 1


class _Question(Generic[T]):
    """What is asked, and what came of it."""

    def __init__(self, look: Callable[[], T]) -> None:
        self._look = look
        self._answers: list[T] = []
        self._failure: BaseException | None = None
        self.done = threading.Event()
        self.given_up = False

    def put(self) -> None:
        """Ask, and keep the answer or the failure."""
        try:
            self._answers.append(self._look())
        except BaseException as error:  # it is raised where the answer is waited for
            self._failure = error

    def answer(self) -> T:
        """The answer, or the failure raised."""
        if self._failure is not None:
            raise self._failure
        return self._answers[0]
