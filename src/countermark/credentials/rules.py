"""Conformance rules for the manifests that we sign.

The rules are those of the public C2PA asset conformance rubric, version 0.2 for specification 2.4 (C2PA Conformance
Task Force, 6 August 2026), in code of our own and under the rubric's names, and a few of ours (``countermark:…``).
Each is a function from a manifest to the culprits it finds. The input is crJSON, C2PA's JSON rendering of a manifest
store, active manifest first; it may come from a hostile file, so nothing about its shape is assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from countermark.credentials import vocabulary as words

Finder = Callable[["View"], list[str]]


class View:
    """The parts of the active manifest that rules look at; whatever is missing reads as empty."""

    def __init__(self, crjson: Mapping[str, Any]) -> None:
        manifests = _list(crjson.get("manifests"))
        self.manifest = _dict(manifests[0] if manifests else None)
        self.assertions = {str(k): _dict(v) for k, v in _dict(self.manifest.get("assertions")).items()}
        self.claim = _dict(self.manifest.get("claim.v2"))
        self.actions = [_dict(action) for data in self.assertions.values() for action in _list(data.get("actions"))]
        self.ingredients = [data for data in self.assertions.values() if data.get("relationship") is not None]
        self.created = [str(_dict(item).get("url", "")) for item in _list(self.claim.get("created_assertions"))]

    def failures(self) -> list[str]:
        """Codes of failed validation steps; without validation results there is one that says so."""
        results = self.manifest.get("validationResults")
        if results is None:
            return [words.NO_RESULTS]
        return [str(_dict(item).get("code", "")) for item in _list(_dict(results).get("failure"))]

    def named(self, *names: str) -> list[dict[str, Any]]:
        """The actions of these names."""
        return [action for action in self.actions if action.get("action") in names]

    def action_names(self) -> list[str]:
        """Every action's name, in order."""
        return [str(action.get("action", "")) for action in self.actions]


# --- claim and labels -------------------------------------------------------------------------------------------------


def _spec_version(view: View) -> list[str]:
    info = view.claim.get("claim_generator_info")
    first = _dict(info[0] if isinstance(info, list) and info else info)
    declared = first.get("specVersion")
    if not isinstance(declared, str):
        return ["missing"]
    return [] if declared.split(".")[:2] == words.SPEC_VERSION.split(".")[:2] else [declared]


def _deprecated_claim_fields(view: View) -> list[str]:
    return ["specVersion"] if view.claim.get("specVersion") is not None else []


def _manifest_urn(view: View) -> list[str]:
    label = str(view.manifest.get("label") or "")
    return [] if label.startswith("urn:c2pa:") else [label or "missing"]


def _deprecated_assertions(view: View) -> list[str]:
    return [key for key in view.assertions if key.startswith("stds.") or key in words.DEPRECATED_ASSERTIONS]


def _unsupported_assertions(view: View) -> list[str]:
    known = words.STANDARD_ASSERTIONS | words.DEPRECATED_ASSERTIONS
    return [key for key in view.assertions if key.startswith("c2pa.") and key.split("__")[0] not in known]


def _unnamespaced_assertions(view: View) -> list[str]:
    return [key for key in view.assertions if "." not in key]


# --- validation results -----------------------------------------------------------------------------------------------


def _results_present(view: View) -> list[str]:
    return [words.NO_RESULTS] if view.manifest.get("validationResults") is None else []


def _well_formed(view: View) -> list[str]:
    return [code for code in view.failures() if code in words.MALFORMED_CODES]


def _intact(view: View) -> list[str]:
    return [code for code in view.failures() if code in words.MISMATCH_CODES]


# --- actions ----------------------------------------------------------------------------------------------------------


def _transformations_have_source(view: View) -> list[str]:
    exempt = words.INCEPTION | words.NON_EDITORIAL | {"c2pa.placed"}
    return [
        str(action["action"])
        for action in view.actions
        if str(action.get("action", "")).startswith("c2pa.")
        and action["action"] not in exempt
        and action.get("digitalSourceType") is None
    ]


def _all_actions_included(view: View) -> list[str]:
    return [
        key
        for key, data in view.assertions.items()
        if data.get("actions") is not None and data.get("allActionsIncluded") is None
    ]


def _opened_has_no_source(view: View) -> list[str]:
    sources = [action.get("digitalSourceType") for action in view.named("c2pa.opened")]
    return [str(source) for source in sources if source is not None]


