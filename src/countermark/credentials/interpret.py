"""From the C2PA library's report to what may be concluded. Pure: no library, no network, no file.

The library's own verdict is the start, not the end. It calls a file trusted whose ingredient was tampered with, and
one signed with a time-stamping certificate; and it calls one invalid whose certificate merely lapsed. So:

- anything that shows a change makes the manifest ``invalid``, in the file or in an ingredient at any depth;
- so does a rule that its own signer broke, but then it is ``intact``: nobody changed it. What an ingredient's signer
  did by no rule is their affair;
- a signer that cannot be relied upon (unknown, lapsed, revoked, or certified for another purpose) makes it ``valid``;
- ``trusted`` needs the library's word, a claim anchor, and a certificate that may sign claims.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from countermark.credentials import trust
from countermark.credentials.certificates import EXPIRED, UNFIT, UNTRUSTED, doubts_about_signer
from countermark.credentials.manifest import AI_SOURCE_TYPES, RECORD_LABEL
from countermark.model import Manifest, ManifestState

REVOKED: Final = frozenset({"signingCredential.revoked", "signingCredential.ocsp.revoked"})
CREDENTIAL_CODES: Final = REVOKED | {UNTRUSTED, EXPIRED, UNFIT, "timeStamp.untrusted", "timeStamp.outsideValidity"}
"""Failures that say nothing against the file, only that its signer cannot be relied upon."""
RULES: Final = ("assertion.action.", "assertion.metadata.")
"""Beginnings of failures that lie in what was signed: a change after that gives another one besides."""
HARD_BINDING_CODES: Final = frozenset(
    f"assertion.{name}.mismatch" for name in ("dataHash", "bmffHash", "boxesHash", "collectionHash")
)
"""Failures of the comparison between manifest and file."""
INGREDIENT: Final = "ingredient:"

_MAX_TEXT: Final = 200
_MAX_CODES: Final = 50


@dataclass(frozen=True)
class _Record:
    """Our own assertion, as far as it is well formed."""

    event_id: str = ""
    log_origin: str = ""
    log_key_id: str = ""
    model: str = ""
    watermark_algorithm: str = ""
    watermark_payload: str = ""
    fingerprint: str = ""


def interpret(report: Mapping[str, Any], store: bytes, *, sha256: str = "", compared: bool = True) -> Manifest:
    """Conclude from a report of the C2PA library.

    Args:
        report: its parsed JSON.
        store: bytes that hold the signer's certificate: the manifest store, or the whole file.
        sha256: the manifest store's digest, where known.
        compared: whether the file itself was at hand; without it, the hard binding is left out of account.
    """
    label = _text(report.get("active_manifest"))
    manifests = _dict(report.get("manifests"))
    active = _dict(manifests.get(str(report.get("active_manifest"))))
    results = _dict(report.get("validation_results"))
    ignored = frozenset() if compared else HARD_BINDING_CODES
    failures = [code for code in _failures(results) if code not in ignored]
    ingredient_failures = _ingredient_failures(manifests, results)
    anchor, doubts = _anchor(report, active, results, store, compared=compared)
    found = [*failures, *doubts, *(INGREDIENT + code for code in ingredient_failures if code)]
    # Signers can make up any number of codes for their ingredients: those that show a change are told first.
    codes = _unique(sorted(found, key=lambda code: not shows_change(code)))
    intact = not any(map(shows_change, codes)) and bool(_steps(results, "success", "claimSignature.validated"))
    state = _state(codes, trusted=anchor is not None, intact=intact)
    signature = _dict(active.get("signature_info"))
    actions = list(_actions(active))
    record = _record(active)
    manifest = Manifest(
        state=state,
        codes=codes,
        intact=intact,
        signer=_text(signature.get("common_name") or signature.get("issuer")),
        time=_text(signature.get("time")) or next((_text(a["when"]) for a in actions if a.get("when")), ""),
        time_certified=_time_certified(results) and bool(signature.get("time")),
        development=anchor in trust.DEVELOPMENT_GROUPS,
        ingredients=tuple(_describe_ingredient(item) for item in _dicts(active.get("ingredients"))[:_MAX_CODES]),
        label=label,
        sha256=sha256,
        event_id=record.event_id,
        log_origin=record.log_origin,
        log_key_id=record.log_key_id,
        ingredient_events=_unique([_record(one).event_id for one in _ancestors(manifests, active)]),
        model=record.model or _agent(actions),
        ai_generated=_ai_generated(actions),
        watermark_algorithm=record.watermark_algorithm,
        watermark_payload=record.watermark_payload,
        fingerprint=record.fingerprint,
    )
    return manifest.model_copy(update={"explanation": explain(manifest, compared=compared)})


def absent(*codes: str, explanation: str = "The file holds no C2PA manifest.") -> Manifest:
    """No manifest to speak of."""
    return Manifest(state=ManifestState.ABSENT, codes=codes, explanation=explanation)


def broken(code: str, explanation: str, *, sha256: str = "") -> Manifest:
    """A manifest that is there and cannot be read."""
    return Manifest(state=ManifestState.INVALID, codes=(code,), explanation=explanation, sha256=sha256)


# --- state ------------------------------------------------------------------------------------------------------------


def _state(codes: tuple[str, ...], *, trusted: bool, intact: bool) -> ManifestState:
    if not intact or any(code.startswith(RULES) for code in codes):
        return ManifestState.INVALID
    doubted = any(not code.startswith(INGREDIENT) for code in codes)
    return ManifestState.TRUSTED if trusted and not doubted else ManifestState.VALID


def shows_change(code: str) -> bool:
    """Whether a failure, of the manifest or of an ingredient, says that something was changed since it was signed."""
    bare = code.removeprefix(INGREDIENT)
    return bare not in CREDENTIAL_CODES and not bare.startswith(RULES)


def _anchor(
    report: Mapping[str, Any],
    active: Mapping[str, Any],
    results: Mapping[str, Any],
    store: bytes,
    *,
    compared: bool,
) -> tuple[str | None, list[str]]:
    """The group of anchors that vouches for the signer, and codes for why there is none.

    The library names the group in its explanation alone; should its wording change, nothing is trusted any more.
    """
    said = [_text(item.get("explanation")) for item in _steps(results, "success", "signingCredential.trusted")]
    named = [uri for uri in trust.CLAIM_GROUPS if any(f"[{uri}]" in text for text in said)]
    if not named or (compared and report.get("validation_state") != "Trusted"):
        return None, [UNTRUSTED] if said and not named else []
    serial = _text(_dict(active.get("signature_info")).get("cert_serial_number"))
    doubts = doubts_about_signer(store, serial, time_certified=_time_certified(results))
    return (None, doubts) if doubts else (named[0], [])


def _time_certified(results: Mapping[str, Any]) -> bool:
    """Whether a time-stamp chains to our own anchors; the library also trusts any "legacy" one of specification 1.

    It tells the authority's name, which anyone may choose, and after it the group: so only its whole wording counts.
    """
    said = [_text(item.get("explanation")) for item in _steps(results, "success", "timeStamp.trusted")]
    ours = tuple(f", trust list: {uri}" for uri in trust.TSA_GROUPS)
    return any(text.startswith("timestamp cert trusted: ") and text.endswith(ours) for text in said)


def _ingredient_failures(manifests: Mapping[str, Any], results: Mapping[str, Any]) -> list[str]:
    """Failures that were recorded for ingredients of any manifest in the store, or that came up since."""
    codes: list[str] = []
    for manifest in manifests.values():
        for item in _dicts(_dict(manifest).get("ingredients")):
            codes += _recorded_failures(item)
    return codes + _delta_failures(results)


def _ancestors(manifests: Mapping[str, Any], active: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The manifests of ingredients at any depth. What else is in the store may have been added after it was signed."""
    labels: list[str] = []
    found = [dict(active)]
    for manifest in found:
        for item in _dicts(manifest.get("ingredients")):
            label = _text(item.get("active_manifest"))
            if label in manifests and label not in labels:
                labels.append(label)
                found.append(_dict(manifests[label]))
    return found[1:]


