"""What is raised, printed and logged when something breaks over a prompt: where it broke, and nothing of the prompt."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from countermark import Countermark
from countermark.errors import GenerationFailed, MissingExtra, UsageError
from countermark.generators import Generated
from countermark.model import EventType, GenerationRequest, ModelRef, Outcome
from countermark.observe import configure

SECRET = "Miss Havisham"
PROMPT = f"a watercolour of the garden behind the house of {SECRET}"


class Vendor:
    """A generator of somebody's own, which quotes the prompt in whatever it raises."""

    model = ModelRef(id="vendor/model")

    def __init__(self, raises: Callable[[str], BaseException]) -> None:
        self._raises = raises

    def generate(self, request: GenerationRequest, *, on_step: Any = None) -> Generated:
        raise self._raises(f"cannot draw {request.prompt}")


def chained(text: str) -> BaseException:
    try:
        raise ConnectionError(text)
    except ConnectionError as error:
        failed = GenerationFailed("The service failed.")
        failed.__cause__ = error
        return failed


def implicit(text: str) -> BaseException:
    failed = GenerationFailed("The service failed.")
    failed.__context__ = ValueError(text)
    return failed


def interrupted(text: str) -> BaseException:
    error = KeyboardInterrupt()
    error.__context__ = ValueError(text)
    return error


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    configure(level="debug", style="json")

    def read() -> str:
        streams = capsys.readouterr()
        return streams.out + streams.err

    yield read
    configure()


@pytest.mark.parametrize(
    ("raises", "comes_out"),
    [
        (ValueError, GenerationFailed),
        (lambda text: ExceptionGroup(text, [ValueError(text)]), GenerationFailed),
        (chained, GenerationFailed),
        (implicit, GenerationFailed),
        (interrupted, KeyboardInterrupt),
        (KeyboardInterrupt, KeyboardInterrupt),
        (asyncio.CancelledError, asyncio.CancelledError),
        (SystemExit, SystemExit),
        (lambda text: BaseExceptionGroup(text, [KeyboardInterrupt(text)]), BaseExceptionGroup),
    ],
)
def test_no_traceback_of_a_generator_holds_the_prompt(
    build: Callable[..., Countermark],
    logged: Callable[[], str],
    raises: Callable[[str], BaseException],
    comes_out: type[BaseException],
) -> None:
    cm = build(generator=Vendor(raises))
    with pytest.raises(comes_out) as caught:
        cm.generate(PROMPT)
    printed = "".join(traceback.format_exception(caught.value))
    if comes_out is not BaseExceptionGroup:  # Python keeps the message of a group for good
        assert SECRET not in printed
        assert SECRET not in str(caught.value)
    assert SECRET not in logged()
    assert [cm.log.event(index).type for index in range(cm.log.size)] == [EventType.FAILED]


def test_the_developer_learns_what_broke_and_where(
    build: Callable[..., Countermark], logged: Callable[[], str]
) -> None:
    cm = build(generator=Vendor(chained))
    with pytest.raises(GenerationFailed) as caught:
        cm.generate(PROMPT)
    (note,) = caught.value.__notes__
    assert "ConnectionError at " in note
    assert "test_tracebacks.py:" in note
    assert "in chained" in note
    assert isinstance(caught.value.__context__, ConnectionError)
    log = logged()
    assert "generation failed" in log
    assert "ConnectionError at " in log


def test_a_plain_error_is_told_with_its_frames(build: Callable[..., Countermark], logged: Callable[[], str]) -> None:
    cm = build(generator=Vendor(ValueError))
    with pytest.raises(GenerationFailed, match="ValueError") as caught:
        cm.generate(PROMPT)
    assert "in generate" in "".join(caught.value.__notes__)
    assert "in generate" in logged()
    assert isinstance(caught.value.__context__, ValueError)


def test_a_request_that_the_generator_cannot_meet_is_no_failure_in_the_log(
    build: Callable[..., Countermark], logged: Callable[[], str]
) -> None:
    cm = build(generator=Vendor(lambda text: UsageError("It draws squares only.")))
    with pytest.raises(UsageError, match="squares"):
        cm.generate(PROMPT)
    assert "generation failed" not in logged()


class Talkative:
    """Checks that quote the prompt when they break."""

    def __init__(self, kind: type[BaseException] = ValueError) -> None:
        self._kind = kind

    def assess(self, prompt: str) -> Any:
        raise self._kind(prompt)


def test_prompt_checks_that_break_stop_the_attempt_and_quote_nothing(
    build: Callable[..., Countermark], logged: Callable[[], str]
) -> None:
    cm = build(prompt_safety=Talkative())
    assert not cm.generate(PROMPT).released
    pixels = np.random.default_rng(1).integers(0, 255, (128, 128, 3), np.uint8)
    assert not cm.mark(pixels, model="vendor/model", prompt=PROMPT).released
    findings, decision = cm.check(prompt=PROMPT)
    assert (findings, decision.outcome is Outcome.ALLOW) == ((), False)
    log = logged()
    assert SECRET not in log
    assert "test_tracebacks.py:" in log


def test_checks_that_are_interrupted_quote_nothing(build: Callable[..., Countermark]) -> None:
    cm = build(prompt_safety=Talkative(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt) as caught:
        cm.generate(PROMPT)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_an_exit_keeps_its_code(build: Callable[..., Countermark]) -> None:
    for code, told in ((7, 7), (None, None), (PROMPT, 1)):
        cm = build(generator=Vendor(lambda _text, code=code: SystemExit(code)))
        with pytest.raises(SystemExit) as caught:
            cm.generate(PROMPT)
        assert caught.value.code == told
        cm.close()


def test_a_generator_of_ones_own_needs_no_library_of_ours(
    build: Callable[..., Countermark], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(name: str) -> Any:
        raise MissingExtra("diffusers", name)

    monkeypatch.setattr("countermark.generators.__getattr__", lacking)
    with pytest.raises(GenerationFailed):
        build(generator=Vendor(ValueError)).generate(PROMPT)
