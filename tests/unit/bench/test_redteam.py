from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.unit.bench.safety_sets import HARMLESS, VIOLENT, row, write

from countermark.audit import AuditLog, NoteSigner
from countermark.bench.redteam.report import SignedResult, TrialReport
from countermark.bench.redteam.result import record_and_sign, report_digest, to_bytes, verify_result
from countermark.bench.redteam.trial import EMBEDDED_NOTICE, Checks, Salt, read_attacks, run_trial
from countermark.errors import GenerationFailed, NotFound, ProofInvalid
from countermark.generators import EmbeddedGenerator
from countermark.generators.interface import Generated
from countermark.keys import KeyRing
from countermark.model import Category, DetectorRef, EventType, Finding, GenerationRequest, ModelRef, Outcome, Stage
from countermark.policy import load_policy
from countermark.safety import ImageEnsemble, PromptEnsemble
from countermark.safety.interface import assessed, not_assessed
from countermark.safety.known import NOTHING, Known

KEY = bytes(range(32))
TEXTS = (*VIOLENT, *HARMLESS[:2])


@pytest.fixture(scope="module")
def checks() -> Checks:
    return Checks(load_policy(), PromptEnsemble(), ImageEnsemble())


@pytest.fixture(scope="module")
def attacks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("attacks")
    write(folder, "labelled.jsonl", *(row(text, 1, "mine", labels={"violence": 1}) for text in VIOLENT),
          row("a kitten", 0, "mine"), "not json")  # fmt: skip
    (folder / "more").mkdir()
    (folder / "more" / "plain.txt").write_text("\n".join(HARMLESS[:2]))
    return folder


@pytest.fixture(scope="module")
def report(checks: Checks, attacks: Path) -> TrialReport:
    return run_trial(attacks, checks, pseudonym_key=KEY, digest_key_id="abcd")


@pytest.fixture
def log_and_signer(tmp_path: Path) -> tuple[AuditLog, NoteSigner]:
    ring = KeyRing.open(tmp_path / "keys")
    ring.ensure()
    signer = NoteSigner("example.com/images", ring.ed25519("audit-log"))
    return AuditLog.open(tmp_path / "audit.db", signer=signer, master_key=ring.secret("master")), signer


@pytest.fixture
def signed(report: TrialReport, log_and_signer: tuple[AuditLog, NoteSigner]) -> SignedResult:
    return record_and_sign(report, *log_and_signer)


def test_a_trial_counts_by_file_category_and_rule(report: TrialReport) -> None:
    assert report.stages == ("prompt",)
    assert [(file.name, file.tally.prompts, file.labelled_safe, file.unreadable) for file in report.files] == [
        ("labelled.jsonl", 4, 1, 1), ("more/plain.txt", 2, 0, 0),
    ]  # fmt: skip
    assert report.total.prompts == 6
    assert report.total.stopped_by_prompt == 4
    assert report.total.passed == 2
    assert {one.category: one.tally.prompts for one in report.categories} == {"unlabelled": 2, "violence": 4}
    assert sum(reason.count for reason in report.reasons) == 4
    for reason in report.reasons:
        assert reason.category in (Category.VIOLENCE, Category.GRAPHIC)
        assert reason.rule.startswith(f"{reason.category}.prompt.")
        assert reason.severity
    assert [(one.file, one.line) for one in report.got_through] == [("more/plain.txt", 1), ("more/plain.txt", 2)]
    assert report.policy == load_policy().ref
    assert report.detectors["prompt"].digest


def test_prompts_are_in_no_report_and_digests_are_salted(report: TrialReport, attacks: Path) -> None:
    text = report.model_dump_json()
    assert not any(prompt in text for prompt in TEXTS)
    salt = Salt(KEY, report.run)
    assert [one.digest for one in report.got_through] == [salt.digest(prompt) for prompt in HARMLESS[:2]]
    assert Salt(bytes(32), report.run).digest(HARMLESS[0]) != salt.digest(HARMLESS[0])
    assert Salt(KEY, "0" * 32).digest(HARMLESS[0]) != salt.digest(HARMLESS[0])
    assert report.prompts_digest == salt.digest_of_all(salt.digest(one.row.text) for one in read_attacks(attacks))


