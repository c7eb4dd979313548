"""Sealed objects: what lies in the store is ciphertext, under a key of its own that is kept elsewhere.

Whoever destroys the key destroys the object with it, in every copy and backup of the store.
"""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from countermark.errors import AuditStoreDamaged

SEALED: Final = b"countermark/sealed/1\n"
"""What a sealed object begins with, so that whoever finds one knows what it is."""
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


def seal(data: bytes, context: str) -> tuple[bytes, str]:
    """Encrypt ``data`` with AES-256-GCM under a fresh random key.

    Args:
        data: the plaintext.
        context: what the object belongs to; it opens for nothing else.

    Returns:
        The sealed object (header ‖ nonce ‖ ciphertext ‖ tag), and its key as 64 hexadecimal digits.
    """
    key, nonce = secrets.token_bytes(_KEY_BYTES), secrets.token_bytes(_NONCE_BYTES)
    return SEALED + nonce + AESGCM(key).encrypt(nonce, data, SEALED + context.encode()), key.hex()


def unseal(sealed: bytes, key: str, context: str) -> bytes:
    """What was sealed.

    Raises:
        AuditStoreDamaged: the object was altered, belongs to something else, or was sealed under another key.
    """
    nonce, ciphertext = sealed[len(SEALED) :][:_NONCE_BYTES], sealed[len(SEALED) + _NONCE_BYTES :]
    try:
        if not sealed.startswith(SEALED):
            raise InvalidTag
        return AESGCM(bytes.fromhex(key)).decrypt(nonce, ciphertext, SEALED + context.encode())
    except (InvalidTag, ValueError):  # ValueError: too short, or no key at all
        raise AuditStoreDamaged(f"The sealed object of {context} is not what was sealed under its key.") from None
