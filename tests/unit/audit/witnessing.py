"""Logs with keys that everybody knows, and witnesses that listen on a free port of this machine."""

from __future__ import annotations

import hashlib
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countermark.audit.checkpoint import sign_checkpoint
from countermark.audit.note import NoteSigner, NoteVerifier
from countermark.audit.tiles import HashedTree
from countermark.audit.tree import EMPTY_ROOT, consistency_proof, leaf_hash
from countermark.audit.witness import CosignatureSigner, Witness, WitnessClient, WitnessServer, WitnessState

ORIGIN = "log.example/images"


def key(sentence: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(sentence.encode()).digest())


LOG = NoteSigner(ORIGIN, key("log"))


class Story:
    """One version of a log's history: its leaves alone, which is all that a witness ever sees the roots of."""

    def __init__(self, *entries: str) -> None:
        self.leaves = [leaf_hash(entry.encode()) for entry in entries]

    @classmethod
    def of(cls, size: int, *, forked_at: int | None = None) -> Story:
        return cls(*(f"{'other ' if forked_at is not None and i >= forked_at else ''}entry {i}" for i in range(size)))

    def _tree(self, size: int) -> HashedTree:
        return HashedTree(b"".join(self.leaves[:size]))

    def root(self, size: int) -> bytes:
        return (self._tree(size).root(size) if size else EMPTY_ROOT) or b""

    def note(self, size: int | None = None, signer: NoteSigner = LOG) -> str:
        size = len(self.leaves) if size is None else size
        return sign_checkpoint(signer, size, self.root(size))

    def prove(self, old: int, new: int) -> list[bytes]:
        def subtree(start: int, end: int) -> bytes:
            return HashedTree(b"".join(self.leaves[start:end])).root(end - start) or b""

        return consistency_proof(old, new, subtree)


def make_witness(
    folder: Path,
    name: str = "witness.example/w1",
    *,
    log: NoteVerifier = LOG.verifier,
    clock: Callable[[], float] = time.time,
) -> Witness:
    """A witness of one log, its state in ``folder``; the same witness again where it was made before."""
    signer = CosignatureSigner(name, key(name))
    path = folder / f"{name.replace('/', '-')}.db"
    state = WitnessState(path) if path.exists() else WitnessState.create(path, signer.verifier.vkey)
    return Witness(state, signer, {log.name: [log]}, clock)


@contextmanager
def serving(witness: Witness) -> Iterator[WitnessServer]:
    server = WitnessServer(("127.0.0.1", 0), witness)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def client_of(server: WitnessServer, name: str = "witness.example/w1", timeout: float = 5.0) -> WitnessClient:
    return WitnessClient(server.url, CosignatureSigner(name, key(name)).verifier, timeout=timeout)


def post(url: str, body: bytes, path: str = "/add-checkpoint") -> tuple[int, str, str]:
    """Status, media type and text of a submission."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request("POST", path, body)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type", ""), answer.read().decode()
    finally:
        connection.close()
