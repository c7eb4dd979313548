"""A development PKI, made at first use: root, issuing CA, signer. Not for production, and it says so in every name.

Three files, each whole or absent: ``root.pem`` (the anchor to give to readers), ``issuing.pem`` (root, issuing CA and
its key) and ``signer.pem`` (the chain and its key). A certificate and its key share one file so that no crash can
part them. The root's key signs once and is never written. Processes that start together agree: the first to link
``issuing.pem`` wins, the others load it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from countermark.credentials.identity import CLAIM_SIGNING, SigningIdentity
from countermark.credentials.pem import encode_certificate, parse_certificates, parse_private_key, read_pem
from countermark.errors import CredentialFailed, KeyUnavailable, OutputUnwritable

LEAF_DAYS: Final = 365
RENEW_DAYS: Final = 30
CA_DAYS: Final = 3650
_WARNING: Final = "(not for production)"
_BACKDATE: Final = timedelta(minutes=5)  # clocks of other machines run behind


class DevelopmentPki:
    """Makes and renews the development identity."""

    @staticmethod
    def ensure(folder: Path | str, *, now: datetime | None = None) -> SigningIdentity:
        """The development identity in ``folder``, made or renewed where needed.

        Args:
            folder: where the three files live; made with mode 0700 where it is missing.
            now: the moment to judge validity by, UTC; the present by default.

        Raises:
            KeyUnavailable: a file is damaged, or open to other users.
            OutputUnwritable: the folder cannot be written.
        """
        home, moment = Path(folder), now or datetime.now(UTC)
        issuing = home / "issuing.pem"
        if not issuing.exists():
            _write_once(issuing, _new_authorities(moment))
        bundle = read_pem(issuing, private=True)
        root, authority = _two_certificates(bundle, issuing)
        root_pem = encode_certificate(root)
        if not _holds(home / "root.pem", root_pem):
            _replace(home / "root.pem", root_pem)
        key = _ec_key(bundle, issuing)
        return _load_signer(home / "signer.pem", root_pem, authority, moment) or _renew_signer(
            home / "signer.pem", root_pem, authority, key, moment
        )


def _load_signer(path: Path, root_pem: str, authority: x509.Certificate, now: datetime) -> SigningIdentity | None:
    """The identity on disk, unless it is missing, lapses soon, or belongs to another authority."""
    if not path.exists():
        return None
    pem = read_pem(path, private=True)
    identity = _identity(pem, root_pem)
    if identity.not_after - now < timedelta(days=RENEW_DAYS):
        return None
    if parse_certificates(pem, str(path))[-1] != authority:
        return None
    identity.check(now)
    return identity


def _renew_signer(
    path: Path, root_pem: str, authority: x509.Certificate, authority_key: ec.EllipticCurvePrivateKey, now: datetime
) -> SigningIdentity:
    if authority.not_valid_after_utc - now < timedelta(days=LEAF_DAYS):
        raise CredentialFailed(
            f"The development CA expires on {authority.not_valid_after_utc:%Y-%m-%d}, too soon to issue from.",
            remedy=f"Move the folder {path.parent} away: a new CA is made at the next start. Readers keep the old "
            "root.pem to check older files.",
        )
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = _leaf(key.public_key(), _Issuer(authority.subject, authority_key), now)
    pem = encode_certificate(leaf) + encode_certificate(authority) + _encode_key(key)
    _replace(path, pem)
    return _identity(pem, root_pem)


def _identity(pem: str, root_pem: str) -> SigningIdentity:
    certificates = parse_certificates(pem, "signer.pem")
    return SigningIdentity(
        chain_pem="".join(encode_certificate(item) for item in certificates),
        key_pem=_encode_key(parse_private_key(pem, "signer.pem")),
        alg="es256",
        anchors_pem=root_pem,
        development=True,
    )


# --- certificates -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Issuer:
    name: x509.Name
    key: ec.EllipticCurvePrivateKey


def _new_authorities(now: datetime) -> str:
    """Root and issuing CA as PEM, with the issuing CA's key; the root's key is forgotten here."""
    root = _Issuer(_name(f"Countermark Development Root CA {_WARNING}"), ec.generate_private_key(ec.SECP256R1()))
    issuing = _Issuer(_name(f"Countermark Development Issuing CA {_WARNING}"), ec.generate_private_key(ec.SECP256R1()))
    root_certificate = _authority(root, root, now, path_length=1)
    issuing_certificate = _authority(issuing, root, now, path_length=0)
    return encode_certificate(root_certificate) + encode_certificate(issuing_certificate) + _encode_key(issuing.key)


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"Countermark Development CA {_WARNING}"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _authority(subject: _Issuer, issuer: _Issuer, now: datetime, *, path_length: int) -> x509.Certificate:
    return (
        _builder(subject.name, subject.key.public_key(), issuer, now, days=CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .sign(issuer.key, hashes.SHA256())
    )


def _leaf(public_key: ec.EllipticCurvePublicKey, issuer: _Issuer, now: datetime) -> x509.Certificate:
    purposes = [CLAIM_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION]  # the second for readers that know only it
    name = _name(f"Countermark Development Signer {_WARNING}")
    return (
        _builder(name, public_key, issuer, now, days=LEAF_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .sign(issuer.key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, public_key: ec.EllipticCurvePublicKey, issuer: _Issuer, now: datetime, *, days: int
) -> x509.CertificateBuilder:
    """What all three certificates share; the whole life is ``days``, backdating included."""
    start = now - _BACKDATE
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=not authority,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


# --- files ------------------------------------------------------------------------------------------------------------


def _two_certificates(pem: str, path: Path) -> tuple[x509.Certificate, x509.Certificate]:
    certificates = parse_certificates(pem, str(path))
    if len(certificates) != 2:
        raise KeyUnavailable(
            f"{path} should hold two certificates, not {len(certificates)}.",
            remedy="It is damaged: restore it from a backup, or move it away to make a new development CA.",
        )
    return certificates[0], certificates[1]


def _ec_key(pem: str, path: Path) -> ec.EllipticCurvePrivateKey:
    key = parse_private_key(pem, str(path))
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyUnavailable(f"{path} holds another kind of key than it was made with.")
    return key


def _encode_key(key: object) -> str:
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="ascii") == text
    except (OSError, UnicodeDecodeError):
        return False


def _write_once(path: Path, text: str) -> None:
    """Write a new file whole, mode 0600; an existing one is kept."""
    with _temporary(path, text) as name, contextlib.suppress(FileExistsError):
        os.link(name, path)  # fails where the file exists, unlike rename


def _replace(path: Path, text: str) -> None:
    """Write a file whole, mode 0600, over an old one."""
    with _temporary(path, text) as name:
        name.replace(path)


@contextlib.contextmanager
def _temporary(path: Path, text: str) -> Iterator[Path]:
    """A synced file of mode 0600 beside ``path``, gone at the end unless it was renamed."""
    name: Path | None = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, raw = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        name = Path(raw)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield name
    except OSError as error:
        raise OutputUnwritable(
            f"{path} cannot be written: {error.strerror or error}.",
            remedy="Set COUNTERMARK_HOME to a folder that you own.",
        ) from error
    finally:
        if name is not None:
            name.unlink(missing_ok=True)
