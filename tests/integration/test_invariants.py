"""The six invariants of the design, each with the tests that break when it does."""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from numpy.typing import NDArray
from tests.conftest import CLEAN_PROMPT, UNSAFE_PROMPT, Given, held_pixels, photograph

from countermark import Countermark, Result
from countermark.audit import AuditLog, verify_receipt
from countermark.credentials import Anchors, Claim, Credentials, Signed, read
from countermark.credentials.linter import Problem
from countermark.credentials.reader import Inspection
from countermark.errors import AssetTooSmall, AuditError, GenerationFailed, ReleaseRefused
from countermark.imaging import Raster, decode, encode
from countermark.model import EventType, GenerationRequest, Outcome, WatermarkDetection, WatermarkState
from countermark.pipeline import Pipeline
from countermark.pipeline.strike import rehearsal
from countermark.policy import load_policy
from countermark.safety import ImageEnsemble, PromptEnsemble
from countermark.settings import Settings
from countermark.watermark import Watermark

ASKED = GenerationRequest(prompt=CLEAN_PROMPT, seed=7, actor="alice@example.org")


def generate(cm: Countermark, *pictures: NDArray[np.uint8], prompt: str = CLEAN_PROMPT) -> Result:
    return cm.pipeline.generate(ASKED.model_copy(update={"prompt": prompt}), Given(*pictures))[0]


def types(log: AuditLog) -> list[EventType]:
    return [log.event(index).type for index in range(log.size)]


def with_parts(cm: Countermark, **parts: object) -> Pipeline:
    return Pipeline(dataclasses.replace(cm.parts, **parts))  # type: ignore[arg-type]


# --- 1: nothing unmarked leaves ---


