#!/usr/bin/env python3
"""Verify a countermark audit log, a bundle exported from it, or one receipt, without countermark.

    python verify_log.py PATH [--checkpoint FILE] [--key VKEY] [--witness VKEY ... --quorum K]

Every entry of a store or bundle is hashed, and the tree over them compared with signed checkpoints. Take the key from
where the log's operator cannot change it, and hold a checkpoint yourself: without one, or witnesses, whoever has both
the database and the signing key can rewrite everything unnoticed. Needs Python 3.11 and the package `cryptography`,
nothing of countermark; FORMAT.md describes the formats. Exit codes: 0 verified, 13 verification failed, 2 usage.
"""

from __future__ import annotations

import argparse
import base64
import difflib
import hashlib
import hmac
import json
import sqlite3
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Checkpoint(NamedTuple):
    """A verified tree head."""

    origin: str
    size: int
    root: bytes


def sha(*parts: bytes) -> bytes:
    """SHA-256 of the parts together: 0x00 and an entry for a leaf, 0x01 and two hashes for a node."""
    return hashlib.sha256(b"".join(parts)).digest()


class Tree:
    """A growing tree: the roots of its perfect subtrees with their heights, largest first."""

    def __init__(self) -> None:
        self.size, self.edge = 0, list[tuple[int, bytes]]()

    def push(self, value: bytes, height: int = 0) -> None:
        """Add a leaf, or a perfect subtree of 2^height leaves."""
        self.size += 1 << height
        while self.edge and self.edge[-1][0] == height:
            value, height = sha(b"\x01", self.edge.pop()[1], value), height + 1
        self.edge.append((height, value))

    def root(self) -> bytes:
        """The root now."""
        root = self.edge[-1][1] if self.edge else sha()
        for _, left in reversed(self.edge[:-1]):
            root = sha(b"\x01", left, root)
        return root

    def grow(self, leaves: Iterable[bytes], sizes: set[int]) -> dict[int, bytes]:
        """Add leaves; the roots at those of the sizes that are passed."""
        found = {self.size: self.root()}
        for leaf in leaves:
            self.push(leaf)
            if self.size in sizes:
                found[self.size] = self.root()
        return found