def _recorded_failures(ingredient: Mapping[str, Any]) -> list[str]:
    """What was wrong with an ingredient when it was taken in; specification 1 kept a flat list."""
    recorded = _dict(ingredient.get("validation_results"))
    flat = [_text(entry.get("code")) for entry in _dicts(ingredient.get("validation_status")) if _is_failure(entry)]
    return _failures(recorded) + _delta_failures(recorded) + flat


def _is_failure(entry: Mapping[str, Any]) -> bool:
    """Specification 1 recorded one list for good and bad; only codes of these kinds are bad."""
    return (
        re.search(r"mismatch|missing|malformed|invalid|expired|revoked|untrusted", _text(entry.get("code"))) is not None
    )


def _failures(results: Mapping[str, Any]) -> list[str]:
    return [_text(item.get("code")) for item in _dicts(_dict(results.get("activeManifest")).get("failure"))]


def _delta_failures(results: Mapping[str, Any]) -> list[str]:
    return [
        _text(item.get("code"))
        for delta in _dicts(results.get("ingredientDeltas"))
        for item in _dicts(_dict(delta.get("validationDeltas")).get("failure"))
    ]


def _steps(results: Mapping[str, Any], outcome: str, code: str) -> list[dict[str, Any]]:
    steps = _dicts(_dict(results.get("activeManifest")).get(outcome))
    return [item for item in steps if item.get("code") == code]


# --- contents ---------------------------------------------------------------------------------------------------------


def _assertions(manifest: Mapping[str, Any], label: str) -> Iterator[dict[str, Any]]:
    for assertion in _dicts(manifest.get("assertions")):
        if _text(assertion.get("label")).split("__")[0] == label:
            yield _dict(assertion.get("data"))


