"""What every second opinion promises: the real call shape, findings for its categories, a failure that closes."""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.conftest import photograph
from tests.contract.moderation_services import KEY, Serve, like_azure, like_openai, serving

from countermark.errors import KeyUnavailable
from countermark.model import Category, Finding, FindingState, Outcome
from countermark.policy import decide, load_policy
from countermark.safety import ImageClassifier, PromptClassifier
from countermark.safety.adapters.build import image_opinion, prompt_opinion
from countermark.safety.adapters.opinion import PromptOpinion, Scale, severity_of
from countermark.safety.adapters.options import AzureOptions, OpenAIOptions

SECRET = "my aunt Wilhelmina's secret prompt"
PHOTO = photograph("coffee", 256)
KINDS = ("openai-prompt", "openai-image", "azure-prompt", "azure-image")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_MODERATION_KEY", KEY)


def make(kind: str, url: str, **more: object) -> PromptClassifier | ImageClassifier:
    service, _, stage = kind.partition("-")
    common = {"kind": service, "key": "env://TEST_MODERATION_KEY", "timeout": 1.0, **more}
    options: OpenAIOptions | AzureOptions
    if service == "openai":
        options = OpenAIOptions.model_validate({"url": f"{url}/v1", **common})
    else:
        options = AzureOptions.model_validate({"url": url, **common})
    return prompt_opinion(options) if stage == "prompt" else image_opinion(options)


def ask(opinion: PromptClassifier | ImageClassifier, pixels: NDArray[np.uint8] = PHOTO) -> dict[Category, Finding]:
    """Every finding by category; there is one for each category, and none quotes the prompt."""
    findings = opinion.assess(SECRET if isinstance(opinion, PromptOpinion) else pixels)  # type: ignore[arg-type]
    assert sorted(f.category for f in findings) == sorted(opinion.categories)
    assert "Wilhelmina" not in "".join(f.model_dump_json() for f in findings)
    return {finding.category: finding for finding in findings}


def closed(findings: dict[Category, Finding], why: str) -> None:
    """Nothing was assessed, for a reason that says why, and policy blocks."""
    for finding in findings.values():
        assert finding.state is FindingState.NOT_ASSESSED
        assert why in finding.reason
    stage = next(iter(findings.values())).stage
    assert decide(load_policy(), [findings[Category.SEXUAL]], stage).outcome is Outcome.BLOCK


# --- services --------------------------------------------------------------------------------------------------------


def test_openai_judges_a_prompt_by_its_scores_and_flags() -> None:
    scores = {"sexual": 0.9, "hate": 0.1, "hate/threatening": 0.6, "violence/graphic": 0.2}
    with serving(like_openai(scores, flagged=("sexual", "violence/graphic"))) as (url, asked):
        findings = ask(make("openai-prompt", url))
    assert asked.bodies == [{"model": "omni-moderation-latest", "input": SECRET}]
    assert len(findings) == 8
    assert findings[Category.SEXUAL].severity == 6
    assert findings[Category.HATE].score == pytest.approx(0.6)
    assert findings[Category.GRAPHIC].score == 0.5, "what the service flags is never let through for its score"
    assert "violence/graphic" in findings[Category.GRAPHIC].reason
    assert findings[Category.SEXUAL_MINORS].severity == 0
    assert {finding.detector.id for finding in findings.values()} == {"openai.omni-moderation-latest"}


def test_openai_looks_at_an_image_and_answers_for_what_it_looked_for() -> None:
    with serving(like_openai({"violence": 0.86})) as (url, _):
        findings = ask(make("openai-image", url), photograph("astronaut", 1500))
    assert set(findings) == {Category.SEXUAL, Category.VIOLENCE, Category.GRAPHIC, Category.SELF_HARM}
    assert findings[Category.VIOLENCE].severity == 6
    assert findings[Category.SEXUAL].severity == 0


def test_openai_s_silence_on_whether_it_looked_is_no_all_clear() -> None:
    def forgetful(*request: object) -> tuple[int, bytes]:
        status, data = like_openai()(*request)  # type: ignore[misc,arg-type]
        answer = json.loads(data)
        del answer["results"][0]["category_applied_input_types"]
        return status, json.dumps(answer).encode()

    with serving(forgetful) as (url, _):
        closed(ask(make("openai-image", url)), "does not say that it looked")
        assert ask(make("openai-prompt", url))[Category.SEXUAL].state is FindingState.ASSESSED


def test_openai_s_missing_or_absurd_score_leaves_its_category_unassessed_alone() -> None:
    def odd(*request: object) -> tuple[int, bytes]:
        status, data = like_openai()(*request)  # type: ignore[misc,arg-type]
        scores = json.loads(data)
        table = scores["results"][0]["category_scores"]
        del table["illicit/violent"]
        table.update({"sexual": True, "hate": 7.0, "violence": None, "harassment": "0.1"})
        return status, json.dumps(scores).encode()

    with serving(odd) as (url, _):
        findings = ask(make("openai-prompt", url))
    unseen = {c for c, f in findings.items() if f.state is FindingState.NOT_ASSESSED}
    assert unseen == {
        Category.ILLICIT,
        Category.SEXUAL,
        Category.HATE,
        Category.VIOLENCE,
        Category.HARASSMENT,
    }


