"""Receipts: a C2SP tlog-proof of one entry, checkable offline with nothing but the log's verifier key."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from countermark.audit.checkpoint import Checkpoint, open_checkpoint, parse_decimal
from countermark.audit.note import decode_base64
from countermark.audit.tree import HASH_BYTES, leaf_hash, verify_inclusion
from countermark.errors import ProofInvalid
from countermark.model import Event, Receipt

MAGIC: Final = "c2sp.org/tlog-proof@v1"
MAX_PROOF_HASHES: Final = 63


@dataclass(frozen=True)
class TlogProof:
    """An entry's index, its audit path (leaf to root), and the signed checkpoint that it leads to."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str

    @property
    def text(self) -> str:
        """The text form of C2SP tlog-proof."""
        path = "".join(f"{base64.b64encode(value).decode()}\n" for value in self.hashes)
        return f"{MAGIC}\nindex {self.index}\n{path}\n{self.checkpoint}"

    @classmethod
    def parse(cls, text: str) -> TlogProof:
        """From its text form; the optional ``extra`` line is not authenticated and therefore ignored.

        Raises:
            ProofInvalid: not a tlog-proof.
        """
        head, separator, checkpoint = text.partition("\n\n")
        magic, *lines = head.split("\n")
        if not separator or magic != MAGIC:
            raise ProofInvalid(f"The proof does not begin with the line {MAGIC}.")
        if lines and lines[0].startswith("extra "):
            decode_base64(lines.pop(0).removeprefix("extra "), "proof's extra data")
        if not lines or not lines[0].startswith("index "):
            raise ProofInvalid("The proof has no index line.")
        index = parse_decimal(lines.pop(0).removeprefix("index "), "proof's index")
        if len(lines) > MAX_PROOF_HASHES:
            raise ProofInvalid(f"The proof holds more than {MAX_PROOF_HASHES} hashes.")
        hashes = tuple(decode_base64(line, "proof's hash") for line in lines)
        if any(len(value) != HASH_BYTES for value in hashes):
            raise ProofInvalid("A hash of the proof is not 32 bytes.")
        return cls(index, hashes, checkpoint)

    def verify(self, entry: bytes, verifier_key: str) -> Checkpoint:
        """The checkpoint under which ``entry`` is proved to stand at ``index``.

        Raises:
            ProofInvalid: the checkpoint is not the log's, or the entry is not in it.
        """
        checkpoint = open_checkpoint(self.checkpoint, verifier_key)
        verify_inclusion(self.index, checkpoint.size, leaf_hash(entry), self.hashes, checkpoint.root)
        return checkpoint


@dataclass(frozen=True)
class ProvedEntry:
    """What a verified receipt proves: this event stands at this index of that log."""

    event: Event
    index: int
    checkpoint: Checkpoint


def verify_receipt(receipt: Receipt, *, verifier_key: str) -> ProvedEntry:
    """Check a receipt offline.

    Args:
        receipt: the receipt, from anywhere.
        verifier_key: the log's key, known from elsewhere; the one inside the receipt proves nothing.

    Raises:
        ProofInvalid: the proof, the checkpoint or the key does not fit, or the entry is not an event.
    """
    proof = TlogProof.parse(receipt.proof)
    try:
        entry = receipt.entry.encode()
    except UnicodeEncodeError:
        raise ProofInvalid("The receipt's entry is not UTF-8 text.") from None
    checkpoint = proof.verify(entry, verifier_key)
    try:
        event = Event.model_validate_json(entry)
    except ValidationError:
        raise ProofInvalid(
            f"Entry {proof.index} is in the log but is not an event that this version knows.",
            remedy="Read it with the version of countermark that wrote it, or a newer one.",
        ) from None
    return ProvedEntry(event, proof.index, checkpoint)
