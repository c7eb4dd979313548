"""Whom a reader trusts: claim signers, the development root, and time-stamping authorities, kept apart.

The C2PA library accepts a time-stamping certificate as claim signer when its root is among *any* of the anchors. So
each group is given a name of its own, and a reader counts a signer as trusted only under a group for claims. Of a root
that is in two groups the library names either, as it happens; so what is in several is a group by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from countermark.credentials.identity import CLAIM_PURPOSES, SigningIdentity
from countermark.credentials.pem import certificates_only, encode_certificate, parse_certificates, read_pem
from countermark.errors import KeyUnavailable

_ROLES: Final = ("manifest", "development", "tsa")


def _group(*roles: str) -> str:
    return "urn:countermark:anchors:" + "+".join(roles)


_GROUPS: Final = {_group(*roles): roles for size in (1, 2, 3) for roles in combinations(_ROLES, size)}
MANIFEST_ANCHORS: Final = _group("manifest")
DEVELOPMENT_ANCHORS: Final = _group("development")
TSA_ANCHORS: Final = _group("tsa")
CLAIM_GROUPS: Final = tuple(uri for uri, roles in _GROUPS.items() if roles != ("tsa",))
TSA_GROUPS: Final = tuple(uri for uri, roles in _GROUPS.items() if "tsa" in roles)
DEVELOPMENT_GROUPS: Final = (DEVELOPMENT_ANCHORS, _group("development", "tsa"))
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

        Raises:
            KeyUnavailable: a group holds no certificate that can be read.
        """
        return {
            "anchors": [
                {"trust_anchors": pem, "trust_kind": "tsa" if uri == TSA_ANCHORS else "manifest", "trust_uri": uri}
                for uri, pem in _grouped(self).items()
            ],
            "trust_config": "\n".join(purpose.dotted_string for purpose in CLAIM_PURPOSES),
        }


@lru_cache(maxsize=16)
def _grouped(anchors: Anchors) -> dict[str, str]:
    """The certificates by the name of their group, PEM."""
    roles: dict[str, tuple[str, ...]] = {}
    for role in _ROLES:
        pem = getattr(anchors, f"{role}_pem")
        for certificate in dict.fromkeys(
            map(encode_certificate, parse_certificates(pem, "the anchors")) if pem else ()
        ):
            roles[certificate] = (*roles.get(certificate, ()), role)
    groups: dict[str, str] = {}
    for certificate, held in roles.items():
        groups[_group(*held)] = groups.get(_group(*held), "") + certificate
    return groups


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
