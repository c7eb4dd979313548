"""Real certificates, real images, real signatures: nothing of the room is replaced."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from PIL import Image

from countermark import imaging
from countermark.credentials import Claim, Credentials, DevelopmentPki, SigningIdentity, build_xmp
from countermark.credentials.identity import CLAIM_SIGNING, algorithm_for
from countermark.model import ModelRef

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
MODEL = ModelRef(id="example/painter", version="1.2", digest="d1" * 32)


class Authority:
    """A certificate authority for tests: a root that issues leaves directly."""

    def __init__(self, name: str = "Test Root", *, ends: timedelta = timedelta(days=3000)) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = (
            self._builder(self.name, self.key.public_key(), timedelta(days=-400), ends)
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(
        self,
        name: str = "Test Signer",
        purposes: tuple[ObjectIdentifier, ...] = (CLAIM_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION),
        *,
        begins: timedelta = timedelta(days=-1),
        ends: timedelta = timedelta(days=300),
        digital_signature: bool = True,
        key: PrivateKey | None = None,
        serial: int | None = None,
    ) -> SigningIdentity:
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        time_stamping = ExtendedKeyUsageOID.TIME_STAMPING in purposes
        leaf = (
            self._builder(subject, key.public_key(), begins, ends, serial)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False, digital_signature=digital_signature), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=time_stamping)
            .sign(self.key, hashes.SHA256())
        )
        return SigningIdentity(
            chain_pem=leaf.public_bytes(serialization.Encoding.PEM).decode(),
            key_pem=key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ).decode(),
            alg=algorithm_for(key.public_key()),
            anchors_pem=self.pem,
        )

    def _builder(
        self, subject: x509.Name, key: PublicKeyTypes, begins: timedelta, ends: timedelta, serial: int | None = None
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(serial or x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )


def _usage(*, authority: bool, digital_signature: bool = True) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority and digital_signature,
        content_commitment=not authority,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> SigningIdentity:
    return DevelopmentPki.ensure(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def credentials(identity: SigningIdentity) -> Credentials:
    return Credentials(identity)


@pytest.fixture(scope="session")
def pixels() -> np.ndarray[Any, Any]:
    noise = np.random.default_rng(7).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((128, 128), Image.Resampling.BICUBIC))


@pytest.fixture(scope="session")
def encoded(pixels: np.ndarray[Any, Any]) -> Callable[[str], bytes]:
    """An image of the media type asked for, with our XMP packet where we write the format."""

    def encode(media_type: str) -> bytes:
        if media_type not in ("image/tiff", "image/gif"):
            return imaging.encode(imaging.Raster(pixels), media_type, xmp=build_xmp(MODEL))
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, media_type.removeprefix("image/").upper())
        return buffer.getvalue()

    return encode


@pytest.fixture(scope="session")
def png(encoded: Callable[[str], bytes]) -> bytes:
    return encoded("image/png")


@pytest.fixture(scope="session")
def make_claim() -> Callable[..., Claim]:
    def make(**changes: Any) -> Claim:
        fields: dict[str, Any] = {
            "title": "image.png",
            "event_id": "00112233445566778899aabbccddeeff",
            "log_origin": "log.example/2026",
            "log_key_id": "log.example+abcdef01",
            "model": MODEL,
            "when": datetime(2026, 3, 1, 12, 30, tzinfo=UTC),
            "watermark_algorithm": "lattice/1",
            "watermark_payload": "0123456789ab",
            "fingerprint": "ab" * 32,
            "policy_digest": "cd" * 32,
        }
        return Claim(**{**fields, **changes})

    return make


@pytest.fixture(scope="session")
def signed_png(credentials: Credentials, png: bytes, make_claim: Callable[..., Claim]) -> bytes:
    return credentials.sign(png, "image/png", make_claim()).data


@pytest.fixture
def pki_folder(tmp_path: Path) -> Path:
    return tmp_path / "c2pa"