def test_a_released_file_carries_every_mark(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    result = generate(cm, photo)
    assert result.released
    assert result.data is not None
    found = cm.parts.watermark.detect(decode(result.data).pixels)
    assert found.record_id == result.record_id
    manifest = read(result.data, "image/png", anchors=cm.parts.credentials.anchors)
    assert manifest.state == "trusted"
    assert manifest.event_id == result.event_id
    assert cm.parts.policy.digest.encode() in result.data
    proved = verify_receipt(result.receipt, verifier_key=cm.log.verifier_key)
    assert proved.event.output is not None
    assert result.asset is not None
    assert proved.event.output.sha256 == result.asset.sha256


class Unlucky:
    """The real watermark, except that its first mark does not outlive a crop."""

    def __init__(self, real: Watermark) -> None:
        self.real = real
        self.algorithm = real.algorithm
        self.embedded: list[int] = []

    def embed(self, pixels: NDArray[np.uint8], record_id: int) -> NDArray[np.uint8]:
        self.embedded.append(record_id)
        return self.real.embed(pixels, record_id)

    def detect(self, pixels: NDArray[np.uint8]) -> WatermarkDetection:
        if len(self.embedded) == 1:
            return WatermarkDetection(state=WatermarkState.ABSENT, algorithm=self.algorithm)
        return self.real.detect(pixels)


def test_a_mark_that_fails_its_rehearsal_is_struck_anew(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    unlucky = Unlucky(cm.parts.watermark)
    result = with_parts(cm, watermark=unlucky).generate(ASKED, Given(photo))[0]
    assert len(unlucky.embedded) == 2
    assert result.record_id == unlucky.embedded[1]
    assert result.notices == ()


@pytest.mark.parametrize(("height", "width"), [(400, 600), (600, 400), (90, 600)])
def test_a_rehearsal_keeps_seven_tenths_about_the_middle_at_three_quarters_of_the_size(height: int, width: int) -> None:
    across, down = np.meshgrid(np.linspace(0, 250, width), np.linspace(0, 250, height))
    rehearsed = rehearsal(np.dstack([across, down, np.full((height, width), 90)]).astype(np.uint8)).astype(int)
    sides = [max(64, round(0.75 * 0.7**0.5 * side)) for side in (height, width)]
    assert np.abs(np.array(rehearsed.shape[:2]) - sides).max() <= 1
    edge = 250 * (1 - 0.7**0.5) / 2
    corners = np.array([rehearsed[0, 0], rehearsed[0, -1], rehearsed[-1, 0], rehearsed[-1, -1]])
    expected = np.array([[x, y, 90] for y in (edge, 250 - edge) for x in (edge, 250 - edge)])
    assert np.abs(corners - expected).max() < 8


def test_a_picture_too_small_for_a_durable_mark_says_so(cm: Countermark) -> None:
    result = generate(cm, photograph("coffee", 128))
    assert result.released
    assert any("hard to mark" in notice for notice in result.notices)


class Forgetful:
    """A watermark that does nothing: what a broken backend, or a picture without room, amounts to."""

    algorithm = "test.forgetful"

    def embed(self, pixels: NDArray[np.uint8], record_id: int) -> NDArray[np.uint8]:
        return pixels

    def detect(self, pixels: NDArray[np.uint8]) -> WatermarkDetection:
        return WatermarkDetection(state=WatermarkState.ABSENT, algorithm=self.algorithm)


def test_an_image_whose_watermark_does_not_read_back_is_not_released(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    with pytest.raises(ReleaseRefused, match="watermark"):
        with_parts(cm, watermark=Forgetful()).generate(ASKED, Given(photo))
    assert types(cm.log) == [EventType.FAILED]
    assert cm.log.event(0).error == "release_refused"


def test_an_image_too_small_for_the_mark_is_not_released(cm: Countermark) -> None:
    with pytest.raises(AssetTooSmall):
        generate(cm, photograph("coffee", 100))
    assert types(cm.log) == [EventType.FAILED]
    assert cm.log.event(0).error == "asset_too_small"


def test_an_image_whose_manifest_is_not_trusted_is_not_released(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    class Distrustful(Credentials):
        def __init__(self) -> None:
            super().__init__(cm.parts.credentials.identity)
            self.anchors = Anchors()

    with pytest.raises(ReleaseRefused, match="manifest"):
        with_parts(cm, credentials=Distrustful()).generate(ASKED, Given(photo))
    assert types(cm.log) == [EventType.FAILED]


class Altering(Credentials):
    """The real credentials, except that something goes wrong between signing and reading back."""

    def __init__(self, cm: Countermark, **wrong: Callable[..., object]) -> None:
        super().__init__(cm.parts.credentials.identity)
        self.wrong = wrong

    def sign(self, data: bytes, media_type: str, claim: Claim, **options: Any) -> Signed:
        data, claim = self.wrong.get("sign", lambda *both: both)(data, claim)  # type: ignore[misc]
        return super().sign(data, media_type, claim, **options)

    def inspect(self, data: bytes, media_type: str) -> Inspection:
        found = super().inspect(data, media_type)
        return self.wrong.get("inspect", lambda same: same)(found)  # type: ignore[return-value]


def enlarged(data: bytes, claim: Claim) -> tuple[bytes, Claim]:
    pixels = decode(data).pixels
    return encode(Raster(np.ascontiguousarray(np.pad(pixels, ((0, 8), (0, 0), (0, 0)), "edge"))), "image/png"), claim


def other_record(data: bytes, claim: Claim) -> tuple[bytes, Claim]:
    return data, dataclasses.replace(claim, event_id="f" * 32)


def with_problem(severity: str) -> Callable[[Inspection], Inspection]:
    problem = Problem("a rule", severity, ("a detail",))  # type: ignore[arg-type]
    return lambda found: dataclasses.replace(found, problems=(*found.problems, problem))


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"sign": enlarged}, "another size"),
        ({"sign": other_record}, "names another record"),
        ({"inspect": with_problem("error")}, "conformance rules: a rule: a detail"),
    ],
)
def test_a_file_that_does_not_read_back_as_it_was_made_is_not_released(
    cm: Countermark, photo: NDArray[np.uint8], wrong: dict[str, Callable[..., object]], why: str
) -> None:
    with pytest.raises(ReleaseRefused, match=why):
        with_parts(cm, credentials=Altering(cm, **wrong)).generate(ASKED, Given(photo))
    assert types(cm.log) == [EventType.FAILED]
    assert not [path for path in (cm.home.folder / "objects").rglob("*") if path.is_file()]


