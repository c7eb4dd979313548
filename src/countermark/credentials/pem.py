"""Certificates and private keys in PEM files, bounded and with errors that name the file."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from countermark.errors import KeyUnavailable
from countermark.files import check_file

MAX_PEM_BYTES: Final = 1 << 20


def read_pem(path: Path, *, private: bool = False) -> str:
    """Read a PEM file of at most 1 MiB.

    Raises:
        KeyUnavailable: missing, unreadable, too large, not text; or private and open to other users. A group may
            read (as Kubernetes mounts secrets), never write.
    """
    try:
        check_file(path)
        status = path.stat()
        if private and os.name == "posix" and status.st_mode & (stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP):
            raise KeyUnavailable(
                f"The private key {path} is open to other users.", remedy=f"Close it: chmod 600 {path}"
            )
        if status.st_size > MAX_PEM_BYTES:
            raise KeyUnavailable(f"{path} holds {status.st_size} bytes, more than keys or certificates need.")
        text = path.read_bytes().decode("ascii", "ignore")  # names of authorities stand in comments, in any letters
    except FileNotFoundError as error:
        raise KeyUnavailable(f"{path} does not exist.") from error
    except OSError as error:
        raise KeyUnavailable(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise KeyUnavailable(f"{path} is a name that no file can have.") from error
    if "-----BEGIN " not in text:
        raise KeyUnavailable(
            f"{path} is not a PEM file.", remedy="Convert it: openssl x509 -inform der -in FILE -out FILE.pem"
        )
    return text


def parse_certificates(pem: str, where: str) -> list[x509.Certificate]:
    """All certificates in a PEM text, at least one.

    Raises:
        KeyUnavailable: there is none, or one that cannot be parsed.
    """
    try:
        return x509.load_pem_x509_certificates(pem.encode("ascii"))
    except ValueError as error:
        raise KeyUnavailable(
            f"{where} holds no certificate that can be read.", remedy="Give a PEM file: -----BEGIN CERTIFICATE-----"
        ) from error


def certificates_only(pem: str, where: str = "the PEM text") -> str:
    """The certificates of a PEM text, re-encoded, without keys or comments."""
    return "".join(encode_certificate(item) for item in parse_certificates(pem, where))


def encode_certificate(certificate: x509.Certificate) -> str:
    """One certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def parse_private_key(pem: str, where: str) -> PrivateKeyTypes:
    """The private key in a PEM text.

    Raises:
        KeyUnavailable: there is none, or it is encrypted.
    """
    try:
        return serialization.load_pem_private_key(pem.encode("ascii"), password=None)
    except TypeError as error:
        raise KeyUnavailable(
            f"The private key of {where} is encrypted.",
            remedy="Decrypt it into a file that only the service can read, or sign with a KMS or HSM.",
        ) from error
    except ValueError as error:
        raise KeyUnavailable(f"{where} holds no private key that can be read.") from error
