"""Prompts are personal data: encrypted and committed to under a data key of their own.

Each event with protected fields has one random 32-byte data key. From it are derived, for each field, an AES-256-GCM
key for the ciphertext and an HMAC-SHA-256 key for the commitment that stands in the event; the data key itself is kept
wrapped under the master key. Deleting the wrapped data key makes the field unreadable and the commitment meaningless,
while leaf and proof stay as they were. A plain hash of a prompt could be guessed; a commitment under a lost key cannot.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, get_args

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from countermark.errors import AuditStoreDamaged, EventInvalid, KeyUnavailable
from countermark.model import PromptCommitment
from countermark.model.custody import ProtectedField

PROTECTED_FIELDS: Final = get_args(ProtectedField)
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
LEAST_BYTES: Final = _NONCE_BYTES + 16
"""Of a ciphertext: nonce and tag of an empty text."""
WRAPPED_BYTES: Final = LEAST_BYTES + _KEY_BYTES
"""Of a wrapped data key."""


@dataclass(frozen=True)
class WrappedKey:
    """A data key as it is stored: nonce ‖ ciphertext ‖ tag under the master key named by ``master_id``."""

    key_id: str
    master_id: str
    wrapped: bytes


@dataclass(frozen=True)
class SealedField:
    """A protected field as it is stored, and the data key of its event."""

    key: WrappedKey
    field: str
    ciphertext: bytes


@dataclass(frozen=True)
class Sealed:
    """The protected fields of one event, ready to store."""

    key: WrappedKey
    commitments: tuple[PromptCommitment, ...]
    ciphertexts: Mapping[str, bytes]


@dataclass(frozen=True)
class Disclosure:
    """A protected field in the clear. With the commitment key (32 bytes) anyone can check it against the log."""

    field: ProtectedField
    text: str
    commitment_key: bytes


class Vault:
    """Seals protected fields under one master key, and opens what was sealed under it or an older one.

    Args:
        master_key: 32 bytes.
        older: master keys that were in force before.

    Raises:
        KeyUnavailable: a master key has another length.
    """

    def __init__(self, master_key: bytes, older: Iterable[bytes] = ()) -> None:
        self._wrapping_keys: dict[str, bytes] = {}
        for key in (master_key, *older):
            if len(key) != _KEY_BYTES:
                raise KeyUnavailable(f"The master key is {len(key)} bytes long, not {_KEY_BYTES}.")
            wrapping_key = _derive(key, "wrap")
            self._wrapping_keys.setdefault(_master_id(wrapping_key), wrapping_key)
        self.master_id = next(iter(self._wrapping_keys))

    def opens(self, master_id: str) -> bool:
        """Whether what was sealed under the master key of that name can be opened."""
        return master_id in self._wrapping_keys

    def seal(self, event_id: str, fields: Mapping[str, str], known: WrappedKey | None = None) -> Sealed:
        """Encrypt and commit to ``fields`` under a fresh data key.

        Args:
            event_id: the event they belong to; the ciphertexts are bound to it.
            fields: plaintexts by field name, of :data:`PROTECTED_FIELDS`.
            known: the event's data key where it has one already, so that a repeated append commits alike.

        Raises:
            EventInvalid: a field that cannot be protected, or text that is not valid Unicode.
        """
        data_key = self.unwrap(known) if known else secrets.token_bytes(_KEY_BYTES)
        commitments, ciphertexts = [], {}
        for field in sorted(fields):
            if field not in PROTECTED_FIELDS:
                raise EventInvalid(
                    "A field that cannot be protected was given.", remedy=f"Protect only {', '.join(PROTECTED_FIELDS)}."
                )
            try:
                plaintext = fields[field].encode()
            except UnicodeEncodeError:
                raise EventInvalid(f"The protected field '{field}' is not valid Unicode text.") from None
            commitment = _commitment(data_key, field, plaintext)
            commitments.append(PromptCommitment(field=field, commitment=commitment, key_id=event_id))
            ciphertexts[field] = _encrypt(_derive(data_key, f"encrypt/{field}"), plaintext, f"{event_id}\0{field}")
        return Sealed(known or self._wrap(event_id, data_key), tuple(commitments), ciphertexts)

    def disclose(self, event_id: str, commitment: PromptCommitment, key: WrappedKey, ciphertext: bytes) -> Disclosure:
        """One field in the clear, checked against the commitment in the log.

        Raises:
            KeyUnavailable: the master key is not the one that wrapped the data key.
            AuditStoreDamaged: the ciphertext was altered, or is not what the event committed to.
        """
        data_key = self.unwrap(key)
        field = commitment.field
        plaintext = self.open(event_id, data_key, field, commitment.commitment, ciphertext)
        return Disclosure(field, plaintext.decode(), _derive(data_key, f"commit/{field}"))

    @staticmethod
    def open(event_id: str, data_key: bytes, field: str, commitment: str, ciphertext: bytes) -> bytes:
        """One field in the clear under its data key (32 bytes), checked against the commitment in the log.

        Raises:
            AuditStoreDamaged: the ciphertext was altered, or is not what the event committed to.
        """
        try:
            plaintext = _decrypt(_derive(data_key, f"encrypt/{field}"), ciphertext, f"{event_id}\0{field}")
        except InvalidTag:
            raise AuditStoreDamaged(f"The stored '{field}' of event {event_id} was altered.") from None
        if not hmac.compare_digest(_commitment(data_key, field, plaintext), commitment):
            raise AuditStoreDamaged(f"The stored '{field}' of event {event_id} is not what the log committed to.")
        return plaintext

    def unwrap(self, key: WrappedKey) -> bytes:
        """A data key in the clear.

        Raises:
            KeyUnavailable: the master key is another one, or the stored key was altered.
        """
        if not self.opens(key.master_id):
            raise KeyUnavailable(
                f"Data key {key.key_id} is wrapped under master key {key.master_id}, but {self.master_id} was given.",
                remedy="Give the master key that this log was written with.",
            )
        try:
            return _decrypt(self._wrapping_keys[key.master_id], key.wrapped, key.key_id)
        except InvalidTag:
            raise AuditStoreDamaged(f"The stored data key {key.key_id} was altered.") from None

    def _wrap(self, key_id: str, data_key: bytes) -> WrappedKey:
        return WrappedKey(key_id, self.master_id, _encrypt(self._wrapping_keys[self.master_id], data_key, key_id))


def _master_id(wrapping_key: bytes) -> str:
    return hashlib.sha256(b"countermark/audit/master-id/v1\0" + wrapping_key).hexdigest()[:16]


def _derive(key: bytes, purpose: str) -> bytes:
    return hmac.digest(key, f"countermark/audit/{purpose}/v1".encode(), "sha256")


def _commitment(data_key: bytes, field: str, plaintext: bytes) -> str:
    return "hmac-sha256:" + hmac.digest(_derive(data_key, f"commit/{field}"), plaintext, "sha256").hex()


def _encrypt(key: bytes, plaintext: bytes, context: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, context.encode())


def _decrypt(key: bytes, sealed: bytes, context: str) -> bytes:
    if len(sealed) < _NONCE_BYTES:
        raise InvalidTag
    return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context.encode())
