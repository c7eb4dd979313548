"""Collects cosignatures beside a running log. Appending never waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from countermark.audit.checkpoint import open_checkpoint, peek_checkpoint
from countermark.audit.note import NoteSignature, parse_note, signature_line
from countermark.audit.witness.client import WitnessClient
from countermark.audit.witness.kept import KeptCheckpoints
from countermark.audit.witness.policy import add_cosignatures, cosigned_by
from countermark.errors import CountermarkError, ProofInvalid, WitnessRefused, WitnessUnavailable
from countermark.observe import get_logger

INTERVAL_SECONDS: Final = 30.0
MAX_PAUSE_SECONDS: Final = 3600.0
CLOSING_SECONDS: Final = 5.0
_OVERTAKEN_TRIES = 3


class CheckpointSource(Protocol):
    """What is needed of a log; safe to use from several threads."""

    @property
    def verifier_key(self) -> str:
        """The log's verifier key."""

    def checkpoint(self) -> str:
        """The newest signed checkpoint."""

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of ``new`` entries extends the tree of ``old``."""

    def root(self, size: int) -> bytes:
        """The root of the tree of the first ``size`` entries."""


@dataclass(frozen=True)
class Round:
    """What one round of asking brought: the note with every cosignature there is, by whom, and what failed."""

    note: str
    size: int
    cosigned_by: tuple[str, ...]
    failures: dict[str, CountermarkError]


@dataclass
class _Asked:
    """One witness: its cosignature on a checkpoint, and when it may be asked again."""

    client: WitnessClient
    text: str = ""
    line: str = ""
    failures: int = 0
    pause: float = 0.0
    not_before: float = 0.0
    error: CountermarkError | None = field(default=None)


class Collector:
    """Asks every witness to cosign the newest checkpoint, now (:meth:`collect`) or again and again (:meth:`start`).

    What cannot be had now is asked for again, after a pause that doubles with each failure.

    Args:
        log: where checkpoints and consistency proofs come from.
        clients: the witnesses.
        kept: where the cosigned checkpoint goes.
        quorum: a checkpoint with fewer cosignatures never displaces a kept one that has as many.
        interval: seconds between rounds.
    """

    def __init__(
        self,
        log: CheckpointSource,
        clients: Sequence[WitnessClient],
        kept: KeptCheckpoints,
        *,
        quorum: int = 1,
        interval: float = INTERVAL_SECONDS,
    ) -> None:
        self._log = log
        self._asked = [_Asked(client) for client in clients]
        self._verifiers = [client.verifier for client in clients]
        self._kept = kept
        self._quorum = max(quorum, 1)
        self._interval = interval
        self._logger = get_logger("witness")
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._one_round = threading.Lock()
        self._recall()

    # --- one round --------------------------------------------------------------------------------------------------

    def collect(self, *, patient: bool = False) -> Round:
        """Ask the witnesses that have not cosigned the newest checkpoint yet, all at once; keep what they give.

        What fails is told in the result, to whoever asks; only rounds in the background are logged.

        Args:
            patient: leave out witnesses that failed lately.

        Raises:
            WitnessRefused: the log does not extend the cosigned checkpoint that is kept; nobody was asked.
            CountermarkError: the log or the folder of kept checkpoints cannot be used. A witness that fails is told of
                in the result instead.
        """
        return self._round(patient=patient)[0]

    def _round(self, *, patient: bool) -> tuple[Round, list[_Asked]]:
        """One round, and who was asked in it."""
        with self._one_round:
            note = self._log.checkpoint()
            text = parse_note(note).text
            self._check_kept(peek_checkpoint(note).size)
            now = time.monotonic()
            due = [a for a in self._asked if a.text != text and not (patient and now < a.not_before)]
            self._ask(due, note)
            lines = [asked.line for asked in self._asked if asked.text == text]
            cosigned = add_cosignatures(note, lines)
            if lines and cosigned != self._kept_note():
                self._keep(cosigned, len(lines))
            outcome = Round(
                note=cosigned,
                size=peek_checkpoint(note).size,
                cosigned_by=tuple(sorted(a.client.name for a in self._asked if a.text == text)),
                failures={a.client.name: a.error for a in self._asked if a.error is not None},
            )
            return outcome, due

    def _check_kept(self, size: int) -> None:
        """What is kept is evidence: it must not be displaced by a history that it contradicts."""
        note = self._kept_note()
        if not note:
            return
        kept = peek_checkpoint(note)
        if kept.size > size or self._log.root(kept.size) != kept.root:
            raise WitnessRefused(
                f"The kept checkpoint of {kept.size} entries, which witnesses cosigned, does not fit this log of"
                f" {size}: it was rolled back or rewritten."
            )

    def _ask(self, due: Sequence[_Asked], note: str) -> None:
        threads = [
            threading.Thread(target=self._ask_one, args=(a, note), name=f"witness {a.client.name}", daemon=True)
            for a in due
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _ask_one(self, asked: _Asked, note: str) -> None:
        try:
            text, line = self._cosigned(asked.client, note)
        except CountermarkError as error:
            asked.error = error
            asked.failures += 1
            asked.pause = min(self._interval * 2 ** min(asked.failures, 20), MAX_PAUSE_SECONDS)
            asked.not_before = time.monotonic() + asked.pause
        else:
            asked.text, asked.line, asked.error, asked.failures, asked.not_before = text, line, None, 0, 0.0

    def _cosigned(self, client: WitnessClient, note: str) -> tuple[str, str]:
        """A checkpoint's text and the witness's cosignature: of ``note``, or of the newest where others overtook us.

        Several processes may write one log and ask: a witness that is ahead of us but not of the log is no rollback.
        """
        for _ in range(_OVERTAKEN_TRIES):
            try:
                return parse_note(note).text, client.cosign(note, self._log.consistency)
            except WitnessRefused:
                newest = self._log.checkpoint()
                if not peek_checkpoint(note).size < client.seen <= peek_checkpoint(newest).size:
                    raise
                note = newest
        raise WitnessUnavailable(f"The witness {client.name} is asked by others faster than from here.")

    def _keep(self, note: str, count: int) -> None:
        """Keep a cosigned note, unless that would leave a reader with fewer witnesses than before."""
        if count < self._quorum and len(self._kept_cosigners()) >= self._quorum:
            return
        self._kept.put(note)

    def _kept_note(self) -> str:
        """What is kept, if it is a checkpoint of this log and spoilt by nothing; otherwise empty."""
        try:
            note = self._kept.newest() or ""
            if note:
                open_checkpoint(note, self._log.verifier_key)
                cosigned_by(note, self._verifiers)
        except ProofInvalid:
            return ""
        return note

    def _kept_cosigners(self) -> dict[str, int]:
        note = self._kept_note()
        return cosigned_by(note, self._verifiers) if note else {}

    def _recall(self) -> None:
        """Begin with what is kept: who cosigned it need not be asked for it again."""
        note, names = self._kept_note(), self._kept_cosigners()
        if not note:
            return
        parsed, size = parse_note(note), peek_checkpoint(note).size
        for asked in self._asked:
            line = _line_of(asked.client, parsed.signatures) if asked.client.name in names else ""
            if line:
                asked.text, asked.line, asked.client.seen = parsed.text, line, size

    # --- in the background ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Collect every ``interval`` seconds in a thread of its own, until :meth:`stop`."""
        self._thread = threading.Thread(target=self._run, name="witness collector", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Begin a round now."""
        self._wake.set()

    def stop(self, timeout: float = CLOSING_SECONDS) -> None:
        """Collect once more, for what was appended last, and end the thread; at most ``timeout`` seconds."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)
            self._thread = None

    def _log_outcome(self, asked: _Asked) -> None:
        name, error = asked.client.name, asked.error
        if error is None:
            self._logger.info("cosigned", witness=name)
            return
        report = self._logger.warning if error.retryable else self._logger.error
        report("no_cosignature", witness=name, code=error.code, reason=error.message, again_in_s=round(asked.pause))

    def _run(self) -> None:
        stopping = False
        while not stopping:
            self._wake.wait(self._interval)
            self._wake.clear()
            stopping = self._stopping
            try:
                _, due = self._round(patient=True)
                for asked in due:
                    self._log_outcome(asked)
            except CountermarkError as error:
                self._logger.error("no_round", code=error.code, reason=error.message)
            except Exception:
                # Whatever it is, the program that appends must not lose its witnesses for the rest of its life.
                self._logger.error("no_round", exc_info=True)


def _line_of(client: WitnessClient, signatures: Sequence[NoteSignature]) -> str:
    mine = (client.verifier.name, client.verifier.id)
    lines = [signature_line(s.name, s.key_id, s.signature) for s in signatures if (s.name, s.key_id) == mine]
    return lines[-1] if lines else ""