@pytest.mark.parametrize("kind", ["openai-prompt", "openai-image"])
def test_openai_s_flag_for_something_that_is_not_read_is_no_all_clear(kind: str) -> None:
    def newer(*request: object) -> tuple[int, bytes]:
        status, data = like_openai({"violence": 0.9})(*request)  # type: ignore[misc,arg-type]
        answer = json.loads(data)
        answer["results"][0]["flagged"] = True
        answer["results"][0]["categories"]["weapons"] = True
        return status, json.dumps(answer).encode()

    with serving(newer) as (url, _):
        findings = ask(make(kind, url), photograph("astronaut")) if "image" in kind else ask(make(kind, url))
    found = findings.pop(Category.VIOLENCE)
    assert found.severity == 6, "what has a score of its own is told all the same"
    assert {finding.state for finding in findings.values()} == {FindingState.NOT_ASSESSED}
    assert "under none of the labels that are read" in findings[Category.SEXUAL].reason


@pytest.mark.parametrize("kind", ["azure-prompt", "azure-image"])
def test_azure_s_severities_are_ours(kind: str) -> None:
    with serving(like_azure(Sexual=6, Violence=4, Hate=2)) as (url, asked):
        findings = ask(make(kind, url))
        strict = ask(make(kind, url, least=2))
    assert {c: (f.severity, f.score) for c, f in findings.items()} == {
        Category.SEXUAL: (6, 0.95),
        Category.VIOLENCE: (4, 0.7),
        Category.HATE: (0, 0.3),
        Category.SELF_HARM: (0, 0.0),
    }
    assert (strict[Category.HATE].severity, strict[Category.HATE].score) == (2, 0.5)
    assert len(asked.paths) == 2


def test_azure_gets_no_image_that_is_too_small_for_it() -> None:
    with serving(like_azure()) as (url, _):
        findings = ask(make("azure-image", url), photograph("coffee", 40))
    assert findings[Category.SEXUAL].state is FindingState.ASSESSED