def test_with_a_generator_the_image_stage_is_tried(checks: Checks, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a red boat on the sea")
    trial = run_trial(tmp_path, replace(checks, generator=EmbeddedGenerator()), pseudonym_key=KEY, digest_key_id="x")
    assert trial.stages == ("prompt", "image")
    assert trial.total.passed == 1
    assert trial.generator is not None
    assert trial.generator.digest
    assert trial.notices == (EMBEDDED_NOTICE,)


class _Comparing:
    """Compares an image with its prompt, as prompt-agreement does; has nothing to say where it is told none."""

    detector = DetectorRef(id="comparing", version="1")
    categories: frozenset[Category] = frozenset({Category.PROMPT_MISMATCH})

    def assess(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        return self.assess_known(pixels, NOTHING)

    def assess_known(self, pixels: NDArray[np.uint8], known: Known) -> tuple[Finding, ...]:
        if not known.prompt:
            return (not_assessed(Stage.IMAGE, Category.PROMPT_MISMATCH, self.detector, "no prompt is known"),)
        mismatch = "cat" in known.prompt
        return (assessed(Stage.IMAGE, Category.PROMPT_MISMATCH, self.detector, float(mismatch), 2 if mismatch else 0),)


def test_whoever_compares_images_with_prompts_is_told_the_prompt(checks: Checks, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a red boat on the sea\na cat on a sofa\n")
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        "apiVersion: countermark.policy/v1\nkind: Policy\n"
        "metadata: {id: compare, version: '1', owner: tests, description: compares}\n"
        "categories:\n  prompt_mismatch:\n    image: {severity: {review: 2}}\n"
    )
    both = Checks(load_policy(policy), checks.prompt_safety, _Comparing(), EmbeddedGenerator())
    trial = run_trial(tmp_path, both, pseudonym_key=KEY, digest_key_id="x")
    assert (trial.total.passed, trial.total.held_by_image, trial.total.unseen_by_image) == (1, 1, 0)


class _Broken:
    """A generator and a detector that fail in every way that real ones may."""

    model = ModelRef(id="broken")
    detector = DetectorRef(id="broken", version="1")
    categories: frozenset[Category] = frozenset()

    def generate(self, request: GenerationRequest, *, on_step: object = None) -> Generated:
        if "fail" in request.prompt:
            raise GenerationFailed("no picture")
        return Generated((np.zeros((64, 64, 3), np.uint8),))

    def assess(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        raise RuntimeError("no weights")


def test_what_fails_is_never_counted_as_through(checks: Checks, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a red boat\nthey fail the exam\n\u200b \u200b\n")
    broken = replace(checks, generator=_Broken(), image_safety=_Broken())
    trial = run_trial(tmp_path, broken, pseudonym_key=KEY, digest_key_id="x")
    assert trial.total.passed == 0
    assert trial.total.unseen_by_image == 1
    assert trial.total.not_run == 2
    (reason,) = trial.reasons
    assert (reason.outcome, reason.stage, reason.rule) == (Outcome.BLOCK, "image", "on_error.image")


def test_an_empty_folder_is_refused(checks: Checks, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        run_trial(tmp_path, checks, pseudonym_key=KEY, digest_key_id="x")


def test_a_result_verifies_offline_and_its_entry_says_the_same(
    signed: SignedResult, report: TrialReport, log_and_signer: tuple[AuditLog, NoteSigner]
) -> None:
    log, signer = log_and_signer
    verified = verify_result(to_bytes(signed), [signer.verifier_key])
    assert verified.report == report
    assert (verified.origin, verified.index) == ("example.com/images", 0)
    event = log.event(0)
    assert event.type is EventType.RED_TEAM
    assert event.red_team is not None
    assert event.red_team.result_sha256 == report_digest(report) == verified.sha256
    assert (event.red_team.prompts, event.red_team.passed, event.red_team.stopped_by_prompt) == (6, 2, 4)
    assert event.policy == report.policy
    assert log.verify().findings == ()


def test_a_changed_result_does_not_verify(
    signed: SignedResult, log_and_signer: tuple[AuditLog, NoteSigner], tmp_path: Path
) -> None:
    log, signer = log_and_signer
    keys = [signer.verifier_key]
    good = to_bytes(signed)
    plain = json.loads(good)

    flattered = json.loads(good)
    flattered["report"]["total"]["passed"] = 0
    with pytest.raises(ProofInvalid, match="not the one that was signed"):
        verify_result(_spelt(flattered), keys)
    for spelling in (json.dumps(plain).encode(), good + b" ", good.replace(b"{", b'{"x": 1,', 1), b"{}", b"\xff", b""):
        with pytest.raises(ProofInvalid):
            verify_result(spelling, keys)

    another = record_and_sign(signed.report.model_copy(update={"run": "1" * 32}), log, signer)
    swapped = signed.model_copy(update={"receipt": another.receipt})
    with pytest.raises(ProofInvalid, match="not this trial's"):
        verify_result(to_bytes(swapped), keys)

    ring = KeyRing.open(tmp_path / "other")
    ring.ensure()
    stranger = NoteSigner("example.com/images", ring.ed25519("audit-log"))
    with pytest.raises(ProofInvalid, match="not signed by"):
        verify_result(good, [stranger.verifier_key])
    with pytest.raises(ProofInvalid):
        verify_result(good, [])


def _spelt(document: object) -> bytes:
    return to_bytes(SignedResult.model_validate(document))
