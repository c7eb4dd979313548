"""Moderation services on loopback: they check requests as the real ones do, and answer in their shape."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

KEY = "test-key-123"

OPENAI_LABELS = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
OPENAI_SEES = {
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "violence",
    "violence/graphic",
}


@dataclass
class Asked:
    """What a service was sent."""

    paths: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)


Answer = tuple[int, bytes] | Callable[[BaseHTTPRequestHandler], None]
Serve = Callable[[str, dict[str, str], dict[str, Any]], Answer]


@contextmanager
def serving(serve: Serve) -> Iterator[tuple[str, Asked]]:
    """Its address, and what it was asked."""
    asked = Asked()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.paths.append(self.path)
            asked.bodies.append(body)
            answer = serve(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            if callable(answer):
                with suppress(OSError):
                    answer(self)
                return
            status, data = answer
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(data)

        def do_GET(self) -> None:
            asked.paths.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def like_openai(scores: dict[str, float] | None = None, flagged: tuple[str, ...] = ()) -> Serve:
    """OpenAI's ``POST /v1/moderations``."""

    def serve(path: str, headers: dict[str, str], body: dict[str, Any]) -> Answer:
        if path != "/v1/moderations":
            return 404, _openai_error("invalid_request_error")
        if headers.get("authorization") != f"Bearer {KEY}":
            return 401, _openai_error("invalid_api_key")
        given = body.get("input")
        if headers.get("content-type") != "application/json" or set(body) != {"model", "input"}:
            return 400, _openai_error("invalid_request_error")
        if isinstance(given, str):
            kind = "text"
        else:
            (part,) = given
            head, _, data = part["image_url"]["url"].partition(",")
            if part["type"] != "image_url" or head != "data:image/jpeg;base64" or max(_opened(data).size) > 1024:
                return 400, _openai_error("image_parse_error")
            kind = "image"
        result = {
            "flagged": bool(flagged),
            "categories": {label: label in flagged for label in OPENAI_LABELS},
            "category_scores": {label: (scores or {}).get(label, 0.0001) for label in OPENAI_LABELS},
            "category_applied_input_types": {
                label: [kind] if kind == "text" or label in OPENAI_SEES else [] for label in OPENAI_LABELS
            },
        }
        return 200, json.dumps({"id": "modr-1", "model": body["model"], "results": [result]}).encode()

    return serve


def like_azure(**severities: object) -> Serve:
    """Azure AI Content Safety's ``text:analyze`` and ``image:analyze``."""

    def serve(path: str, headers: dict[str, str], body: dict[str, Any]) -> Answer:
        if headers.get("ocp-apim-subscription-key") != KEY:
            return 401, b'{"error":{"code":"401","message":"Access denied due to invalid subscription key"}}'
        names = ["Hate", "SelfHarm", "Sexual", "Violence"]
        if sorted(body.get("categories", ())) != names or body.get("outputType") != "FourSeverityLevels":
            return 400, b'{"error":{"code":"InvalidRequestBody","message":"..."}}'
        result: dict[str, Any] = {}
        if path == "/contentsafety/text:analyze?api-version=2024-09-01":
            if not 1 <= len(body["text"]) <= 10_000:
                return 400, b'{"error":{"code":"InvalidRequestBody","message":"..."}}'
            result["blocklistsMatch"] = []
        elif path == "/contentsafety/image:analyze?api-version=2024-09-01":
            if min(_opened(body["image"]["content"]).size) < 50:
                return 400, b'{"error":{"code":"InvalidImageSize","message":"..."}}'
        else:
            return 404, b'{"error":{"code":"404","message":"Resource not found"}}'
        rows = [{"category": name, "severity": severities.get(name, 0)} for name in names]
        return 200, json.dumps({**result, "categoriesAnalysis": rows}).encode()

    return serve


def _openai_error(code: str) -> bytes:
    return json.dumps({"error": {"message": "...", "type": code, "param": None, "code": code}}).encode()


def _opened(data: str) -> Image.Image:
    image = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
    image.load()
    assert image.format == "JPEG"
    return image
