"""Who signs: a certificate chain, and a key or whatever holds the key.

The checks follow the C2PA certificate profile (C2PA specification 2.4, section 14.5): an end-entity certificate with
``digitalSignature``, an extended key usage meant for signing claims, and an authority key identifier. The C2PA library
checks most of this only when somebody reads the file, and never that key and certificate belong together; so we
check before the first signature.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal, Protocol, runtime_checkable

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from countermark.credentials.pem import certificates_only, parse_certificates, parse_private_key, read_pem
from countermark.errors import CredentialFailed

SigningAlgorithm = Literal["es256", "es384", "es512", "ps256", "ed25519"]
"""The algorithms of C2PA specification 2.4, section 13.2, one for each kind of key."""

CLAIM_SIGNING: Final = ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
DOCUMENT_SIGNING: Final = ObjectIdentifier("1.3.6.1.5.5.7.3.36")
CLAIM_PURPOSES: Final = (CLAIM_SIGNING, DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION)
"""Extended key usages that may sign a claim: C2PA's own, RFC 9336 document signing, e-mail protection."""

_CURVES: Final[dict[str, SigningAlgorithm]] = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@runtime_checkable
class ClaimSigner(Protocol):
    """Whatever holds a key that cannot be read: a KMS, an HSM."""

    def sign(self, data: bytes) -> bytes:
        """The signature over ``data`` (not over its digest); ECDSA as DER or as raw r‖s."""
        ...


@dataclass(frozen=True)
class SigningIdentity:
    """One claim signer.

    Exactly one of ``key_pem`` and ``signer`` is given.

    Attributes:
        chain_pem: the end-entity certificate first, then its issuers, without the root.
        key_pem: the private key, PKCS#8, never shown by ``repr``.
        alg: the algorithm of the key.
        anchors_pem: the root that the chain ends at, where known: what a reader must trust.
        signer: signs in place of ``key_pem``.
        timestamp_url: an RFC 3161 authority; the network is touched at signing only where this is set.
        development: whether the identity was made by :class:`~countermark.credentials.DevelopmentPki`.
    """

    chain_pem: str
    key_pem: str = field(default="", repr=False)
    alg: SigningAlgorithm = "es256"
    anchors_pem: str = ""
    signer: ClaimSigner | None = field(default=None, repr=False)
    timestamp_url: str = ""
    development: bool = False

    @property
    def leaf(self) -> x509.Certificate:
        """The end-entity certificate."""
        return parse_certificates(self.chain_pem, "the signing chain")[0]

    @property
    def name(self) -> str:
        """The common name in the end-entity certificate, else its whole subject."""
        subject = self.leaf.subject
        names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(names[0].value) if names else subject.rfc4514_string()

    @property
    def not_after(self) -> datetime:
        """When the end-entity certificate lapses, UTC."""
        return self.leaf.not_valid_after_utc

    def check(self, now: datetime | None = None) -> None:
        """Check that this identity can sign now.

        Raises:
            CredentialFailed: a certificate of the chain is not valid now, the first is not meant for claims, the chain
                is out of order, or the key is not the certificate's.
        """
        chain = parse_certificates(self.chain_pem, "the signing chain")
        check_validity(chain[0], now)
        for issuer in chain[1:]:
            check_validity(issuer, now, f"The certificate of {issuer.subject.rfc4514_string()} in the signing chain")
        _check_profile(chain[0])
        _check_order(chain)
        if bool(self.key_pem) == (self.signer is not None):
            raise CredentialFailed("A signing identity has either a private key or a signer.")
        if self.key_pem:
            _check_key_matches(chain[0], parse_private_key(self.key_pem, "the signing identity"))


def load_identity(
    chain: Path | str,
    key: Path | str | None = None,
    *,
    signer: ClaimSigner | None = None,
    anchors: Path | str | None = None,
    timestamp_url: str = "",
) -> SigningIdentity:
    """Load and check a signing identity from PEM files.

    Args:
        chain: the end-entity certificate and its issuers.
        key: the private key, unencrypted PKCS#8, SEC 1 or PKCS#1; omit it when ``signer`` is given.
        signer: signs in place of a key file.
        anchors: the root certificate, if it is at hand.
        timestamp_url: an RFC 3161 time-stamping authority.

    Raises:
        KeyUnavailable: a file is missing or is no PEM, or others can read the key.
        CredentialFailed: see :meth:`SigningIdentity.check`.
    """
    chain_pem = read_pem(Path(chain))
    key_pem = ""
    if key is not None:
        private_key = parse_private_key(read_pem(Path(key), private=True), str(key))
        key_pem = private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode("ascii")
    leaf = parse_certificates(chain_pem, str(chain))[0]
    identity = SigningIdentity(
        chain_pem=certificates_only(chain_pem),
        key_pem=key_pem,
        alg=algorithm_for(leaf.public_key()),
        anchors_pem=certificates_only(read_pem(Path(anchors)), str(anchors)) if anchors is not None else "",
        signer=signer,
        timestamp_url=timestamp_url,
    )
    identity.check()
    return identity


