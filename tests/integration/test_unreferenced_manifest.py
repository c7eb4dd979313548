"""A manifest that was put into a signed file's store later, in the slack of its signature, which nothing covers."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.conftest import photograph

from countermark import Countermark
from countermark.compose import read_trust, trust_document
from countermark.imaging import decode
from countermark.model import Verdict
from countermark.settings import Settings

PAD = b"\x63pad\x59"
"""The name of the signature's slack in CBOR, and the head of a byte string with a length of two bytes."""


def test_a_manifest_that_nothing_references_speaks_for_no_signer(
    build: Callable[..., Countermark], cm: Countermark, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    other = build(settings=Settings(home=tmp_path / "other"))
    trust = read_trust(trust_document(other.settings), "trust.json")
    first = cm.mark(photo, model="test/given")
    assert first.data is not None
    redone = decode(first.data).pixels.copy()
    redone[:, :330] = photograph("astronaut")[:, :330]
    signed = other.mark(redone, model="test/given").data
    assert signed is not None
    assert cm.verify(signed, trust=trust).verdict is Verdict.CONTRADICTORY
    report = cm.verify(with_stranger(signed, first.event_id), trust=trust)
    assert report.evidence.manifest.state == "trusted", "the signature does not cover what was put in"
    assert report.evidence.manifest.ingredient_events == ()
    assert report.verdict is Verdict.CONTRADICTORY, report.reasons


def with_stranger(png: bytes, event_id: str) -> bytes:
    """The file with one manifest more, of nobody, that names ``event_id``; no byte that is signed is another."""
    at = 8
    while png[at + 4 : at + 8] != b"caBX":
        at += 12 + length_of(png, at)
    size = length_of(png, at)
    store = png[at + 8 : at + 8 + size]
    header = 8 + length_of(store, 8)
    added = stranger(event_id)
    manifest = bytearray(store[header:])
    inside = header_of(manifest, 0)
    while b"c2pa.signature\0" not in manifest[inside : inside + header_of(manifest, inside) - inside]:
        inside += length_of(manifest, inside)
    for shortened in (0, inside, header_of(manifest, inside)):
        struct.pack_into(">I", manifest, shortened, length_of(manifest, shortened) - len(added))
    pad = manifest.rindex(PAD) + len(PAD)
    slack = struct.unpack_from(">H", manifest, pad)[0]
    assert slack - len(added) > 255
    struct.pack_into(">H", manifest, pad, slack - len(added))
    del manifest[pad + 2 : pad + 2 + len(added)]
    chunk = b"caBX" + store[:header] + added + bytes(manifest)
    return b"".join((png[: at + 4], chunk, struct.pack(">I", zlib.crc32(chunk)), png[at + 12 + size :]))


def length_of(data: bytes | bytearray, at: int) -> int:
    return int(struct.unpack_from(">I", data, at)[0])


def header_of(data: bytes | bytearray, at: int) -> int:
    """Where the first box within a JUMBF superbox begins, behind its description."""
    return at + 8 + length_of(data, at + 8)


def stranger(event_id: str) -> bytes:
    record = described(b"cbor", "org.countermark.record", box(b"cbor", cbor({"event_id": event_id})))
    claim = {
        "instanceID": "xmp:iid:1",
        "claim_generator_info": {"name": "x"},
        "signature": "self#jumbf=c2pa.signature",
        "created_assertions": [{"url": "self#jumbf=c2pa.assertions/org.countermark.record", "hash": bytes(32)}],
        "alg": "sha256",
    }
    signature = b"\xd2" + cbor([b"\xa1\x01\x26", {}, b"", bytes(8)])
    return described(
        b"c2ma",
        "urn:c2pa:00000000-0000-4000-8000-000000000001",
        described(b"c2as", "c2pa.assertions", record),
        described(b"c2cl", "c2pa.claim.v2", box(b"cbor", cbor(claim))),
        described(b"c2cs", "c2pa.signature", box(b"cbor", signature)),
    )


def described(kind: bytes, label: str, *inside: bytes) -> bytes:
    about = kind + bytes.fromhex("00110010800000aa00389b71") + b"\x03" + label.encode() + b"\0"
    return box(b"jumb", box(b"jumd", about) + b"".join(inside))


def box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(data), kind) + data


def cbor(value: Any) -> bytes:
    if isinstance(value, dict):
        return head(5, len(value)) + b"".join(cbor(key) + cbor(one) for key, one in value.items())
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    data = value.encode() if isinstance(value, str) else value
    return head(3 if isinstance(value, str) else 2, len(data)) + data


def head(kind: int, count: int) -> bytes:
    return bytes([kind << 5 | count]) if count < 24 else bytes([kind << 5 | 24, count])
