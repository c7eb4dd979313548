"""Signing: an encoded image and a claim in, the same image with its manifest out."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import c2pa

from countermark.credentials.container import has_store_mark
from countermark.credentials.engine import (
    C2paError,
    check_size,
    checked_media_type,
    signing_context,
)
from countermark.credentials.identity import SigningIdentity, check_validity, leads_to
from countermark.credentials.manifest import Claim, Ingredient, definition, ingredient_id
from countermark.credentials.reader import Inspection, inspect, read, vetted_store
from countermark.credentials.trust import Anchors
from countermark.errors import AlreadyMarked, CredentialFailed
from countermark.model import Manifest

_ALGORITHMS: Final = {
    "es256": c2pa.C2paSigningAlg.ES256,
    "es384": c2pa.C2paSigningAlg.ES384,
    "es512": c2pa.C2paSigningAlg.ES512,
    "ps256": c2pa.C2paSigningAlg.PS256,
    "ed25519": c2pa.C2paSigningAlg.ED25519,
}


@dataclass(frozen=True)
class Signed:
    """A signed file.

    Attributes:
        data: the whole file, its manifest embedded.
        manifest: the manifest store alone, as it is kept for recovery.
        manifest_sha256: SHA-256 of ``manifest``, hexadecimal.
    """

    data: bytes
    manifest: bytes
    manifest_sha256: str


class Credentials:
    """Signs as one identity, and reads back with the anchors that trust it.

    Safe to share between threads and after a fork: nothing of the C2PA library outlives a call.

    Args:
        identity: who signs; checked here, once.
        anchors: whom to trust when reading, besides the identity's own root.

    Raises:
        CredentialFailed: the identity cannot sign; see :meth:`SigningIdentity.check`. Or its chain ends at no anchor.
    """

    def __init__(self, identity: SigningIdentity, anchors: Anchors | None = None) -> None:
        identity.check()
        self.identity = identity
        self.anchors = Anchors.for_identity(identity) + (anchors or Anchors())
        known = self.anchors.manifest_pem + self.anchors.development_pem
        if not known or not leads_to(identity.chain_pem, known):
            raise CredentialFailed(
                f"The signing chain ends at {'none of the anchors' if known else 'no anchor that is known'}, so nothing"
                " that it signs could be read back as trusted.",
                remedy="Name the root certificate that the signing chain ends at: credentials.anchors.",
            )
        self._leaf = identity.leaf

    def sign(self, data: bytes, media_type: str, claim: Claim, *, now: datetime | None = None) -> Signed:
        """Sign an encoded image.

        The input is left alone. One that holds a manifest already is refused, since signing would put ours in its
        place: encode the image anew and name the old file as an ingredient of the claim.

        Args:
            data: the encoded image, metadata and watermark in place.
            media_type: PNG, JPEG, WebP, AVIF, TIFF or GIF.
            claim: what the manifest says.
            now: the moment to judge the certificate by, UTC; the present by default.

        Raises:
            AssetInvalid: the media type is not one that we sign.
            AssetTooLarge: more than 64 MiB.
            AlreadyMarked: the file holds a manifest.
            CredentialFailed: the certificate lapsed, the signer failed, the file cannot hold a manifest, or an
                ingredient is damaged.
        """
        check_validity(self._leaf, now)
        check_size(data)
        kind = checked_media_type(media_type)
        if has_store_mark(data):
            raise AlreadyMarked("The image carries a C2PA manifest already, which signing would replace.")
        output = io.BytesIO()
        with _Signer(self.identity) as signer:
            try:
                builder = self._builder(claim)
                store = builder.sign(signer.native, kind, io.BytesIO(data), output)
            except C2paError as error:
                raise signer.explain(error) from signer.failure or error
        if not store:
            raise CredentialFailed("The C2PA library signed nothing.")
        store = bytes(store)
        return Signed(output.getvalue(), store, hashlib.sha256(store).hexdigest())

    def read(self, data: bytes, media_type: str) -> Manifest:
        """Read a file with this identity's anchors; see :func:`countermark.credentials.read`."""
        return read(data, media_type, anchors=self.anchors)

    def inspect(self, data: bytes, media_type: str) -> Inspection:
        """Read a file and lint its manifest, in one pass."""
        return inspect(data, media_type, anchors=self.anchors)

    def _builder(self, claim: Claim) -> Any:
        context = signing_context(self.anchors, self.identity.timestamp_url)
        builder = c2pa.Builder(definition(claim), context=context)
        for position, item in enumerate(claim.ingredients):
            _vet(item)
            label = ingredient_id(position)
            builder.add_ingredient(
                {"title": item.title, "relationship": item.relationship, "label": label},
                checked_media_type(item.media_type),
                io.BytesIO(item.data),
            )
        return builder


def _vet(item: Ingredient) -> None:
    """Refuse an ingredient that the library must not parse: it comes from wherever the caller got it."""
    check_size(item.data)
    _, refused = vetted_store(item.data)
    if refused is not None:
        raise CredentialFailed(
            f"The ingredient {item.title!r} cannot be taken in. {refused.explanation}",
            remedy="Give the original file, or leave the ingredient out.",
        )


class _Signer:
    """A native signer for one signature.

    The library swallows what a callback raises and reports a vague failure, so the exception is kept here.
    """

    def __init__(self, identity: SigningIdentity) -> None:
        self._identity = identity
        self.failure: Exception | None = None
        self.native: Any = None

    def __enter__(self) -> _Signer:
        identity = self._identity
        url = identity.timestamp_url or None
        try:
            if identity.signer is None:
                chain, key = identity.chain_pem.encode("ascii"), identity.key_pem.encode("ascii")
                info = c2pa.C2paSignerInfo(identity.alg, chain, key, url and url.encode("ascii"))
                self.native = c2pa.Signer.from_info(info)
            else:
                callback = self._keeping_failures(identity.signer.sign)
                self.native = c2pa.Signer.from_callback(callback, _ALGORITHMS[identity.alg], identity.chain_pem, url)
        except C2paError as error:
            raise CredentialFailed(f"The signing identity cannot be used: {error}.") from error
        return self

    def __exit__(self, *_: object) -> None:
        if self.native is not None:
            self.native.close()

    def _keeping_failures(self, sign: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        def call(data: bytes) -> bytes:
            try:
                return sign(data)
            except Exception as error:
                self.failure = error
                return b""

        return call

    def explain(self, error: Exception) -> CredentialFailed:
        """The error to raise for what the library said."""
        if self.failure is not None:
            return CredentialFailed(
                f"The external signer failed: {type(self.failure).__name__}.",
                remedy="Check that the key service answers and allows signing; what it raised is the __cause__.",
            )
        if self._identity.timestamp_url and "http" in str(error):  # nothing else goes over the network
            said = re.sub(r"//[^/@\s]*@", "//***@", str(error))  # its address may hold a password
            return CredentialFailed(
                f"The time-stamping authority did not answer: {said}.",
                remedy="Try again, or sign without time-stamps by leaving its address out of the settings.",
            )
        return CredentialFailed(f"The manifest could not be signed: {error}.")
