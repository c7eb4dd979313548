"""Somebody else's verifier: Go's own transparency-log code checks what our logs hand out, and refuses it altered.

``go/verify_log.go`` uses golang.org/x/mod/sumdb (Debian: golang-go, golang-golang-x-mod-dev) and nothing of ours.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countermark.audit import AuditLog, NoteSigner
from countermark.audit.tiles import TILE_WIDTH, tile_path, tile_sizes
from countermark.model import Event

SOURCE = Path(__file__).parent / "go" / "verify_log.go"
GOPATH = Path("/usr/share/gocode")
SIGNER = NoteSigner("conformance.example/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
Case = dict[str, Any]


@pytest.fixture(scope="session")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program, built offline from what Debian's packages hold."""
    if shutil.which("go") is None or not (GOPATH / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        pytest.skip("Go's verifier is not installed: apt-get install golang-go golang-golang-x-mod-dev")
    folder = tmp_path_factory.mktemp("go")
    program = folder / "verify_log"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GOPATH": str(GOPATH),
        "GO111MODULE": "off",
        "GOFLAGS": "",
        "GOCACHE": str(folder / "cache"),
        "CGO_ENABLED": "0",
    }
    built = subprocess.run(
        ["go", "build", "-o", program, SOURCE], env=environment, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return program


def event(number: int) -> Event:
    return Event.model_validate(
        {
            "event_id": f"{number:032x}",
            "type": "generation.refused",
            "time": "2026-11-22T10:00:00.000Z",
            "source": "conformance",
            "nonce": f"{number:032x}",
            "tenant": "tenant-é",
            "attempt": str(number),
            "reasons": ["Ein Grund in Worten."],
        }
    )


def write_tiles(log: AuditLog, size: int, folder: Path) -> None:
    """All tiles of the tree, as files under the paths of C2SP tlog-tiles."""
    with log._store.reader() as reader:
        for level, hashes in tile_sizes(size):
            for index in range(-(-hashes // TILE_WIDTH)):
                width = min(TILE_WIDTH, hashes - index * TILE_WIDTH)
                path = folder / tile_path(level, index, width)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(reader.tile(level, index))


@pytest.fixture(scope="module", params=[(1, 1), (1, 2), (200, 256), (256, 257), (300, 812), (812, 1100)], ids=str)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    old, new = request.param
    folder = tmp_path_factory.mktemp("case")
    with AuditLog.open(folder / "audit.db", signer=SIGNER) as log:
        log.append_many([(event(number), None) for number in range(old)])
        older = log.checkpoint()
        log.append_many([(event(number), None) for number in range(old, new)])
        newer = log.checkpoint()
        receipts = [log.receipt(index) for index in sorted({0, old - 1, new // 2, new - 1})]
        write_tiles(log, new, folder)
        return {
            "key": log.verifier_key,
            "old": older,
            "new": newer,
            "consistency": [base64.b64encode(value).decode() for value in log.consistency(old, new)],
            "receipts": [{"entry": receipt.entry, "proof": receipt.proof} for receipt in receipts],
            "tiles": str(folder),
            "sizes": (old, new),
        }


@pytest.fixture
def run(verifier: Path, tmp_path: Path) -> Callable[[Case], subprocess.CompletedProcess[str]]:
    def verify(case: Case) -> subprocess.CompletedProcess[str]:
        path = tmp_path / "case.json"
        path.write_text(json.dumps(case), encoding="utf-8")
        return subprocess.run([verifier, path], capture_output=True, text=True, check=False)

    return verify


def test_go_verifies_checkpoints_proofs_and_tiles_and_refuses_every_flipped_bit(
    case: Case, run: Callable[[Case], subprocess.CompletedProcess[str]]
) -> None:
    done = run(case)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    old, new = case["sizes"]
    assert (said["old_size"], said["new_size"], said["receipts"]) == (old, new, len(case["receipts"]))
    assert said["tiles_read"] >= (1 if new > 1 else 0)
    assert said["flips_refused"] > 8 * len(case["receipts"][0]["entry"])


def changed(case: Case, **changes: Any) -> Case:
    return {**case, **changes}


def test_go_refuses_what_belongs_to_another_log_or_another_place(
    case: Case, run: Callable[[Case], subprocess.CompletedProcess[str]]
) -> None:
    stranger = NoteSigner(SIGNER.name, Ed25519PrivateKey.generate())
    first, last = case["receipts"][0], case["receipts"][-1]
    wrong = [
        changed(case, key=stranger.verifier_key),
        changed(case, new=stranger.sign(case["new"].split("\n\n")[0] + "\n")),
        changed(case, consistency=[*case["consistency"], base64.b64encode(bytes(32)).decode()]),
    ]
    if first["entry"] != last["entry"]:
        wrong.append(changed(case, receipts=[{"entry": first["entry"], "proof": last["proof"]}]))
    if case["consistency"]:
        wrong += [changed(case, consistency=case["consistency"][:-1]), changed(case, old=case["new"], new=case["old"])]
    for one in wrong:
        done = run(one)
        assert (done.returncode, done.stdout) == (1, "")
