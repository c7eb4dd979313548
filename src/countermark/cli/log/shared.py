"""What the commands of ``countermark log`` share: opening the log, naming entries, and on whose warrant."""

from __future__ import annotations

import getpass
import platform
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from countermark.cli.output import load
from countermark.errors import CheckpointInvalid, KeyUnavailable, NotFound, ProofInvalid, UsageError
from countermark.files import read_small

if TYPE_CHECKING:
    from countermark.audit import AuditLog
    from countermark.audit.checkpoint import Checkpoint
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
    _require_keys(place, "pseudonym")
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
    _require_keys(place, "pseudonym")
    return tuple(actor.pseudonym for actor in place.pseudonyms(name))


def home_of(home: Path | None) -> Home:
    """The installation."""
    from countermark.compose import Home

    return Home(load(home=home).settings)


def _require_keys(place: Home, *purposes: str) -> None:
    """What a log was written with cannot be made again: say so, instead of how keys are made for a new one."""
    for purpose in purposes:
        if not place.keys.epochs(purpose) and place.has_log():
            raise KeyUnavailable(
                f"The key '{purpose}' that this log was written with is not in {place.keys.folder}.",
                remedy="Bring it back from a copy of that folder, for a new one would not fit. The log can be read,"
                " verified and proved from without it.",
            )


@contextmanager
def opened(
    place: Home, store: Path | None = None, *, writing: bool = False, held: str | None = None
) -> Iterator[AuditLog]:
    """The log, read-only unless it is to record something; of another store, or its folder, where one is named.

    ``held``: a checkpoint kept elsewhere, which vouches for it.

    Raises:
        NotFound: there is none.
        KeyUnavailable: it is to record something, and a key of it is lost.
    """
    from countermark.audit import AuditLog

    if store and store.is_dir():
        store /= "audit.db"
    if not (store.exists() if store else place.has_log()):
        where = store or (place.audit_db if not place.settings.audit.url else "the address that audit.url names")
        remedy = None if store else "Generate or mark an image first, or name --home."
        raise NotFound(f"There is no audit log at {where}.", remedy=remedy)
    if writing:
        _require_keys(place, "audit-log", "master")
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
    from countermark.audit.checkpoint import peek_checkpoint

    remedy = "Give the file that log checkpoint wrote."
    data = read_small(path, "a checkpoint", at_most=MAX_CHECKPOINT_BYTES, remedy=remedy)
    try:
        text = data.decode().replace("\r\n", "\n")  # as editors on Windows end lines
        peek_checkpoint(text)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a checkpoint: not UTF-8.", remedy=remedy) from error
    except ProofInvalid as error:
        raise UsageError(f"{path} is not a checkpoint: {error.message}", remedy=remedy) from error
    return text


def open_held(log: AuditLog, path: Path, note: str) -> Checkpoint:
    """A checkpoint that was kept of a log, its signature verified.

    Args:
        log: the log.
        path: where the checkpoint was read from.
        note: its text.

    Raises:
        CheckpointInvalid: it is of another log, or damaged: it says nothing about this one.
        ProofInvalid: another key of this log's name signed it, which whoever put another log in its place had to do.
    """
    from countermark.audit import open_checkpoint
    from countermark.audit.checkpoint import refuse_unusable

    try:
        refuse_unusable(note, log.verifier_key)
    except CheckpointInvalid as error:
        raise CheckpointInvalid(f"{path}: {error.message}", remedy=error.remedy) from error
    try:
        return open_checkpoint(note, log.verifier_key)
    except ProofInvalid as error:
        raise ProofInvalid(
            f"{path} is of {log.origin}, but not signed by the key that this log names: {error.message}",
            remedy="Keep both: either the file is damaged, or another log was put in the place of the one it is of.",
        ) from error


def offline_check(path: Path, key: str, held: Path | None = None) -> str:
    """The command that verifies a file without this program, with the key to give to it."""
    words = ["python", "audit/verify_log.py", str(path), "--key", key]
    return shlex.join([*words, "--checkpoint", str(held)] if held else words)


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
