"""Reading lists of hashes as their keepers hand them out: plain text, CSV, JSON lines. Bounded, and strict by line.

Text is one hexadecimal hash a line, with ``#`` comments; it does not say what kind its hashes are, so the caller does.
CSV has the columns ``hash`` and ``type`` (in a header, or first and second without one); JSON lines have those keys.
Further columns and keys are left aside. No message quotes a hash: a list of hashes is confidential.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, Literal, get_args

import orjson

from countermark.errors import HashListInvalid, NotFound
from countermark.files import open_file

HashKind = Literal["pdq", "sha256"]
ListFormat = Literal["text", "csv", "jsonl"]

HASH_BYTES: Final = 32
"""Of both kinds: PDQ has 256 bits like SHA-256."""
MAX_LINE: Final = 4096
MAX_IMPORT_BYTES: Final = 4 * 2**30
BATCH: Final = 65_536
_FORMATS: Final[dict[str, ListFormat]] = {".txt": "text", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")
_DECORATION: Final = re.compile(r"^hash_|[-_ ]")


@dataclass
class Batch:
    """Some of a file's hashes, 32 bytes each, one after another; and how many of other kinds were left out."""

    sha256: bytearray = field(default_factory=bytearray)
    pdq: bytearray = field(default_factory=bytearray)
    others: int = 0

    def __len__(self) -> int:
        return (len(self.sha256) + len(self.pdq)) // HASH_BYTES + self.others

    def enter(self, kind: HashKind, digest: bytes) -> None:
        """Add one hash."""
        (self.pdq if kind == "pdq" else self.sha256).extend(digest)


def read_hashes(
    path: Path, *, form: ListFormat | None = None, kind: HashKind | None = None, skip_others: bool = False
) -> Iterator[Batch]:
    """The hashes of a file in batches, so that a list of any length needs little memory.

    Args:
        path: the file.
        form: how it is written; by its suffix (``.txt``, ``.csv``, ``.jsonl``, ``.ndjson``) unless given.
        kind: what a line's hash is where the line itself does not say.
        skip_others: count hashes of kinds that cannot be looked up (MD5, PhotoDNA) instead of refusing the file.

    Raises:
        NotFound: there is no such file.
        HashListInvalid: the file is too large, of unknown form, or a line is not as it should be; the message names
            the line.
    """
    form = form or _FORMATS.get(path.suffix.lower())
    if form is None:
        raise HashListInvalid(
            f"{path}: its name does not say how it is written.",
            remedy=f"Add --format {'|'.join(get_args(ListFormat))}.",
        )
    if form == "text" and kind is None:
        raise HashListInvalid(
            f"{path}: a plain list does not say what its hashes are, and PDQ and SHA-256 look the same.",
            remedy="Add --type pdq or --type sha256.",
        )
    try:
        with open_file(path) as file:
            if path.stat().st_size > MAX_IMPORT_BYTES:
                raise HashListInvalid(f"{path} holds more than {MAX_IMPORT_BYTES // 2**30} GiB.", remedy="Split it.")
            yield from _batches(_ROWS[form](_Lines(path, file)), path, kind, skip_others)
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.") from error
    except OSError as error:
        raise HashListInvalid(f"{path} cannot be read: {error.strerror or error}.") from error


def _batches(rows: Iterator[_Row], path: Path, kind: HashKind | None, skip_others: bool) -> Iterator[Batch]:
    batch = Batch()
    for line, digits, named in rows:
        found = _kind(named) if named else kind
        if found is None and not (named and skip_others):
            what = "names a kind of hash that cannot be looked up" if named else "does not say what kind its hash is"
            raise HashListInvalid(
                f"{path}:{line}: the line {what}.",
                remedy="Only pdq and sha256 are supported. "
                + ("Leave the others out with --skip-other-types." if named else "Add --type pdq or --type sha256."),
            )
        if found is None:
            batch.others += 1
        elif _HEX.fullmatch(digits):
            batch.enter(found, bytes.fromhex(digits))
        else:
            raise HashListInvalid(f"{path}:{line}: a {found} hash has 64 hexadecimal digits; this one has not.")
        if len(batch) >= BATCH:
            yield batch
            batch = Batch()
    if len(batch):
        yield batch


def _kind(name: str) -> HashKind | None:
    """``PDQ``, ``HASH_PDQ``, ``SHA-256``, ``sha_256`` …: what the industry's exchanges call the two."""
    plain = _DECORATION.sub("", name.strip().lower().removeprefix("hash_"))
    return "pdq" if plain == "pdq" else "sha256" if plain == "sha256" else None


class _Lines:
    """The lines of a file, decoded and bounded; ``number`` is that of the newest."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.number = 0
        self._file = file

    def __iter__(self) -> Iterator[str]:
        while raw := self._file.readline(MAX_LINE + 1):
            self.number += 1
            if len(raw) > MAX_LINE:
                raise self.fault(f"the line is longer than {MAX_LINE} bytes")
            try:
                yield raw.decode("utf-8-sig" if self.number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise self.fault("the line is not UTF-8") from None

    def fault(self, what: str) -> HashListInvalid:
        return HashListInvalid(f"{self.path}:{self.number}: {what}.")


_Row = tuple[int, str, str]
"""Line number, hash, and what the line calls its kind (empty where it does not say)."""


def _text_rows(lines: _Lines) -> Iterator[_Row]:
    for line in lines:
        digits = line.partition("#")[0].strip()
        if digits:
            yield lines.number, digits, ""


def _csv_rows(lines: _Lines) -> Iterator[_Row]:
    at_hash, at_kind = 0, 1
    first = True
    # An open quote would make one row of all the lines that follow, so rows are read one line at a time.
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        try:
            cells = [cell.strip() for cell in next(csv.reader([line], strict=True))]
        except csv.Error:
            raise lines.fault("the line is not CSV") from None
        names = [cell.lower() for cell in cells]
        if first and "hash" in names:
            at_hash, at_kind = names.index("hash"), names.index("type") if "type" in names else -1
        elif at_hash >= len(cells) or at_kind >= len(cells) > 1:
            raise lines.fault("the row has too few columns")
        else:
            yield lines.number, cells[at_hash], cells[at_kind] if 0 <= at_kind < len(cells) else ""
        first = False


def _json_rows(lines: _Lines) -> Iterator[_Row]:
    for line in lines:
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            raise lines.fault("the line is not JSON") from None
        if not isinstance(row, dict) or not isinstance(row.get("hash"), str):
            raise lines.fault('the line is no object with a "hash"')
        kind = row.get("type", "")
        if not isinstance(kind, str):
            raise lines.fault('"type" is not text')
        yield lines.number, row["hash"].strip(), kind


_ROWS: Final = {"text": _text_rows, "csv": _csv_rows, "jsonl": _json_rows}
