"""How image models run: on which device, and with how many threads.

**Threads.** As many as the process may use, four at most: networks of this size gain nothing from more. What the
process may use is the least of ``OMP_NUM_THREADS``, the cores it is bound to, and its share of the machine (the CPU
quota of its Linux control group), so that a container of one core on a machine of sixty-four gets one thread.

**Devices.** The first that onnxruntime offers of CUDA, TensorRT, CoreML and DirectML, and the CPU behind it for
whatever the device cannot compute. TensorRT stands behind CUDA, for it builds an engine for minutes before the first
image: name it to have it. TF32, which would change the third digit of a score, is switched off.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import onnxruntime as ort

from countermark.observe import get_logger

CPU: Final = "CPUExecutionProvider"
PREFERRED: Final = (
    "CUDAExecutionProvider",
    "TensorrtExecutionProvider",
    "CoreMLExecutionProvider",
    "DmlExecutionProvider",
)
_OPTIONS: Final[Mapping[str, Mapping[str, str]]] = {"CUDAExecutionProvider": {"use_tf32": "0"}}
MOST_THREADS: Final = 4
_CPU_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


def threads_for_machine(environ: Mapping[str, str] | None = None, quota_file: Path = _CPU_QUOTA) -> int:
    """Threads of one inference, 1..4.

    Args:
        environ: the environment; the process's own unless given.
        quota_file: the control group's ``cpu.max``: a quota or ``max``, and a period, in microseconds.
    """
    environ = os.environ if environ is None else environ
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [MOST_THREADS, usable, _quota(quota_file)]
    wanted = environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if wanted.isascii() and wanted.isdigit():
        limits.append(int(wanted))
    return max(1, min(limits))


def choose_providers(available: Sequence[str], wanted: Sequence[str] | None = None) -> tuple[str, ...]:
    """The execution providers to ask for, best first; the CPU is always last.

    Args:
        available: what this onnxruntime was built with.
        wanted: exactly these, in this order, instead of the first of :data:`PREFERRED`.

    Raises:
        ValueError: onnxruntime has not got one that is wanted.
    """
    if wanted is None:
        devices = [name for name in PREFERRED if name in available][:1]
    else:
        missing = [name for name in wanted if name not in available]
        if missing:
            raise ValueError(f"onnxruntime offers {', '.join(available)}; it has no {', '.join(missing)}")
        devices = [name for name in wanted if name != CPU]
    return (*devices, CPU)


def open_session(path: Path, *, threads: int | None = None, providers: Sequence[str] | None = None) -> Any:
    """An inference session; its ``run`` may be called from several threads at once.

    A device that was not asked for by name and cannot be opened (a driver is missing) leaves the CPU.

    Args:
        path: the ONNX file.
        threads: see :func:`threads_for_machine`, which decides unless this is given.
        providers: see :func:`choose_providers`.

    Returns:
        An ``onnxruntime.InferenceSession``.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads_for_machine() if threads is None else threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that wait for work in a loop take the processor from the rest of the pipeline.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    chosen = choose_providers(ort.get_available_providers(), providers)
    try:
        return ort.InferenceSession(str(path), options, providers=[(name, _OPTIONS.get(name, {})) for name in chosen])
    except Exception as error:
        if providers is not None or chosen == (CPU,):
            raise
        get_logger("safety").warning(
            "a device cannot be used: images are assessed on the CPU", provider=chosen[0], error=type(error).__name__
        )
        return ort.InferenceSession(str(path), options, providers=[CPU])


def _quota(file: Path) -> int:
    """Cores that the control group grants, rounded up; :data:`MOST_THREADS` where nothing is said."""
    try:
        quota, period = file.read_text(encoding="ascii").split()
        return -(-int(quota) // int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return MOST_THREADS
