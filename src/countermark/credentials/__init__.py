"""Content Credentials: signed C2PA manifests, IPTC metadata, and what a reader may conclude from them.

Nothing here imports the C2PA library until a name that needs it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from countermark.credentials.identity import ClaimSigner, SigningIdentity, load_identity
    from countermark.credentials.linter import Problem, lint
    from countermark.credentials.manifest import Claim, Ingredient, SourceType
    from countermark.credentials.metadata import AigcLabel, XmpFields, build_xmp, read_xmp
    from countermark.credentials.pki import DevelopmentPki
    from countermark.credentials.reader import Inspection, inspect, read, read_stored
    from countermark.credentials.signer import Credentials, Signed
    from countermark.credentials.trust import Anchors

_HOMES = {
    "AigcLabel": "metadata",
    "Anchors": "trust",
    "Claim": "manifest",
    "ClaimSigner": "identity",
    "Credentials": "signer",
    "DevelopmentPki": "pki",
    "Ingredient": "manifest",
    "Inspection": "reader",
    "Problem": "linter",
    "Signed": "signer",
    "SigningIdentity": "identity",
    "SourceType": "manifest",
    "XmpFields": "metadata",
    "build_xmp": "metadata",
    "inspect": "reader",
    "lint": "linter",
    "load_identity": "identity",
    "read": "reader",
    "read_stored": "reader",
    "read_xmp": "metadata",
}

__all__ = [
    "AigcLabel",
    "Anchors",
    "Claim",
    "ClaimSigner",
    "Credentials",
    "DevelopmentPki",
    "Ingredient",
    "Inspection",
    "Problem",
    "Signed",
    "SigningIdentity",
    "SourceType",
    "XmpFields",
    "build_xmp",
    "inspect",
    "lint",
    "load_identity",
    "read",
    "read_stored",
    "read_xmp",
]


def __getattr__(name: str) -> object:
    """Import a public name from its module at first use (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value
