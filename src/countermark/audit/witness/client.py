"""Asks a witness to cosign a checkpoint (C2SP tlog-witness). Believes nothing that the witness's key did not sign."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from countermark.audit.checkpoint import open_checkpoint, parse_decimal, peek_checkpoint
from countermark.audit.note import MAX_NOTE_BYTES, parse_note, parse_signature, signature_line
from countermark.audit.witness.cosignature import CosignatureVerifier
from countermark.audit.witness.policy import cosigned_by
from countermark.audit.witness.protocol import (
    ADD_CHECKPOINT,
    SIZE_MEDIA_TYPE,
    checkpoint_path,
    format_submission,
)
from countermark.errors import ProofInvalid, SettingsInvalid, WitnessRefused, WitnessUnavailable

MAX_COSIGNATURE_BYTES: Final = 16 * 1024
MAX_COSIGNATURE_LINES: Final = 16
TIMEOUT_SECONDS: Final = 10.0

ConsistencyProver = Callable[[int, int], Sequence[bytes]]
"""Gives the proof that the tree of ``new`` entries extends the tree of ``old``."""


@dataclass(frozen=True)
class _Answer:
    status: int
    media_type: str
    body: bytes


class WitnessClient:
    """One witness, as a log sees it. Redirects and proxies are never followed.

    Args:
        url: its submission prefix, ``https://…`` or ``http://…``.
        verifier: its key.
        timeout: seconds for one exchange from beginning to end.

    Raises:
        SettingsInvalid: another kind of URL.
    """

    def __init__(self, url: str, verifier: CosignatureVerifier, *, timeout: float = TIMEOUT_SECONDS) -> None:
        try:
            self._secure, self._host, self._port, self._prefix = _split(url)
        except ValueError:
            raise SettingsInvalid(
                f"The address of the witness {verifier.name} is not one of HTTP.",
                remedy="Give its submission prefix, such as https://witness.example/w1.",
            ) from None
        self._timeout = timeout
        self.verifier = verifier
        self.seen = 0
        """The size that the witness cosigned last, as far as is known here."""

    @property
    def name(self) -> str:
        """The witness's name."""
        return self.verifier.name

    def cosign(self, note: str, prove: ConsistencyProver) -> str:
        """The witness's cosignature line for a signed checkpoint, verified.

        Args:
            note: the checkpoint, signed by its log.
            prove: makes consistency proofs of that log.

        Raises:
            WitnessUnavailable: it cannot be reached, or its answer is of no use; asking again may help.
            WitnessRefused: it holds a tree that this checkpoint does not extend.
        """
        size = peek_checkpoint(note).size
        for _ in range(2):
            old = min(self.seen, size)
            answer = self._exchange("POST", ADD_CHECKPOINT, format_submission(old, prove(old, size), note))
            if answer.status != 409 or answer.media_type != SIZE_MEDIA_TYPE:
                break
            self.seen = self._size(answer)
            if self.seen > size:
                raise WitnessRefused(
                    f"The witness {self.name} cosigned {self.seen} entries; this log has {size}: it was rolled back,"
                    " or its key signs another one."
                )
            if self.seen == old:
                raise self._contradiction(answer, size)
        if answer.status == 200:
            line = self._cosignature(note, answer)
            self.seen = size
            return line
        raise self._refusal(answer, size)

    def latest(self, verifier_key: str) -> str | None:
        """The newest checkpoint of a log that this witness cosigned, as it tells itself; verified.

        Args:
            verifier_key: the log's.

        Returns:
            The note, or ``None`` where the witness cosigned none of that log.

        Raises:
            WitnessUnavailable: it cannot be reached, or shows something else.
        """
        origin = verifier_key.partition("+")[0]
        answer = self._exchange("GET", checkpoint_path(origin), None)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self._useless(f"status {answer.status}")
        note = self._text(answer)
        with self._unusable():
            open_checkpoint(note, verifier_key)
            if not cosigned_by(note, [self.verifier]):
                raise ProofInvalid("It is not cosigned by this witness.")
        return note

    # --- answers ----------------------------------------------------------------------------------------------------

    def _cosignature(self, note: str, answer: _Answer) -> str:
        """The one line of this witness among the lines of the answer; those of other keys are ignored."""
        text = parse_note(note).text
        with self._unusable():
            *lines, rest = self._text(answer).split("\n")
            if rest or len(lines) > MAX_COSIGNATURE_LINES:
                raise ProofInvalid("The answer is not a few signature lines.")
            for line in map(parse_signature, lines):
                if (line.name, line.key_id) == (self.verifier.name, self.verifier.id):
                    if self.verifier.timestamp(text, line.signature) is None:
                        raise ProofInvalid("The cosignature is wrong.")
                    return signature_line(line.name, line.key_id, line.signature)
        raise self._useless("no cosignature of the configured key")

    def _size(self, answer: _Answer) -> int:
        with self._unusable():
            return parse_decimal(self._text(answer).removesuffix("\n"), "size in the witness's answer")

    def _refusal(self, answer: _Answer, size: int) -> WitnessRefused | WitnessUnavailable:
        if answer.status in (409, 422) and answer.media_type != SIZE_MEDIA_TYPE:
            return self._contradiction(answer, size)
        meaning = {403: "it does not know the key that signed", 404: "it does not know this log"}
        return self._useless(meaning.get(answer.status, f"status {answer.status}"))

    def _contradiction(self, answer: _Answer, size: int) -> WitnessRefused:
        return WitnessRefused(
            f"The witness {self.name} cosigned another history than the one that this checkpoint of {size} entries"
            f" belongs to (status {answer.status})."
        )

    def _text(self, answer: _Answer) -> str:
        try:
            return answer.body.decode()
        except UnicodeDecodeError:
            raise self._useless("not text") from None

    @contextmanager
    def _unusable(self) -> Iterator[None]:
        try:
            yield
        except ProofInvalid as error:
            raise self._useless(error.message) from None

    def _useless(self, reason: str) -> WitnessUnavailable:
        return WitnessUnavailable(f"The witness {self.name} gave no cosignature: {reason}.".replace("..", "."))

    # --- the exchange -----------------------------------------------------------------------------------------------

    def _exchange(self, method: str, path: str, body: bytes | None) -> _Answer:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=self._timeout)
        cut = None
        try:
            connection.connect()
            cut = _cut_after(self._timeout, connection.sock)
            connection.request(method, f"{self._prefix}{path}", body, {"Connection": "close"})
            with connection.getresponse() as response:
                limit = MAX_NOTE_BYTES if method == "GET" else MAX_COSIGNATURE_BYTES
                data = response.read(limit + 1)
                media_type = (response.getheader("Content-Type") or "").partition(";")[0].strip().lower()
        except (OSError, http.client.HTTPException, ValueError) as error:
            # ValueError: a TLS socket that was cut while it read.
            raise self._useless(f"it cannot be reached ({type(error).__name__})") from error
        finally:
            if cut:
                cut.cancel()
            connection.close()
        if len(data) > limit:
            raise self._useless("its answer is too long")
        return _Answer(response.status, media_type, data)


def _split(url: str) -> tuple[bool, str, int | None, str]:
    """Whether TLS is used, host, port and path prefix of a witness's address; ``ValueError`` where it is none."""
    parts = urlsplit(url)
    plain = url.isascii() and url.isprintable() and " " not in url
    odd = parts.username or parts.password or parts.query or parts.fragment
    if parts.scheme not in ("http", "https") or not parts.hostname or odd or not plain:
        raise ValueError
    return parts.scheme == "https", parts.hostname, parts.port, parts.path.rstrip("/")


def _cut_after(seconds: float, connection: socket.socket) -> threading.Timer:
    """End an exchange that takes too long: a timeout for each read alone would let a trickle go on for ever."""

    def cut() -> None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    return timer
