"""The client against witnesses that answer wrongly, slowly, endlessly or elsewhere."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from tests.unit.audit.witnessing import LOG, Story, client_of, key, make_witness, serving

from countermark.audit.note import NoteSigner, parse_note
from countermark.audit.witness import CosignatureSigner, WitnessClient, cosigned_by
from countermark.errors import SettingsInvalid, WitnessRefused, WitnessUnavailable

STORY = Story.of(40)
FORK = Story.of(40, forked_at=20)
NAME = "witness.example/w1"
SIGNER = CosignatureSigner(NAME, key(NAME))
NOTE = STORY.note(9)
TEXT = parse_note(NOTE).text
GOOD_LINE = SIGNER.cosign(TEXT, 1_700_000_000)


def test_a_client_follows_a_growing_log_and_learns_the_size_that_the_witness_holds(tmp_path: Path) -> None:
    with serving(make_witness(tmp_path)) as server:
        first = client_of(server)
        for size in (0, 5, 5, 17):
            line = first.cosign(STORY.note(size), STORY.prove)
            assert set(cosigned_by(STORY.note(size) + line, [SIGNER.verifier])) == {NAME}
        second = client_of(server)  # knows nothing yet: is told 17, and proves from there
        assert second.cosign(STORY.note(40), STORY.prove)
        assert second.seen == 40
        assert second.latest(LOG.verifier_key) is not None


def test_a_rollback_and_a_fork_are_told_apart_from_a_witness_that_fails(tmp_path: Path) -> None:
    with serving(make_witness(tmp_path)) as server:
        client_of(server).cosign(STORY.note(30), STORY.prove)
        with pytest.raises(WitnessRefused, match="30 entries; this log has 10"):
            client_of(server).cosign(STORY.note(10), STORY.prove)
        with pytest.raises(WitnessRefused, match="another history"):
            client_of(server).cosign(FORK.note(40), FORK.prove)
        with pytest.raises(WitnessRefused, match="another history"):
            client_of(server).cosign(FORK.note(30), FORK.prove)
        stranger = NoteSigner("stranger.example/log", key("log"))
        with pytest.raises(WitnessUnavailable, match="does not know this log"):
            client_of(server).cosign(STORY.note(5, stranger), STORY.prove)
        thief = NoteSigner(LOG.name, key("thief"))
        with pytest.raises(WitnessUnavailable, match="does not know the key"):
            client_of(server).cosign(STORY.note(5, thief), STORY.prove)
        assert client_of(server).latest(stranger.verifier_key) is None


# --- hostile witnesses -----------------------------------------------------------------------------------------------

Behaviour = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def hostile(behave: Behaviour) -> Iterator[tuple[WitnessClient, list[str]]]:
    """A client of a server that does with every request what it likes, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            behave(self)

        def do_GET(self) -> None:
            asked.append(self.path)
            behave(self)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_arguments: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/prefix/"
        yield WitnessClient(url, SIGNER.verifier, timeout=0.5), asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(status: int, body: bytes, **headers: str) -> Behaviour:
    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    with suppress(OSError):
        while True:
            handler.wfile.write(GOOD_LINE.encode() * 100)


