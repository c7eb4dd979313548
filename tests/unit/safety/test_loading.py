"""Models are waited for only so long: until one is loaded, nobody has looked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from countermark.errors import StillLoading, WeightsMismatch
from countermark.model import Category, FindingState, Outcome, Stage
from countermark.policy import decide, load_policy
from countermark.safety import ImageEnsemble, image_models
from countermark.safety.image_models import NsfwJsMid
from countermark.safety.loading import Loaded


class Slow:
    """Loads when it is let go on."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.begun = 0

    def __call__(self, *_: Any, **__: Any) -> str:
        self.begun += 1
        self.go_on.wait(60)
        return "loaded"


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    yield slow
    slow.go_on.set()


def once_loaded(ask: Callable[[], Any]) -> Any:
    ends = time.monotonic() + 60
    while True:
        try:
            return ask()
        except StillLoading:
            assert time.monotonic() < ends, "a late loading never ends"
            time.sleep(0.01)


def test_a_late_loading_is_waited_for_once_and_goes_on(slow: Slow) -> None:
    loaded = Loaded(slow, 0.05)
    with pytest.raises(StillLoading, match=r"within 0\.05 s"):
        loaded.get()
    begun = time.monotonic()
    for _ in range(20):
        with pytest.raises(StillLoading):
            loaded.get()
    assert time.monotonic() - begun < 30, "the time counts from the beginning of the loading, not of each question"
    slow.go_on.set()
    assert once_loaded(loaded.get) == "loaded"
    assert slow.begun == 1


def test_whoever_has_nothing_else_to_do_waits(slow: Slow) -> None:
    loaded = Loaded(slow, 0.0)
    with pytest.raises(StillLoading):
        loaded.get()
    threading.Timer(0.2, slow.go_on.set).start()
    assert loaded.get(patiently=True) == "loaded"


def test_many_threads_load_it_once(slow: Slow) -> None:
    loaded = Loaded(slow)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(loaded.get) for _ in range(8)]
        slow.go_on.set()
        assert {one.result() for one in asked} == {"loaded"}
    assert slow.begun == 1


@pytest.mark.parametrize("failure", [WeightsMismatch("altered"), TimeoutError("the disk's own"), SystemExit(3)])
def test_what_failed_is_told_and_tried_again(failure: BaseException) -> None:
    outcomes: list[BaseException | str] = [failure, "loaded"]

    def load() -> str:
        outcome = outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    loaded = Loaded(load)
    with pytest.raises(type(failure)) as raised:
        loaded.get()
    assert raised.value is failure
    assert (loaded.get(), loaded.get()) == ("loaded", "loaded")


def test_an_image_model_that_is_slow_to_load_stops_the_release(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_models, "open_session", slow)
    model = NsfwJsMid()
    monkeypatch.setattr(model, "_session", Loaded(model._open, 0.05))
    findings = ImageEnsemble([model]).assess(np.full((64, 64, 3), 127, np.uint8))
    (finding,) = (one for one in findings if one.category is Category.SEXUAL)
    assert (finding.state, finding.score) == (FindingState.NOT_ASSESSED, None)
    assert "still_loading" in finding.reason
    decision = decide(load_policy(), findings, Stage.IMAGE)
    assert (decision.outcome, decision.category) == (Outcome.BLOCK, None)
    assert any("sexual was not assessed" in reason for reason in decision.reasons)
