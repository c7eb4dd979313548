"""Hostile manifest stores are turned away before the C2PA library sees them."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from PIL import Image

from countermark.credentials import Claim, Credentials, Ingredient, SigningIdentity, read_stored
from countermark.credentials.bounds import cbor_is_bounded, objection
from countermark.credentials.certificates import doubts_about_signer
from countermark.credentials.container import manifest_stores
from countermark.errors import CredentialFailed
from countermark.model import ManifestState

MakeClaim = Callable[..., Claim]
FOUR_GIGABYTES = b"\x5a\xff\xff\xff\xff"


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\x43abc",
        b"\x63abc",
        b"\x82\x01\x02",
        b"\xa1\x61a\x01",
        b"\x5f\x41a\xff",
        b"\xc1\x1a\x00\x00\x00\x01",
    ],
)
def test_sound_cbor_passes(data: bytes) -> None:
    assert cbor_is_bounded(data)


@pytest.mark.parametrize(
    "data",
    [
        FOUR_GIGABYTES,
        b"\x5b" + b"\x7f" * 8,
        b"\x44abc",
        b"\x7a\x00\x00\x00\x05abc",
        b"\x9a\x10\x00\x00\x00",
        b"\x19\x01",
        b"\x1c",
    ],
    ids=["4 GiB", "8 EiB", "one short", "text", "array", "cut head", "reserved"],
)
def test_cbor_that_claims_more_than_it_holds_is_refused(data: bytes) -> None:
    assert not cbor_is_bounded(data)


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        (_box(b"jumb", _box(b"cbor", b"\x01")), None),
        (_box(b"jumb", _box(b"cbor", FOUR_GIGABYTES)), "malformed"),
        (_box(b"jumb", _box(b"jumb", _box(b"cbor", FOUR_GIGABYTES))), "malformed"),
        (_box(b"jumb", b"\x00\x00\x01\x00cbor"), "malformed"),
        (_box(b"jumb", b"\x00\x00\x00\x04cbor"), "malformed"),
        (_box(b"jumb", b"abc"), "malformed"),
        (_box(b"jumb", _box(b"brob", b"")), "compressed"),
        (_box(b"jumb", b"\x00\x00\x00\x01cbor" + struct.pack(">Q", 17) + b"\x01"), None),
        (_box(b"jumb", _box(b"free", b"") * 20_001), "malformed"),
    ],
)
def test_boxes_stay_within_their_parents(store: bytes, expected: str | None) -> None:
    assert objection(store) == expected


def test_what_we_sign_is_never_objected_to(
    credentials: Credentials, signed_png: bytes, png: bytes, make_claim: MakeClaim
) -> None:
    claim = make_claim(ingredients=(Ingredient("parent.png", "image/png", signed_png),))
    assert objection(credentials.sign(png, "image/png", claim).manifest) is None


def test_a_memory_bomb_is_refused_wherever_it_comes_in(
    credentials: Credentials, png: bytes, make_claim: MakeClaim
) -> None:
    signed = credentials.sign(png, "image/png", make_claim())

    def armed(data: bytes) -> bytes:
        position = data.index(b"event_id") - 1
        return data[:position] + FOUR_GIGABYTES + data[position + len(FOUR_GIGABYTES) :]

    for manifest in (
        credentials.read(armed(signed.data), "image/png"),
        read_stored(armed(signed.manifest), anchors=credentials.anchors),
    ):
        assert (manifest.state, manifest.codes) == (ManifestState.INVALID, ("manifest.malformed",))
    with pytest.raises(CredentialFailed, match=r"ingredient 'parent\.png'"):
        credentials.sign(
            png, "image/png", make_claim(ingredients=(Ingredient("parent.png", "image/png", armed(signed.data)),))
        )


def test_a_compressed_manifest_is_said_to_be_unread(credentials: Credentials, signed_png: bytes) -> None:
    content_type, box_type, rest = signed_png.split(b"cbor", 2)
    manifest = credentials.read(content_type + b"cbor" + box_type + b"brob" + rest, "image/png")
    assert (manifest.state, manifest.codes) == (ManifestState.ABSENT, ("manifest.compressed",))


def test_the_store_that_is_found_is_the_one_that_was_signed(
    credentials: Credentials, encoded: Callable[[str], bytes], make_claim: MakeClaim
) -> None:
    for media_type in ("image/png", "image/jpeg", "image/webp", "image/avif", "image/tiff", "image/gif"):
        signed = credentials.sign(encoded(media_type), media_type, make_claim())
        assert manifest_stores(signed.data) == [signed.manifest]
        assert manifest_stores(encoded(media_type)) == []


def test_a_store_of_many_jpeg_segments_is_joined(
    credentials: Credentials, encoded: Callable[[str], bytes], make_claim: MakeClaim, signed_png: bytes
) -> None:
    ingredients = tuple(Ingredient(f"{number}.png", "image/png", signed_png, "inputTo") for number in range(30))
    signed = credentials.sign(encoded("image/jpeg"), "image/jpeg", make_claim(ingredients=ingredients))
    assert len(signed.manifest) > 65_536  # more than one segment holds
    assert manifest_stores(signed.data) == [signed.manifest]
    assert credentials.read(signed.data, "image/jpeg").state is ManifestState.TRUSTED


def test_other_containers_are_not_opened(credentials: Credentials) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "BMP")
    manifest = credentials.read(buffer.getvalue(), "image/png")
    assert (manifest.state, manifest.codes) == (ManifestState.ABSENT, ("asset.unreadable",))
    assert manifest_stores(b"%PDF-1.7") is None


def test_a_lapsed_certificate_needs_a_certified_time(identity: SigningIdentity) -> None:
    """The library believes any time-stamp of an old claim, so it does not always notice a lapsed certificate."""
    leaf = identity.leaf
    store, serial = b"padding" + leaf.public_bytes(Encoding.DER) + b"more", str(leaf.serial_number)
    later = identity.not_after + timedelta(seconds=1)
    assert doubts_about_signer(store, serial, time_certified=False) == []
    assert doubts_about_signer(store, serial, time_certified=False, now=later) == ["signingCredential.expired"]
    assert doubts_about_signer(store, serial, time_certified=True, now=later) == []


def test_a_planted_namesake_does_not_help_a_time_stamper(authority) -> None:
    tsa = authority.issue("Time Stamper", (ExtendedKeyUsageOID.TIME_STAMPING,)).leaf
    namesake = authority.issue("Time Stamper", serial=tsa.serial_number).leaf
    assert doubts_about_signer(namesake.public_bytes(Encoding.DER), str(tsa.serial_number), time_certified=False) == []
    store = namesake.public_bytes(Encoding.DER) + tsa.public_bytes(Encoding.DER)
    assert doubts_about_signer(store, str(tsa.serial_number), time_certified=False) == ["signingCredential.invalid"]


@pytest.mark.parametrize("serial", ["", "12345", "-1", "٣", "1e9"])
def test_a_certificate_that_is_not_there_is_untrusted(identity: SigningIdentity, serial: str) -> None:
    store = identity.leaf.public_bytes(Encoding.DER)
    assert doubts_about_signer(store, serial, time_certified=True) == ["signingCredential.untrusted"]
