#!/usr/bin/env python3
"""Verify a countermark audit log, or one receipt, without countermark.

    python verify_log.py audit.db [--checkpoint FILE] [--key VKEY]
    python verify_log.py receipt.json [--key VKEY] [--checkpoint FILE]

A store (audit.db, or its folder) is verified whole: every entry is hashed and compared with the recorded leaf hashes,
and the tree over them with the signed checkpoints. A receipt is verified offline. Take the key from where the log's
operator cannot change it, and hold a checkpoint yourself: without one, whoever has both the database and the signing
key can rewrite everything unnoticed.

Needs Python 3.11 and the package `cryptography`, nothing of countermark. The formats are described in FORMAT.md.
Exit codes: 0 verified, 13 verification failed, 2 usage.
"""

from __future__ import annotations

import argparse
import base64
import difflib
import hashlib
import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PROOF_MAGIC = "c2sp.org/tlog-proof@v1"


class Bad(Exception):
    """Something does not verify; the message says what."""


class Checkpoint(NamedTuple):
    """A verified tree head."""

    origin: str
    size: int
    root: bytes


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def roots(leaves: list[bytes], sizes: set[int]) -> dict[int, bytes]:
    """The roots of the trees over the first so many leaf hashes, for each size that there is."""
    found: dict[int, bytes] = {}
    edge: list[bytes] = []  # roots of perfect subtrees, largest first
    for count in range(len(leaves) + 1):
        if count in sizes:
            root = edge[-1] if edge else hashlib.sha256(b"").digest()
            for left in reversed(edge[:-1]):
                root = node_hash(left, root)
            found[count] = root
        if count < len(leaves):
            value, bits = leaves[count], count
            while bits & 1:
                value, bits = node_hash(edge.pop(), value), bits >> 1
            edge.append(value)
    return found


