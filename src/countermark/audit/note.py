"""Signed notes (C2SP signed-note) with Ed25519 keys: text that anyone with the verifier key can check.

Strict on purpose: a note that two readers could take for different things is refused. Base64 must be canonical,
because spare bits could otherwise be altered without breaking the signature.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from countermark.errors import ProofInvalid

ED25519: Final = 0x01
"""Signature type identifier (C2SP signed-note, "Signature types")."""
COSIGNATURE_V1: Final = 0x04
"""Likewise, of a witness's timestamped Ed25519 cosignature (C2SP tlog-cosignature)."""
MAX_NOTE_BYTES: Final = 64 * 1024
MAX_SIGNATURES: Final = 100
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_KEY_ID_BYTES = 4
_SIGNATURE_BYTES = 64
_PUBLIC_KEY_BYTES = 32


def decode_base64(text: str, what: str) -> bytes:
    """Bytes from canonical standard base64.

    Raises:
        ProofInvalid: not base64, or not its one canonical spelling.
    """
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ProofInvalid(f"The {what} is not base64.") from None
    if base64.b64encode(value).decode() != text:
        raise ProofInvalid(f"The {what} is not in canonical base64.")
    return value


def is_key_name(name: str) -> bool:
    """Whether C2SP signed-note allows this as a key name: no spaces, no plus, no control characters."""
    return bool(name) and "+" not in name and not any(c.isspace() or not c.isprintable() for c in name)


def key_id(name: str, public_key: bytes, kind: int = ED25519) -> bytes:
    """The first four bytes of SHA-256(name ‖ newline ‖ type ‖ public key)."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public_key).digest()[:_KEY_ID_BYTES]


def parse_vkey(vkey: str, kind: int, what: str) -> tuple[str, bytes]:
    """Name and public key (32 bytes) from a verifier key's text form ``name+hexid+base64``.

    Args:
        vkey: the text; white space around it is ignored.
        kind: the signature type that the key must be of.
        what: what a key of that type is called, for messages.

    Raises:
        ProofInvalid: malformed, of another type, or its id is not the key's.
    """
    name, _, rest = vkey.strip().partition("+")
    hex_id, _, encoded = rest.partition("+")
    if not is_key_name(name) or not encoded:
        raise ProofInvalid("The verifier key is not of the form name+id+key.")
    material = decode_base64(encoded, "verifier key")
    if len(material) != 1 + _PUBLIC_KEY_BYTES or material[0] != kind:
        raise ProofInvalid(f"The verifier key of '{name}' is not {what}.")
    if key_id(name, material[1:], kind).hex() != hex_id:
        raise ProofInvalid(f"The verifier key of '{name}' does not match its own id: it was mistyped or altered.")
    return name, material[1:]


def format_vkey(name: str, public_key: bytes, kind: int = ED25519) -> str:
    """The text form of a verifier key."""
    material = base64.b64encode(bytes([kind]) + public_key).decode()
    return f"{name}+{key_id(name, public_key, kind).hex()}+{material}"


def signature_line(name: str, key: bytes, signature: bytes) -> str:
    """A note's signature line; ``key`` is the four-byte key id."""
    return f"\u2014 {name} {base64.b64encode(key + signature).decode()}\n"


