"""A witness's HTTP server: the standard library's, bounded in size, time and number of connections.

``POST /add-checkpoint`` submits (C2SP tlog-witness); ``GET /<sha256 of the origin>/checkpoint`` shows what was cosigned
last, so that an auditor can ask the witness and need not believe the log. It speaks plain HTTP: put a TLS proxy before
it where it leaves the machine.
"""

from __future__ import annotations

import io
import socket
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Final

from countermark.audit.witness.protocol import ADD_CHECKPOINT, MAX_REQUEST_BYTES
from countermark.audit.witness.witness import PLAIN, Refused, Witness
from countermark.errors import CountermarkError
from countermark.observe import get_logger

MAX_CONNECTIONS: Final = 64
REQUEST_SECONDS: Final = 10.0
"""For reading one request, from the first byte waited for to the last one read."""
ANSWER_SECONDS: Final = 10.0
_DRAINED_BYTES: Final = 1 << 20
_MAX_LENGTH_DIGITS: Final = 12


class _Deadlined(io.RawIOBase):
    """A socket's bytes until a deadline, however slowly they trickle."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.deadline = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the request took too long")
        self._connection.settimeout(remaining)
        return self._connection.recv_into(buffer)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: WitnessServer
    protocol_version = "HTTP/1.1"
    server_version = "countermark-witness"
    sys_version = ""
    error_message_format = "%(code)d %(message)s\n"
    error_content_type = PLAIN

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self._incoming = _Deadlined(self.connection)
        self.rfile = io.BufferedReader(self._incoming)

    def handle_one_request(self) -> None:
        self._incoming.deadline = time.monotonic() + REQUEST_SECONDS
        super().handle_one_request()

    def do_POST(self) -> None:
        self._reply(self._submit)

    def do_GET(self) -> None:
        self.close_connection = True  # whatever body a stranger attached is not read
        self._reply(self._show)

    def _reply(self, work: Callable[[], str]) -> None:
        try:
            answer = work()
        except Refused as refusal:
            self._answer(refusal.status, refusal.body, refusal.media_type)
        except CountermarkError as error:
            get_logger("witness").error("state_unusable", reason=error.message)
            self._answer(503, "This witness cannot use its state at present.\n")
        else:
            self._answer(200, answer)

    def _submit(self) -> str:
        if self.path != ADD_CHECKPOINT:
            self.close_connection = True  # the body was not read
            raise Refused(404, "There is nothing here.\n")
        return self.server.witness.add_checkpoint(self._read_body())

    def _show(self) -> str:
        note = self.server.witness.latest(self.path)
        if note is None:
            raise Refused(404, "There is nothing here.\n")
        return note

    def _read_body(self) -> bytes:
        """The request's body.

        Raises:
            Refused: without one plain length, too large, or cut short; the connection cannot go on.
        """
        lengths = self.headers.get_all("Content-Length") or []
        text = lengths[0] if len(lengths) == 1 and "Transfer-Encoding" not in self.headers else ""
        if not (text.isascii() and text.isdigit() and len(text) <= _MAX_LENGTH_DIGITS):
            self.close_connection = True
            raise Refused(411, "Send one body with a Content-Length.\n")
        length = int(text)
        if length > MAX_REQUEST_BYTES:
            self.close_connection = True
            self._drain(min(length, _DRAINED_BYTES))
            raise Refused(413, f"A request holds at most {MAX_REQUEST_BYTES} bytes.\n")
        body = self.rfile.read(length)
        if len(body) != length:
            self.close_connection = True
            raise Refused(400, "The request was cut short.\n")
        return body

    def _drain(self, length: int) -> None:
        """Read some of what will not be used: a connection closed over unread bytes may lose its answer."""
        while length > 0 and (block := self.rfile.read(min(length, 1 << 16))):
            length -= len(block)

    def _answer(self, status: int, body: str, media_type: str = PLAIN) -> None:
        data = body.encode()
        self.connection.settimeout(ANSWER_SECONDS)
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection or self.server.closing:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        get_logger("witness").debug("http", line=format % args)


class WitnessServer(ThreadingHTTPServer):
    """Serves one witness until :meth:`shutdown`.

    Args:
        address: host and port; port 0 takes a free one (see :attr:`url`).
        witness: what answers.
    """

    daemon_threads = False  # requests in flight are answered before server_close returns
    request_queue_size = MAX_CONNECTIONS

    def __init__(self, address: tuple[str, int], witness: Witness) -> None:
        self.witness = witness
        self.closing = False
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.server_address[:2]
        name = host.decode() if isinstance(host, (bytes, bytearray)) else host
        return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"

    def server_bind(self) -> None:
        """Bind without asking any name server for our own name, as HTTPServer would."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection, unless too many are open."""
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            with self._open_lock:
                self._open.add(request)
            super().process_request(request, client_address)
        except BaseException:
            self._release(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._release(request)

    def _release(self, request: socket.socket) -> None:
        with self._open_lock:
            self._open.discard(request)
        self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is the client's affair; anything else is ours and is logged."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            get_logger("witness").error("request_failed", exc_info=True)

    def server_close(self) -> None:
        """Close the listening socket, end idle connections, and wait until requests in flight are answered."""
        self.closing = True
        with self._open_lock:
            waiting = list(self._open)
        for connection in waiting:
            try:
                connection.shutdown(socket.SHUT_RD)
            except OSError:
                continue
        super().server_close()