def root_from_path(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """The root that an audit path leads to (RFC 6962, 2.1.1): its last hash is the other half of the tree."""
    if size <= 1 or not path:
        if (index, size, path) != (0, 1, []):
            raise ValueError("the audit path is too long or too short, or the index outside the tree")
        return leaf
    half = 1 << ((size - 1).bit_length() - 1)
    if index < half:
        return sha(b"\x01", root_from_path(index, half, leaf, path[:-1]), path[-1])
    return sha(b"\x01", path[-1], root_from_path(index - half, size - half, leaf, path[:-1]))


def decode(text: str, size: int | None = None) -> bytes:
    """Canonical base64 of ``size`` bytes."""
    value = base64.b64decode(text, validate=True)
    if base64.b64encode(value).decode() != text or (size is not None and len(value) != size):
        raise ValueError("not canonical base64 of the right length")
    return value


def signed_by(note: str, vkey: str, kind: int = 1) -> str | None:
    """The text of a note that a key signed (kind 1) or cosigned as a witness (4); None where its line is missing."""
    name, _, rest = vkey.strip().partition("+")
    key_hex, _, encoded = rest.partition("+")
    material = decode(encoded, 33)
    if material[0] != kind or sha(name.encode() + b"\n", material)[:4].hex() != key_hex:
        raise ValueError(f"the verifier key of {name} is of another kind, or does not match its own id")
    text, separator, lines = note.rpartition("\n\n")
    if not separator or not lines.endswith("\n") or any(c < " " and c != "\n" for c in note):
        raise ValueError("not a signed note")
    signed = False
    for line in lines[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        signer, _, encoded = rest.partition(" ")
        value = decode(encoded)
        if dash != "\u2014" or len(value) <= 4:
            raise ValueError("a malformed signature line")
        if signer == name and value[:4].hex() == key_hex:
            time, value = (value[4:12], value[12:]) if kind == 4 else (b"", value[4:])
            stamp = f"cosignature/v1\ntime {int.from_bytes(time, 'big')}\n" if kind == 4 else ""
            try:
                Ed25519PublicKey.from_public_bytes(material[1:]).verify(value, f"{stamp}{text}\n".encode())
            except InvalidSignature:
                raise ValueError(f"the signature of {name} is wrong") from None
            signed = True
    return text if signed else None


def open_checkpoint(note: str, vkey: str) -> Checkpoint:
    """Verify the log's own signature on a checkpoint."""
    lines = (signed_by(note, vkey) or "").split("\n")
    if len(lines) < 3 or not all(lines) or lines[0] != vkey.partition("+")[0] or lines[1] != str(int(lines[1])):
        raise ValueError(f"not a checkpoint signed by the key {vkey}")
    return Checkpoint(lines[0], int(lines[1]), decode(lines[2], 32))


def open_receipt(receipt: Any, vkey: str) -> tuple[Checkpoint, str, Any]:
    """Verify a countermark.receipt/1: the checkpoint and note that prove the entry, and the event."""
    if receipt["schema"] != "countermark.receipt/1":
        raise ValueError("not a countermark.receipt/1")
    head, _, note = receipt["proof"].partition("\n\n")
    magic, *lines = head.split("\n")
    lines = lines[1:] if lines and lines[0].startswith("extra ") else lines
    if magic != "c2sp.org/tlog-proof@v1" or not lines or lines[0] != f"index {int(lines[0][6:])}":
        raise ValueError("not a C2SP tlog-proof")
    index, checkpoint = int(lines[0][6:]), open_checkpoint(note, vkey)
    entry = receipt["entry"].encode("utf-8", "surrogatepass")
    path = [decode(line, 32) for line in lines[1:]]
    if root_from_path(index, checkpoint.size, sha(b"\x00", entry), path) != checkpoint.root:
        raise ValueError(f"the entry is not number {index} of the log {checkpoint.origin}")
    return checkpoint, note, json.loads(entry)


def named_changes(numbers: list[int], stored: list[bytes], recorded: list[bytes]) -> Iterator[str]:
    """Say which entries differ from the recorded leaf hashes, and how."""
    place, stored_leaves = {leaf: index for index, leaf in enumerate(recorded)}, set(stored)
    start = next((i for i, pair in enumerate(zip(recorded, stored, strict=False)) if pair[0] != pair[1]), 0)
    matcher = difflib.SequenceMatcher(None, recorded[start:], stored[start:], autojunk=False)
    for _, low, high, first, last in (change for change in matcher.get_opcodes() if change[0] != "equal"):
        gone = [i for i in range(start + low, start + high) if recorded[i] not in stored_leaves]
        new = [i for i in range(start + first, start + last) if stored[i] not in place]
        yield from (f"entry {i} was changed after it was recorded" for i, _ in zip(gone, new, strict=False))
        yield from (f"entry {i} was removed" for i in gone[len(new) :])
        yield from (f"the entry stored as {numbers[at]} was never recorded: put in later" for at in new[len(gone) :])
        for at in range(start + first, start + last):
            if stored[at] in place:
                yield f"entry {place[stored[at]]} was moved: it is stored as {numbers[at]}"


def protected_problems(store: sqlite3.Connection) -> Iterator[str]:
    """Data keys and ciphertexts that are gone without an erasure, or there in spite of one."""
    there = set(store.execute("SELECT key_id, '' FROM secret UNION SELECT event_id, field FROM blob"))
    expected, erased = dict[str, tuple[int, set[tuple[str, str]]]](), set[str]()
    for seq, body in store.execute("SELECT seq, body FROM entry ORDER BY seq"):
        event = json.loads(body) if b'"protected":[{' in body or b'"type":"erasure"' in body else {}
        erased |= set(event.get("erasure", {}).get("events", ()))
        own = {(c["key_id"], c["field"]) for c in event.get("protected", ()) if c["key_id"] == event["event_id"]}
        if own:
            expected[event["event_id"]] = seq, own | {(event["event_id"], "")}
    for event_id, (seq, parts) in expected.items():
        if event_id in erased and parts & there:
            yield f"entry {seq} was erased, but its data key or ciphertext is there"
        elif event_id not in erased and parts - there:
            yield f"entry {seq} lacks its data key or a ciphertext, and no erasure is recorded"


def verify_store(store: sqlite3.Connection, vkey: str, held: Checkpoint | None) -> Iterator[str]:
    """Everything that is wrong with a store, one sentence each."""
    rows = [(seq, sha(b"\x00", body)) for seq, body in store.execute("SELECT seq, body FROM entry ORDER BY seq")]
    numbers, stored, signed = [seq for seq, _ in rows], [leaf for _, leaf in rows], list[Checkpoint]()
    tiles = b"".join(hashes for (hashes,) in store.execute("SELECT hashes FROM tile WHERE level = 0 ORDER BY idx"))
    recorded = [tiles[i : i + 32] for i in range(0, len(tiles) - 31, 32)]
    for (note,) in store.execute("SELECT note FROM checkpoint UNION SELECT note FROM head"):
        try:
            signed.append(open_checkpoint(note, vkey))
        except ValueError as error:
            yield f"a stored checkpoint cannot be trusted: {error}"
    references = [("the store's own checkpoint", checkpoint) for checkpoint in sorted(signed)]
    references += [("the checkpoint that you hold", held)] if held else []
    sizes, newest, good = {checkpoint.size for _, checkpoint in references}, max(signed, default=None), 0
    trees = Tree().grow(stored, sizes), Tree().grow(recorded, sizes)
    if stored != recorded and newest and newest.size == len(stored) and trees[0][newest.size] == newest.root:
        yield "the recorded leaf hashes were altered; the entries themselves are as signed"
    elif stored != recorded:
        yield from named_changes(numbers, stored, recorded)
    elif numbers != list(range(len(numbers))):
        yield "the entries are not numbered 0, 1, 2, …"
    else:
        yield from protected_problems(store)
    for source, checkpoint in references:
        if checkpoint.root in [tree.get(checkpoint.size) for tree in trees]:
            good = max(good, checkpoint.size if checkpoint is not held else 0)
        elif checkpoint.size > len(stored):
            yield f"{source} counts {checkpoint.size} entries, the store holds {len(stored)}"
        else:
            span = f"{0 if checkpoint is held else good} to {checkpoint.size - 1}"
            yield f"{source} contradicts the log: one of the entries {span} is not what was signed"
    if newest and newest.size < len(stored):
        yield f"entries {newest.size} to {len(stored) - 1} are not signed"


def verify_bundle(files: dict[str, bytes], vkey: str, held: Checkpoint | None) -> Iterator[str]:
    """Everything that is wrong with a bundle, one sentence each."""
    manifest = json.loads(files["manifest.json"])
    first, end, size, tree = manifest["first"], manifest["end"], manifest["size"], Tree()
    for name, digest in manifest["files"].items():
        if hashlib.sha256(files.get(name, b"")).hexdigest() != digest["sha256"]:
            yield f"{name} is missing or not the file that the manifest names"
    lines, checkpoint = files["entries.jsonl"].split(b"\n")[:-1], open_checkpoint(files["checkpoint"].decode(), vkey)
    for height in (h for h in reversed(range(first.bit_length())) if first >> h & 1):
        tree.push(decode(manifest["left"].pop(0), 32), height)
    found = tree.grow((sha(b"\x00", line) for line in lines), {held.size} if held else set())
    while tree.size < size and manifest["right"]:
        fits = (size - tree.size).bit_length() - 1
        tree.push(decode(manifest["right"].pop(0), 32), min(fits, (tree.size & -tree.size or size).bit_length() - 1))
    if (tree.size, tree.root()) != checkpoint[1:] or manifest["left"] or manifest["right"]:
        yield f"the entries {first} to {end - 1} are not what the checkpoint covers: changed, removed, added or moved"
    if held and held.size not in found and held != checkpoint:
        yield f"the checkpoint that you hold, of {held.size} entries, is outside the range: ask for an export since it"
    elif held and found.get(held.size, held.root) != held.root:
        yield "the checkpoint that you hold contradicts the bundle"
    for one in map(json.loads, files.get("disclosed.jsonl", b"").splitlines()):
        protected = json.loads(lines[one["index"] - first])["protected"]
        code = hmac.digest(bytes.fromhex(one.get("commitment_key", "")), one.get("text", "").encode(), "sha256").hex()
        committed = {c["commitment"] for c in protected if c["field"] == one["field"]}
        if one["state"] == "disclosed" and f"hmac-sha256:{code}" not in committed:
            yield f"the disclosed {one['field']} of entry {one['index']} is not what the log committed to"
    export = open_receipt(json.loads(files["export-receipt.json"]), vkey)[2].get("export") or {}
    if export.get("manifest_sha256") != hashlib.sha256(files["manifest.json"]).hexdigest():
        yield "the log recorded another export than this one"


def verify(path: Path, key: str | None, note: str | None) -> tuple[list[str], str]:
    """Verify what there is at a path; gives the problems and the checkpoint that it stands under."""
    files = {file.name: file.read_bytes() for file in path.iterdir()} if (path / "manifest.json").is_file() else {}
    if zipfile.is_zipfile(path):
        files = {Path(one.filename).name: zipfile.ZipFile(path).read(one) for one in zipfile.ZipFile(path).infolist()}
    path, store, receipt = path / "audit.db" if path.is_dir() and not files else path, None, None
    if files:
        claimed = json.loads(files["manifest.json"])["log_key"]
    elif path.read_bytes()[:16] == b"SQLite format 3\x00":
        journal = path.with_name(path.name + "-wal")  # read only where it must be, so that nothing is written beside
        mode = "mode=ro" if journal.exists() and journal.stat().st_size else "mode=ro&immutable=1"
        store = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None)
        store.execute("BEGIN")
        claimed = dict(store.execute("SELECT key, value FROM meta")).get("verifier_key", "")
    else:
        claimed = (receipt := json.loads(path.read_bytes()))["log_key"]
    held = open_checkpoint(note, key or claimed) if note else None
    print(f"key      {key or claimed + '   (from what is verified: give --key)'}")
    print(f"held     {f'a checkpoint of {held.size} entries' if held else 'nothing: give --checkpoint'}")
    if store:
        return list(verify_store(store, key or claimed, held)), note or ""
    if files:
        return list(verify_bundle(files, key or claimed, held)), files["checkpoint"].decode()
    checkpoint, own, _ = open_receipt(receipt, key or claimed)
    forked = held is not None and held.size == checkpoint.size and held != checkpoint
    return ["the checkpoint that you hold is of another tree: the log was forked"] if forked else [], own


def main() -> int:
    """Verify what the arguments name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("path", type=Path, help="audit.db or its folder, a bundle (folder or zip), or a receipt")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint of the log that you kept yourself")
    parser.add_argument("--key", help="the log's verifier key, name+id+key")
    parser.add_argument("--witness", action="append", default=[], help="a witness's verifier key; may be repeated")
    parser.add_argument("--quorum", type=int, default=0, help="how many of them must have cosigned one checkpoint")
    options = parser.parse_args()
    try:
        note = options.checkpoint.read_text(encoding="utf-8") if options.checkpoint else None
        problems, own = verify(options.path, options.key, note)
        cosigned = {key for key in options.witness if signed_by(own, key, 4)} if own else ()
        if len(cosigned) < options.quorum:
            problems.append(f"{len(cosigned)} witnesses cosigned the checkpoint, not {options.quorum}")
    except OSError as error:
        parser.error(str(error))
    except (ValueError, LookupError, TypeError, AttributeError, sqlite3.Error) as error:
        problems = [f"{options.path} is damaged, or is no store, bundle or receipt of this log: {error}"]
    last = f"FAILED: {len(problems)} problem(s)" if problems else "VERIFIED"
    print("\n".join([*(f"FAILED   {problem}" for problem in problems), last]))
    return 13 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
