"""Forked children and threads: what one Countermark serves, and what it says where it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.conftest import CLEAN_PROMPT, UNSAFE_PROMPT, photograph
from tests.forks import begin, ended, needs_fork

from countermark import Countermark
from countermark.errors import AuditClosed, ForkedProcess
from countermark.objects import ObjectStore

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


def test_what_was_closed_says_so(cm: Countermark, photo: NDArray[np.uint8]) -> None:
    cm.close()
    for attempt in (lambda: cm.mark(photo, model="some/model"), lambda: cm.generate(CLEAN_PROMPT)):
        with pytest.raises(AuditClosed, match="was closed") as told:
            attempt()
        assert not told.value.retryable
        assert "Open another Countermark" in told.value.remedy
    cm.close()
