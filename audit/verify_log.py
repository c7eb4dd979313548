#!/usr/bin/env python3
"""Verify a countermark audit log, a bundle exported from it, or one receipt, without countermark.

    python verify_log.py PATH [--checkpoint FILE] [--key VKEY] [--witness VKEY ... --quorum K]

Every entry is hashed, and the tree over them compared with signed checkpoints. Take the key from where the operator
cannot change it, and hold a checkpoint yourself: without one, or witnesses, whoever has database and signing key can
rewrite all unnoticed. Needs Python 3.11 and `cryptography`. FORMAT.md: the formats. Exit: 0 verified, 13 not, 2 usage.
"""

import argparse
import base64
import hashlib
import hmac
import json
import re
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def demand(fine: object, complaint: str) -> None:
    """Give up where something is not as it must be."""
    if not fine:
        raise ValueError(complaint)


def sha(*parts: bytes) -> bytes:
    """SHA-256 of the parts together: 0x00 and an entry for a leaf, 0x01 and two hashes for a node."""
    return hashlib.sha256(b"".join(parts)).digest()


def decode(text: str, size: int | None = None) -> bytes:
    """Canonical base64 of ``size`` bytes."""
    value = base64.b64decode(text, validate=True)
    demand(base64.b64encode(value).decode() == text and len(value) == (size or len(value)), "base64 is not canonical")
    return value


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON in which no key stands twice: readers differ in which of the two they take."""
    demand(len(dict(pairs)) == len(pairs), "a key stands twice")
    return dict(pairs)


def plain(value: Any) -> bool:
    """Whether JSON has but one canonical form, that of RFC 8785: no float, null, large integer or key not in ASCII."""
    if isinstance(value, dict):
        return all(key.isascii() for key in value) and all(map(plain, value.values()))
    if isinstance(value, list):
        return all(map(plain, value))
    return isinstance(value, str | bool) or (isinstance(value, int) and abs(value) < 1 << 53)


class Log:
    """A log as it is read: the tree, as its perfect subtrees with their heights, what entries say, what is wrong."""

    def __init__(self, key: str, held: str) -> None:
        self.key, self.held, self.own, self.problems, self.without = key, held, "", list[str](), list[str]()
        self.first, self.end, self.size, self.edge = 0, 0, 0, list[tuple[int, bytes]]()
        self.signed, self.wanted, self.roots = dict[str, tuple[int, bytes]](), set[int](), {0: sha()}  # sizes wanted
        self.ids, self.erased, self.protected = set[str](), set[str](), dict[int, tuple[str, list[dict[str, str]]]]()

    def check(self, fine: object, problem: str) -> None:
        """Note a problem where something is not as it must be."""
        if not fine:
            self.problems.append(problem)

    def trust(self, claimed: str) -> None:
        """Take the key that is claimed where none was given, and open the checkpoint held with it."""
        self.check(self.key in ("", claimed), f"it names another key than the one given: {claimed}")
        self.key = self.key or claimed
        self.signed |= {"the checkpoint that you hold": open_checkpoint(self.held, self.key)} if self.held else {}

    def push(self, value: bytes, height: int = 0) -> None:
        """Add a leaf, or a perfect subtree of 2^height leaves."""
        self.size += 1 << height
        while self.edge and self.edge[-1][0] == height:
            value, height = sha(b"\x01", self.edge.pop()[1], value), height + 1
        self.edge.append((height, value))
        if self.size in self.wanted:
            self.roots[self.size] = self.root()

    def root(self) -> bytes:
        """The root now."""
        root = self.edge[-1][1] if self.edge else sha()
        for _, left in reversed(self.edge[:-1]):
            root = sha(b"\x01", left, root)
        return root

    def read(self, entry: bytes) -> bytes:
        """Add an entry, and take in what it says; its leaf hash."""
        try:
            event = json.loads(entry, object_pairs_hook=once)
            spelling = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            demand(spelling == entry and plain(event), "it is not in canonical form")
            demand(len(entry) <= 65_535 and event["schema"] == "countermark.event/1", "it is too long, or not event/1")
            demand(re.fullmatch("[0-9a-f]{32}", event_id := event["event_id"]), "its event id is none")
            demand(event_id not in self.ids, "its event id is that of an earlier entry")
            self.ids.add(event_id)
            self.erased |= set(event["erasure"]["events"] if event["type"] == "erasure" else ())
            self.protected[self.size] = event_id, event.get("protected", [])
        except Exception as error:  # hostile JSON can cause any
            self.problems.append(f"entry {self.size} is no valid event: {error}")
        self.push(leaf := sha(b"\x00", entry))
        return leaf


def signed_by(note: str, vkey: str, kind: int = 1) -> str:
    """The text of a note that a key signed (kind 1) or cosigned as a witness (4); empty where its line is missing."""
    name, key_hex, encoded = vkey.split("+", 2)
    material, found = decode(encoded, 33), False
    demand(material[0] == kind and sha(name.encode() + b"\n", material)[:4].hex() == key_hex, f"{vkey} is damaged")
    text, separator, lines = note.rpartition("\n\n")
    demand(separator and lines.endswith("\n") and not re.search("[\0-\x09\x0b-\x1f]", note), "not a signed note")
    for line in lines[:-1].split("\n"):
        dash, signer, encoded = line.split(" ")
        value = decode(encoded)
        demand(dash == "\u2014" and signer and len(value) > 4, "a malformed signature line")
        if (signer, value[:4].hex()) == (name, key_hex):
            time, signature = (value[4:12], value[12:]) if kind == 4 else (b"", value[4:])
            stamp = f"cosignature/v1\ntime {int.from_bytes(time, 'big')}\n" if kind == 4 else ""
            Ed25519PublicKey.from_public_bytes(material[1:]).verify(signature, f"{stamp}{text}\n".encode())
            found = True
    return text if found else ""


def open_checkpoint(note: str, vkey: str) -> tuple[int, bytes]:
    """Verify the log's own signature on a checkpoint."""
    lines = signed_by(note, vkey).split("\n")
    fits = len(lines) >= 3 and all(lines) and lines[0] == vkey.partition("+")[0] and lines[1] == str(abs(int(lines[1])))
    demand(fits, f"not a checkpoint signed by the key {vkey}")
    return int(lines[1]), decode(lines[2], 32)


