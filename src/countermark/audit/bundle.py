"""The bundle that an export hands over: a contiguous range of entries, proved complete under one signed checkpoint.

The proof is the edge of the tree on either side: the roots of the perfect subtrees before the range and behind it.
Folding them with the range's own leaf hashes gives the checkpoint's root, so not one entry of the range can be missing,
changed or added; the subtrees before the range alone give the root at its first entry, which an auditor compares with
the checkpoint that ended the range received before. ``audit/FORMAT.md`` has the algorithm.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from pydantic import Field

from countermark.audit.tree import HASH_BYTES, SubtreeOracle, node_hash, perfect_subtrees, root_over
from countermark.errors import ProofInvalid
from countermark.model.base import Frozen, Sha256Hex

BUNDLE_SCHEMA: Final = "countermark.bundle/1"
MANIFEST: Final = "manifest.json"
ENTRIES: Final = "entries.jsonl"
CHECKPOINT: Final = "checkpoint"
DISCLOSED: Final = "disclosed.jsonl"
INSTRUCTIONS: Final = "VERIFY.md"
RECEIPT: Final = "export-receipt.json"
"""The receipt of the export's own event. It names the manifest's digest, so the manifest cannot name its."""


class FileDigest(Frozen):
    """One file of the bundle."""

    sha256: Sha256Hex
    bytes: int = Field(ge=0)


class BundleManifest(Frozen):
    """What the bundle holds. ``left`` and ``right`` are the tree's edges beside the range, base64 of 32 bytes each."""

    schema_: Literal["countermark.bundle/1"] = Field(default=BUNDLE_SCHEMA, alias="schema")
    origin: str
    log_key: str
    first: int = Field(ge=0)
    end: int = Field(ge=0)
    size: int = Field(ge=0)
    left: tuple[str, ...]
    right: tuple[str, ...]
    files: dict[str, FileDigest]


class DisclosedField(Frozen):
    """One line of ``disclosed.jsonl``: a protected field in the clear, or that it was erased.

    ``commitment_key`` (hexadecimal): HMAC-SHA-256 with it over ``text`` in UTF-8 gives the entry's commitment.
    """

    index: int = Field(ge=0)
    event_id: str
    field: str
    state: Literal["disclosed", "erased"]
    text: str | None = None
    commitment_key: str | None = None


def subtrees_behind(end: int, size: int) -> Iterator[tuple[int, int]]:
    """The ranges of the perfect subtrees between the first ``end`` entries and the tree's ``size``, in order."""
    while end < size:
        width = 1 << ((size - end).bit_length() - 1)
        if end:
            width = min(width, end & -end)
        yield end, end + width
        end += width


def edges(first: int, end: int, size: int, subtree: SubtreeOracle) -> tuple[list[bytes], list[bytes]]:
    """The proof of a range: subtree roots before it and behind it."""
    left = [subtree(start, stop) for start, stop in perfect_subtrees(first)]
    return left, [subtree(start, stop) for start, stop in subtrees_behind(end, size)]


class RangeFold:
    """Folds the edge before a range, its leaf hashes, and the edge behind it, to the roots on the way.

    Raises:
        ProofInvalid: the edge has the wrong number of hashes.
    """

    def __init__(self, first: int, left: Sequence[bytes]) -> None:
        ranges = perfect_subtrees(first)
        if len(ranges) != len(left) or any(len(value) != HASH_BYTES for value in left):
            raise ProofInvalid(f"The proof of a range from entry {first} needs {len(ranges)} hashes before it.")
        self.size = first
        self._edge = [
            ((stop - start).bit_length() - 1, value) for (start, stop), value in zip(ranges, left, strict=True)
        ]

    def push(self, value: bytes, width: int = 1) -> None:
        """Add one leaf hash, or the root of the next ``width`` entries."""
        height = width.bit_length() - 1
        self.size += width
        while self._edge and self._edge[-1][0] == height:
            value = node_hash(self._edge.pop()[1], value)
            height += 1
        self._edge.append((height, value))

    def root(self) -> bytes:
        """The root of the tree so far."""
        return root_over([value for _, value in self._edge])

    def finish(self, size: int, right: Sequence[bytes]) -> bytes:
        """The root of the tree of ``size`` entries.

        Raises:
            ProofInvalid: the edge has the wrong number of hashes.
        """
        ranges = list(subtrees_behind(self.size, size))
        if len(ranges) != len(right):
            raise ProofInvalid(f"The proof of a range up to {self.size} needs {len(ranges)} hashes behind it.")
        for (start, stop), value in zip(ranges, right, strict=True):
            self.push(value, stop - start)
        return self.root()


def encode_hashes(hashes: Sequence[bytes]) -> tuple[str, ...]:
    """Base64 of each."""
    return tuple(base64.b64encode(value).decode() for value in hashes)


def instructions(manifest: BundleManifest, root: bytes) -> str:
    """The bundle's own ``VERIFY.md``."""
    last = f"{manifest.end - 1}" if manifest.end > manifest.first else "none"
    return f"""# How to verify this bundle

It holds entries {manifest.first} to {last} ({manifest.end - manifest.first} of them) of the audit log
`{manifest.origin}`, as they stood under its signed checkpoint of {manifest.size} entries.

## With the auditor's kit

    python verify_log.py <this folder or zip> --key KEY --checkpoint FILE

`verify_log.py` is under 300 lines and needs Python 3.11 and the package `cryptography`, nothing of countermark and no
network. Take three things from anywhere but here:

- **the program** from countermark's repository (`audit/verify_log.py`), or write your own from `audit/FORMAT.md`;
- **KEY**, the log's verifier key, from where it was published. The bundle says it is

      {manifest.log_key}

- **FILE**, the newest checkpoint that you kept yourself, of {manifest.first} to {manifest.end} entries; the export that
  begins where it ends is made with `countermark log export --since FILE`. It alone convicts somebody who has both the
  database and the signing key.

`VERIFIED` and exit code 0: the range is complete, unchanged and in order, signed, and continues what you held.

## By hand

1. `sha256sum` of each file named in `{MANIFEST}` gives the digest that stands there.
2. `{CHECKPOINT}` is a signed note: its Ed25519 signature covers the text before the blank line.
3. Each line of `{ENTRIES}`, without its newline, is one entry: leaf = SHA-256(0x00 ‖ line). Fold `left`, the leaves and
   `right` of `{MANIFEST}` as FORMAT.md says ("Bundle"). The result is the checkpoint's root,

       {root.hex()}

4. In `{DISCLOSED}`, where there is one, HMAC-SHA-256(commitment_key, text) is the commitment in the entry.
5. `{RECEIPT}` proves that the log recorded this export: its event names the SHA-256 of `{MANIFEST}`.

## What is what

`{ENTRIES}` is what is proved. `entries.csv` and `entries.parquet`, where they are here, are flattened views of it for
convenience, proved by nothing: in CSV, a cell that a spreadsheet would take for a formula begins with an apostrophe.
Deletion of data keys (erasure) leaves entries and proofs as they are; `{DISCLOSED}` says which fields were erased.
"""
