"""Sign, read back, tamper: the whole way through the C2PA library."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import c2pa
import numpy as np
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from PIL import Image

from countermark.credentials import (
    Anchors,
    Claim,
    Credentials,
    Ingredient,
    SigningIdentity,
    SourceType,
    inspect,
    read,
    read_stored,
)
from countermark.credentials.engine import reading_context, signing_context
from countermark.credentials.manifest import definition
from countermark.errors import AlreadyMarked, AssetInvalid, AssetTooLarge, CredentialFailed
from countermark.model import ManifestState

FORMATS = ("image/png", "image/jpeg", "image/webp", "image/avif", "image/tiff", "image/gif")
MakeClaim = Callable[..., Claim]


def _with_byte_changed(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0x01]) + data[position + 1 :]


@pytest.mark.parametrize("media_type", FORMATS)
def test_a_signed_file_reads_back_trusted(
    credentials: Credentials, encoded: Callable[[str], bytes], make_claim: MakeClaim, media_type: str
) -> None:
    source = encoded(media_type)
    before = bytes(source)
    signed = credentials.sign(source, media_type, make_claim())
    inspection = credentials.inspect(signed.data, media_type)
    manifest = inspection.manifest
    assert manifest.state is ManifestState.TRUSTED
    assert manifest.codes == ()
    assert inspection.problems == ()
    assert manifest.development
    assert manifest.event_id == "00112233445566778899aabbccddeeff"
    assert manifest.log_origin == "log.example/2026"
    assert (manifest.watermark_algorithm, manifest.watermark_payload) == ("lattice/1", "0123456789ab")
    assert manifest.fingerprint == "ab" * 32
    assert manifest.model == "example/painter"
    assert manifest.ai_generated is True
    assert (manifest.time, manifest.time_certified) == ("2026-03-01T12:30:00Z", False)
    assert manifest.label.startswith("urn:c2pa:")
    assert manifest.sha256 == signed.manifest_sha256
    assert source == before
    assert Image.open(io.BytesIO(signed.data)).size == (128, 128)


@pytest.mark.parametrize("media_type", FORMATS)
def test_a_changed_byte_of_the_image_is_found(
    credentials: Credentials, encoded: Callable[[str], bytes], make_claim: MakeClaim, media_type: str
) -> None:
    signed = credentials.sign(encoded(media_type), media_type, make_claim()).data
    store_is_last = media_type in ("image/tiff", "image/webp")  # and its padding is covered by no hash
    changed = _with_byte_changed(signed, 1000 if store_is_last else len(signed) - 200)
    manifest = credentials.read(changed, media_type)
    assert manifest.state is ManifestState.INVALID
    assert {"assertion.dataHash.mismatch", "assertion.bmffHash.mismatch"} & set(manifest.codes)
    assert "changed after it was signed" in manifest.explanation


def test_a_stripped_file_reads_as_absent(credentials: Credentials, signed_png: bytes) -> None:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(signed_png)).save(buffer, "PNG")
    manifest = credentials.read(buffer.getvalue(), "image/png")
    assert manifest.state is ManifestState.ABSENT
    assert manifest.codes == ()


@pytest.mark.parametrize("anchored", [False, True])
def test_a_stranger_is_valid_but_not_trusted(authority, signed_png: bytes, anchored: bool) -> None:
    anchors = Anchors(manifest_pem=authority.pem) if anchored else Anchors()
    manifest = read(signed_png, "image/png", anchors=anchors)
    assert manifest.state is ManifestState.VALID
    assert manifest.codes == ("signingCredential.untrusted",)
    assert "its signer (Countermark Development Signer (not for production)) is not among your" in manifest.explanation


def test_a_production_signer_is_not_called_development(authority, png: bytes, make_claim: MakeClaim) -> None:
    credentials = Credentials(authority.issue("Example Images"))
    manifest = credentials.read(credentials.sign(png, "image/png", make_claim()).data, "image/png")
    assert (manifest.state, manifest.signer, manifest.development) == (ManifestState.TRUSTED, "Example Images", False)


@pytest.mark.parametrize(
    ("make_key", "algorithm"),
    [
        (lambda: ec.generate_private_key(ec.SECP384R1()), "es384"),
        (lambda: ec.generate_private_key(ec.SECP521R1()), "es512"),
        (lambda: rsa.generate_private_key(65537, 2048), "ps256"),
        (ed25519.Ed25519PrivateKey.generate, "ed25519"),
    ],
)
def test_every_kind_of_key_signs(authority, png: bytes, make_claim: MakeClaim, make_key, algorithm: str) -> None:
    identity = authority.issue(key=make_key())
    assert identity.alg == algorithm
    credentials = Credentials(identity)
    signed = credentials.sign(png, "image/png", make_claim())
    assert credentials.read(signed.data, "image/png").state is ManifestState.TRUSTED


def _sign_unchecked(identity: SigningIdentity, png: bytes, claim: Claim) -> bytes:
    """Sign as someone would who does not use our checks."""
    info = c2pa.C2paSignerInfo("es256", identity.chain_pem.encode(), identity.key_pem.encode(), None)
    output = io.BytesIO()
    builder = c2pa.Builder(definition(claim), context=signing_context(Anchors()))
    builder.sign(c2pa.Signer.from_info(info), "image/png", io.BytesIO(png), output)
    return output.getvalue()


@pytest.mark.parametrize("group", ["tsa_pem", "manifest_pem"])
def test_a_time_stamping_certificate_signs_no_claims(authority, png: bytes, make_claim: MakeClaim, group: str) -> None:
    tsa = authority.issue("Time Stamper", (ExtendedKeyUsageOID.TIME_STAMPING,))
    data = _sign_unchecked(tsa, png, make_claim())
    anchors = Anchors(**{group: authority.pem})
    with c2pa.Reader("image/png", io.BytesIO(data), context=reading_context(anchors)) as reader:
        assert reader.get_validation_state() == "Trusted"  # what the library alone would say
    manifest = read(data, "image/png", anchors=anchors)
    assert manifest.state is ManifestState.VALID
    if group == "tsa_pem":
        assert "is not among your anchors" in manifest.explanation
    else:
        assert manifest.codes == ("signingCredential.invalid",)
        assert "the certificate of Time Stamper is not one for signing claims" in manifest.explanation


def test_one_root_for_claims_and_time_stamps_is_believed_for_both_each_time(
    authority, png: bytes, make_claim: MakeClaim
) -> None:
    """Of a root in two groups of anchors the C2PA library names the one or the other, as it happens."""
    data = _sign_unchecked(authority.issue(), png, make_claim())
    stamper = _sign_unchecked(authority.issue("T", (ExtendedKeyUsageOID.TIME_STAMPING,)), png, make_claim())
    for group, development in (("manifest_pem", False), ("development_pem", True)):
        anchors = Anchors(**{group: authority.pem, "tsa_pem": authority.pem})
        read_often = [read(data, "image/png", anchors=anchors) for _ in range(24)]
        assert {(each.state, each.development) for each in read_often} == {(ManifestState.TRUSTED, development)}
        assert read(stamper, "image/png", anchors=anchors).state is ManifestState.VALID


def test_a_certificate_without_digital_signature_signs_no_claims(authority, png: bytes, make_claim: MakeClaim) -> None:
    """C2PA specification 2.4, section 14.5.1.1; the C2PA library trusts it."""
    unfit = authority.issue("Notary", digital_signature=False)
    data = _sign_unchecked(unfit, png, make_claim())
    anchors = Anchors(manifest_pem=authority.pem)
    with c2pa.Reader("image/png", io.BytesIO(data), context=reading_context(anchors)) as reader:
        assert reader.get_validation_state() == "Trusted"
    manifest = read(data, "image/png", anchors=anchors)
    assert (manifest.state, manifest.codes, manifest.intact) == ("valid", ("signingCredential.invalid",), True)


def _by_a_sloppy_signer(identity: SigningIdentity, png: bytes) -> bytes:
    """An edit that does not say what was edited: a rule of the specification is broken, and nothing was changed."""
    sloppy = {"label": "c2pa.actions.v2", "data": {"actions": [{"action": "c2pa.edited"}]}}
    made = {"claim_generator_info": [{"name": "other", "version": "1"}], "title": "old.png", "assertions": [sloppy]}
    info = c2pa.C2paSignerInfo("es256", identity.chain_pem.encode(), identity.key_pem.encode(), None)
    output = io.BytesIO()
    builder = c2pa.Builder(made, context=signing_context(Anchors()))
    builder.sign(c2pa.Signer.from_info(info), "image/png", io.BytesIO(png), output)
    return output.getvalue()


def test_who_breaks_a_rule_in_signing_is_not_said_to_have_changed_anything(authority, png: bytes) -> None:
    data, anchors = _by_a_sloppy_signer(authority.issue(), png), Anchors(manifest_pem=authority.pem)
    manifest = read(data, "image/png", anchors=anchors)
    assert (manifest.state, manifest.codes, manifest.intact) == ("invalid", ("assertion.action.malformed",), True)
    assert "was not changed, but its signer broke a rule" in manifest.explanation
    changed = read(_with_byte_changed(data, len(data) - 200), "image/png", anchors=anchors)
    assert (changed.state, changed.intact) == ("invalid", False)
    assert "the file was changed after it was signed" in changed.explanation


def test_what_was_made_from_a_sloppy_signers_file_is_trusted(
    authority, credentials: Credentials, png: bytes, make_claim: MakeClaim
) -> None:
    parent = Ingredient("old.png", "image/png", _by_a_sloppy_signer(authority.issue(), png))
    signed = credentials.sign(png, "image/png", make_claim(ingredients=(parent,)))
    manifest = credentials.read(signed.data, "image/png")
    assert "ingredient:assertion.action.malformed" in manifest.codes
    assert (manifest.state, manifest.ingredients) == ("trusted", ("parentOf: old.png: manifest intact",))


def test_a_tampered_ingredient_makes_the_manifest_invalid(
    credentials: Credentials, png: bytes, signed_png: bytes, make_claim: MakeClaim
) -> None:
    tampered = _with_byte_changed(signed_png, len(signed_png) - 200)
    claim = make_claim(ingredients=(Ingredient("parent.png", "image/png", tampered),))
    signed = credentials.sign(png, "image/png", claim)
    with c2pa.Reader("image/png", io.BytesIO(signed.data), context=reading_context(credentials.anchors)) as reader:
        assert reader.get_validation_state() == "Trusted"  # what the library alone would say
    for manifest in (
        credentials.read(signed.data, "image/png"),
        read_stored(signed.manifest, anchors=credentials.anchors),
    ):
        assert manifest.state is ManifestState.INVALID
        assert manifest.codes == ("ingredient:assertion.dataHash.mismatch",)
        assert manifest.ingredients == ("parentOf: parent.png: invalid (assertion.dataHash.mismatch)",)
        assert "an ingredient had been changed" in manifest.explanation


def test_a_tampered_grandparent_is_found(
    credentials: Credentials, png: bytes, signed_png: bytes, make_claim: MakeClaim
) -> None:
    tampered = _with_byte_changed(signed_png, len(signed_png) - 200)
    parent_claim = make_claim(ingredients=(Ingredient("grandparent.png", "image/png", tampered, "inputTo"),))
    parent = credentials.sign(png, "image/png", parent_claim).data
    claim = make_claim(ingredients=(Ingredient("parent.png", "image/png", parent),))
    manifest = credentials.read(credentials.sign(png, "image/png", claim).data, "image/png")
    assert manifest.state is ManifestState.INVALID


@pytest.mark.parametrize("relationship", ["parentOf", "inputTo", "componentOf"])
def test_sound_ingredients_are_carried_and_conform(
    credentials: Credentials, png: bytes, signed_png: bytes, make_claim: MakeClaim, relationship: str
) -> None:
    ingredients = (
        Ingredient("first.png", "image/png", signed_png, relationship),
        Ingredient("second.png", "image/png", png, "componentOf"),
    )
    signed = credentials.sign(png, "image/png", make_claim(ingredients=ingredients))
    inspection = credentials.inspect(signed.data, "image/png")
    assert inspection.manifest.state is ManifestState.TRUSTED
    assert inspection.manifest.ingredients == (
        f"{relationship}: first.png: manifest intact",
        "componentOf: second.png: no manifest",
    )
    assert inspection.problems == ()


def test_a_stored_manifest_is_validated_without_its_file(
    credentials: Credentials, authority, encoded: Callable[[str], bytes], make_claim: MakeClaim
) -> None:
    for media_type in ("image/png", "image/avif"):
        store = credentials.sign(encoded(media_type), media_type, make_claim()).manifest
        manifest = read_stored(store, anchors=credentials.anchors)
        assert manifest.state is ManifestState.TRUSTED
        assert manifest.event_id == make_claim().event_id
        assert "not compared with the file" in manifest.explanation
        assert read_stored(store, anchors=Anchors(manifest_pem=authority.pem)).state is ManifestState.VALID


def test_a_forged_stored_manifest_is_found(credentials: Credentials, png: bytes, make_claim: MakeClaim) -> None:
    store = credentials.sign(png, "image/png", make_claim()).manifest
    forged = store.replace(make_claim().event_id.encode(), b"f" * 32)
    assert forged != store
    manifest = read_stored(forged, anchors=credentials.anchors)
    assert manifest.state is ManifestState.INVALID
    assert "assertion.hashedURI.mismatch" in manifest.codes
    for rubbish in (b"", b"rubbish", store[:2000], store[:-10]):
        assert read_stored(rubbish, anchors=credentials.anchors).state is not ManifestState.TRUSTED
        assert read_stored(rubbish, anchors=credentials.anchors).state is not ManifestState.VALID


def test_a_sidecar_is_read_in_place_of_an_embedded_manifest(
    credentials: Credentials, png: bytes, make_claim: MakeClaim
) -> None:
    """The data hash excludes the place of the embedded manifest, so the bare file does not match: and that is said."""
    store = credentials.sign(png, "image/png", make_claim()).manifest
    manifest = read(png, "image/png", anchors=credentials.anchors, manifest=store)
    assert manifest.state is ManifestState.INVALID
    assert manifest.codes == ("assertion.dataHash.mismatch",)
    assert manifest.event_id == make_claim().event_id


def test_a_transplanted_manifest_is_found(credentials: Credentials, signed_png: bytes, pixels) -> None:
    buffer = io.BytesIO()
    Image.fromarray(255 - pixels).save(buffer, "PNG")
    other = buffer.getvalue()
    start = signed_png.index(b"caBX") - 4
    length = int.from_bytes(signed_png[start : start + 4], "big") + 12
    assert credentials.read(other[:33] + signed_png[start : start + length] + other[33:], "image/png").state is (
        ManifestState.INVALID
    )


def test_a_remote_manifest_is_never_fetched(
    credentials: Credentials, identity: SigningIdentity, png: bytes, make_claim: MakeClaim
) -> None:
    hits: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hits.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        builder = c2pa.Builder(definition(make_claim()), context=signing_context(credentials.anchors))
        builder.set_no_embed()
        builder.set_remote_url(f"http://127.0.0.1:{server.server_port}/manifest.c2pa")
        info = c2pa.C2paSignerInfo("es256", identity.chain_pem.encode(), identity.key_pem.encode(), None)
        output = io.BytesIO()
        builder.sign(c2pa.Signer.from_info(info), "image/png", io.BytesIO(png), output)
        manifest = credentials.read(output.getvalue(), "image/png")
    finally:
        server.shutdown()
        server.server_close()
    assert b"127.0.0.1" in output.getvalue()
    assert hits == []
    assert (manifest.state, manifest.codes) == (ManifestState.ABSENT, ("manifest.remote",))


@pytest.mark.parametrize("kept", [8, 40, 60, 1000, 6000, -5])
def test_a_truncated_file_is_an_answer(credentials: Credentials, signed_png: bytes, kept: int) -> None:
    manifest = credentials.read(signed_png[:kept], "image/png")
    holds_store = b"jumdc2pa" in signed_png[:kept]
    assert manifest.state is (ManifestState.INVALID if holds_store else ManifestState.ABSENT)
    assert manifest.codes == (("manifest.malformed",) if holds_store else ("asset.unreadable",))


def test_two_manifests_in_one_file_are_refused(credentials: Credentials, signed_png: bytes) -> None:
    start = signed_png.index(b"caBX") - 4
    length = int.from_bytes(signed_png[start : start + 4], "big") + 12
    doubled = signed_png[: start + length] + signed_png[start:]
    manifest = credentials.read(doubled, "image/png")
    assert manifest.state is ManifestState.INVALID
    assert manifest.codes


def test_a_lapsed_certificate_is_refused_at_signing(
    credentials: Credentials, identity: SigningIdentity, png: bytes, make_claim: MakeClaim
) -> None:
    with pytest.raises(CredentialFailed, match="expired on") as caught:
        credentials.sign(png, "image/png", make_claim(), now=identity.not_after + timedelta(seconds=1))
    assert "Renew" in caught.value.remedy


def test_a_file_of_a_lapsed_signer_is_intact_but_not_trusted(authority, png: bytes, make_claim: MakeClaim) -> None:
    identity = authority.issue(ends=timedelta(seconds=1.5))
    data = _sign_unchecked(identity, png, make_claim())
    lapsed = threading.Event()
    while identity.leaf.not_valid_after_utc.timestamp() >= time.time():
        lapsed.wait(0.1)
    lapsed.wait(1.1)  # certificates count whole seconds
    anchors = Anchors(manifest_pem=authority.pem)
    manifest = read(data, "image/png", anchors=anchors)
    assert manifest.state is ManifestState.VALID
    assert "signingCredential.expired" in manifest.codes
    assert "is not valid now" in manifest.explanation
    changed = read(_with_byte_changed(data, len(data) - 200), "image/png", anchors=anchors)
    assert changed.state is ManifestState.INVALID


class _HeldKey:
    """A key that signs on request, as a KMS does."""

    def __init__(self, pem: str) -> None:
        key = serialization.load_pem_private_key(pem.encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data, ec.ECDSA(hashes.SHA256()))


class _Throttled:
    def sign(self, data: bytes) -> bytes:
        raise ConnectionError("throttled")


def test_a_held_key_signs_through_a_callback(identity: SigningIdentity, png: bytes, make_claim: MakeClaim) -> None:
    held = Credentials(replace(identity, key_pem="", signer=_HeldKey(identity.key_pem)))
    signed = held.sign(png, "image/png", make_claim())
    assert held.read(signed.data, "image/png").state is ManifestState.TRUSTED


def test_what_an_external_signer_raises_is_not_lost(
    identity: SigningIdentity, png: bytes, make_claim: MakeClaim
) -> None:
    failing = Credentials(replace(identity, key_pem="", signer=_Throttled()))
    with pytest.raises(CredentialFailed, match="external signer failed: ConnectionError") as caught:
        failing.sign(png, "image/png", make_claim())
    assert isinstance(caught.value.__cause__, ConnectionError)


def test_a_silent_time_stamping_authority_is_named(
    identity: SigningIdentity, png: bytes, make_claim: MakeClaim
) -> None:
    stamped = Credentials(replace(identity, timestamp_url="http://127.0.0.1:9/tsa"))
    with pytest.raises(CredentialFailed, match="time-stamping authority"):
        stamped.sign(png, "image/png", make_claim())


def test_threads_can_share_credentials(credentials: Credentials, png: bytes, make_claim: MakeClaim) -> None:
    def sign(number: int) -> str:
        signed = credentials.sign(png, "image/png", make_claim(event_id=f"{number:032x}"))
        manifest = credentials.read(signed.data, "image/png")
        assert manifest.state is ManifestState.TRUSTED
        return manifest.event_id

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(sign, range(24))) == [f"{n:032x}" for n in range(24)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:This process")
def test_credentials_survive_a_fork(credentials: Credentials, png: bytes, make_claim: MakeClaim) -> None:
    credentials.sign(png, "image/png", make_claim())
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signed = credentials.sign(png, "image/png", make_claim())
            code = 0 if credentials.read(signed.data, "image/png").state is ManifestState.TRUSTED else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_signing_over_a_manifest_is_refused(credentials: Credentials, signed_png: bytes, make_claim: MakeClaim) -> None:
    with pytest.raises(AlreadyMarked):
        credentials.sign(signed_png, "image/png", make_claim())


@pytest.mark.parametrize("media_type", ["image/jpg", "image/bmp", "", "video/mp4"])
def test_other_media_types_are_refused(
    credentials: Credentials, png: bytes, make_claim: MakeClaim, media_type: str
) -> None:
    with pytest.raises(AssetInvalid):
        credentials.sign(png, media_type, make_claim())
    with pytest.raises(AssetInvalid):
        credentials.read(png, media_type)


def test_oversized_input_is_refused(credentials: Credentials) -> None:
    with pytest.raises(AssetTooLarge):
        credentials.read(bytes(64 * 2**20 + 1), "image/png")
    with pytest.raises(AssetTooLarge):
        read_stored(bytes(16 * 2**20 + 1), anchors=Anchors())


def test_rubbish_cannot_be_signed(credentials: Credentials, make_claim: MakeClaim) -> None:
    with pytest.raises(CredentialFailed, match="could not be signed"):
        credentials.sign(b"not an image", "image/png", make_claim())


def test_credentials_without_an_anchor_are_refused(identity: SigningIdentity) -> None:
    with pytest.raises(CredentialFailed, match="ends at no anchor that is known"):
        Credentials(replace(identity, anchors_pem=""))


def test_a_chain_that_ends_at_none_of_the_anchors_is_refused_before_anything_is_signed(
    authority, identity: SigningIdentity
) -> None:
    with pytest.raises(CredentialFailed, match="ends at none of the anchors") as caught:
        Credentials(replace(identity, anchors_pem=authority.pem))
    assert "credentials.anchors" in caught.value.remedy
    Credentials(replace(identity, anchors_pem=authority.pem), Anchors(development_pem=identity.anchors_pem))
    issuing = identity.chain_pem[identity.chain_pem.rindex("-----BEGIN") :]
    Credentials(replace(identity, anchors_pem=issuing))  # an anchor need be no root


def test_a_captured_image_is_not_called_generated(credentials: Credentials, png: bytes, make_claim: MakeClaim) -> None:
    claim = make_claim(digital_source_type=SourceType.CAPTURE, human_oversight=None)
    inspection = inspect(credentials.sign(png, "image/png", claim).data, "image/png", anchors=credentials.anchors)
    assert inspection.manifest.ai_generated is False
    assert inspection.problems == ()


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "image/webp", "image/avif"])
def test_damaged_files_are_always_answers(
    credentials: Credentials, encoded: Callable[[str], bytes], make_claim: MakeClaim, media_type: str
) -> None:
    signed = credentials.sign(encoded(media_type), media_type, make_claim()).data
    random = np.random.default_rng(11)
    states = set()
    for _ in range(60):
        damaged = bytearray(signed)
        for position in random.integers(0, len(signed), 6):
            damaged[position] = random.integers(0, 256)
        cut = bytes(damaged[: len(damaged) - int(random.integers(0, 2)) * int(random.integers(0, len(damaged)))])
        states.add(credentials.read(cut, media_type).state)
    assert ManifestState.INVALID in states