def verify_receipt(text: bytes, log: Log) -> Any:
    """Verify a countermark.receipt/1; gives its event."""
    receipt = json.loads(text, object_pairs_hook=once)
    log.trust(receipt["log_key"])
    head, _, log.own = receipt["proof"].partition("\n\n")
    magic, line, *path = re.sub("(?<=@v1\n)extra [^\n]*\n", "", head).split("\n")
    log.size = log.first = int(line[6:])
    fits = (receipt["schema"], magic, line) == ("countermark.receipt/1", "c2sp.org/tlog-proof@v1", f"index {log.first}")
    demand(fits, "not a countermark.receipt/1 with a C2SP tlog-proof")
    (size, root), leaf = open_checkpoint(log.own, log.key), log.read(receipt["entry"].encode())
    at, last = log.first, size - 1
    for other in (decode(one, 32) for one in path):  # RFC 9162, 2.1.3.2
        demand(at <= last and last, "the audit path is too long, or the index outside the tree")
        left = at & 1 or at == last
        leaf = sha(b"\x01", other, leaf) if left else sha(b"\x01", leaf, other)
        while left and at and not at & 1:
            at, last = at >> 1, last >> 1
        at, last = at >> 1, last >> 1
    demand((at, last, leaf) == (0, 0, root), f"the entry is not number {log.first} of the log")
    log.end, log.size, log.roots = log.first + 1, size, {size: root}
    return json.loads(receipt["entry"])


def open_database(path: Path, *tables: str) -> sqlite3.Connection:
    """A snapshot of a database. Its tables must be tables: a view could show every reader something else."""
    path = path.resolve()  # journals lie beside the file, not beside a link to it
    journals = (path.with_name(path.name + end) for end in ("-wal", "-journal"))
    mode = "mode=ro" if any(one.exists() and one.stat().st_size for one in journals) else "mode=ro&immutable=1"
    database = sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True, isolation_level=None)
    demand(path.open("rb").read(16) == b"SQLite format 3\0", f"{path.name} is no database; what is beside it may be")
    database.execute("BEGIN")
    there = set(database.execute("SELECT type, name FROM sqlite_schema WHERE rootpage > 0 OR type = 'trigger'"))
    fits = {("table", one) for one in tables} <= there and "trigger" not in dict(there)
    demand(fits, f"{path.name} has triggers, or not the tables {', '.join(tables)}")
    return database


