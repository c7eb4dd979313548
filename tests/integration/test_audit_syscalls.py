"""System calls of a running writer fail, or kill it, at a place of our choice: what was acknowledged is still there.

The way of transparency-dev/tessera's own tests: strace injects the fault into one call on the log's files. Run by
``make test-faults``; a fault a second.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.integration.test_audit_faults import open_log

pytestmark = pytest.mark.faults

CALLS = ("pwrite64", "fdatasync", "fsync", "ftruncate")
FAULTS = ("error=EIO", "error=ENOSPC", "signal=KILL")
MOMENTS = range(1, 14)
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
            for _ in range(4):
                name = secrets.token_hex(16)
                event = Event(event_id=name, type="generation.released", time="2026-11-22T10:00:00.000Z", source="s",
                              nonce=name, tenant="t", attempt=name)
                done = log.append(event, protected={"prompt": name})
                os.write(1, f"{name} {done.index}\\n".encode())
    except CountermarkError as error:
        os.write(2, str(error).encode())
        sys.exit(3)
""")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", CALLS)
def test_a_failing_system_call_loses_nothing_acknowledged(call: str, fault: str, tmp_path: Path) -> None:
    struck = 0
    for moment in MOMENTS:
        folder = tmp_path / str(moment)
        folder.mkdir()
        watched = [argument for name in FILES for argument in ("-P", str(folder / name))]
        inject = ["-e", f"trace={call}", "-e", f"inject={call}:{fault}:when={moment}"]
        strace = ["strace", "-f", "-qq", "-o", str(folder / "trace"), *inject, *watched]
        command = [*strace, sys.executable, "-c", CHILD, str(folder / "audit.db")]
        writer = subprocess.run(command, capture_output=True, timeout=60, check=False)
        trace = (folder / "trace").read_text()
        struck += "INJECTED" in trace or "SIGKILL" in trace
        assert writer.returncode in {0, 3, -9, 137}, writer.stderr.decode()
        with open_log(folder) as log:
            for line in writer.stdout.decode().splitlines():
                name, index = line.split()
                assert log.find(event_id=name) == (int(index),), (moment, line)
                assert log.reveal(int(index), "prompt", reason="a test") == name
            assert log.verify().ok, moment
    assert struck or call in {"fsync", "ftruncate"}, "no call was struck: the files or calls are others now"