def root_from_path(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """The root that an audit path leads to (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        raise Bad(f"index {index} is outside a tree of {size} entries")
    position, last, root = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise Bad("the audit path is too long")
        if position & 1 or position == last:
            root = node_hash(sibling, root)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        position, last = position >> 1, last >> 1
    if last:
        raise Bad("the audit path is too short")
    return root


def decode(text: str, size: int | None = None) -> bytes:
    """Canonical base64 of ``size`` bytes."""
    try:
        value = base64.b64decode(text, validate=True)
    except ValueError:
        raise Bad("not base64") from None
    if base64.b64encode(value).decode() != text or (size is not None and len(value) != size):
        raise Bad("not canonical base64 of the right length")
    return value


def decimal(text: str) -> int:
    """A plain decimal number."""
    if not (text.isascii() and text.isdigit() and len(text) < 20 and str(int(text)) == text):
        raise Bad("not a plain decimal number")
    return int(text)


def open_checkpoint(note: str, vkey: str) -> Checkpoint:
    """Verify the log's own signature on a checkpoint."""
    name, _, rest = vkey.strip().partition("+")
    key_hex, _, encoded = rest.partition("+")
    material = decode(encoded, 33)
    if material[0] != 1 or hashlib.sha256(name.encode() + b"\n" + material).digest()[:4].hex() != key_hex:
        raise Bad("the verifier key is not an Ed25519 key, or does not match its own id")
    text, separator, signatures = note.rpartition("\n\n")
    text += "\n"
    if not separator or not signatures.endswith("\n") or any(c < " " and c != "\n" for c in note):
        raise Bad("not a signed note")
    signed = False
    for line in signatures[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        signer, _, value = rest.partition(" ")
        signature = decode(value)
        if dash != "\u2014" or len(signature) <= 4:
            raise Bad("a malformed signature line")
        if signer == name and signature[:4].hex() == key_hex:
            try:
                Ed25519PublicKey.from_public_bytes(material[1:]).verify(signature[4:], text.encode())
            except InvalidSignature:
                raise Bad(f"the signature of {name} is wrong") from None
            signed = True
    lines = text[:-1].split("\n")
    if not signed:
        raise Bad(f"not signed by the key {name}+{key_hex}")
    if len(lines) < 3 or not all(lines) or lines[0] != name:
        raise Bad(f"not a checkpoint of the log {name}")
    return Checkpoint(lines[0], decimal(lines[1]), decode(lines[2], 32))


def verify_receipt(receipt: Any, vkey: str) -> tuple[int, Checkpoint]:
    """Verify a countermark.receipt/1; returns the entry's index and the checkpoint that proves it."""
    fields = receipt if isinstance(receipt, dict) else {}
    if fields.get("schema") != "countermark.receipt/1" or not all(isinstance(v, str) for v in fields.values()):
        raise Bad("not a countermark.receipt/1")
    head, _, note = fields.get("proof", "").partition("\n\n")
    magic, *lines = head.split("\n")
    lines = lines[1:] if lines and lines[0].startswith("extra ") else lines
    if magic != PROOF_MAGIC or not lines or not lines[0].startswith("index "):
        raise Bad("not a C2SP tlog-proof")
    index = decimal(lines[0].removeprefix("index "))
    checkpoint = open_checkpoint(note, vkey)
    path = [decode(line, 32) for line in lines[1:]]
    leaf = leaf_hash(fields.get("entry", "").encode("utf-8", "surrogatepass"))
    if root_from_path(index, checkpoint.size, leaf, path) != checkpoint.root:
        raise Bad(f"the entry is not number {index} of the log {checkpoint.origin}")
    return index, checkpoint


def connect(path: Path) -> sqlite3.Connection:
    """Open a store without writing anything beside it, unless its write-ahead log must be read."""
    journal = path.with_name(path.name + "-wal")
    mode = "mode=ro" if journal.exists() and journal.stat().st_size else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)
    connection.execute("BEGIN")
    return connection


def recorded_leaves(store: sqlite3.Connection) -> list[bytes]:
    """The leaf hashes as recorded: the tiles of level 0."""
    leaves: list[bytes] = []
    for index, hashes in store.execute("SELECT idx, hashes FROM tile WHERE level = 0 ORDER BY idx"):
        if index * 256 != len(leaves):
            break
        leaves += [hashes[i : i + 32] for i in range(0, len(hashes) - 31, 32)]
    return leaves


def named_changes(numbers: list[int], stored: list[bytes], recorded: list[bytes]) -> Iterator[str]:
    """Say which entries differ from the recorded leaf hashes, and how."""
    place, stored_leaves = {leaf: index for index, leaf in enumerate(recorded)}, set(stored)
    start = next((i for i, pair in enumerate(zip(recorded, stored, strict=False)) if pair[0] != pair[1]), 0)
    matcher = difflib.SequenceMatcher(None, recorded[start:], stored[start:], autojunk=False)
    for _, low, high, first, last in (change for change in matcher.get_opcodes() if change[0] != "equal"):
        gone = [i for i in range(start + low, start + high) if recorded[i] not in stored_leaves]
        new = [i for i in range(start + first, start + last) if stored[i] not in place]
        for index, at in zip(gone, new, strict=False):
            yield f"entry {index} was changed after it was recorded (stored as {numbers[at]})"
        for index in gone[len(new) :]:
            yield f"entry {index} was removed"
        for at in new[len(gone) :]:
            yield f"the entry stored as {numbers[at]} was never recorded: it was put in later"
        for at in range(start + first, start + last):
            if stored[at] in place:
                yield f"entry {place[stored[at]]} was moved: it is stored as {numbers[at]}"


def verify_store(store: sqlite3.Connection, vkey: str, held: Checkpoint | None) -> list[str]:
    """Everything that is wrong with a store, one sentence each."""
    problems: list[str] = []
    signed: list[Checkpoint] = []
    rows = [(seq, leaf_hash(body)) for seq, body in store.execute("SELECT seq, body FROM entry ORDER BY seq")]
    numbers, stored, recorded = [seq for seq, _ in rows], [leaf for _, leaf in rows], recorded_leaves(store)
    for (note,) in store.execute("SELECT note FROM checkpoint UNION SELECT note FROM head"):
        try:
            signed.append(open_checkpoint(note, vkey))
        except Bad as error:
            problems.append(f"a stored checkpoint cannot be trusted: {error}")
    references = [("the store's own checkpoint", checkpoint) for checkpoint in sorted(signed)]
    references += [("the checkpoint that you hold", held)] if held else []
    sizes = {checkpoint.size for _, checkpoint in references}
    trees = roots(stored, sizes), roots(recorded, sizes)

    newest = max(signed, default=None)
    if stored != recorded and newest and newest.size == len(stored) and trees[0][newest.size] == newest.root:
        problems.append("the recorded leaf hashes were altered; the entries themselves are as signed")
    elif stored != recorded:
        problems += list(named_changes(numbers, stored, recorded))
    elif numbers != list(range(len(numbers))):
        problems.append("the entries are not numbered 0, 1, 2, …")
    good = 0
    for source, checkpoint in references:
        if checkpoint.root in [tree.get(checkpoint.size) for tree in trees]:
            good = max(good, checkpoint.size if checkpoint is not held else 0)
        elif checkpoint.size > len(stored):
            problems.append(f"{source} counts {checkpoint.size} entries, the store holds {len(stored)}")
        else:
            span = f"{0 if checkpoint is held else good} to {checkpoint.size - 1}"
            problems.append(f"{source} contradicts the log: one of the entries {span} is not what was signed")
    if newest and newest.size < len(stored):
        problems.append(f"entries {newest.size} to {len(stored) - 1} are not signed")
    if problems and stored == recorded:  # the tree was forged too: the look-up index may have been forgotten
        indexed = [leaf for (leaf,) in store.execute("SELECT leaf FROM event_index ORDER BY seq")]
        problems += [f"by the look-up index, {change}" for change in named_changes(numbers, stored, indexed)]
    return problems


def check_store(path: Path, key: str | None, note: str | None) -> list[str]:
    """Verify a store and print what was found."""
    try:
        store = connect(path)
        meta = dict(store.execute("SELECT key, value FROM meta"))
        vkey = key or meta.get("verifier_key", "")
        held = open_checkpoint(note, vkey) if note else None
        problems = verify_store(store, vkey, held)
        count = store.execute("SELECT count(*) FROM entry").fetchone()[0]
    except (sqlite3.Error, TypeError) as error:
        raise Bad(f"{path} cannot be read: {error}") from None
    print(f"log      {meta.get('origin', '?')}, {count} entries")
    print(f"key      {vkey}{'' if key else '   (from the store itself: give --key)'}")
    print(f"held     {f'a checkpoint of {held.size} entries' if held else 'nothing: give --checkpoint'}")
    return problems


def check_receipt(path: Path, key: str | None, note: str | None) -> list[str]:
    """Verify a receipt and print what was found."""
    try:
        receipt = json.loads(path.read_bytes())
    except ValueError:
        raise Bad(f"{path} is neither an audit store nor a receipt in JSON") from None
    vkey = key or str(receipt.get("log_key") if isinstance(receipt, dict) else "")
    index, checkpoint = verify_receipt(receipt, vkey)
    held = open_checkpoint(note, vkey) if note else None
    print(f"log      {checkpoint.origin}\nentry    {index} of {checkpoint.size}")
    print(f"key      {vkey}{'' if key else '   (from the receipt itself: give --key)'}")
    if held and held.size == checkpoint.size and held.root != checkpoint.root:
        return [f"you hold another checkpoint of {held.size} entries than the receipt: the log was forked"]
    return []


def main() -> int:
    """Verify what the arguments name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("path", type=Path, help="audit.db, the folder that holds it, or a receipt (JSON)")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint of the log that you kept yourself")
    parser.add_argument("--key", help="the log's verifier key, name+id+key")
    options = parser.parse_args()
    path = options.path / "audit.db" if options.path.is_dir() else options.path
    try:
        note = options.checkpoint.read_text(encoding="utf-8") if options.checkpoint else None
        with path.open("rb") as file:
            is_store = file.read(16) == b"SQLite format 3\x00"
        problems = (check_store if is_store else check_receipt)(path, options.key, note)
    except (OSError, UnicodeDecodeError) as error:
        parser.error(str(error))
    except Bad as error:
        problems = [str(error)]
    for problem in problems:
        print(f"FAILED   {problem}")
    print(f"FAILED: {len(problems)} problem(s)" if problems else "VERIFIED")
    return 13 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
