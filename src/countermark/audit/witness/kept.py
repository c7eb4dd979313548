"""Cosigned checkpoints on disk: the newest, and the last of each day. Copies belong where the operator cannot write."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from countermark.audit.note import MAX_NOTE_BYTES
from countermark.errors import OutputUnwritable, ProofInvalid

NEWEST: Final = "newest.txt"


class KeptCheckpoints:
    """The folder ``checkpoints/``; each file holds one cosigned note. Made at the first write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def newest(self) -> str | None:
        """The newest cosigned note; ``None`` where there is none yet.

        Raises:
            ProofInvalid: the file is no note.
        """
        path = self.folder / NEWEST
        try:
            with path.open("rb") as file:
                data = file.read(MAX_NOTE_BYTES + 1)
            return data.decode()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise ProofInvalid(f"The kept checkpoint {path} cannot be read ({type(error).__name__}).") from error

    def put(self, note: str) -> None:
        """Keep a note as the newest, and as the last of this day (UTC); each file whole or not at all.

        Raises:
            OutputUnwritable: the folder cannot be made or written.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in (f"{datetime.now(UTC):%Y-%m-%d}.txt", NEWEST):
                _replace(self.folder / name, note.encode())
        except OSError as error:
            raise OutputUnwritable(
                f"Cosigned checkpoints cannot be kept in {self.folder}: {error.strerror or error}.",
                remedy="Make the folder writable, and see that its disk has room; then: countermark witness collect",
            ) from error


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
