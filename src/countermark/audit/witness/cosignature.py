"""Cosignatures (C2SP tlog-cosignature, cosignature/v1): a witness's timestamped Ed25519 signature on a checkpoint.

It says: as of this time, the largest tree of this log that I have seen, each extending the one before, has this root.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from countermark.audit.checkpoint import Checkpoint
from countermark.audit.note import (
    COSIGNATURE_V1,
    check_note_text,
    format_vkey,
    is_key_name,
    key_id,
    parse_vkey,
    signature_line,
)
from countermark.errors import ProofInvalid

MAX_TIMESTAMP: Final = 2**63 - 1
_TIMESTAMP: Final = struct.Struct(">Q")
_SIGNATURE_BYTES: Final = _TIMESTAMP.size + 64


def _message(text: str, timestamp: int) -> bytes:
    return f"cosignature/v1\ntime {timestamp}\n{text}".encode()


@dataclass(frozen=True)
class CosignatureVerifier:
    """A witness's verifier key: its name, and the Ed25519 public key (32 bytes) behind it."""

    name: str
    public_key: bytes

    @classmethod
    def parse(cls, vkey: str) -> CosignatureVerifier:
        """From its text form ``name+hexid+base64`` with signature type 0x04.

        Raises:
            ProofInvalid: malformed, a key of another type, or its id is not the key's.
        """
        return cls(*parse_vkey(vkey, COSIGNATURE_V1, "a witness's key (cosignature/v1)"))

    @property
    def id(self) -> bytes:
        """The four-byte key id."""
        return key_id(self.name, self.public_key, COSIGNATURE_V1)

    @property
    def vkey(self) -> str:
        """The text form, to be handed to whoever relies on this witness."""
        return format_vkey(self.name, self.public_key, COSIGNATURE_V1)

    def timestamp(self, text: str, signature: bytes) -> int | None:
        """When this witness cosigned the checkpoint ``text``, in seconds since 1970.

        Returns:
            ``None`` where ``signature`` (8 bytes of time, 64 of Ed25519) is not this witness's over that text.
        """
        if len(signature) != _SIGNATURE_BYTES:
            return None
        (timestamp,) = _TIMESTAMP.unpack_from(signature)
        if timestamp > MAX_TIMESTAMP:
            return None
        try:
            key = Ed25519PublicKey.from_public_bytes(self.public_key)
            key.verify(signature[_TIMESTAMP.size :], _message(text, timestamp))
        except InvalidSignature:
            return None
        return int(timestamp)


class CosignatureSigner:
    """Cosigns checkpoints under one name with one Ed25519 key.

    The signed message does not name the witness, so a key must never serve two witnesses (C2SP tlog-cosignature).

    Raises:
        ProofInvalid: ``name`` cannot name a key.
    """

    def __init__(self, name: str, private_key: Ed25519PrivateKey) -> None:
        if not is_key_name(name):
            raise ProofInvalid(
                f"'{name}' cannot name a witness.",
                remedy="Use a name without spaces or plus signs, such as witness.example/w1.",
            )
        self._private_key = private_key
        self.verifier = CosignatureVerifier(name, private_key.public_key().public_bytes_raw())

    def cosign(self, text: str, timestamp: int) -> str:
        """The signature line for a checkpoint's note text.

        Whoever calls this has made sure that the checkpoint extends every one that this key cosigned before.

        Raises:
            ProofInvalid: ``text`` is no checkpoint.
        """
        check_note_text(text)
        Checkpoint.parse(text)
        signature = _TIMESTAMP.pack(timestamp) + self._private_key.sign(_message(text, timestamp))
        return signature_line(self.verifier.name, self.verifier.id, signature)