def verify_store(path: Path, log: Log) -> None:
    """Verify a whole store, and what ``signed.db`` beside it says of its last signature."""
    query, beside = "SELECT origin, size, root FROM signed NOT INDEXED", path.resolve().with_name("signed.db")
    rows = open_database(beside, "signed").execute(query).fetchall() if beside.exists() else []  # before the log
    store = open_database(path, "entry", "tile", "head", "checkpoint", "meta", "secret", "blob")
    log.trust(dict(store.execute("SELECT key, value FROM meta NOT INDEXED"))["verifier_key"])
    heads = store.execute("SELECT size, root, note FROM head NOT INDEXED").fetchall()
    notes = [note for *_, note in heads + store.execute("SELECT note FROM checkpoint NOT INDEXED").fetchall()]
    own = sorted(open_checkpoint(note, log.key) for note in notes)
    log.without += [] if rows else ["signed.db beside it: only a checkpoint that you hold tells of a rollback"]
    log.signed |= {f"signed.db of {name}": (size, root) for name, size, root in rows if log.key.startswith(f"{name}+")}
    log.signed |= {f"checkpoint {at} of the store": one for at, one in enumerate(own)}
    log.wanted = {size for size, _ in log.signed.values()}
    leaves = bytearray()
    for number, entry in store.execute("SELECT seq, body FROM entry NOT INDEXED ORDER BY seq"):
        demand(number == log.size, f"where entry {log.size} is due, there is {number}")
        leaves += log.read(entry)
    tiles = store.execute("SELECT idx, hashes FROM tile NOT INDEXED WHERE level = 0 ORDER BY idx").fetchall()
    hashes = b"".join(tile for _, tile in tiles).ljust(len(leaves))
    apart = [at // 32 for at in range(0, len(hashes), 32) if leaves[at : at + 32] != hashes[at : at + 32]]
    fits = tiles == [(at // 8192, leaves[at : at + 8192]) for at in range(0, len(leaves), 8192)]  # 256 hashes each
    log.check(fits, f"entries or recorded hashes were altered, added, removed or moved: {str(apart[:9])[1:-1]} differ")
    log.check([head[:2] for head in heads] == [(log.size, log.root())], "the store's head is not that of its entries")
    log.check(own and own[-1][0] >= log.size, f"of {log.size} entries {own[-1][0] if own else 'none'} are signed")
    keys = store.execute("SELECT key_id, '' FROM secret NOT INDEXED").fetchall()
    there = set(keys + store.execute("SELECT event_id, field FROM blob NOT INDEXED").fetchall())
    for index, (event_id, fields) in log.protected.items():
        parts = {(event_id, name) for one in fields if one["key_id"] == event_id for name in ("", one["field"])}
        gone, erased = parts - there, event_id in log.erased
        log.check(not erased or gone == parts, f"entry {index} was erased, but its data key or ciphertext is there")
        log.check(erased or not gone, f"entry {index} lacks its data key or a ciphertext, and no erasure is recorded")
        there -= parts
    log.check(not there, f"there are {len(there)} data keys or ciphertexts to which no entry committed")
    log.end, log.own = log.size, log.held


def verify_bundle(path: Path, log: Log) -> None:
    """Verify a bundle: the folder of a manifest, or a zip file of one."""
    if path.name == "manifest.json":
        inside = [one for one in path.parent.iterdir() if not one.name.startswith(".")]
        demand(all(one.is_file() and not one.is_symlink() for one in inside), "a link or a folder is in it")
        files = {one.name: one.read_bytes() for one in inside}
    else:
        archive = zipfile.ZipFile(path)
        members = [one for one in archive.infolist() if not one.is_dir()]
        demand(sum(one.file_size for one in members) < 100 * path.stat().st_size, "it unpacks to far more than entries")
        files = {one.filename.rpartition("/")[2]: archive.read(one) for one in members}
        demand(len(files) == len(members), "a file is twice in it")
    manifest = json.loads(files["manifest.json"], object_pairs_hook=once)
    log.first, log.end, size, left, right = (manifest[name] for name in ("first", "end", "size", "left", "right"))
    log.trust(manifest["log_key"])
    fits = plain(manifest) and 0 <= log.first <= log.end <= size and manifest["origin"] == log.key.partition("+")[0]
    demand(fits and manifest["schema"] == "countermark.bundle/1", "its manifest is not of a countermark.bundle/1")
    log.own, log.wanted = files["checkpoint"].decode(), {held for held, _ in log.signed.values()}
    there = {name: {"sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text)} for name, text in files.items()}
    for name in sorted(manifest["files"].keys() | there.keys() - {"manifest.json", "export-receipt.json"}):
        log.check(there.get(name) == manifest["files"].get(name), f"{name} is missing or not the file in the manifest")
    while before := log.first - log.size:
        log.push(decode(left.pop(0), 32), before.bit_length() - 1)
    *lines, rest = files["entries.jsonl"].split(b"\n")
    for line in lines:
        log.read(line)
    log.check(log.size == log.end and not rest, f"it holds {len(lines)} entries, not {log.first} to {log.end - 1}")
    while log.size < size and right:
        fits = (size - log.size).bit_length() - 1
        log.push(decode(right.pop(0), 32), min(fits, (log.size & -log.size or size).bit_length() - 1))
    covered = (log.size, log.root()) == open_checkpoint(log.own, log.key) and not left and not right
    log.check(covered, "the entries are not what the checkpoint covers: changed, removed, added or moved")
    for one in (json.loads(line, object_pairs_hook=once) for line in files.get("disclosed.jsonl", b"").splitlines()):
        event_id, fields = log.protected.get(one["index"], ("", []))
        key, text = bytes.fromhex(one.get("commitment_key") or ""), (one.get("text") or "").encode()
        erased, code = one["state"] == "erased" and not key + text, hmac.digest(key, text, "sha256").hex()
        named = [f["commitment"] for f in fields if (f["field"], event_id) == (one["field"], one["event_id"])]
        fits = named and (erased or f"hmac-sha256:{code}" in named)
        log.check(fits, f"the disclosed {one['field']} of entry {one['index']} is not what the log committed to")
    export = verify_receipt(files["export-receipt.json"], receipt := Log(log.key, ""))
    log.problems += receipt.problems
    here = {"manifest_sha256": there["manifest.json"]["sha256"], "first": log.first, "end": log.end, "size": size}
    log.check(here.items() <= export["export"].items(), "the log recorded another export than this one")


def main() -> int:
    """Verify what the arguments name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("path", type=Path, help="audit.db or its folder, a bundle (folder or zip), or a receipt")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint of the log that you kept yourself")
    parser.add_argument("--key", type=str.strip, default="", help="the log's verifier key, name+id+key")
    parser.add_argument("--witness", type=str.strip, action="append", default=[], help="a witness's key; repeatable")
    parser.add_argument("--quorum", type=int, default=0, help="how many of them must have cosigned one checkpoint")
    options = parser.parse_args()
    log, inside = Log(options.key, ""), [options.path / "manifest.json", options.path / "audit.db"]
    try:
        log.held = options.checkpoint.read_text(encoding="utf-8") or "empty" if options.checkpoint else ""
        log.without += [] if log.held else ["a checkpoint that you hold: give --checkpoint"]
        path = next((one for one in inside if one.is_file()), options.path)
        start = path.open("rb").read(1 << 20)
        if start.startswith(b"SQLite format 3\0"):
            verify_store(path, log)
        elif path.name == "manifest.json" or start.startswith(b"PK\3\4"):
            verify_bundle(path, log)
        else:
            verify_receipt(start, log)
        for source, (size, root) in log.signed.items():
            log.check(size in log.roots, f"{source} counts {size} entries: more than are here, or outside the range")
            log.check(log.roots.get(size, root) == root, f"{source}, of {size} entries, contradicts what is here")
        count = len({key.split("+", 2)[2] for key in options.witness if log.own and signed_by(log.own, key, 4)})
        log.check(count >= options.quorum, f"{count} witnesses cosigned the checkpoint, not {options.quorum}")
        what = f"entries {log.first} to {log.end - 1}" if log.first < log.end else "NO ENTRIES, for it holds none,"
        good = f"VERIFIED {what} of {log.size} in the log {log.key.partition('+')[0]}"
    except OSError as error:
        parser.error(str(error))
    except Exception as error:  # hostile files can cause any
        log.problems.append(f"damaged, or no store, bundle or receipt of this log: {type(error).__name__}: {error}")
    lines = [f"key      {log.key}{'' if options.key else '   (from what is verified: give --key)'}"]
    lines += [f"signed   {name}: {one[0]} entries" for name, one in log.signed.items() if not name.endswith("store")]
    lines += [f"without  {what}" for what in log.without]
    lines += [f"FAILED   {problem}" for problem in log.problems[:99]]
    lines.append(f"FAILED: {len(log.problems)} problem(s)" if log.problems else good)
    print(*(line.encode("unicode_escape").decode() for line in lines), sep="\n")
    return 13 if log.problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