def trickling(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    pause = threading.Event()
    with suppress(OSError):
        for _ in range(1000):
            handler.wfile.write(b"\xe2")
            pause.wait(0.05)


def endless_headers(handler: BaseHTTPRequestHandler) -> None:
    with suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            handler.wfile.write(b"X: y\r\n" * 1000)


def silent(handler: BaseHTTPRequestHandler) -> None:
    threading.Event().wait(1.0)


OTHER_KEY = CosignatureSigner(NAME, key("another key"))
ALTERED = GOOD_LINE[:-30] + ("A" if GOOD_LINE[-30] != "A" else "B") + GOOD_LINE[-29:]


@pytest.mark.parametrize(
    "behave",
    [
        answer(200, b""),
        answer(200, b"\xff\xfe\n"),
        answer(200, b"<html>a captive portal</html>"),
        answer(200, GOOD_LINE.rstrip().encode()),
        answer(200, ALTERED.encode()),
        answer(200, OTHER_KEY.cosign(TEXT, 1).encode()),
        answer(200, SIGNER.cosign(parse_note(FORK.note(30)).text, 1).encode()),
        answer(200, LOG.sign(TEXT).rpartition("\n\n")[2].encode()),
        answer(200, (OTHER_KEY.cosign(TEXT, 1) * 17 + GOOD_LINE).encode()),
        answer(204, b""),
        answer(301, b"", Location="http://127.0.0.1:1/elsewhere"),
        answer(307, GOOD_LINE.encode(), Location="/elsewhere"),
        answer(409, b"9" * 5000, Content_Type="text/x.tlog.size"),
        answer(409, b"-1\n", Content_Type="text/x.tlog.size"),
        answer(409, b"not a size\n", Content_Type="text/x.tlog.size"),
        answer(500, b"Traceback"),
        answer(503, GOOD_LINE.encode()),
        endless,
        endless_headers,
        trickling,
        silent,
        lambda handler: handler.connection.shutdown(socket.SHUT_RDWR),
    ],
)
def test_whatever_is_no_cosignature_of_this_witness_is_refused_and_nothing_is_followed(behave: Behaviour) -> None:
    with hostile(behave) as (client, asked):
        with pytest.raises(WitnessUnavailable) as caught:
            client.cosign(NOTE, STORY.prove)
        assert set(asked) == {"/prefix/add-checkpoint"}
        assert caught.value.retryable


def test_lines_of_other_keys_beside_the_right_one_are_ignored() -> None:
    with hostile(answer(200, (OTHER_KEY.cosign(TEXT, 1) + GOOD_LINE).encode())) as (client, _):
        assert client.cosign(NOTE, STORY.prove) == GOOD_LINE


def test_a_witness_that_never_settles_on_a_size_is_asked_twice_and_no_more() -> None:
    sizes = iter([b"3\n", b"5\n", b"7\n"])

    def behave(handler: BaseHTTPRequestHandler) -> None:
        answer(409, next(sizes), Content_Type="text/x.tlog.size")(handler)

    with hostile(behave) as (client, asked):
        with pytest.raises(WitnessUnavailable, match="409"):
            client.cosign(NOTE, STORY.prove)
        assert len(asked) == 2


@pytest.mark.parametrize(
    "body", [GOOD_LINE, NOTE, NOTE + ALTERED, STORY.note(9, NoteSigner(LOG.name, key("t"))) + GOOD_LINE]
)
def test_what_a_witness_shows_is_believed_only_with_both_signatures(body: str) -> None:
    with hostile(answer(200, body.encode())) as (client, _), pytest.raises(WitnessUnavailable):
        client.latest(LOG.verifier_key)
    with hostile(answer(200, (NOTE + GOOD_LINE).encode())) as (client, _):
        assert client.latest(LOG.verifier_key) == NOTE + GOOD_LINE


def test_a_witness_that_is_down_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: nobody else can have it, and connecting is refused
        client = WitnessClient(f"http://127.0.0.1:{taken.getsockname()[1]}", SIGNER.verifier)
        with pytest.raises(WitnessUnavailable, match="cannot be reached"):
            client.cosign(NOTE, STORY.prove)


@pytest.mark.parametrize(
    "url",
    ["", "witness.example", "ftp://witness.example", "file:///etc/passwd", "http://", "http://u:p@w.example",
     "http://w.example/?q", "http://w.example/#f", "http://w.example:99999", "http://w.example/a\r\nX: y",
     "http://w .x/"],
)  # fmt: skip
def test_only_plain_addresses_of_http_are_taken(url: str) -> None:
    with pytest.raises(SettingsInvalid):
        WitnessClient(url, SIGNER.verifier)