def _actions(manifest: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for label in ("c2pa.actions.v2", "c2pa.actions"):
        for data in _assertions(manifest, label):
            yield from _dicts(data.get("actions"))


def _agent(actions: list[dict[str, Any]]) -> str:
    """The software that made the image; a plain string in older manifests."""
    for action in actions:
        agent = action.get("softwareAgent")
        name = _text(agent.get("name") if isinstance(agent, dict) else agent)
        if name and action.get("action") in ("c2pa.created", "c2pa.edited"):
            return name
    return ""


def _ai_generated(actions: list[dict[str, Any]]) -> bool | None:
    sources = [action.get("digitalSourceType") for action in actions if action.get("digitalSourceType")]
    if any(source in AI_SOURCE_TYPES for source in sources):
        return True
    return False if sources else None


def _record(manifest: Mapping[str, Any]) -> _Record:
    data = next(_assertions(manifest, RECORD_LABEL), {})
    watermark, fingerprint = _dict(data.get("watermark")), _dict(data.get("fingerprint"))
    return _Record(
        event_id=_hex(data.get("event_id"), 32),
        log_origin=_text(_dict(data.get("log")).get("origin")),
        log_key_id=_text(_dict(data.get("log")).get("key_id")),
        model=_text(_dict(data.get("model")).get("id")),
        watermark_algorithm=_text(watermark.get("algorithm")),
        watermark_payload=_hex(watermark.get("payload"), 12),
        fingerprint=_hex(fingerprint.get("value"), 64) if fingerprint.get("algorithm") == "pdq" else "",
    )


def _describe_ingredient(item: Mapping[str, Any]) -> str:
    failures = [code for code in _recorded_failures(item) if shows_change(code)]
    if failures:
        verdict = f"invalid ({', '.join(_unique(failures))})"
    elif item.get("active_manifest"):
        verdict = "manifest intact"
    else:
        verdict = "no manifest"
    return f"{_text(item.get('relationship')) or 'ingredient'}: {_text(item.get('title')) or 'untitled'}: {verdict}"


# --- words ------------------------------------------------------------------------------------------------------------


def explain(manifest: Manifest, *, compared: bool = True) -> str:
    """The state of a manifest in plain sentences."""
    subject = "The C2PA manifest" if compared else "The stored C2PA manifest"
    signer = manifest.signer or "an unnamed signer"
    if manifest.state is ManifestState.TRUSTED:
        words = f"{subject} is intact and signed by {signer}, whom you trust."
        words += " It is a development signer, not for production." if manifest.development else ""
    elif manifest.state is ManifestState.VALID:
        words = f"{subject} is intact, but {_doubt(manifest, signer)}."
    elif manifest.intact:
        rules = ", ".join(code for code in manifest.codes if code.startswith(RULES))
        words = f"{subject} was not changed, but its signer broke a rule of the specification ({rules})."
    else:
        faults = _faults(manifest.codes) or ["its signature could not be checked"]
        words = f"{subject} does not hold: {'; '.join(faults)}."
    if manifest.state is not ManifestState.INVALID and manifest.ai_generated:
        words += (
            f" It says that the picture was made with a trained model{f' ({manifest.model})' * bool(manifest.model)}."
        )
    return words if compared else f"{words} It was not compared with the file's bytes."


def _doubt(manifest: Manifest, signer: str) -> str:
    if REVOKED & set(manifest.codes):
        return f"the certificate of {signer} is revoked, as an answer of its authority in the manifest says"
    if UNFIT in manifest.codes:
        return f"the certificate of {signer} is not one for signing claims"
    if EXPIRED in manifest.codes:
        return f"the certificate of {signer} is not valid now, and no time-stamp that you trust shows that it was then"
    return f"its signer ({signer}) is not among your anchors"


def _faults(codes: tuple[str, ...]) -> list[str]:
    return list(_unique([_fault(code) for code in codes if shows_change(code)]))


def _fault(code: str) -> str:
    if code.startswith(INGREDIENT):
        return "an ingredient had been changed, or its manifest damaged, before this image was made from it"
    if code in HARD_BINDING_CODES:
        return "the file was changed after it was signed"
    if code.startswith("assertion.hashedURI"):
        return "a statement in the manifest was changed after it was signed"
    if code.startswith("claimSignature."):
        return "the signature does not fit the manifest"
    return f"it breaks a rule of the specification ({code})"


# --- hostile JSON -----------------------------------------------------------------------------------------------------


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    """Printable text of bounded length: it ends on terminals and in pages."""
    return "".join(ch for ch in str(value)[:_MAX_TEXT] if ch.isprintable()) if isinstance(value, str) else ""


def _hex(value: object, digits: int) -> str:
    return value if isinstance(value, str) and re.fullmatch(rf"[0-9a-f]{{{digits}}}", value) else ""


def _unique(items: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item for item in items if item))[:_MAX_CODES]