@dataclass(frozen=True)
class NoteVerifier:
    """A verifier key: the name, and the Ed25519 public key (32 bytes) behind it."""

    name: str
    public_key: bytes

    @classmethod
    def parse(cls, vkey: str) -> NoteVerifier:
        """From its text form ``name+hexid+base64``.

        Raises:
            ProofInvalid: malformed, of another type than Ed25519, or its id is not the key's.
        """
        return cls(*parse_vkey(vkey, ED25519, "an Ed25519 key"))

    @property
    def id(self) -> bytes:
        """The four-byte key id."""
        return key_id(self.name, self.public_key)

    @property
    def vkey(self) -> str:
        """The text form, to be handed to whoever verifies."""
        return format_vkey(self.name, self.public_key)

    def verify(self, text: str, signature: bytes) -> bool:
        """Whether ``signature`` (64 bytes) is this key's over ``text``."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


class NoteSigner:
    """Signs notes under one name with one Ed25519 key.

    Args:
        name: the key name; a log's is its origin, such as ``example.com/images``.
        private_key: the Ed25519 key.
    """

    def __init__(self, name: str, private_key: Ed25519PrivateKey) -> None:
        if not is_key_name(name):
            raise ProofInvalid(
                f"'{name}' cannot name a signing key.",
                remedy="Use a name without spaces or plus signs, such as example.com/images.",
            )
        self._private_key = private_key
        self.verifier = NoteVerifier(name, private_key.public_key().public_bytes_raw())

    @property
    def name(self) -> str:
        """The key name."""
        return self.verifier.name

    @property
    def verifier_key(self) -> str:
        """The verifier key (vkey) of this signer."""
        return self.verifier.vkey

    def sign(self, text: str) -> str:
        """The whole signed note of ``text``, which must end in a newline."""
        check_note_text(text)
        return f"{text}\n{signature_line(self.name, self.verifier.id, self._private_key.sign(text.encode()))}"


@dataclass(frozen=True)
class NoteSignature:
    """One signature line, not yet verified."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True)
class Note:
    """A note taken apart; its text must not be used before a signature was verified."""

    text: str
    signatures: tuple[NoteSignature, ...]


def check_note_text(text: str) -> None:
    """Refuse what C2SP signed-note does not allow as text.

    Raises:
        ProofInvalid: control characters, or no newline at the end.
    """
    if not text.endswith("\n") or _CONTROL.search(text):
        raise ProofInvalid("The note's text must be lines without control characters, the last one ended.")


def parse_note(note: str) -> Note:
    """Take a note apart without verifying anything.

    Raises:
        ProofInvalid: it is not a signed note.
    """
    if len(note.encode(errors="replace")) > MAX_NOTE_BYTES:
        raise ProofInvalid(f"The note is larger than {MAX_NOTE_BYTES} bytes.")
    check_note_text(note)
    text, separator, block = note.rpartition("\n\n")
    lines = block.split("\n")[:-1]
    if not separator or not lines or len(lines) > MAX_SIGNATURES:
        raise ProofInvalid(f"The note does not end in 1 to {MAX_SIGNATURES} signature lines.")
    return Note(text + "\n", tuple(parse_signature(line) for line in lines))


def parse_signature(line: str) -> NoteSignature:
    """Take one signature line apart; it comes without its newline.

    Raises:
        ProofInvalid: it is no signature line.
    """
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != "\u2014" or not is_key_name(name):
        raise ProofInvalid("A line of the note's signature block is not a signature line.")
    signature = decode_base64(encoded, f"signature of '{name}'")
    if len(signature) <= _KEY_ID_BYTES:
        raise ProofInvalid(f"The signature of '{name}' is too short.")
    return NoteSignature(name, signature[:_KEY_ID_BYTES], signature[_KEY_ID_BYTES:])


def open_note(note: str, verifiers: Iterable[NoteVerifier]) -> tuple[str, frozenset[NoteVerifier]]:
    """The verified text of a note, and the known keys that signed it.

    Signatures of unknown keys are ignored; a wrong signature of a known key spoils the whole note.

    Raises:
        ProofInvalid: malformed, no signature of a known key, or a wrong one.
    """
    known = {(verifier.name, verifier.id): verifier for verifier in verifiers}
    parsed = parse_note(note)
    signed_by = set()
    for line in parsed.signatures:
        verifier = known.get((line.name, line.key_id))
        if verifier is None:
            continue
        if len(line.signature) != _SIGNATURE_BYTES or not verifier.verify(parsed.text, line.signature):
            raise ProofInvalid(f"The signature of '{line.name}' is wrong.")
        signed_by.add(verifier)
    if not signed_by:
        names = ", ".join(sorted({name for name, _ in known})) or "anyone"
        raise ProofInvalid(f"The note is not signed by the key of {names}.")
    return parsed.text, frozenset(signed_by)