def test_a_rule_that_is_only_discouraged_stops_nothing(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    credentials = Altering(cm, inspect=with_problem("warning"))
    assert with_parts(cm, credentials=credentials).generate(ASKED, Given(photo))[0].released


class Mistaken:
    """The real watermark, except that it embeds another record's id."""

    def __init__(self, real: Watermark) -> None:
        self.real = real
        self.algorithm = real.algorithm

    def embed(self, pixels: NDArray[np.uint8], record_id: int) -> NDArray[np.uint8]:
        return self.real.embed(pixels, record_id ^ 1)

    def detect(self, pixels: NDArray[np.uint8]) -> WatermarkDetection:
        return self.real.detect(pixels)


def test_an_image_that_carries_another_records_mark_is_not_released(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    with pytest.raises(ReleaseRefused, match="did not read back"):
        with_parts(cm, watermark=Mistaken(cm.parts.watermark)).generate(ASKED, Given(photo))
    assert types(cm.log) == [EventType.FAILED]


def test_no_two_records_share_an_id(cm: Countermark, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    taken = generate(cm, photo).record_id
    assert taken is not None
    draws = iter([taken] * 7 + [taken ^ 1])
    monkeypatch.setattr(secrets, "randbits", lambda bits: next(draws))
    assert generate(cm, photo).record_id == taken ^ 1
    monkeypatch.setattr(secrets, "randbits", lambda bits: taken)
    with pytest.raises(AuditError, match="No free record id"):
        generate(cm, photo)
    assert types(cm.log) == [EventType.RELEASED, EventType.RELEASED, EventType.FAILED]


def test_an_image_whose_entry_is_not_durable_is_not_released(
    build: Callable[..., Countermark], photo: NDArray[np.uint8]
) -> None:
    cm = build()
    generate(cm, photo)
    size = cm.log.size

    class FullDisk:
        """The log on a disk that fills up just before the entry is written."""

        def __getattr__(self, name: str) -> object:
            return getattr(cm.log, name)

        def append(self, *_: object, **__: object) -> object:
            raise AuditError("The disk is full.")

    with pytest.raises(AuditError):
        with_parts(cm, log=FullDisk()).generate(ASKED, Given(photo))
    assert cm.log.size == size
    assert len(cm.log.unfinished()) + _pending_rows(cm) >= 1
    cm.close()
    reopened = build()
    assert types(reopened.log)[-1] is EventType.FAILED
    assert reopened.log.event(reopened.log.size - 1).error == "interrupted"


def _pending_rows(cm: Countermark) -> int:
    with sqlite3.connect(f"file:{cm.home.audit_db}?mode=ro", uri=True) as db:
        return int(db.execute("SELECT count(*) FROM pending").fetchone()[0])


# --- 2: nothing unrecorded happens ---


def test_released_refused_held_and_failed_attempts_are_all_recorded(
    build: Callable[..., Countermark], photo: NDArray[np.uint8]
) -> None:
    cm = build()
    core = Given(photo)
    assert generate(cm, photo).outcome == "released"
    refused = cm.pipeline.generate(ASKED.model_copy(update={"prompt": UNSAFE_PROMPT}), core)[0]
    assert refused.outcome == "refused"
    assert core.calls == 0, "a refused prompt never reaches the generator"
    assert refused.decision.category is not None

    class Broken(Given):
        def __call__(self) -> object:  # type: ignore[override]
            raise RuntimeError("the GPU caught fire")

    with pytest.raises(GenerationFailed):
        cm.pipeline.generate(ASKED, Broken())
    holding = load_policy().model_copy(update={"categories": _hold_everything()})
    held = with_parts(cm, policy=holding).generate(ASKED, core)[0]
    assert held.outcome == "held"
    assert held.data is None
    outcomes = [EventType.RELEASED, EventType.REFUSED, EventType.FAILED, EventType.HELD]
    assert [kind for kind in types(cm.log) if kind is not EventType.POLICY_CHANGED] == outcomes
    assert _pending_rows(cm) == 0
    for index in range(cm.log.size):
        event = cm.log.event(index)
        assert event.policy is not None
        assert event.actor is not None or event.type is EventType.POLICY_CHANGED


def _hold_everything() -> object:
    from countermark.model import Category
    from countermark.policy.schema import Band, Stages

    return {Category.SEXUAL: Stages(image=Band(review=0.0))}


def test_a_held_image_is_kept_for_the_reviewer_but_not_released(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    holding = load_policy().model_copy(update={"categories": _hold_everything()})
    with_parts(cm, policy=holding).generate(ASKED, Given(photo))
    assert np.array_equal(held_pixels(cm, 0), photo)
    assert cm.log.event(0).output is None


def test_what_was_asked_for_is_recorded(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    wanted = {"seed": "7", "width": "512", "height": "384", "steps": "20", "guidance": "4.5", "purpose": "test"}
    request = GenerationRequest(prompt=CLEAN_PROMPT, **wanted)  # type: ignore[arg-type]
    result = cm.pipeline.generate(request, Given(photo))[0]
    assert cm.log.event(result.index).params.items() >= wanted.items()


def test_the_id_under_which_an_application_follows_a_request_leads_to_its_event(
    cm: Countermark, photo: NDArray[np.uint8]
) -> None:
    with structlog.contextvars.bound_contextvars(trace_id="request-7"):
        generate(cm, photo, prompt=UNSAFE_PROMPT)
    generate(cm, photo, prompt=UNSAFE_PROMPT)
    with structlog.contextvars.bound_contextvars(trace_id="not\nan id"):
        generate(cm, photo, prompt=UNSAFE_PROMPT)
    assert [cm.log.event(index).trace_id for index in range(cm.log.size)][-3:] == ["request-7", "", ""]


def test_each_image_of_a_batch_is_an_attempt_of_its_own(cm: Countermark) -> None:
    results = cm.pipeline.generate(ASKED, Given(photograph("coffee"), photograph("chelsea"), photograph("astronaut")))
    assert len({r.event_id for r in results}) == len({r.record_id for r in results}) == 3
    assert types(cm.log) == [EventType.RELEASED] * 3
    assert len({cm.log.event(i).attempt for i in range(3)}) == 3


def test_what_was_released_of_a_batch_before_it_failed_is_told(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    with pytest.raises(AssetTooSmall) as failed:
        cm.pipeline.generate(ASKED, Given(photo, photograph("coffee", 100), photo))
    assert types(cm.log) == [EventType.RELEASED, EventType.FAILED, EventType.FAILED]
    assert any("entries 0" in note for note in failed.value.__notes__)


def test_an_attempt_killed_in_the_middle_is_recorded_at_the_next_start(
    build: Callable[..., Countermark], settings: Settings
) -> None:
    script = textwrap.dedent(
        f"""
        import os, signal, sys
        from pathlib import Path
        from countermark import Countermark
        from countermark.model import GenerationRequest, ModelRef
        from countermark.settings import Settings
        class Core:
            model = ModelRef(id="dies")
            def __call__(self):
                print("drawing", flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
        cm = Countermark(Settings(home=Path({str(settings.home)!r})))
        cm.pipeline.generate(GenerationRequest(prompt={CLEAN_PROMPT!r}), Core())
        """
    )
    died = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert "drawing" in died.stdout
    cm = build()
    assert types(cm.log) == [EventType.FAILED]
    assert cm.log.event(0).error == "interrupted"
    assert not cm.log.verify().findings


def test_another_policy_is_recorded_when_it_comes_into_force(
    build: Callable[..., Countermark], photo: NDArray[np.uint8]
) -> None:
    cm = build()
    generate(cm, photo)
    cm.close()
    build().close()
    strict = load_policy().model_copy(update={"categories": _hold_everything()})
    cm = build(policy=strict)
    assert types(cm.log) == [EventType.RELEASED, EventType.POLICY_CHANGED]
    change = cm.log.event(1)
    assert change.policy is not None
    assert change.policy.digest == strict.digest
    assert change.params["before_sha256"] == load_policy().digest


def test_another_policy_is_recorded_whatever_came_last(
    build: Callable[..., Countermark], photo: NDArray[np.uint8]
) -> None:
    cm = build()
    generate(cm, photo)
    cm.log.reveal(0, "prompt", reason="a complaint")  # an event under no policy
    cm.close()
    strict = load_policy().model_copy(update={"categories": _hold_everything()})
    assert types(build(policy=strict).log) == [EventType.RELEASED, EventType.ACCESS, EventType.POLICY_CHANGED]


# --- 3: nothing can be rewritten ---


def test_editing_one_row_is_found_and_the_entry_named(
    build: Callable[..., Countermark], photo: NDArray[np.uint8]
) -> None:
    cm = build()
    for _ in range(2):
        cm.pipeline.generate(ASKED.model_copy(update={"prompt": UNSAFE_PROMPT}), Given(photo))
    generate(cm, photo)
    checkpoint = cm.log.checkpoint()
    assert not cm.log.verify(checkpoint).findings
    cm.close()
    with sqlite3.connect(cm.home.audit_db) as db:
        (body,) = db.execute("SELECT body FROM entry WHERE seq = 1").fetchone()
        forged = bytes(body).replace(b"generation.refused", b"generation.released")
        assert forged != bytes(body)
        db.execute("UPDATE entry SET body = ? WHERE seq = 1", (forged,))
    with AuditLog.open(cm.home.audit_db, read_only=True) as log:
        for held in (None, checkpoint):
            findings = log.verify(held).findings
            assert any(f.index == 1 for f in findings), findings


# --- 4: a missing model never reads as safe ---


def test_a_prompt_model_that_is_missing_stops_everything(
    build: Callable[..., Countermark], photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    from countermark.safety.prompt_model import PromptModel

    cm = build(prompt_safety=PromptEnsemble(PromptModel(tmp_path / "no-weights-here")))
    core = Given(photo)
    result = cm.pipeline.generate(ASKED, core)[0]
    assert result.outcome == "refused"
    assert core.calls == 0
    assert result.decision.unseen
    assert any("not assessed" in reason for reason in result.decision.reasons)


def test_a_detector_that_raises_stops_everything(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    class Raises(ImageEnsemble):
        def assess(self, pixels: NDArray[np.uint8]) -> object:  # type: ignore[override]
            raise MemoryError("no room")

    result = with_parts(cm, image_safety=Raises()).generate(ASKED, Given(photo))[0]
    assert result.outcome == "refused"
    assert result.decision.rule == "on_error.image"
    assert result.data is None


# --- 5: a mark never lies ---


def test_the_manifest_says_only_what_was_computed(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    result = generate(cm, photo)
    assert result.data is not None
    raw = result.data
    assert b"c2pa.watermarked.unbound" in raw
    assert b"c2pa.watermarked.bound" not in raw
    manifest = read(raw, "image/png", anchors=cm.parts.credentials.anchors)
    recorded = cm.log.event(result.index).output
    assert recorded is not None
    assert manifest.watermark_payload == recorded.watermark_payload == f"{result.record_id:012x}"
    assert manifest.fingerprint == recorded.fingerprint


def test_a_mark_copied_to_another_picture_contradicts_its_record(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    result = generate(cm, photo)
    assert result.data is not None
    residual = decode(result.data).pixels.astype(np.int16) - photo.astype(np.int16)
    other = photograph("astronaut").astype(np.int16)
    forged = np.clip(other + residual, 0, 255).astype(np.uint8)
    from countermark.imaging import Raster, encode

    report = cm.verify(encode(Raster(forged), "image/png"))
    assert report.evidence.watermark.state == "detected"
    assert report.verdict == "contradictory"
    assert report.verdict.exit_code == 14


# --- 6: prompts are personal data ---


def test_a_prompt_is_nowhere_but_encrypted_in_the_store(
    build: Callable[..., Countermark], photo: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]
) -> None:
    from countermark.observe import configure

    configure(level="debug", style="json")
    secret = "a watercolour of the garden behind Miss Havisham's house"
    cm = build()
    result = generate(cm, photo, prompt=secret)
    with pytest.raises(GenerationFailed) as caught:
        cm.pipeline.generate(ASKED.model_copy(update={"prompt": secret}), Given())
    configure()
    assert result.data is not None
    assert cm.log.reveal(result.index, "prompt", reason="a test") == secret
    cm.close()
    streams = capsys.readouterr()
    needles = [b"Havisham", b"alice@example.org"]
    places = [streams.out.encode(), streams.err.encode(), result.data, repr(caught.value).encode()]
    places += [path.read_bytes() for path in cm.home.folder.rglob("*") if path.is_file()]
    places.append(json.dumps(cm.log.verifier_key).encode())
    for place in places:
        for needle in needles:
            assert needle not in place


def test_parameters_that_quote_the_prompt_are_not_recorded(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    def core() -> tuple[list[NDArray[np.uint8]], dict[str, str], tuple[str, ...]]:
        used = {"seed": "3", "revised_prompt": "an old one", "request": f"draw: {CLEAN_PROMPT}"}
        return [photo], used, ()

    core.model = Given.model  # type: ignore[attr-defined]
    result = cm.pipeline.generate(ASKED, core)[0]  # type: ignore[arg-type]
    params = cm.log.event(result.index).params
    assert params["seed"] == "3"
    assert not {"revised_prompt", "request"} & params.keys()
    assert {notice.split()[2] for notice in result.notices if "not on record" in notice} == {
        "revised_prompt",
        "request",
    }


def test_the_same_prompt_twice_cannot_be_linked(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    first, second = generate(cm, photo), generate(cm, photo)
    commitments = [cm.log.event(r.index).protected[0].commitment for r in (first, second)]
    assert commitments[0] != commitments[1]


def test_policy_outcomes_map_to_results() -> None:
    from countermark.pipeline.context import STRICTER

    assert {STRICTER[outcome] for outcome in (Outcome.BLOCK, Outcome.REVIEW)} == {"refused", "held"}
    assert os.environ["COUNTERMARK_HOME"]