def _inception_first(view: View) -> list[str]:
    first = next((url for url in view.created if "c2pa.actions" in url), "")
    if not first.endswith("c2pa.actions.v2"):
        return [first or "no actions among the created assertions"]
    names = view.action_names()
    misplaced = "c2pa.created" in names and names[0] not in words.INCEPTION
    return [names[0]] if misplaced else []


def _deprecated_actions(view: View) -> list[str]:
    return [name for name in view.action_names() if name in words.DEPRECATED_ACTIONS]


def _unsupported_actions(view: View) -> list[str]:
    return [name for name in view.action_names() if name.startswith("c2pa.") and name not in words.STANDARD_ACTIONS]


def _unnamespaced_actions(view: View) -> list[str]:
    return [name or "unnamed" for name in view.action_names() if "." not in name]


def _unnamespaced_parameters(view: View) -> list[str]:
    keys = (str(key) for action in view.actions for key in _dict(action.get("parameters")))
    return [key for key in keys if key not in words.STANDARD_PARAMETERS and "." not in key]


def _legacy_parameters(view: View) -> list[str]:
    return [
        str(action.get("action", "unknown"))
        for action in view.actions
        if {"description", "ingredient"} & _present(_dict(action.get("parameters")))
    ]


def _created_has_source(view: View) -> list[str]:
    return ["c2pa.created" for action in view.named("c2pa.created") if action.get("digitalSourceType") is None]


def _opened_alone_is_complete(view: View) -> list[str]:
    included = view.assertions.get("c2pa.actions.v2", {}).get("allActionsIncluded")
    return ["c2pa.opened"] if view.action_names() == ["c2pa.opened"] and included is not True else []


def _opened_names_its_parent(view: View) -> list[str]:
    return [
        "c2pa.opened"
        for action in view.named("c2pa.opened")
        if len(_list(_dict(action.get("parameters")).get("ingredients"))) != 1
    ]


# --- ingredients and other assertions ---------------------------------------------------------------------------------


def _both(first: str, second: str, *, with_second: bool) -> Finder:
    """Ingredients that have ``first`` and have (or lack) ``second``."""

    def find(view: View) -> list[str]:
        return [
            str(item.get("dc:title", "ingredient"))
            for item in view.ingredients
            if item.get(first) is not None and (item.get(second) is not None) == with_second
        ]

    return find


def _relationships(view: View) -> list[str]:
    values = (str(item.get("relationship")) for item in view.ingredients)
    return [value for value in values if value not in words.RELATIONSHIPS]


def _ratings_by_people(view: View) -> list[str]:
    return [
        key
        for key, data in view.assertions.items()
        if data.get("reviewRatings") is not None and _dict(data.get("dataSource")).get("type") in words.HUMAN_SOURCES
    ]


def _preservation_image_choice(view: View) -> list[str]:
    keys = {"multiAssetPartIndex", "embeddedOriginalPreservationImage"}
    culprits = []
    for label, data in view.assertions.items():
        parameters = _dict(data.get("parameters"))
        if words.PRESERVATION_IMAGE in (data.get("type"), parameters.get("type")):
            culprits += [label] if len(keys & _present(parameters)) != 1 else []
    return culprits


def _forbidden_references(view: View) -> list[str]:
    def targets() -> Iterator[str]:
        for data in view.assertions.values():
            if data.get("url") is not None and data.get("relationship") is None and data.get("label") is not None:
                yield str(data["label"])

    return [
        label
        for label in targets()
        if label in words.NEVER_REFERENCED or label.startswith(("c2pa.hash", "c2pa.ingredient"))
    ]


def _url_in_hashes(view: View) -> list[str]:
    labels = ("c2pa.hash.data", "c2pa.hash.bmff.v3")
    return [label for label in labels if view.assertions.get(label, {}).get("url") is not None]


def _box_hash_for_tiff(view: View) -> list[str]:
    form = view.assertions.get("c2pa.asset-type.v2", {}).get("dc:format")
    return ["c2pa.hash.boxes"] if "c2pa.hash.boxes" in view.assertions and form in words.TIFF_TYPES else []


# --- our own ----------------------------------------------------------------------------------------------------------


def _bound_only_with_binding(view: View) -> list[str]:
    """A bound watermark needs a soft binding whose algorithm is on C2PA's list; none of ours is."""
    claims = [str(action["action"]) for action in view.named("c2pa.watermarked.bound", "c2pa.watermarked")]
    bindings = [key for key in view.assertions if key.startswith("c2pa.soft-binding")]
    return claims + bindings


