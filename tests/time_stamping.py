"""A real time-stamping authority (RFC 3161) on this machine: openssl behind a few lines of HTTP."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from countermark.credentials import SigningIdentity

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="opt-in: there is no openssl here")
CONFIG = """
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/chain.pem
signer_key = {folder}/key.pem
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
"""


@contextmanager
def time_stamping(authority: SigningIdentity, folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Its address while it runs, and a list that grows by the size of each request.

    Args:
        authority: a certificate for time-stamping alone, and its key.
        folder: an empty one, for openssl's files.
    """
    (folder / "chain.pem").write_text(authority.chain_pem)
    (folder / "key.pem").write_text(authority.key_pem)
    (folder / "serial").write_text("01")
    (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder))
    asked: list[int] = []

    class Desk(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(len(query))
            (folder / "query").write_bytes(query)
            stamp = ["openssl", "ts", "-reply", "-config", folder / "tsa.cnf", "-queryfile", folder / "query"]
            made = subprocess.run(stamp, capture_output=True, check=True)
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(made.stdout)))
            self.end_headers()
            self.wfile.write(made.stdout)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Desk) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", asked
        finally:
            server.shutdown()
