"""The rules of the public C2PA asset conformance rubric, in our own code, on what we sign and on broken manifests.

A rule that never fires protects nobody: each rule is broken here once, on a real manifest, and must be the one named.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import c2pa
import numpy as np
import orjson
import pytest

from countermark import imaging
from countermark.credentials import Claim, Credentials, DevelopmentPki, Ingredient, lint
from countermark.credentials.engine import reading_context
from countermark.credentials.rules import DISCOURAGED, RULES
from countermark.model import ModelRef

CrJson = dict[str, Any]
PUBLIC_RULES = 31
TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return Credentials(DevelopmentPki.ensure(tmp_path_factory.mktemp("pki")))


def _encoded(media_type: str, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    return imaging.encode(imaging.Raster(pixels), media_type)


def _claim(ingredients: tuple[Ingredient, ...] = ()) -> Claim:
    return Claim(
        title="image.png",
        event_id="0" * 32,
        log_origin="log.example/1",
        model=ModelRef(id="example/painter", version="1"),
        when=datetime(2026, 1, 1, tzinfo=UTC),
        watermark_algorithm="lattice/1",
        watermark_payload="0123456789ab",
        fingerprint="ab" * 32,
        policy_digest="cd" * 32,
        ingredients=ingredients,
    )


def _crjson(credentials: Credentials, data: bytes, media_type: str) -> CrJson:
    with c2pa.Reader(media_type, io.BytesIO(data), context=reading_context(credentials.anchors)) as reader:
        return orjson.loads(reader.crjson())


@pytest.fixture(scope="module")
def generated(credentials: Credentials) -> CrJson:
    signed = credentials.sign(_encoded("image/png"), "image/png", _claim())
    return _crjson(credentials, signed.data, "image/png")


@pytest.fixture(scope="module")
def edited(credentials: Credentials) -> CrJson:
    parent = credentials.sign(_encoded("image/png", 1), "image/png", _claim()).data
    claim = _claim((Ingredient("parent.png", "image/png", parent),))
    signed = credentials.sign(_encoded("image/png"), "image/png", claim)
    return _crjson(credentials, signed.data, "image/png")


def test_every_public_rule_is_here() -> None:
    assert sum(rule.startswith("validation:") for rule in RULES) == PUBLIC_RULES
    assert set(RULES) >= DISCOURAGED


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg", "image/webp", "image/avif"])
def test_what_we_sign_conforms(credentials: Credentials, media_type: str) -> None:
    signed = credentials.sign(_encoded(media_type), media_type, _claim())
    assert lint(_crjson(credentials, signed.data, media_type)) == ()


@pytest.mark.parametrize("relationship", ["parentOf", "inputTo", "componentOf"])
def test_what_we_sign_with_an_ingredient_conforms(credentials: Credentials, relationship: Any) -> None:
    parent = credentials.sign(_encoded("image/png", 1), "image/png", _claim()).data
    claim = _claim((Ingredient("other.png", "image/png", parent, relationship),))
    signed = credentials.sign(_encoded("image/png"), "image/png", claim)
    assert lint(_crjson(credentials, signed.data, "image/png")) == ()


# --- each rule broken once --------------------------------------------------------------------------------------------


def _manifest(crjson: CrJson) -> CrJson:
    return crjson["manifests"][0]


def _assertion(crjson: CrJson, label: str) -> CrJson:
    return _manifest(crjson)["assertions"].setdefault(label, {})


def _action(crjson: CrJson, position: int) -> CrJson:
    return _assertion(crjson, "c2pa.actions.v2")["actions"][position]


def _add_action(crjson: CrJson, **fields: Any) -> None:
    _assertion(crjson, "c2pa.actions.v2")["actions"].append(fields)


def _fail(crjson: CrJson, code: str) -> None:
    _manifest(crjson)["validationResults"]["failure"].append({"code": code})


def _only_opened(crjson: CrJson) -> None:
    actions = _assertion(crjson, "c2pa.actions.v2")
    actions.update(actions=actions["actions"][:1], allActionsIncluded=False)


Break = Callable[[CrJson], Any]
BROKEN: dict[str, Break] = {
    "validation:mandatory_dst_for_perceptible_transformations": lambda c: _add_action(c, action="c2pa.cropped"),
    "validation:mandatory_spec_version": lambda c: _manifest(c)["claim.v2"]["claim_generator_info"].update(
        specVersion="2.2.0"
    ),
    "validation:mandatory_all_actions_included": lambda c: _assertion(c, "c2pa.actions.v2").pop("allActionsIncluded"),
    "validation:no_dst_for_opened_action": lambda c: _add_action(
        c, action="c2pa.opened", digitalSourceType=TRAINED, parameters={"ingredients": [{}]}
    ),
    "validation:well_formed_success": lambda c: _fail(c, "assertion.action.malformed"),
    "validation:valid_success": lambda c: _fail(c, "assertion.dataHash.mismatch"),
    "validation:inception_action_position": lambda c: _assertion(c, "c2pa.actions.v2")["actions"].reverse(),
    "validation:no_deprecated_assertions": lambda c: _assertion(c, "stds.iptc"),
    "validation:no_unsupported_assertions": lambda c: _assertion(c, "c2pa.invented"),
    "validation:no_deprecated_actions": lambda c: _add_action(
        c, action="c2pa.color_adjustments", digitalSourceType=TRAINED
    ),
    "validation:no_unsupported_actions": lambda c: _add_action(c, action="c2pa.invented", digitalSourceType=TRAINED),
    "validation:no_unrecognized_custom_assertions": lambda c: _assertion(c, "invented"),
    "validation:no_unrecognized_custom_actions": lambda c: _add_action(c, action="invented"),
    "validation:no_unrecognized_custom_action_parameters": lambda c: _action(c, 0).update(parameters={"invented": 1}),
    "validation:discouraged_legacy_action_parameters": lambda c: _action(c, 0).update(parameters={"description": "x"}),
    "validation:active_manifest_urn": lambda c: _manifest(c).update(label="urn:uuid:1"),
    "validation:review_ratings_datasource": lambda c: _assertion(c, "org.example.review").update(
        reviewRatings=[], dataSource={"type": "humanEntry.anonymous"}
    ),
    "validation:ingredient_v3_no_active_manifest": lambda c: _assertion(c, "c2pa.ingredient.v3").update(
        relationship="inputTo", validationResults={}
    ),
    "validation:ingredient_v3_mandatory_validation_results": lambda c: _assertion(c, "c2pa.ingredient.v3").update(
        relationship="inputTo", activeManifest={}
    ),
    "validation:ingredient_relationship_values": lambda c: _assertion(c, "c2pa.ingredient.v3").update(
        relationship="cousinOf"
    ),
    "validation:mandatory_dst_for_created_action": lambda c: _action(c, 0).pop("digitalSourceType"),
    "validation:no_deprecated_claim_fields": lambda c: _manifest(c)["claim.v2"].update(specVersion="2.4.0"),
    "validation:ingredient_v3_choice": lambda c: _assertion(c, "c2pa.ingredient.v3").update(
        relationship="inputTo", activeManifest={}, validationResults={}, digitalSourceType=TRAINED
    ),
    "validation:alternative_content_representation_choice": lambda c: _assertion(
        c, "c2pa.alternative-content-representation"
    ).update(type="exif.originalPreservationImage", parameters={}),
    "validation:forbidden_labels_in_external_references": lambda c: _assertion(c, "c2pa.external-reference").update(
        label="c2pa.hash.data", url="https://example.org"
    ),
    "validation:no_url_in_hashes": lambda c: _assertion(c, "c2pa.hash.data").update(url="https://example.org"),
    "validation:opened_action_ingredient_reference": lambda c: _add_action(c, action="c2pa.opened"),
    "countermark:no_bound_watermark": lambda c: _add_action(c, action="c2pa.watermarked.bound"),
    "countermark:record_created": lambda c: _manifest(c)["claim.v2"]["created_assertions"].pop(2),
    "countermark:watermark_consistent": lambda c: _assertion(c, "org.countermark.record").pop("watermark"),
    "countermark:ai_disclosed": lambda c: _manifest(c)["assertions"].pop("c2pa.ai-disclosure"),
    "countermark:generator_named": lambda c: _action(c, 0).pop("softwareAgent"),
    "countermark:no_prompts": lambda c: _assertion(c, "c2pa.metadata").update(
        {"Iptc4xmpExt:AIPromptInformation": "a lighthouse"}
    ),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_is_the_one_named(generated: CrJson, rule: str) -> None:
    crjson = copy.deepcopy(generated)
    BROKEN[rule](crjson)
    problems = lint(crjson)
    assert [problem.rule for problem in problems] == [rule]
    assert problems[0].severity == ("warning" if rule in DISCOURAGED else "error")
    assert problems[0].details


def test_missing_validation_results_break_all_rules_that_need_them(generated: CrJson) -> None:
    crjson = copy.deepcopy(generated)
    del _manifest(crjson)["validationResults"]
    assert {problem.rule for problem in lint(crjson)} == {
        "validation:well_formed_data_present",
        "validation:well_formed_success",
        "validation:valid_data_present",
        "validation:valid_success",
    }


def test_a_missing_record_is_named_with_its_fields(generated: CrJson) -> None:
    crjson = copy.deepcopy(generated)
    del _manifest(crjson)["assertions"]["org.countermark.record"]
    found = {problem.rule: problem.details for problem in lint(crjson)}
    assert found["countermark:record_present"] == ("event_id", "log", "model")


def test_opening_alone_must_claim_completeness(edited: CrJson) -> None:
    crjson = copy.deepcopy(edited)
    _only_opened(crjson)
    assert "validation:all_actions_included_opened" in {problem.rule for problem in lint(crjson)}


def test_box_hashes_are_refused_for_tiff(generated: CrJson) -> None:
    crjson = copy.deepcopy(generated)
    _assertion(crjson, "c2pa.hash.boxes")
    _assertion(crjson, "c2pa.asset-type.v2")["dc:format"] = "image/tiff"
    assert [problem.rule for problem in lint(crjson)] == ["validation:no_box_hash_for_tiff"]


def test_every_rule_is_broken_somewhere() -> None:
    elsewhere = {
        "validation:well_formed_data_present",
        "validation:valid_data_present",
        "validation:all_actions_included_opened",
        "validation:no_box_hash_for_tiff",
        "countermark:record_present",
    }
    assert set(BROKEN) | elsewhere == set(RULES)


@pytest.mark.parametrize(
    "crjson",
    [
        {},
        {"manifests": None},
        {"manifests": [None]},
        {"manifests": [{"assertions": {"c2pa.actions.v2": {"actions": ["text", None, {"action": 3}]}, "x": 5}}]},
        {"manifests": [{"claim.v2": [], "validationResults": {"failure": "text"}}]},
    ],
)
def test_hostile_json_is_judged_not_raised(crjson: CrJson) -> None:
    assert lint(crjson)
