"""Checkpoints (C2SP tlog-checkpoint): what a log commits to when it signs its size and root."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from countermark.audit.note import NoteSigner, NoteVerifier, decode_base64, open_note, parse_note
from countermark.audit.tree import HASH_BYTES
from countermark.errors import CheckpointInvalid, ProofInvalid

MAX_TREE_SIZE: Final = 2**63 - 1


@dataclass(frozen=True)
class Checkpoint:
    """A tree head: the log's origin, the number of entries, the root (32 bytes), and extension lines."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The note text that is signed."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """From note text.

        Raises:
            ProofInvalid: not a checkpoint.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() != "" or not all(lines):
            raise ProofInvalid("The note is not a checkpoint: it must hold origin, size and root, a line each.")
        origin, size_text, root_text, *extensions = lines
        root = decode_base64(root_text, "checkpoint's root")
        if len(root) != HASH_BYTES:
            raise ProofInvalid("The checkpoint's root is not a SHA-256 hash.")
        return cls(origin, parse_decimal(size_text, "checkpoint's size"), root, tuple(extensions))


def parse_decimal(text: str, what: str) -> int:
    """An ASCII decimal without sign, spaces or leading zeroes, below 2**63.

    Raises:
        ProofInvalid: anything else.
    """
    if not text.isascii() or not text.isdigit() or len(text) > 19 or text != str(int(text)):
        raise ProofInvalid(f"The {what} is not a plain decimal number.")
    if int(text) > MAX_TREE_SIZE:
        raise ProofInvalid(f"The {what} is larger than any log.")
    return int(text)


def sign_checkpoint(signer: NoteSigner, size: int, root: bytes) -> str:
    """The signed note of a checkpoint, under the signer's name as origin."""
    return signer.sign(Checkpoint(signer.name, size, root).text)


def open_checkpoint(note: str, verifier_key: str) -> Checkpoint:
    """A checkpoint whose signature by the log itself was verified.

    Raises:
        ProofInvalid: malformed, not signed by this key, or of another log than the key's.
    """
    verifier = NoteVerifier.parse(verifier_key)
    text, _ = open_note(note, [verifier])
    checkpoint = Checkpoint.parse(text)
    if checkpoint.origin != verifier.name:
        raise ProofInvalid(f"The checkpoint is of the log '{checkpoint.origin}', not of '{verifier.name}'.")
    return checkpoint


def refuse_unusable(note: str, verifier_key: str) -> None:
    """Refuse a checkpoint, kept elsewhere, that says nothing of a log, so that the log is not accused for it.

    One under the log's own name by another key says something: that key, or the log's, is a thief's.

    Raises:
        CheckpointInvalid: damaged, or of another log.
    """
    verifier = NoteVerifier.parse(verifier_key)
    try:
        parsed = parse_note(note)
        checkpoint = Checkpoint.parse(parsed.text)
    except ProofInvalid as error:
        raise CheckpointInvalid(f"The checkpoint that was given is damaged or none: {error.message}") from error
    if checkpoint.origin != verifier.name:
        raise CheckpointInvalid(
            f"The checkpoint that was given is of the log '{checkpoint.origin}', not of '{verifier.name}'.",
            remedy="Give one of this log, or name the log that it is of.",
        )
    if any((line.name, line.key_id) == (verifier.name, verifier.id) for line in parsed.signatures):
        try:
            open_note(note, [verifier])
        except ProofInvalid as error:
            raise CheckpointInvalid(
                "The checkpoint that was given is damaged: it is not what the log signed."
            ) from error


def peek_checkpoint(note: str) -> Checkpoint:
    """What a checkpoint claims, without verifying it: for messages and storage only.

    Raises:
        ProofInvalid: not a checkpoint.
    """
    return Checkpoint.parse(parse_note(note).text)
