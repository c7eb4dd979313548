"""What the commands of ``countermark log`` share: opening the log, naming entries, and on whose warrant."""

from __future__ import annotations

import getpass
import platform
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from countermark.cli.output import load
from countermark.errors import NotFound, ProofInvalid, UsageError

if TYPE_CHECKING:
    from countermark.audit import AuditLog
    from countermark.audit.warrant import Warrant
    from countermark.compose import Home
    from countermark.model import Event

MAX_CHECKPOINT_BYTES = 1 << 16
_PSEUDONYM = re.compile(r"[0-9a-f]{32}")
F = TypeVar("F", bound=Callable[..., Any])


def on_warrant(*, reason_required: bool = True) -> Callable[[F], F]:
    """Add ``--reason`` and ``--actor``; the log keeps both for ever, the actor as a pseudonym."""

    def add(function: F) -> F:
        function = click.option("--actor", help="Who asks for it (default: the system's user). Kept as a pseudonym.")(
            function
        )
        return click.option("--reason", required=reason_required, help="Why. The log keeps it for ever: name nobody.")(
            function
        )

    return add


def warrant(place: Home, reason: str | None, actor: str | None) -> Warrant:
    """The warrant under which this command acts."""
    from countermark.audit.warrant import Warrant

    if reason is None:
        raise UsageError("This is recorded, so it needs a reason.", remedy="Say why with --reason.")
    return Warrant(reason, place.pseudonym(actor or _user()), source=platform.node()[:100] or "localhost")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def pseudonyms_of(place: Home, name: str) -> tuple[str, ...]:
    """The pseudonyms of a person: given as such, or made from the name that requests carried, newest first.

    Raises:
        UsageError: an empty name.
        KeyUnavailable: there is no key to make pseudonyms with.
    """
    if not name.strip():
        raise UsageError("The name of the person is empty.", remedy="Name who is meant, or leave the option out.")
    if _PSEUDONYM.fullmatch(name):
        return (name,)
    return tuple(actor.pseudonym for actor in place.pseudonyms(name))


def home_of(home: Path | None) -> Home:
    """The installation."""
    from countermark.compose import Home

    return Home(load(home=home).settings)


@contextmanager
def opened(
    place: Home, store: Path | None = None, *, writing: bool = False, held: str | None = None
) -> Iterator[AuditLog]:
    """The log, read-only unless it is to record something; of another store where one is named.

    ``held``: a checkpoint kept elsewhere, which vouches for it.
    """
    from countermark.audit import AuditLog

    if not (store.exists() if store else place.has_log()):
        where = store or (place.audit_db if not place.settings.audit.url else "the address that audit.url names")
        remedy = None if store else "Generate or mark an image first, or name --home."
        raise NotFound(f"There is no audit log at {where}.", remedy=remedy)
    log = AuditLog.open(store, read_only=True) if store else place.open_log(read_only=not writing, held=held)
    try:
        yield log
    finally:
        log.close()


def locate(log: AuditLog, name: str) -> int:
    """An entry by index, event id, attempt, watermark payload or file digest.

    Raises:
        UsageError: an empty name, which would find the newest entry without an attempt.
        NotFound: no such entry.
    """
    if not name.strip():
        raise UsageError("The name of the entry is empty.", remedy="See what the log holds with: countermark log list")
    if name.isdecimal() and len(name) < 12 and int(name) < log.size:
        return int(name)
    lowered = name.lower()
    found: tuple[int, ...] = ()
    if len(lowered) == 12 and all(c in "0123456789abcdef" for c in lowered):
        found = log.find(record_id=int(lowered, 16))
    found = found or log.find(event_id=lowered) or log.find(output_sha256=lowered) or log.find(attempt=lowered)
    if not found:
        raise NotFound(f"The log holds no entry {name}.", remedy="See what it holds with: countermark log list")
    return found[0]


def event_ids(log: AuditLog, names: tuple[str, ...]) -> list[str]:
    """The event ids of entries named as for :func:`locate`."""
    return [log.event(locate(log, name)).event_id for name in names]


def read_checkpoint(path: Path) -> str:
    """A checkpoint file's text.

    Raises:
        NotFound: no such file.
        UsageError: it cannot be a checkpoint.
    """
    if not path.is_file():
        raise NotFound(f"There is no checkpoint file {path}.")
    if path.stat().st_size > MAX_CHECKPOINT_BYTES:
        raise UsageError(f"{path} is too large to be a checkpoint.", remedy="Give the file that log checkpoint wrote.")
    from countermark.audit.checkpoint import peek_checkpoint

    remedy = "Give the file that log checkpoint wrote."
    try:
        text = path.read_text("utf-8")
        peek_checkpoint(text)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a checkpoint: not UTF-8.", remedy=remedy) from error
    except ProofInvalid as error:
        raise UsageError(f"{path} is not a checkpoint: {error.message}", remedy=remedy) from error
    return text


def cosigned_checkpoint(place: Home) -> str:
    """The newest checkpoint that witnesses cosigned.

    Raises:
        NotFound: none is kept.
    """
    from countermark.compose import kept_checkpoints

    newest = kept_checkpoints(place).newest()
    if newest is None:
        raise NotFound("No cosigned checkpoint is kept here.", remedy="Collect one first: countermark witness collect")
    return newest


def plain(event: Event) -> dict[str, Any]:
    """An event as plain data."""
    return event.model_dump(mode="json", by_alias=True, exclude_none=True)
