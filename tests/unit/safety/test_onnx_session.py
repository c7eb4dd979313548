from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from countermark.safety import NsfwJsMid
from countermark.safety.onnx_session import CPU, MOST_THREADS, choose_providers, open_session, threads_for_machine

CUDA, TENSORRT, COREML, DIRECTML = (f"{name}ExecutionProvider" for name in ("CUDA", "Tensorrt", "CoreML", "Dml"))
MODEL = Path(NsfwJsMid()._find())


@pytest.mark.parametrize(
    ("available", "chosen"),
    [
        ([CPU], (CPU,)),
        (["AzureExecutionProvider", CPU], (CPU,)),
        ([TENSORRT, CUDA, CPU], (CUDA, CPU)),
        ([TENSORRT, CPU], (TENSORRT, CPU)),
        ([COREML, CPU], (COREML, CPU)),
        ([DIRECTML, CPU], (DIRECTML, CPU)),
        ([], (CPU,)),
    ],
)
def test_the_best_device_is_chosen_and_the_cpu_stands_behind_it(available: list[str], chosen: tuple[str, ...]) -> None:
    assert choose_providers(available) == chosen


def test_devices_can_be_named_and_the_cpu_is_always_last() -> None:
    available = [TENSORRT, CUDA, CPU]
    assert choose_providers(available, [TENSORRT, CUDA]) == (TENSORRT, CUDA, CPU)
    assert choose_providers(available, [CPU]) == (CPU,)
    assert choose_providers(available, []) == (CPU,)


def test_a_device_that_is_asked_for_and_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match=COREML):
        choose_providers([CPU], [COREML])


def test_threads_follow_the_environment_and_the_quota(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    nothing = tmp_path / "missing"
    assert 1 <= threads_for_machine({}, nothing) <= MOST_THREADS
    assert threads_for_machine({"OMP_NUM_THREADS": "1"}, nothing) == 1
    assert threads_for_machine({"OMP_NUM_THREADS": "1,4"}, nothing) == 1
    assert threads_for_machine({"OMP_NUM_THREADS": "0"}, nothing) == 1
    assert threads_for_machine({"OMP_NUM_THREADS": "many"}, nothing) == threads_for_machine({}, nothing)
    quota.write_text("50000 100000\n")
    assert threads_for_machine({}, quota) == 1
    for says_nothing in ("max 100000\n", "", "0 0\n", "no number"):
        quota.write_text(says_nothing)
        assert threads_for_machine({}, quota) == threads_for_machine({}, nothing)


def test_a_session_runs_where_it_was_told_to_with_the_threads_it_was_given() -> None:
    session = open_session(MODEL, threads=1, providers=[CPU])
    assert session.get_providers() == [CPU]
    assert session.get_session_options().intra_op_num_threads == 1


def test_a_device_that_cannot_be_opened_leaves_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    # A build with CUDA on a machine without: onnxruntime offers the provider and cannot open it.
    real = onnxruntime.InferenceSession

    def without_driver(path: str, options: object, providers: list[object]) -> object:
        if providers != [CPU]:
            raise RuntimeError("no driver")
        return real(path, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", without_driver)
    session = open_session(MODEL, threads=1)
    (output,) = session.run(None, {"input": np.zeros((1, 224, 224, 3), np.float32)})
    assert output.shape == (1, 5)
    with pytest.raises(RuntimeError, match="no driver"):
        open_session(MODEL, threads=1, providers=[CUDA])
