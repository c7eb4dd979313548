"""What a claim may say, and the XMP that goes with it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import datetime

import c2pa
import pytest
from PIL import Image

from countermark.credentials import AigcLabel, Anchors, Claim, Credentials, SourceType, build_xmp, read_xmp
from countermark.credentials.engine import reading_context
from countermark.credentials.manifest import definition
from countermark.credentials.metadata import MAX_PACKET, parse_xmp
from countermark.errors import AssetInvalid, CredentialFailed, KeyUnavailable
from countermark.model import ModelRef

MakeClaim = Callable[..., Claim]
TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


@pytest.mark.parametrize(
    "changes",
    [
        {"event_id": "not hexadecimal"},
        {"title": ""},
        {"title": "two\nlines"},
        {"title": "x" * 201},
        {"log_origin": ""},
        {"watermark_payload": ""},
        {"watermark_payload": "xyz"},
        {"fingerprint": "ab"},
        {"policy_digest": "AB" * 32},
        {"when": datetime(2026, 1, 1)},
    ],
)
def test_a_malformed_claim_cannot_be_made(make_claim: MakeClaim, changes: dict[str, object]) -> None:
    with pytest.raises(CredentialFailed):
        make_claim(**changes)


def test_no_watermark_means_no_watermark_action(make_claim: MakeClaim) -> None:
    text = json.dumps(definition(make_claim(watermark_algorithm="", watermark_payload="")))
    assert "watermark" not in text


def test_the_watermark_is_never_claimed_as_bound(make_claim: MakeClaim) -> None:
    text = json.dumps(definition(make_claim()))
    assert "c2pa.watermarked.unbound" in text
    assert "c2pa.watermarked.bound" not in text
    assert "soft-binding" not in text


@pytest.mark.parametrize(
    "path", ["/home/jane/models/painter", "C:\\Users\\jane\\painter", "~/jane/painter", "./jane/painter"]
)
def test_a_local_path_does_not_leave_the_machine(make_claim: MakeClaim, path: str) -> None:
    model = ModelRef(id=path)
    assert "jane" not in json.dumps(definition(make_claim(model=model)))
    assert b"jane" not in build_xmp(model)
    assert b"painter" in build_xmp(model)


def test_no_prompt_in_any_metadata(credentials: Credentials, signed_png: bytes) -> None:
    with c2pa.Reader("image/png", io.BytesIO(signed_png), context=reading_context(credentials.anchors)) as reader:
        report = reader.json() + reader.crjson()
    assert "prompt_guided" in report
    assert "prompt" not in report.replace("prompt_guided", "").lower()
    assert b"prompt" not in signed_png.lower().replace(b"prompt_guided", b"")
    fields = read_xmp(signed_png)
    assert fields is not None
    assert not fields.has_prompt


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "image/webp", "image/avif"])
def test_xmp_survives_signing(
    credentials: Credentials, encoded: Callable[[str], bytes], make_claim: MakeClaim, media_type: str
) -> None:
    fields = read_xmp(credentials.sign(encoded(media_type), media_type, make_claim()).data)
    assert fields is not None
    assert fields.digital_source_type == TRAINED
    assert (fields.ai_system, fields.ai_system_version) == ("example/painter", "1.2")
    assert fields.creator_tool.startswith("countermark ")


def test_a_file_without_xmp_has_no_fields(pixels) -> None:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    assert read_xmp(buffer.getvalue()) is None


def test_hostile_names_are_escaped() -> None:
    name = "a<b>&\"'\x00\x1b]]>"
    fields = parse_xmp(build_xmp(ModelRef(id=name), source=SourceType.COMPOSITE_TRAINED))
    assert fields.ai_system == "a<b>&\"']]>"
    assert fields.digital_source_type.endswith("compositeWithTrainedAlgorithmicMedia")


def test_the_aigc_label_is_json_with_every_field() -> None:
    fields = parse_xmp(build_xmp(ModelRef(id="m"), aigc=AigcLabel("Example & Sons", "0123")))
    label = json.loads(fields.aigc)
    assert (label["Label"], label["ContentProducer"], label["ProduceID"]) == ("1", "Example & Sons", "0123")
    assert len(label) == 7


def test_fields_are_read_from_attributes_and_prompts_are_noticed_not_kept() -> None:
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" e:AISystemUsed="other" '
        'e:AIPromptInformation="a secret wish"/></rdf:RDF></x:xmpmeta>'
    )
    fields = parse_xmp(packet.encode())
    assert (fields.ai_system, fields.has_prompt) == ("other", True)
    assert "wish" not in repr(fields)


@pytest.mark.parametrize(
    "packet",
    [
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>',
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>',
        b"<x>" * 40 + b"</x>" * 40,
        b"<x><y></x>",
        b"<x>" + b" " * MAX_PACKET + b"</x>",
        b"",
        b"\xff\xfe<\x00x\x00/\x00>\x00",
    ],
    ids=["entities", "external", "deep", "malformed", "large", "empty", "utf-16"],
)
def test_hostile_xmp_is_refused(packet: bytes) -> None:
    with pytest.raises(AssetInvalid):
        parse_xmp(packet)


def test_a_file_that_is_no_image_is_refused() -> None:
    with pytest.raises(AssetInvalid):
        read_xmp(b"rubbish")


def test_anchors_load_and_add_up(tmp_path, authority, identity) -> None:
    (tmp_path / "root.pem").write_text("# a comment\n" + authority.pem)
    anchors = Anchors.load(manifest=[tmp_path / "root.pem"], tsa=[tmp_path / "root.pem"])
    assert anchors.manifest_pem == anchors.tsa_pem == authority.pem
    both = anchors + Anchors.for_identity(identity)
    assert (both.manifest_pem, both.development_pem) == (authority.pem, identity.anchors_pem)
    assert both + anchors == both


def test_anchors_with_a_private_key_are_refused(tmp_path, authority) -> None:
    (tmp_path / "root.pem").write_text(authority.pem + authority.issue().key_pem)
    with pytest.raises(KeyUnavailable, match="private key"):
        Anchors.load(manifest=[tmp_path / "root.pem"])
