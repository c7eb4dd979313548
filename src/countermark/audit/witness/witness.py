"""A witness's judgement: what it answers to a submission.

How that travels is in :mod:`~countermark.audit.witness.server`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from countermark.audit.checkpoint import Checkpoint
from countermark.audit.note import NoteVerifier, open_note, parse_note, signature_line
from countermark.audit.tree import EMPTY_ROOT, verify_consistency
from countermark.audit.witness.cosignature import CosignatureSigner
from countermark.audit.witness.protocol import SIZE_MEDIA_TYPE, Submission, checkpoint_path
from countermark.audit.witness.state import Seen, Turn, WitnessState
from countermark.errors import KeyUnavailable, ProofInvalid
from countermark.observe import get_logger

PLAIN = "text/plain; charset=utf-8"


class Refused(Exception):
    """A submission is refused with an HTTP status; ``body`` tells the log why, or what the witness holds.

    ``contradicts``: the log signed two trees of one size, this one and the one cosigned last. ``unproved``: nobody
    showed that this one extends that one, which says nothing against the log: anybody can send it with a wrong proof.
    """

    def __init__(
        self, status: int, body: str, *, media_type: str = PLAIN, contradicts: bool = False, unproved: bool = False
    ) -> None:
        super().__init__(body)
        self.status = status
        self.body = body
        self.media_type = media_type
        self.contradicts = contradicts
        self.unproved = unproved


class Witness:
    """Cosigns checkpoints of the logs it knows, each only if it extends the one before.

    Args:
        state: what it cosigned so far.
        signer: its key.
        logs: verifier keys by origin.
        clock: seconds since 1970.

    Raises:
        KeyUnavailable: the state belongs to another key.
    """

    def __init__(
        self,
        state: WitnessState,
        signer: CosignatureSigner,
        logs: Mapping[str, Sequence[NoteVerifier]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        if state.vkey != signer.verifier.vkey:
            raise KeyUnavailable(
                f"The state {state.path} belongs to the witness {state.vkey}, not to {signer.verifier.vkey}.",
                remedy="Give the key that this state was made with.",
            )
        self._state = state
        self._signer = signer
        self._logs = dict(logs)
        self._paths = {checkpoint_path(origin): origin for origin in logs}
        self._clock = clock
        self._logger = get_logger("witness")

    def add_checkpoint(self, body: bytes) -> str:
        """The cosignature line for a submission; what it cosigned is on disk when this returns.

        Raises:
            Refused: with the status that C2SP tlog-witness asks for.
            AuditError: the state cannot be used; nothing was cosigned.
        """
        submission = self._parse(body)
        checkpoint = submission.checkpoint
        note = self._verified(submission)
        if submission.old > checkpoint.size:
            raise Refused(400, "The old size is larger than the checkpoint.\n")
        with self._state.turn(checkpoint.origin) as turn:
            refusal = self._judge(submission, turn.seen)
            if refusal is None:
                return self._cosign(turn, checkpoint, note)
            refused = Seen(checkpoint.size, checkpoint.root, int(self._clock()), note)
            if refusal.contradicts:
                turn.keep_evidence(refused)
                self._logger.error("checkpoint_contradicts", origin=checkpoint.origin, size=checkpoint.size)
            elif refusal.unproved:
                turn.keep_unproved(refused)
                self._logger.warning("checkpoint_unproved", origin=checkpoint.origin, size=checkpoint.size)
        raise refusal

    def latest(self, path: str) -> str | None:
        """The newest cosigned note of the log that ``path`` names (see :func:`checkpoint_path`), if any."""
        origin = self._paths.get(path)
        if origin is None:
            return None
        seen = self._state.all_seen().get(origin)
        return seen.note if seen else None

    def _parse(self, body: bytes) -> Submission:
        try:
            return Submission.parse(body)
        except ProofInvalid as error:
            raise Refused(400, f"{error.message}\n") from None

    def _verified(self, submission: Submission) -> str:
        """The note with nothing but the log's own, verified signatures."""
        origin = submission.checkpoint.origin
        verifiers = self._logs.get(origin)
        if verifiers is None:
            raise Refused(404, "This witness does not know the log.\n")
        try:
            text, signed_by = open_note(submission.note, verifiers)
        except ProofInvalid as error:
            raise Refused(403, f"{error.message}\n") from None
        ids = {(verifier.name, verifier.id) for verifier in signed_by}
        return f"{text}\n{''.join(_own_lines(submission.note, ids))}"

    def _judge(self, submission: Submission, seen: Seen | None) -> Refused | None:
        """Why a submission is refused, given what was cosigned last."""
        checkpoint = submission.checkpoint
        size, root = (seen.size, seen.root) if seen else (0, EMPTY_ROOT)
        if submission.old != size:
            return Refused(409, f"{size}\n", media_type=SIZE_MEDIA_TYPE)
        if checkpoint.size == size and checkpoint.root != root:
            # Without anything seen this is an empty tree with an impossible root, not a second story.
            return Refused(409 if seen else 422, "Another tree of this size was cosigned.\n", contradicts=True)
        try:
            verify_consistency(size, checkpoint.size, root, checkpoint.root, submission.proof)
        except ProofInvalid as error:
            # The same tree again, or the first one ever, is nothing that a proof could contradict.
            return Refused(422, f"{error.message}\n", unproved=0 < size < checkpoint.size)
        if seen and int(self._clock()) < seen.time:
            # Two cosignatures whose times contradict their order would be worse than none for a while.
            self._logger.error("clock_went_back", origin=checkpoint.origin, last=seen.time)
            return Refused(503, "The clock of this witness went back.\n")
        return None

    def _cosign(self, turn: Turn, checkpoint: Checkpoint, note: str) -> str:
        timestamp = int(self._clock())
        line = self._signer.cosign(checkpoint.text, timestamp)
        for refused in turn.put(Seen(checkpoint.size, checkpoint.root, timestamp, note + line)):
            self._logger.error("checkpoint_contradicts", origin=checkpoint.origin, size=refused.size)
        return line


def _own_lines(note: str, ids: set[tuple[str, bytes]]) -> Iterable[str]:
    lines = (
        signature_line(s.name, s.key_id, s.signature) for s in parse_note(note).signatures if (s.name, s.key_id) in ids
    )
    return dict.fromkeys(lines)
