"""A child forked from the test's own process: what it does there, and whether it ended well."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable

import pytest

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="opt-in: there is no fork on this system")
SECONDS = 60


def begin(work: Callable[[], None]) -> int:
    """Fork, and let the child do ``work``; it is killed where that hangs. Gives its process id."""
    child = os.fork()
    if child:
        return child
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(SECONDS)
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """Wait for a child; 0 where it ended well."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
