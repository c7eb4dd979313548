"""Secrets by URI: settings name where a secret is kept, never the secret itself.

``file:///run/secrets/name`` reads a file, ``env://NAME`` an environment variable. Keys are 32 raw bytes or their
hexadecimal or base64 text; the tokens of other services are one line of printable ASCII.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
import string
from pathlib import Path
from urllib.parse import unquote

from countermark.errors import KeyUnavailable, SettingsInvalid
from countermark.files import check_file

SECRET_BYTES = 32
_TEXT = frozenset(string.printable.encode())
MAX_KEY_FILE = 16_384


def resolve(uri: str) -> bytes:
    """Read the 32-byte secret that ``uri`` names.

    Raises:
        SettingsInvalid: the scheme is not one of ``file``, ``env``.
        KeyUnavailable: the secret is missing, readable by others, not 32 bytes, or text of 32 characters.
    """
    return decode_secret(_read(uri), uri)


def resolve_token(uri: str) -> str:
    """Read the token (an API key) that ``uri`` names.

    Raises:
        SettingsInvalid: the scheme is not one of ``file``, ``env``.
        KeyUnavailable: the token is missing, readable by others, or not one line of printable ASCII.
    """
    raw = _read(uri).strip()
    if not raw or not all(0x21 <= byte <= 0x7E for byte in raw):
        raise KeyUnavailable(
            f"The token at {uri} is not one word of printable ASCII.", remedy="Store the token there, and nothing else."
        )
    return raw.decode("ascii")


def is_secret_uri(text: str) -> bool:
    """Whether a text names a place that can be read, and is not, by mistake, the secret itself."""
    return text.startswith(("file:", "env:"))


def _read(uri: str) -> bytes:
    scheme, _, rest = uri.partition(":")
    if scheme == "file":
        return read_private(_path(uri, rest))
    if scheme == "env":
        name = rest.removeprefix("//")
        value = os.environ.get(name)
        if value is None:
            raise KeyUnavailable(
                f"The environment variable {name} that should hold a secret is not set.", remedy=f"Set {name}."
            )
        return value.encode(errors="surrogateescape")
    raise SettingsInvalid(
        "A setting that names where a secret is kept holds something else.",  # not quoted: it may be the secret
        remedy="Use file:///path or env://NAME; never put the secret itself into settings.",
    )


def _path(uri: str, rest: str) -> Path:
    """The path of a ``file:`` URI; ``?`` and ``#`` are letters of a name like any other."""
    path = rest.removeprefix("//localhost") if rest.startswith("//localhost/") else rest.removeprefix("//")
    if rest.startswith("//") and not path.startswith("/"):
        raise SettingsInvalid(
            f"The address {uri} has no absolute path.", remedy="Use three slashes: file:///run/secrets/name."
        )
    return Path(unquote(path))


def read_private(path: Path) -> bytes:
    """Read a small file that only its owner may read.

    Raises:
        KeyUnavailable: missing, no file, unreadable, too large, or readable by group or others (POSIX).
    """
    try:
        check_file(path)
        status = path.stat()
        if os.name == "posix" and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyUnavailable(
                f"The key file {path} can be read by other users.", remedy=f"Close it: chmod 600 {path}"
            )
        if status.st_size > MAX_KEY_FILE:
            raise KeyUnavailable(f"The key file {path} holds {status.st_size} bytes, more than any key needs.")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise KeyUnavailable(f"The key file {path} cannot be read: {reason}.") from error


def decode_secret(raw: bytes, where: str, *, remedy: str = "Make one with: openssl rand -hex 32") -> bytes:
    """32 bytes from raw, hexadecimal or base64 form.

    Raises:
        KeyUnavailable: they are not 32 bytes, or are 32 characters of text: hexadecimal digits of half a key, or what
            somebody thought of. Of random keys, fewer than one in 10^12 looks so.
    """
    text = raw.strip()
    if len(raw) == SECRET_BYTES and all(byte in _TEXT for byte in raw):
        raise KeyUnavailable(
            f"The secret at {where} is text of {len(text)} characters, which is less than {SECRET_BYTES} random bytes.",
            remedy=remedy,
        )
    if len(raw) == SECRET_BYTES:
        return raw
    for decode in (binascii.unhexlify, lambda t: base64.b64decode(t, validate=True)):
        try:
            value = decode(text)
        except (binascii.Error, ValueError):
            continue
        if len(value) == SECRET_BYTES:
            return value
    raise KeyUnavailable(f"The secret at {where} is not {SECRET_BYTES} bytes.", remedy=remedy)
