"""System calls of a running writer fail, or kill it, at a place of our choice: what was acknowledged is still there.

The way of transparency-dev/tessera's own tests: strace injects the fault into one call on the log's files. One moment
of each kind is part of ``make test``; ``make test-faults`` tries many, a fault a second.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.integration.test_audit_faults import open_log

APPENDS = 8
FAULTS = ("error=EIO", "error=ENOSPC", "signal=KILL")
# Making the log takes some 72 writes and 11 flushes, each append 24 and 2, closing it 21 and 4, and the truncations.
MOMENTS = {
    "pwrite64": range(1, 300, 7),
    "fdatasync": range(1, 33),
    "fsync": range(1, 4),
    "ftruncate": range(1, 6),
}
A_MOMENT = {"pwrite64": 150, "fdatasync": 18}
"""Amid the appends, when some are acknowledged already."""
FILES = ("audit.db", "audit.db-wal", "signed.db", "signed.db-wal")

# Appends one event after the other; a typed error ends it, any other is a fault of ours.
CHILD = textwrap.dedent("""
    import os, secrets, sys
    from pathlib import Path
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from countermark.audit import AuditLog, NoteSigner
    from countermark.errors import CountermarkError
    from countermark.model import Event

    signer = NoteSigner("faults.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    try:
        with AuditLog.open(Path(sys.argv[1]), signer=signer, master_key=bytes(32)) as log:
            for _ in range(int(sys.argv[2])):
                name = secrets.token_hex(16)
                event = Event(event_id=name, type="generation.released", time="2026-11-22T10:00:00.000Z", source="s",
                              nonce=name, tenant="t", attempt=name)
                done = log.append(event, protected={"prompt": name})
                os.write(1, f"{name} {done.index}\\n".encode())
    except CountermarkError as error:
        os.write(2, str(error).encode())
        sys.exit(3)
""")


@pytest.fixture(scope="module")
def strace() -> str:
    """The program; skips where there is none, or where nobody may trace."""
    found = shutil.which("strace")
    if not found:
        pytest.skip("strace is not installed: apt-get install strace")
    if subprocess.run([found, "-o", "/dev/null", "true"], capture_output=True, check=False).returncode:
        pytest.skip("opt-in: this system lets nobody trace a process")
    return found


def struck(strace: str, call: str, fault: str, moment: int, folder: Path) -> tuple[bool, int]:
    """Run the child with one fault and look after it: whether that struck, and how many appends were acknowledged."""
    folder.mkdir()
    watched = [argument for name in FILES for argument in ("-P", str(folder / name))]
    inject = ["-e", f"trace={call}", "-e", f"inject={call}:{fault}:when={moment}"]
    tracing = [strace, "-f", "-qq", "-o", str(folder / "trace"), *inject, *watched]
    command = [*tracing, sys.executable, "-c", CHILD, str(folder / "audit.db"), str(APPENDS)]
    writer = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert writer.returncode in {0, 3, -9, 137}, writer.stderr.decode()
    acknowledged = writer.stdout.decode().splitlines()
    with open_log(folder) as log:
        for line in acknowledged:
            name, index = line.split()
            assert log.find(event_id=name) == (int(index),), (moment, line)
            assert log.reveal(int(index), "prompt", reason="a test") == name
        assert log.verify().ok, moment
    trace = (folder / "trace").read_text()
    return "INJECTED" in trace or "SIGKILL" in trace, len(acknowledged)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", A_MOMENT)
def test_a_system_call_that_fails_amid_the_appends_loses_nothing_acknowledged(
    call: str, fault: str, strace: str, tmp_path: Path
) -> None:
    hit, acknowledged = struck(strace, call, fault, A_MOMENT[call], tmp_path / "log")
    assert hit, "no call was struck: the files or calls are others now"
    assert 0 < acknowledged < APPENDS, "it was to strike between the first append and the last"


@pytest.mark.faults
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", MOMENTS)
def test_a_failing_system_call_loses_nothing_acknowledged(call: str, fault: str, strace: str, tmp_path: Path) -> None:
    trials = [struck(strace, call, fault, moment, tmp_path / str(moment)) for moment in MOMENTS[call]]
    if call in A_MOMENT:
        acknowledged = {count for hit, count in trials if hit}
        assert acknowledged >= set(range(APPENDS + 1)), "it was to strike before, between and after all appends"
    else:
        assert any(hit for hit, _ in trials) or call == "fsync", "no call was struck: the files or calls are others now"