# --- checks -----------------------------------------------------------------------------------------------------------


def algorithm_for(key: PublicKeyTypes) -> SigningAlgorithm:
    """The C2PA signing algorithm of a public key.

    Raises:
        CredentialFailed: C2PA has none for it, or an RSA key is shorter than 2,048 bits.
    """
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048:
        return "ps256"
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519"
    raise CredentialFailed(
        "C2PA has no signing algorithm for the certificate's key.",
        remedy="Use an EC key on P-256, P-384 or P-521, an RSA key of at least 2,048 bits, or Ed25519.",
    )


def leads_to(chain_pem: str, anchors_pem: str) -> bool:
    """Whether a chain ends at one of the anchors, or holds one above its end-entity certificate."""
    chain = parse_certificates(chain_pem, "the signing chain")
    anchors = parse_certificates(anchors_pem, "the anchors")
    return any(anchor in chain[1:] or _issued(certificate, anchor) for anchor in anchors for certificate in chain)


def check_validity(leaf: x509.Certificate, now: datetime | None = None, what: str = "The signing certificate") -> None:
    """Check that a certificate is valid at ``now`` (UTC, default: the present); ``what`` is how errors call it.

    Raises:
        CredentialFailed: not yet valid, or expired.
    """
    moment = now or datetime.now(UTC)
    if moment > leaf.not_valid_after_utc:
        raise CredentialFailed(
            f"{what} expired on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC.",
            remedy="Renew it with your certificate authority and restart; a development certificate is renewed when "
            "the program starts.",
        )
    if moment < leaf.not_valid_before_utc:
        raise CredentialFailed(
            f"{what} is valid only from {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC.",
            remedy="Check this machine's clock.",
        )


def _check_profile(leaf: x509.Certificate) -> None:
    remedy = "Ask the certificate authority for a certificate of the C2PA claim-signing profile."
    try:
        constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints).value
        if constraints.ca:
            raise CredentialFailed(
                "The first certificate of the signing chain belongs to a certificate authority.",
                remedy="Put the end-entity certificate first, its issuers after it.",
            )
    except x509.ExtensionNotFound:
        pass  # an end-entity certificate need not say that it is one
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except x509.ExtensionNotFound as error:
        raise CredentialFailed(
            "The signing certificate lacks the key usage or the authority key identifier extension.", remedy=remedy
        ) from error
    if not usage.digital_signature:
        raise CredentialFailed("The signing certificate's key usage lacks digitalSignature.", remedy=remedy)
    if not may_sign_claims(leaf):
        raise CredentialFailed(
            "The signing certificate's extended key usage does not name claim signing.", remedy=remedy
        )


def may_sign_claims(leaf: x509.Certificate) -> bool:
    """Whether a certificate's key usage and extended key usage allow it to sign claims.

    A certificate for time-stamping or OCSP signing must have no other purpose (C2PA specification 2.4, section
    14.5.1), so one that mixes them is refused as well.
    """
    try:
        if not leaf.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature:
            return False
        purposes = set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return False
    except ValueError:
        return False
    exclusive = {
        ExtendedKeyUsageOID.TIME_STAMPING,
        ExtendedKeyUsageOID.OCSP_SIGNING,
        ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
    }
    return bool(purposes & set(CLAIM_PURPOSES)) and not purposes & exclusive


def _check_order(chain: list[x509.Certificate]) -> None:
    for certificate, issuer in pairwise(chain):
        if not _issued(certificate, issuer):
            raise CredentialFailed(
                f"The signing chain is broken: {issuer.subject.rfc4514_string()} did not issue "
                f"{certificate.subject.rfc4514_string()}.",
                remedy="Order the chain from the end-entity certificate upwards and leave out strangers.",
            )


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _check_key_matches(leaf: x509.Certificate, key: PrivateKeyTypes) -> None:
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    if key.public_key().public_bytes(encoding, form) != leaf.public_key().public_bytes(encoding, form):
        raise CredentialFailed(
            "The private key does not belong to the signing certificate.",
            remedy="Give the key that the certificate was requested with.",
        )
