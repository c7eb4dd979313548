"""Forked children and threads: what one Countermark serves, and what it says where it does not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.conftest import CLEAN_PROMPT, UNSAFE_PROMPT, photograph
from tests.forks import begin, ended, needs_fork

from countermark import Countermark, Result
from countermark.errors import AuditClosed, ForkedProcess
from countermark.model import EventType, GenerationRequest
from countermark.objects import ObjectStore

STEPS = 24
pytestmark = pytest.mark.filterwarnings("ignore:This process")

WORKERS = """
import gc, os, sys
from pathlib import Path
from countermark import Countermark, CountermarkError, Settings
from tests.conftest import photograph

def mark(cm):
    return cm.mark(photograph("coffee", 256), model="some/model").outcome

cm = Countermark(Settings(home=Path("parent")))
if not (child := os.fork()):
    try:
        print(mark(cm))
    except CountermarkError as error:
        print(error.code)
    with Countermark(Settings(home=Path("worker"))) as own:
        print(mark(own))
    del cm
    gc.collect()
    sys.stdout.flush()
    os._exit(0)  # as multiprocessing ends a worker
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(mark(cm), cm.log.verify().ok)
cm.close()
"""


@needs_fork
def test_a_forked_child_is_told_so_and_the_parent_goes_on(
    cm: Countermark, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    assert cm.mark(photo, model="some/model").released

    def in_the_child() -> None:
        for attempt in (lambda: cm.mark(photo, model="some/model"), lambda: cm.generate(UNSAFE_PROMPT)):
            with pytest.raises(ForkedProcess) as told:
                attempt()
            assert "Open a Countermark in each worker" in told.value.remedy
        cm.close()
        with pytest.raises(ForkedProcess, match="Objects were kept"):
            ObjectStore.open(tmp_path / "others").put("released", b"x")

    assert ended(begin(in_the_child)) == 0
    assert cm.mark(photograph("astronaut"), model="some/model").index == 1
    assert cm.log.verify().ok


@needs_fork
def test_workers_forked_before_the_first_image_open_their_own(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(
        [sys.executable, "-c", WORKERS],
        check=False,
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.stdout.split() == ["forked_process", "released", "released", "True"], ran.stderr


@needs_fork
def test_a_child_that_lives_on_does_not_keep_the_home_locked(build: Callable[..., Countermark]) -> None:
    cm = build()
    wait, go = os.pipe()

    def in_the_child() -> None:
        os.close(go)
        os.read(wait, 1)

    child = begin(in_the_child)
    try:
        cm.close()
        build().close()
    finally:
        os.close(wait)
        os.close(go)
    assert ended(child) == 0


def test_threads_share_the_embedded_generator_wrapped_or_not(cm: Countermark) -> None:
    pytest.importorskip("torch", reason="generating needs the extra 'diffusers'")
    wrapped = [cm.wrap(cm.generator._pipe) for _ in range(2)]  # type: ignore[attr-defined]

    def ask(number: int) -> list[Result]:
        if number % 2:
            return [cm.generate(CLEAN_PROMPT, seed=number, steps=STEPS)]
        asked = wrapped[number // 2](CLEAN_PROMPT, num_inference_steps=STEPS)
        return list(asked.countermark)

    with ThreadPoolExecutor(4) as pool:
        results = [result for several in pool.map(ask, range(4)) for result in several]
    assert [result.outcome for result in results] == ["released"] * 4
    assert {cm.log.event(index).type for index in range(cm.log.size)} == {EventType.RELEASED}
    alone = cm.generator.generate(GenerationRequest(prompt=CLEAN_PROMPT, seed=3, steps=STEPS)).images[0]
    together = results[3].image
    assert together is not None
    # What another thread draws meanwhile does not get into the picture: but for the mark it is that of the seed alone.
    assert np.abs(alone.astype(int) - np.asarray(together.convert("RGB"))).mean() < 4


def test_the_generator_is_loaded_once_however_many_threads_ask_first(cm: Countermark) -> None:
    pytest.importorskip("torch", reason="generating needs the extra 'diffusers'")
    start = threading.Barrier(4)

    def ask(_: int) -> int:
        start.wait(10)
        return id(cm.generator)

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ask, range(4)))) == 1


def test_what_was_closed_says_so(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    cm.close()
    for attempt in (lambda: cm.mark(photo, model="some/model"), lambda: cm.generate(CLEAN_PROMPT)):
        with pytest.raises(AuditClosed, match="was closed") as told:
            attempt()
        assert not told.value.retryable
        assert "Open another Countermark" in told.value.remedy
    cm.close()


def test_closing_that_is_interrupted_leaves_nothing_locked(build: Callable[..., Countermark]) -> None:
    class Interrupted:
        def stop(self) -> None:
            raise KeyboardInterrupt

    cm = build()
    cm.collector = Interrupted()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        cm.close()
    cm.collector = None
    build()
