"""Whom a reader trusts: claim signers, the development root, and time-stamping authorities, kept apart.

The C2PA library accepts a time-stamping certificate as claim signer when its root is among *any* of the anchors. So
each group is given a name of its own, and a reader counts a signer as trusted only under a group for claims.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from countermark.credentials.identity import CLAIM_PURPOSES, SigningIdentity
from countermark.credentials.pem import certificates_only, parse_certificates, read_pem
from countermark.errors import KeyUnavailable

MANIFEST_ANCHORS: Final = "urn:countermark:anchors:manifest"
DEVELOPMENT_ANCHORS: Final = "urn:countermark:anchors:development"
TSA_ANCHORS: Final = "urn:countermark:anchors:tsa"
CLAIM_ANCHORS: Final = (MANIFEST_ANCHORS, DEVELOPMENT_ANCHORS)
MAX_ANCHORS: Final = 1000


@dataclass(frozen=True)
class Anchors:
    """Root certificates, PEM, in three groups.

    Attributes:
        manifest_pem: roots of production claim signers.
        development_pem: development roots; a signature under one is trusted, and said to be a development one.
        tsa_pem: roots of RFC 3161 time-stamping authorities; never trusted for claims.
    """

    manifest_pem: str = ""
    development_pem: str = ""
    tsa_pem: str = ""

    @classmethod
    def load(
        cls,
        *,
        manifest: Iterable[Path | str] = (),
        development: Iterable[Path | str] = (),
        tsa: Iterable[Path | str] = (),
    ) -> Anchors:
        """Read PEM files into the three groups.

        Raises:
            KeyUnavailable: a file is missing, holds no certificate, or holds a private key.
        """
        return cls(_load(manifest), _load(development), _load(tsa))

    @classmethod
    def parse(cls, texts: Mapping[str, str], where: str) -> Anchors:
        """From the PEM texts of the three attributes, each of which may be empty or missing.

        Raises:
            KeyUnavailable: a text holds no certificate, or a private key; or a name is no attribute.
        """
        if unknown := set(texts) - {field.name for field in fields(cls)}:
            raise KeyUnavailable(f"{where} holds {', '.join(sorted(unknown))}, which is no group of anchors.")
        return cls(**{name: _checked(pem, where) for name, pem in texts.items() if pem})

    @classmethod
    def for_identity(cls, identity: SigningIdentity) -> Anchors:
        """The anchors that make this identity's own signatures trusted."""
        if identity.development:
            return cls(development_pem=identity.anchors_pem)
        return cls(manifest_pem=identity.anchors_pem)

    def __add__(self, other: Anchors) -> Anchors:
        """Both sets of anchors together."""
        return Anchors(
            _joined(self.manifest_pem, other.manifest_pem),
            _joined(self.development_pem, other.development_pem),
            _joined(self.tsa_pem, other.tsa_pem),
        )

    def to_settings(self) -> dict[str, Any]:
        """The ``trust`` section of the C2PA library's settings.

        The list of extended key usages is given always: without it a certificate that carries only C2PA's own is
        read as invalid.
        """
        groups = (
            (self.manifest_pem, "manifest", MANIFEST_ANCHORS),
            (self.development_pem, "manifest", DEVELOPMENT_ANCHORS),
            (self.tsa_pem, "tsa", TSA_ANCHORS),
        )
        return {
            "anchors": [
                {"trust_anchors": pem, "trust_kind": kind, "trust_uri": uri} for pem, kind, uri in groups if pem
            ],
            "trust_config": "\n".join(purpose.dotted_string for purpose in CLAIM_PURPOSES),
        }


def _load(paths: Iterable[Path | str]) -> str:
    joined = ""
    for path in paths:
        joined = _joined(joined, _checked(read_pem(Path(path)), str(path)))
    return joined


def _checked(pem: str, where: str) -> str:
    if "PRIVATE KEY-----" in pem:
        raise KeyUnavailable(
            f"{where} holds a private key; anchors are certificates only.",
            remedy="Never hand a private key to a reader. Extract the certificate: openssl x509 -in FILE",
        )
    if len(parse_certificates(pem, where)) > MAX_ANCHORS:
        raise KeyUnavailable(f"{where} holds more than {MAX_ANCHORS} certificates.")
    return certificates_only(pem)


def _joined(first: str, second: str) -> str:
    return first if second in first else first + second
