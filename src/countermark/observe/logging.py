"""structlog set-up and redaction.

Prompts are personal data: a value under a protected name never reaches the log, however deep it is nested.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, Literal, TextIO, cast

import structlog

PROTECTED: Final = frozenset(
    {
        "prompt", "negative_prompt", "prompts", "text", "plaintext", "actor", "user", "email", "subject",
        "key", "secret", "password", "token", "authorization", "api_key", "private_key", "key_pem",
    }
)  # fmt: skip
"""Names whose values are replaced. Compared without case; a suffix such as ``user_prompt`` counts too."""

REDACTED: Final = "[redacted]"
_MAX_DEPTH: Final = 8


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor that replaces protected values, in nested mappings and lists too."""
    for name, value in event.items():
        event[name] = REDACTED if _is_protected(name) else _scrub(value, 0)
    return event


def _is_protected(name: object) -> bool:
    lowered = str(name).lower()
    return lowered in PROTECTED or lowered.endswith(("_prompt", "_secret", "_password", "_token"))


def _scrub(value: Any, depth: int) -> Any:
    if depth >= _MAX_DEPTH:
        return REDACTED
    if isinstance(value, Mapping):
        return {k: REDACTED if _is_protected(k) else _scrub(v, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_scrub(item, depth + 1) for item in value]
    return value


class _Stderr:
    """Whatever ``sys.stderr`` is when a line is written: it may have been replaced, or closed, since set-up."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


_TRACE_ID_LENGTH: Final = 128


def configure(*, level: str = "warning", style: Literal["console", "json"] = "console") -> None:
    """Send the program's log to stderr.

    Args:
        level: debug, info, warning or error.
        style: ``console`` for people, ``json`` for machines (one object a line).
    """
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            redact,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Stderr())),
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> Any:
    """A bound logger that names its room.

    An application that has set up structlog keeps its own set-up (and should add :func:`redact` to it); otherwise
    warnings and errors go to stderr.
    """
    if not structlog.is_configured():
        configure()
    return structlog.get_logger().bind(room=name)


def current_trace_id() -> str:
    """The id under which an application follows what it is doing now; empty where it follows nothing.

    An application binds it with ``structlog.contextvars.bind_contextvars(trace_id=...)``. It then stands in every line
    of the log and in the events recorded meanwhile, so that one leads to the other. At most 128 printable ASCII
    characters, as it ends up in a record that nobody can change; anything else counts as none.
    """
    value = structlog.contextvars.get_contextvars().get("trace_id", "")
    fits = isinstance(value, str) and len(value) <= _TRACE_ID_LENGTH and value.isascii() and value.isprintable()
    return value if fits else ""
