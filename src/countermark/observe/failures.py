"""What may be told of an error that a model or a detector raised: never its message, which may quote a prompt."""

from __future__ import annotations

import traceback
from pathlib import PurePath
from typing import Final, TypeVar

E = TypeVar("E", bound=BaseException)
_ERRORS: Final = 5
_FRAMES: Final = 4
_DEPTH_OF_PATH: Final = 3


def where_it_broke(error: BaseException) -> str:
    """What broke and where, in types, files, lines and functions; no message and no value.

    The error first, then what it was raised from, and the members of groups: at most five errors, of each at most the
    four innermost frames, innermost first.
    """
    told: list[str] = []
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting and len(told) < _ERRORS:
        current = waiting.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        told.append(_one(current))
        if isinstance(current, BaseExceptionGroup):
            waiting.extend(current.exceptions)
        waiting.append(current.__cause__ or current.__context__)
    return "; from ".join(told)


def _one(error: BaseException) -> str:
    frames = list(traceback.walk_tb(error.__traceback__))[-_FRAMES:]
    steps = (f"{_short(frame.f_code.co_filename)}:{line} in {frame.f_code.co_name}" for frame, line in reversed(frames))
    name = type(error).__name__
    return f"{name} at {' < '.join(steps)}" if frames else name


def _short(path: str) -> str:
    """The end of a path: enough to find the file, and nothing of whose machine it is on."""
    return "/".join(PurePath(path).parts[-_DEPTH_OF_PATH:])


def without_chain(error: E, cause: BaseException | None = None) -> E:
    """Keep a traceback from printing what an error was raised from; a note says :func:`where_it_broke`.

    The original stays in ``error.__context__`` for whoever looks on purpose. Raise the result ``from None``, or as it
    is where it is already on its way.

    Args:
        error: changed in place, and returned.
        cause: what it is raised from, if it is not on its way yet.
    """
    shown = cause or error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if shown is not None:
        if error.__context__ is None and cause is None:
            error.__context__ = error.__cause__
        error.__cause__ = None  # suppresses the context as well
        error.add_note(f"What broke: {where_it_broke(shown)}")
    return error


def without_words(error: E) -> E:
    """Like :func:`without_chain`, for an error that must go on as it is, such as ``KeyboardInterrupt``.

    What it says of itself is dropped, save an exit code.
    """
    error.args = tuple(value for value in error.args if isinstance(value, int))
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            without_words(member)
    if isinstance(error, SystemExit) and not isinstance(error.code, int | None):
        error.code = 1  # what Python makes of a text, which it would print
    return without_chain(error)
