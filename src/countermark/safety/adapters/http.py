"""One bounded exchange with a service: JSON out, JSON in, in a set time. Redirects and proxies are never followed."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final
from urllib.parse import urlsplit

from countermark.safety.adapters.opinion import CouldNotLook

MAX_ANSWER_BYTES: Final = 256 * 1024
OK: Final = 200
_MEANINGS: Final = {
    400: "refused the request",
    401: "did not accept the key",
    403: "did not accept the key",
    404: "does not know the address or the model",
    413: "found the request too large",
    429: "is asked too often, or the quota is used up",
}


class JsonService:
    """A service that answers JSON to JSON.

    Args:
        url: its address, without query; checked by the settings to be https, or http on this machine.
        timeout: seconds for one exchange from beginning to end.
    """

    def __init__(self, url: str, *, timeout: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("not an address of HTTP")
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._timeout = timeout

    def post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
        """Send an object and return the one that came back.

        Raises:
            CouldNotLook: no answer in time, another status than 200, or an answer that is too long or no JSON object.
                The reason quotes nothing of the answer, which may repeat what was sent.
        """
        data = json.dumps(body).encode()
        status, answer = self._exchange(f"{self._prefix}{path}", data, {**headers, "Content-Type": "application/json"})
        if status != OK:
            meaning = _MEANINGS.get(status, "redirects" if 300 <= status < 400 else "failed")
            raise CouldNotLook(f"{meaning} (status {status})")
        if len(answer) > MAX_ANSWER_BYTES:
            raise CouldNotLook(f"answered more than {MAX_ANSWER_BYTES // 1024} KiB")
        try:
            parsed = json.loads(answer)
        except (ValueError, RecursionError):
            raise CouldNotLook("answered something other than JSON") from None
        if not isinstance(parsed, dict):
            raise CouldNotLook("answered something other than a JSON object")
        return parsed

    def _exchange(self, path: str, data: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and answer, from a thread of its own: nothing else bounds how long a name is looked up."""
        exchange = _Exchange(self._connection(), path, data, headers)
        threading.Thread(target=exchange.run, daemon=True).start()
        try:
            return exchange.answer.result(self._timeout)
        except TimeoutError:
            raise CouldNotLook(f"did not answer within {self._timeout:g} s") from None
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: no host name
            raise CouldNotLook(f"cannot be reached ({type(error).__name__})") from None
        finally:
            exchange.end()

    def _connection(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=self._timeout)


class _Exchange:
    """One request and its answer."""

    def __init__(
        self, connection: http.client.HTTPConnection, path: str, data: bytes, headers: Mapping[str, str]
    ) -> None:
        self._connection = connection
        self._request = (path, data, {**headers, "Connection": "close", "Accept": "application/json"})
        self._over = threading.Event()
        self.answer: Future[tuple[int, bytes]] = Future()

    def run(self) -> None:
        """Ask, and keep the answer or the failure."""
        try:
            self._connection.connect()
            if self._over.is_set():  # nobody waits any more: nothing is sent
                raise TimeoutError
            self._connection.request("POST", *self._request)
            with self._connection.getresponse() as response:
                answer = response.read(MAX_ANSWER_BYTES + 1)
            self.answer.set_result((response.status, answer))
        except BaseException as error:  # it is raised where the answer is waited for
            self.answer.set_exception(error)
        finally:
            self._connection.close()

    def end(self) -> None:
        """Cut the connection, if there still is one: a time limit for each read would let a trickle go on for ever."""
        self._over.set()
        connection = self._connection.sock
        if connection is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
