"""What a marked file says of itself: the same everywhere, nothing made up, nothing that a name would give away."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.conftest import CLEAN_PROMPT, Given

from countermark import Countermark
from countermark.compose.checking import LOSES_CREDENTIALS
from countermark.credentials import Claim, Credentials, DevelopmentPki, SourceType, read_xmp
from countermark.model import GenerationRequest, ModelRef


def png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def strangers(photo: NDArray[np.uint8], tmp_path: Path) -> Path:
    """A file with a manifest of somebody else's, under a name that tells too much."""
    claim = Claim(
        title="a.png", event_id="0" * 32, log_origin="elsewhere", model=ModelRef(id="m"), when=datetime.now(UTC)
    )
    signed = Credentials(DevelopmentPki.ensure(tmp_path / "theirs")).sign(png(photo), "image/png", claim)
    file = tmp_path / "Jane Roe in tears, 4k.png"
    file.write_bytes(signed.data)
    return file


def manifest_of(data: bytes) -> dict[str, Any]:
    with c2pa.Reader("image/png", io.BytesIO(data)) as reader:
        report = json.loads(reader.json())
    active: dict[str, Any] = report["manifests"][report["active_manifest"]]
    return active


def assertion(manifest: dict[str, Any], label: str) -> dict[str, Any]:
    (found,) = [item["data"] for item in manifest["assertions"] if item["label"] == label]
    data: dict[str, Any] = found
    return data


def test_xmp_and_manifest_name_one_source_of_what_has_a_parent(cm: Countermark, strangers: Path) -> None:
    data = cm.mark(strangers, model="vendor/model", parent=strangers).data
    assert data is not None
    xmp = read_xmp(data)
    assert xmp is not None
    assert xmp.digital_source_type == SourceType.COMPOSITE_TRAINED.uri
    assert assertion(manifest_of(data), "c2pa.metadata")["Iptc4xmpExt:DigitalSourceType"] == xmp.digital_source_type


def test_the_name_of_a_parent_stays_here(cm: Countermark, strangers: Path) -> None:
    data = cm.mark(strangers, model="vendor/model", parent=strangers).data
    assert data is not None
    assert b"Jane" not in data
    assert [item["title"] for item in manifest_of(data)["ingredients"]] == ["parent.png"]


def test_of_a_model_known_by_name_nobody_claims_to_know_the_kind(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    data = cm.mark(photo, model="vendor/model").data
    assert data is not None
    assert assertion(manifest_of(data), "c2pa.ai-disclosure")["modelType"] == "c2pa.types.model"


def test_when_a_picture_was_made_is_said_only_where_it_was_made_here(
    cm: Countermark, strangers: Path, photo: NDArray[np.uint8]
) -> None:
    marked, edited = cm.mark(photo, model="m").data, cm.mark(strangers, model="m", parent=strangers).data
    generated = cm.pipeline.generate(GenerationRequest(prompt=CLEAN_PROMPT), Given(photo))[0].data
    dated = {}
    for name, data in (("marked", marked), ("edited", edited), ("generated", generated)):
        assert data is not None
        actions = assertion(manifest_of(data), "c2pa.actions.v2")["actions"]
        dated[name] = {action["action"]: "when" in action for action in actions}
        assert cm.verify(data).evidence.manifest.time, "it was marked at some time"
    assert dated == {
        "marked": {"c2pa.created": False, "c2pa.watermarked.unbound": True},
        "edited": {"c2pa.opened": False, "c2pa.edited": False, "c2pa.watermarked.unbound": True},
        "generated": {"c2pa.created": True, "c2pa.watermarked.unbound": True},
    }


def test_a_manifest_that_a_copy_loses_is_spoken_of(cm: Countermark, strangers: Path) -> None:
    assert LOSES_CREDENTIALS in cm.mark(strangers, model="m").notices
    assert LOSES_CREDENTIALS in cm.mark(strangers.read_bytes(), model="m").notices
    kept = cm.mark(strangers, model="m", parent=strangers)
    assert LOSES_CREDENTIALS not in kept.notices
    assert kept.data is not None
    assert manifest_of(kept.data)["ingredients"][0]["active_manifest"]
