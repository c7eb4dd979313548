"""A disk that is really full: a small file system in memory, mounted for one process and its children alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
from tests.postgres_server import Lacking, _account, _binaries

SMALL, ENOUGH = "6m", "64m"
SMALL_FOR_A_SERVER, ENOUGH_FOR_A_SERVER = "120m", "400m"
AS_ROOT = ["unshare", "--mount"]
AS_ANYBODY = ["unshare", "--map-root-user", "--mount"]

# Fills the disk with appends, makes room, opens the log again and looks whether everything acknowledged is there.
FILL = textwrap.dedent("""
    import secrets, subprocess, sys
    from pathlib import Path
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from countermark.audit import AuditLog, NoteSigner
    from countermark.errors import AuditPoisoned, CountermarkError
    from countermark.model import Event

    signer = NoteSigner("faults.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    acknowledged = {}

    def event():
        name = secrets.token_hex(16)
        return Event(event_id=name, type="generation.released", time="2026-11-22T10:00:00.000Z", source="s", nonce=name,
                     tenant="t", attempt=name, params={"padding": secrets.token_hex(25_000)})

    def fill(address, signed):
        log = AuditLog.open(address, signer=signer, signed=signed, master_key=bytes(32))
        try:
            while True:
                one = event()
                acknowledged[one.event_id] = log.append(one, protected={"prompt": one.event_id}).index
        except AuditPoisoned as poisoned:
            print(poisoned)
        try:
            log.append(event())
        except AuditPoisoned:
            pass
        else:
            raise SystemExit("a poisoned log took an event")
        log.close()

    def check(address, signed):
        with AuditLog.open(address, signer=signer, signed=signed, master_key=bytes(32)) as log:
            assert log.verify().ok, log.verify().findings
            for name, index in acknowledged.items():
                assert log.find(event_id=name) == (index,), name
                assert log.reveal(index, "prompt", reason="a test") == name
            log.append(event())
        print("acknowledged", len(acknowledged))

    def mount(folder, size):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0777", "tmpfs", folder], check=True)

    def enlarge(folder, size):
        subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)
""")

SQLITE = FILL + textwrap.dedent("""
    folder, small, enough = sys.argv[1:]
    mount(folder, small)
    address, signed = Path(folder) / "audit.db", Path(folder) / "signed.db"
    fill(address, signed)
    enlarge(folder, enough)
    check(address, signed)
""")

POSTGRES = FILL + textwrap.dedent("""
    from tests.postgres_server import running

    folder, small, enough, signed = sys.argv[1:]
    mount(folder, small)
    with running(Path(folder)) as server:
        url = server.new_database()
        fill(url, Path(signed))
        enlarge(folder, enough)
        try:
            server.execute("SELECT 1", url)
        except Exception:  # the server stopped when it could not write ahead
            server.control("-m", "immediate", "restart")
        check(url, Path(signed))
""")


def unshared(*command: str, anybody: bool = False) -> subprocess.CompletedProcess[str]:
    """Run with mounts of its own; skips where this system lets nobody have them."""
    if not shutil.which("unshare"):
        pytest.skip("unshare (util-linux) is not installed")
    prefix = AS_ANYBODY if anybody else AS_ROOT
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("opt-in: this system lets nobody mount a small file system")
    root = str(Path(__file__).parents[2])
    return subprocess.run(
        [*prefix, *command],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": root},
    )


def test_a_file_system_that_is_full_costs_nothing_acknowledged(tmp_path: Path) -> None:
    done = unshared(sys.executable, "-c", SQLITE, str(tmp_path), SMALL, ENOUGH, anybody=os.geteuid() != 0)
    assert done.returncode == 0, done.stdout + done.stderr
    said, counted = done.stdout.splitlines()
    assert "full" in said
    assert int(counted.split()[1]) > 20


def test_a_database_whose_disk_is_full_costs_nothing_acknowledged(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'countermark[postgres]'")
    if os.geteuid() != 0:
        pytest.skip("opt-in: mounting for a server's own account needs root")
    try:
        _binaries()
        _account()
    except Lacking as lacking:
        pytest.skip(str(lacking))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # the server's own account has to pass through
        sizes = SMALL_FOR_A_SERVER, ENOUGH_FOR_A_SERVER
        done = unshared(sys.executable, "-c", POSTGRES, folder, *sizes, str(tmp_path / "signed.db"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[-1]) > 20
