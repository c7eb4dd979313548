"""What log and witness say to each other (C2SP tlog-witness, ``add-checkpoint``)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from countermark.audit.checkpoint import Checkpoint, parse_decimal
from countermark.audit.note import MAX_NOTE_BYTES, decode_base64, parse_note
from countermark.audit.tree import HASH_BYTES
from countermark.errors import ProofInvalid

ADD_CHECKPOINT: Final = "/add-checkpoint"
SIZE_MEDIA_TYPE: Final = "text/x.tlog.size"
MAX_PROOF_LINES: Final = 63
MAX_REQUEST_BYTES: Final = MAX_NOTE_BYTES + 4096
"""A note, 63 hashes in base64 and the old size."""


@dataclass(frozen=True)
class Submission:
    """One ``add-checkpoint``: a signed checkpoint, and the proof that it extends the tree of ``old`` entries."""

    old: int
    proof: tuple[bytes, ...]
    note: str
    checkpoint: Checkpoint
    """What the note claims; its signature is not verified yet."""

    @classmethod
    def parse(cls, body: bytes) -> Submission:
        """From a request's body.

        Raises:
            ProofInvalid: malformed.
        """
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise ProofInvalid("The request is not UTF-8 text.") from None
        head, separator, note = text.partition("\n\n")
        old_line, *lines = head.split("\n")
        if not separator or not old_line.startswith("old "):
            raise ProofInvalid("The request does not begin with the old size, a proof and an empty line.")
        old = parse_decimal(old_line.removeprefix("old "), "old size")
        if len(lines) > MAX_PROOF_LINES:
            raise ProofInvalid(f"The consistency proof has more than {MAX_PROOF_LINES} hashes.")
        proof = tuple(decode_base64(line, "proof's hash") for line in lines)
        if any(len(value) != HASH_BYTES for value in proof):
            raise ProofInvalid("A hash of the consistency proof is not 32 bytes.")
        return cls(old, proof, note, Checkpoint.parse(parse_note(note).text))


def format_submission(old: int, proof: Sequence[bytes], note: str) -> bytes:
    """The body of an ``add-checkpoint`` request."""
    hashes = "".join(f"{base64.b64encode(value).decode()}\n" for value in proof)
    return f"old {old}\n{hashes}\n{note}".encode()


def checkpoint_path(origin: str) -> str:
    """Where a witness shows the newest checkpoint of a log that it cosigned, below its address."""
    return f"/{hashlib.sha256(origin.encode()).hexdigest()}/checkpoint"