@pytest.mark.parametrize("severity", [1, 3, 7, -2, 2.0, "2", True, None])
def test_azure_s_unknown_severity_is_not_assessed(severity: object) -> None:
    with serving(like_azure(Sexual=severity)) as (url, _):
        findings = ask(make("azure-prompt", url))
    assert findings[Category.SEXUAL].state is FindingState.NOT_ASSESSED
    assert findings[Category.HATE].state is FindingState.ASSESSED


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_the_service_does_not_take_closes(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_MODERATION_KEY", "another-key")
    with serving(like_openai() if "openai" in kind else like_azure()) as (url, _):
        closed(ask(make(kind, url)), "did not accept the key (status 401)")


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_is_missing_is_named_and_nothing_is_sent(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_MODERATION_KEY")
    with serving(like_openai()) as (url, asked):
        opinion = make(kind, url)
        closed(ask(opinion), "cannot be used (key_unavailable)")
        with pytest.raises(KeyUnavailable, match="TEST_MODERATION_KEY"):
            opinion.load()  # type: ignore[union-attr]
    assert asked.paths == []


def test_a_key_may_be_kept_in_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text(f"{KEY}\n")
    secret.chmod(0o600)
    with serving(like_azure()) as (url, _):
        opinion = make("azure-prompt", url, key=secret.as_uri())
        assert ask(opinion)[Category.SEXUAL].state is FindingState.ASSESSED
        if os.name == "posix":
            secret.chmod(0o644)
            closed(ask(opinion), "key_unavailable")


def status(code: int, body: bytes = b"{}") -> Serve:
    return lambda *_request: (code, body)


def raw(behave: Callable[[BaseHTTPRequestHandler], None]) -> Serve:
    return lambda *_request: behave


def silent(_handler: BaseHTTPRequestHandler) -> None:
    threading.Event().wait(1.2)


def trickling(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(40):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"[" * 65_536)


def hangs_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    handler.connection.close()


def redirecting(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(307)
    handler.send_header("Location", "/elsewhere")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("serve", "why"),
    [
        (status(400), "refused the request (status 400)"),
        (status(404), "does not know the address or the model (status 404)"),
        (status(429), "asked too often, or the quota is used up (status 429)"),
        (status(500), "failed (status 500)"),
        (status(204, b""), "failed (status 204)"),
        (raw(redirecting), "redirects (status 307)"),
        (raw(hangs_up), "cannot be reached"),
        (raw(endless), "answered more than 256 KiB"),
        (status(200, b""), "other than JSON"),
        (status(200, b"<html>login</html>"), "other than JSON"),
        (status(200, b"\xff\xfe{"), "other than JSON"),
        (status(200, b"[" * 100_000), "other than JSON"),
        (status(200, b"[]"), "other than a JSON object"),
        (status(200, b"{}"), "gave no analysis|did not answer with one result"),
        (status(200, b'{"results": [{}], "categoriesAnalysis": {}}'), "gave no"),
        (status(200, b'{"results": [1, 2], "categoriesAnalysis": [1, {"category": []}]}'), "answer"),
    ],
    ids=lambda value: "" if callable(value) else value[:24],
)
def test_whatever_a_service_does_wrong_closes(kind: str, serve: Serve, why: str) -> None:
    with serving(serve) as (url, asked):
        findings = ask(make(kind, url))
    for reason in {finding.reason for finding in findings.values()}:
        assert any(part in reason for part in why.split("|")), reason
    closed(findings, "")
    assert len(asked.paths) == 1, "asked once, and a redirect was not followed"


@pytest.mark.parametrize("serve", [raw(silent), raw(trickling)], ids=["silent", "trickling"])
def test_a_service_that_takes_too_long_is_cut_off(serve: Serve) -> None:
    with serving(serve) as (url, _):
        closed(ask(make("openai-prompt", url, timeout=0.3)), "did not answer within 0.3 s")


def test_a_name_that_takes_too_long_to_look_up_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that is gone is asked again and again, and no limit of a socket's holds while it is."""
    waiting = threading.Event()

    def slow(*_arguments: object, **_options: object) -> NoReturn:
        waiting.wait(5)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    began = time.monotonic()
    closed(ask(make("openai-prompt", "https://moderation.example", timeout=0.3)), "did not answer within 0.3 s")
    assert time.monotonic() - began < 3
    waiting.set()


def test_what_connects_too_late_is_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    connect, connected = http.client.HTTPConnection.connect, threading.Event()

    def late(connection: http.client.HTTPConnection) -> None:
        time.sleep(0.3)
        connect(connection)
        connected.set()

    monkeypatch.setattr(http.client.HTTPConnection, "connect", late)
    with serving(like_openai()) as (url, asked):
        closed(ask(make("openai-prompt", url, timeout=0.1)), "did not answer within 0.1 s")
        assert connected.wait(5)
        time.sleep(0.1)
    assert asked.bodies == []


def test_a_service_that_is_not_there_closes() -> None:
    with serving(like_azure()) as (url, _):
        pass
    closed(ask(make("azure-prompt", url)), "cannot be reached")


def test_what_a_service_repeats_of_a_prompt_is_not_passed_on() -> None:
    def echo(_path: str, _headers: dict[str, str], body: dict[str, object]) -> tuple[int, bytes]:
        return 400, json.dumps({"error": {"message": body.get("text")}}).encode()

    with serving(echo) as (url, _):
        closed(ask(make("azure-prompt", url)), "refused the request")


@pytest.mark.parametrize("kind", ["openai-image", "azure-image"])
@pytest.mark.parametrize("shape", [(8, 8, 3), (64, 1000, 3)])
def test_an_image_that_shows_nothing_is_not_sent(kind: str, shape: tuple[int, ...]) -> None:
    with serving(like_openai()) as (url, asked):
        closed(ask(make(kind, url), np.zeros(shape, np.uint8)), "cannot recognise anything")
    assert asked.paths == []


@pytest.mark.parametrize(
    "url",
    [
        "http://moderation.example",
        "ftp://127.0.0.1",
        "https://user:word@moderation.example",
        "https://moderation.example?x=1",
        "https://",
        "nonsense",
        "https://moderation.example:99999",
    ],
)
def test_prompts_and_keys_travel_only_where_they_are_private(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        AzureOptions.model_validate({"kind": "azure", "url": url})


def test_a_key_in_the_settings_themselves_is_refused() -> None:
    with pytest.raises(ValueError, match="key"):
        OpenAIOptions.model_validate({"kind": "openai", "key": "sk-0123456789"})


# --- scores ----------------------------------------------------------------------------------------------------------


def test_a_scale_bends_scores_to_ours_without_changing_their_order() -> None:
    scale = Scale(review=0.2, block=0.4)
    assert [scale(x) for x in (0.0, 0.2, 0.4, 1.0)] == pytest.approx([0.0, 0.5, 0.85, 1.0])
    bent = [scale(x / 100) for x in range(101)]
    assert bent == sorted(bent)
    assert [severity_of(x) for x in (0.49, 0.5, 0.69, 0.7, 0.84, 0.85, 1.0)] == [0, 2, 2, 4, 4, 6, 6]
    assert [Scale()(x) for x in (0.1, 0.5, 0.9)] == pytest.approx([0.1, 0.5, 0.9])