def _record_present(view: View) -> list[str]:
    record = view.assertions.get(words.RECORD_LABEL, {})
    return [field for field in ("event_id", "log", "model") if not record.get(field)]


def _record_is_created(view: View) -> list[str]:
    suffix = f"/{words.RECORD_LABEL}"
    return [] if any(url.endswith(suffix) for url in view.created) else ["not among the created assertions"]


def _watermark_told_twice(view: View) -> list[str]:
    """The action and our record either both speak of a watermark or neither does."""
    told = bool(view.named("c2pa.watermarked.unbound"))
    return [] if told == bool(view.assertions.get(words.RECORD_LABEL, {}).get("watermark")) else ["watermark"]


def _ai_is_disclosed(view: View) -> list[str]:
    generated = any(action.get("digitalSourceType") in words.AI_SOURCE_TYPES for action in view.actions)
    disclosed = view.assertions.get("c2pa.ai-disclosure", {}).get("modelType")
    return ["c2pa.ai-disclosure"] if generated and not disclosed else []


def _generator_is_named(view: View) -> list[str]:
    return [
        str(action["action"])
        for action in view.named("c2pa.created", "c2pa.edited")
        if not _dict(action.get("softwareAgent")).get("name")
    ]


def _no_prompts(view: View) -> list[str]:
    return sorted(
        {key for data in view.assertions.values() for key in _keys(data) if words.PROMPT_FIELD.search(key) is not None}
    )


RULES: Final[dict[str, Finder]] = {
    "validation:mandatory_dst_for_perceptible_transformations": _transformations_have_source,
    "validation:mandatory_spec_version": _spec_version,
    "validation:mandatory_all_actions_included": _all_actions_included,
    "validation:no_dst_for_opened_action": _opened_has_no_source,
    "validation:well_formed_data_present": _results_present,
    "validation:well_formed_success": _well_formed,
    "validation:valid_data_present": _results_present,
    "validation:valid_success": _intact,
    "validation:inception_action_position": _inception_first,
    "validation:no_deprecated_assertions": _deprecated_assertions,
    "validation:no_unsupported_assertions": _unsupported_assertions,
    "validation:no_deprecated_actions": _deprecated_actions,
    "validation:no_unsupported_actions": _unsupported_actions,
    "validation:no_unrecognized_custom_assertions": _unnamespaced_assertions,
    "validation:no_unrecognized_custom_actions": _unnamespaced_actions,
    "validation:no_unrecognized_custom_action_parameters": _unnamespaced_parameters,
    "validation:discouraged_legacy_action_parameters": _legacy_parameters,
    "validation:active_manifest_urn": _manifest_urn,
    "validation:review_ratings_datasource": _ratings_by_people,
    "validation:ingredient_v3_no_active_manifest": _both("validationResults", "activeManifest", with_second=False),
    "validation:ingredient_v3_mandatory_validation_results": _both(
        "activeManifest", "validationResults", with_second=False
    ),
    "validation:ingredient_relationship_values": _relationships,
    "validation:mandatory_dst_for_created_action": _created_has_source,
    "validation:no_deprecated_claim_fields": _deprecated_claim_fields,
    "validation:ingredient_v3_choice": _both("activeManifest", "digitalSourceType", with_second=True),
    "validation:alternative_content_representation_choice": _preservation_image_choice,
    "validation:forbidden_labels_in_external_references": _forbidden_references,
    "validation:no_url_in_hashes": _url_in_hashes,
    "validation:all_actions_included_opened": _opened_alone_is_complete,
    "validation:opened_action_ingredient_reference": _opened_names_its_parent,
    "validation:no_box_hash_for_tiff": _box_hash_for_tiff,
    "countermark:no_bound_watermark": _bound_only_with_binding,
    "countermark:record_present": _record_present,
    "countermark:record_created": _record_is_created,
    "countermark:watermark_consistent": _watermark_told_twice,
    "countermark:ai_disclosed": _ai_is_disclosed,
    "countermark:generator_named": _generator_is_named,
    "countermark:no_prompts": _no_prompts,
}
DISCOURAGED: Final = frozenset({"validation:discouraged_legacy_action_parameters"})


# --- hostile JSON -----------------------------------------------------------------------------------------------------


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _present(fields: Mapping[str, Any]) -> set[str]:
    return {key for key, value in fields.items() if value is not None}


def _keys(value: object) -> Iterator[str]:
    """Every key at any depth, without recursion."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield from (str(key) for key in item)
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
