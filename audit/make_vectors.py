"""Make the test vectors in ``vectors/``: a good store and receipt, and one of each kind of damage.

    python audit/make_vectors.py [FOLDER]

Keys, nonces and times are fixed, so that every run makes the same entries, proofs and signatures. The keys protect
nothing: their secrets are the SHA-256 of a public sentence.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countermark.audit.canonical import canonical_bytes, event_document
from countermark.audit.checkpoint import sign_checkpoint
from countermark.audit.log import AuditLog
from countermark.audit.note import NoteSigner
from countermark.audit.query import INDEX_COLUMNS, index_row
from countermark.audit.tiles import HashedTree
from countermark.audit.tree import leaf_hash
from countermark.audit.warrant import Warrant
from countermark.model import (
    ActorRef,
    Event,
    EventType,
    ExportRecord,
    ModelRef,
    Outcome,
    OutputRecord,
    PolicyRef,
    Receipt,
)

ENTRIES = 12
Change = Callable[[sqlite3.Connection], None]


def signer(sentence: str = "countermark test vectors") -> NoteSigner:
    """A signing key that everybody knows."""
    seed = hashlib.sha256(sentence.encode()).digest()
    return NoteSigner("vectors.countermark.example/log", Ed25519PrivateKey.from_private_bytes(seed))


def _hex(what: str, digits: int) -> str:
    return hashlib.sha256(what.encode()).hexdigest()[:digits]


def make_event(number: int, **changes: object) -> Event:
    """A released image, or every fourth time a refusal; the same for the same number."""
    refused = number % 4 == 3
    output = OutputRecord(
        sha256=_hex(f"file {number}", 64),
        media_type="image/png",
        width=512,
        height=512,
        size=300_000 + number,
        watermark="lattice/1",
        watermark_payload=_hex(f"record {number}", 12),
        fingerprint=_hex(f"fingerprint {number}", 64),
        manifest_sha256=_hex(f"manifest {number}", 64),
    )
    fields: dict[str, object] = {
        "event_id": _hex(f"event {number}", 32),
        "type": "generation.refused" if refused else "generation.released",
        "time": f"2026-11-22T10:00:{number % 60:02d}.000Z",
        "source": "gateway-1",
        "nonce": _hex(f"nonce {number}", 32),
        "tenant": "tenant-é" if number % 5 == 4 else "default",
        "attempt": _hex(f"attempt {number}", 32),
        "model": ModelRef(id="example/tiny", version="1", digest=_hex("weights", 64)),
        "params": {"seed": str(2**60 + number), "steps": "20"},
        "policy": PolicyRef(id="default", version="1", digest=_hex("policy", 64)),
        "decision": Outcome.BLOCK if refused else Outcome.ALLOW,
        "rule": "violence-high" if refused else "default-allow",
        "output": None if refused else output,
        "latency_us": {"generate": 1_200_000, "mark": 90_000},
    }
    return Event.model_validate({**fields, **changes})


# --- what somebody can do who may write the database ------------------------------------------------------------------


def edit(store: sqlite3.Connection) -> None:
    """Change entry 5."""
    body = store.execute("SELECT body FROM entry WHERE seq = 5").fetchone()[0]
    store.execute("UPDATE entry SET body = ? WHERE seq = 5", (body.replace(b'"allow"', b'"block"'),))


def delete(store: sqlite3.Connection) -> None:
    """Remove entry 5."""
    store.execute("DELETE FROM entry WHERE seq = 5")


def delete_and_renumber(store: sqlite3.Connection) -> None:
    """Remove entry 5 and close the gap."""
    delete(store)
    store.execute("UPDATE entry SET seq = -seq WHERE seq > 5")
    store.execute("UPDATE entry SET seq = -seq - 1 WHERE seq < 0")


def swap(store: sqlite3.Connection) -> None:
    """Exchange entries 5 and 6."""
    store.execute("UPDATE entry SET seq = -1 WHERE seq = 5")
    store.execute("UPDATE entry SET seq = 5 WHERE seq = 6")
    store.execute("UPDATE entry SET seq = 6 WHERE seq = -1")


def insert(store: sqlite3.Connection) -> None:
    """Put an invented entry in place 5 and move the others up."""
    invented = canonical_bytes(event_document(make_event(1_000_000)))
    store.execute("UPDATE entry SET seq = -seq WHERE seq >= 5")
    store.execute("UPDATE entry SET seq = -seq + 1 WHERE seq < 0")
    store.execute("INSERT INTO entry VALUES (5, ?)", (invented,))


def truncate(store: sqlite3.Connection) -> None:
    """Cut off the last two entries."""
    store.execute("DELETE FROM entry WHERE seq >= (SELECT max(seq) - 1 FROM entry)")


ATTACKS: dict[str, Change] = {
    "entry-edited": edit,
    "entry-deleted": delete,
    "entry-deleted-and-renumbered": delete_and_renumber,
    "entries-swapped": swap,
    "entry-inserted": insert,
    "log-truncated": truncate,
}


def forge_tree(store: sqlite3.Connection, key: NoteSigner | None = None, *, index: bool = True) -> None:
    """Make everything in the store agree with the entries as they are; with the ``key``, sign it too."""
    rows = store.execute("SELECT body FROM entry ORDER BY seq").fetchall()
    leaves = [leaf_hash(body) for (body,) in rows]
    store.execute("UPDATE entry SET seq = -seq - 1")
    for seq, (old,) in enumerate(store.execute("SELECT seq FROM entry ORDER BY seq DESC").fetchall()):
        store.execute("UPDATE entry SET seq = ? WHERE seq = ?", (seq, old))
    tree = HashedTree(b"".join(leaves))
    store.execute("DELETE FROM tile")
    tiles = [(level, at, tree.tile(level, at)) for level, at in sorted(tree.keys()) if tree.tile(level, at)]
    store.executemany("INSERT INTO tile VALUES (?, ?, ?)", tiles)
    store.execute("UPDATE head SET size = ?, root = ?", (tree.size, tree.root(tree.size)))
    if key:
        root = tree.root(tree.size)
        assert root is not None
        store.execute("UPDATE head SET note = ?", (sign_checkpoint(key, tree.size, root),))
        store.execute("DELETE FROM checkpoint")
    if index:  # rows are all of it: bitmaps and locators begin with the first 4,096 entries
        store.execute("DELETE FROM event_index")
        columns = ", ".join(("?",) * (len(INDEX_COLUMNS) + 2))
        for seq, ((body,), leaf) in enumerate(zip(rows, leaves, strict=True)):
            row = index_row(json.loads(body))
            store.execute(f"INSERT OR IGNORE INTO event_index VALUES ({columns})", (seq, leaf, *row))  # noqa: S608


def alter_leaf_hash(store: sqlite3.Connection) -> None:
    """Change the recorded hash of entry 5, not the entry."""
    hashes = bytearray(store.execute("SELECT hashes FROM tile WHERE level = 0 AND idx = 0").fetchone()[0])
    hashes[5 * 32] ^= 1
    store.execute("UPDATE tile SET hashes = ? WHERE level = 0 AND idx = 0", (bytes(hashes),))


def sign_with_another_key(store: sqlite3.Connection) -> None:
    """Replace the checkpoint by one of somebody else's, under the same name."""
    size, root = store.execute("SELECT size, root FROM head").fetchone()
    store.execute("UPDATE head SET note = ?", (sign_checkpoint(signer("somebody else"), size, root),))


def _then_forge(attack: Change, key: NoteSigner | None) -> Change:
    def change(store: sqlite3.Connection) -> None:
        attack(store)
        forge_tree(store, key)

    return change


def drop_signatures(store: sqlite3.Connection) -> None:
    """Take away everything that was signed."""
    store.execute("DELETE FROM head")
    store.execute("DELETE FROM checkpoint")


def put_bytes_behind_tile(store: sqlite3.Connection) -> None:
    """Add two bytes to the recorded hashes: too few for another."""
    store.execute("UPDATE tile SET hashes = CAST(hashes || x'0102' AS BLOB) WHERE level = 0 AND idx = 0")


def show_entries_by_view(store: sqlite3.Connection) -> None:
    """Put a view in place of the table of entries: it shows what was signed, and could show others something else."""
    store.execute("DROP VIEW event")
    store.execute("ALTER TABLE entry RENAME TO hidden")
    store.execute("CREATE VIEW entry AS SELECT seq, body FROM hidden")


def _edit_and_drop_signatures(store: sqlite3.Connection) -> None:
    _then_forge(edit, None)(store)
    drop_signatures(store)


def _appended(spell: Callable[[bytes], bytes], **changes: object) -> Change:
    """Add an entry that is no valid event, and sign it: what a faulty writer does, or somebody who has the key."""

    def change(store: sqlite3.Connection) -> None:
        body = spell(canonical_bytes(event_document(make_event(ENTRIES, **changes))))
        store.execute("INSERT INTO entry VALUES (?, ?)", (ENTRIES, body))
        forge_tree(store, signer())

    return change


def _lengthened(body: bytes) -> bytes:
    return body.replace(b'"error":""', b'"error":"%b"' % (b"x" * (65_536 - len(body))))


STORES: dict[str, Change] = {
    "good": lambda _: None,
    **ATTACKS,
    "entry-edited-and-tree-forged": _then_forge(edit, None),
    "entry-edited-and-signed-anew": _then_forge(edit, signer()),
    "log-truncated-and-signed-anew": _then_forge(truncate, signer()),
    "leaf-hash-altered": alter_leaf_hash,
    "signed-by-another-key": sign_with_another_key,
    "entry-edited-and-signatures-dropped": _edit_and_drop_signatures,
    "bytes-behind-tile": put_bytes_behind_tile,
    "entries-shown-by-view": show_entries_by_view,
    "event-id-twice": _appended(bytes, event_id=make_event(5).event_id),
    "entry-not-canonical": _appended(lambda body: body.replace(b'","', b'", "', 1)),
    "entry-with-newline": _appended(lambda body: body.replace(b'","', b'",\n"', 1)),
    "entry-with-key-twice": _appended(lambda body: body.replace(b'"error":""', b'"error":"","error":"x"')),
    "entry-with-float": _appended(lambda body: body.replace(b'"mark":90000', b'"mark":90000.5')),
    "entry-too-long": _appended(_lengthened),
}


# --- receipts --------------------------------------------------------------------------------------------------------


def damaged_receipts(good: Receipt) -> dict[str, Receipt]:
    """Each way in which a receipt can be wrong."""
    head, note = good.proof.split("\n\n", 1)
    magic, index, first, *rest = head.split("\n")
    flipped = bytearray(base64.b64decode(first))
    flipped[0] ^= 1
    body, signature = note.rsplit("\n\n", 1)

    def proof(*lines: str, checkpoint: str = note) -> Receipt:
        return good.model_copy(update={"proof": "\n".join(lines) + "\n\n" + checkpoint})

    other = signer("somebody else").sign(body + "\n")
    return {
        "entry-edited": good.model_copy(update={"entry": good.entry.replace('"allow"', '"block"')}),
        "index-altered": proof(magic, "index 6", first, *rest),
        "index-outside-the-log": proof(magic, f"index {5 + 16}", first, *rest),
        "proof-hash-flipped": proof(magic, index, base64.b64encode(flipped).decode(), *rest),
        "proof-too-short": proof(magic, index, *rest),
        "proof-too-long": proof(magic, index, first, first, *rest),
        "checkpoint-edited": proof(
            magic, index, first, *rest, checkpoint=body.replace(f"\n{ENTRIES}\n", "\n13\n") + "\n\n" + signature
        ),
        "signed-by-another-key": proof(magic, index, first, *rest, checkpoint=other),
        "unsigned": proof(magic, index, first, *rest, checkpoint=body + "\n\n"),
    }


# --- holds, erasures, disclosures and bundles -------------------------------------------------------------------------

MASTER_KEY = bytes(32)
CUSTODY_ENTRIES = 10


class _Counted:
    """Stands in for the module ``secrets``: random to nobody, the same on every run."""

    def __init__(self, what: str) -> None:
        self._what, self._count = what, 0

    def token_bytes(self, count: int) -> bytes:
        self._count += 1
        return hashlib.sha256(f"{self._what} {self._count}".encode()).digest()[:count]

    def token_hex(self, count: int) -> str:
        return self.token_bytes(count).hex()


@contextmanager
def _settled() -> Iterator[None]:
    """Keys, nonces, ids and times as they are in every run."""
    with (
        patch("countermark.audit.privacy.secrets", _Counted("key")),
        patch("countermark.audit.warrant.secrets", _Counted("warrant")),
        patch("countermark.audit.warrant.now", lambda: "2026-11-22T11:00:00.000Z"),
        patch("countermark.audit.custodian.secrets", _Counted("hold")),
        patch("countermark.audit.custodian.now", lambda: "2026-11-22T11:00:00.000Z"),
    ):
        yield


def _actor(number: int) -> ActorRef:
    return ActorRef(pseudonym=_hex(f"actor {number % 2}", 32), key_id=_hex("pseudonym key", 16))


def write_custody(folder: Path, made: Path) -> None:
    """A log with protected fields, a hold, an erasure and an access, whole and damaged, and bundles from it."""
    why = Warrant("test vectors", _actor(0), "gateway-1")
    with AuditLog.open(made / "audit.db", signer=signer(), master_key=MASTER_KEY) as log:
        numbers = range(CUSTODY_ENTRIES)
        log.append_many([(make_event(n, actor=_actor(n)), {"prompt": f"a cat, number {n}"}) for n in numbers])
        first = log.checkpoint()
        log.hold(why, events=[make_event(3).event_id])
        log.erase(why, subject=_actor(1).pseudonym)
        log.reveal(0, "prompt", reason="test vectors", actor=_actor(0))
        (folder / "custody.checkpoint").write_text(log.checkpoint(), encoding="utf-8")
        (folder / "custody-first.checkpoint").write_text(first, encoding="utf-8")
        bundles = folder / "bundles"
        shutil.rmtree(bundles, ignore_errors=True)
        bundles.mkdir()
        for name, change in CUSTODY_STORES.items():
            _write_store(made / "audit.db", folder / "stores" / f"{name}.db", change)
        log.export(bundles / "good", why, formats=("csv",), reveal=True)
        log.export(bundles / "good-since-first-checkpoint", why, first=CUSTODY_ENTRIES)
        log.export(bundles / "good-middle", why, first=3, end=7)
        log.export(bundles / "good-empty", why, first=7, end=7)
        log.export(made / "first-four", why, first=0, end=4, reveal=True)
        log.export(made / "next-four", why, first=3, end=7, reveal=True)
        for name, (source, spoil) in REEXPORTED.items():
            shutil.copytree(made / source, bundles / name)
            spoil(bundles / name)
            _export_again(log, bundles / name, why)
    for name, spoil in BUNDLES.items():
        shutil.copytree(bundles / "good", bundles / name)
        spoil(bundles / name)


def _export_again(log: AuditLog, bundle: Path, why: Warrant) -> None:
    """Let the manifest fit a spoilt bundle and record its export: who has the signing key can."""
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    for name in manifest["files"]:
        text = (bundle / name).read_bytes()
        manifest["files"][name] = {"sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text)}
    text = json.dumps(manifest, indent=2).encode() + b"\n"
    (bundle / "manifest.json").write_bytes(text)
    extent = {name: manifest[name] for name in ("first", "end", "size")}
    record = ExportRecord(formats=("jsonl",), manifest_sha256=hashlib.sha256(text).hexdigest(), **extent)
    receipt = log.receipt(log.append(why.event(EventType.EXPORT, export=record)).index)
    (bundle / "export-receipt.json").write_text(receipt.model_dump_json(by_alias=True) + "\n", encoding="utf-8")


def _bring_back(store: sqlite3.Connection) -> None:
    event_id = make_event(1).event_id
    store.execute("INSERT INTO secret SELECT ?, master_id, zeroblob(60) FROM secret LIMIT 1", (event_id,))


CUSTODY_STORES: dict[str, Change] = {
    "good-with-erasure": lambda _: None,
    "key-deleted-without-erasure": lambda store: _run(store, "DELETE FROM secret WHERE key_id = ?", 4),
    "ciphertext-deleted-without-erasure": lambda store: _run(store, "DELETE FROM blob WHERE event_id = ?", 4),
    "erased-key-brought-back": _bring_back,
}


def _run(store: sqlite3.Connection, statement: str, number: int) -> None:
    store.execute(statement, (make_event(number).event_id,))


def _digest(path: Path) -> bytes:
    """A file's digest and length as the manifest spells them."""
    return b'"%b",\n      "bytes": %d' % (hashlib.sha256(path.read_bytes()).hexdigest().encode(), path.stat().st_size)


def _spoil(file: str, change: Callable[[bytes], bytes], *, settle: bool = False) -> Callable[[Path], None]:
    """Change a file of a bundle; ``settle`` its digest in the manifest, too, as a careful forger would."""

    def spoil(bundle: Path) -> None:
        path, manifest = bundle / file, bundle / "manifest.json"
        old = _digest(path)
        path.write_bytes(change(path.read_bytes()))
        if settle:
            manifest.write_bytes(manifest.read_bytes().replace(old, _digest(path)))

    return spoil


def _without_line(number: int) -> Callable[[bytes], bytes]:
    return lambda text: b"".join(line for at, line in enumerate(text.splitlines(keepends=True)) if at != number)


def _with_invented_line(text: bytes) -> bytes:
    return text + canonical_bytes(event_document(make_event(1_000_000))) + b"\n"


def _swapped(text: bytes) -> bytes:
    lines = text.splitlines(keepends=True)
    lines[5], lines[6] = lines[6], lines[5]
    return b"".join(lines)


def _put_file_in(bundle: Path) -> None:
    (bundle / "entries.parquet").write_bytes(b"PAR1")


def _resigned(text: bytes) -> bytes:
    body = text.decode().rsplit("\n\n", 1)[0] + "\n"
    return signer("somebody else").sign(body).encode()


BUNDLES: dict[str, Callable[[Path], None]] = {
    "entry-edited": _spoil("entries.jsonl", lambda text: text.replace(b'"allow"', b'"block"', 1)),
    "entry-edited-and-manifest-forged": _spoil(
        "entries.jsonl", lambda text: text.replace(b'"allow"', b'"block"', 1), settle=True
    ),
    "entry-removed": _spoil("entries.jsonl", _without_line(5), settle=True),
    "last-entry-removed": _spoil("entries.jsonl", _without_line(12), settle=True),
    "entry-added": _spoil("entries.jsonl", _with_invented_line, settle=True),
    "entries-swapped": _spoil("entries.jsonl", _swapped, settle=True),
    "checkpoint-signed-by-another-key": _spoil("checkpoint", _resigned, settle=True),
    "disclosed-text-altered": _spoil("disclosed.jsonl", lambda text: text.replace(b"a cat", b"a dog", 1), settle=True),
    "file-put-in": _put_file_in,
    "csv-altered": _spoil("entries.csv", lambda text: text.replace(b"allow", b"block", 1)),
    "export-receipt-edited": _spoil("export-receipt.json", lambda text: text.replace(b"test vectors", b"best vectors")),
}


def _hide_last_entry(bundle: Path) -> None:
    """Fold the last entry of the range into the edge behind it."""
    *lines, last = (bundle / "entries.jsonl").read_bytes().splitlines(keepends=True)
    (bundle / "entries.jsonl").write_bytes(b"".join(lines))
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    manifest["right"] = [base64.b64encode(leaf_hash(last[:-1])).decode(), *manifest["right"]]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    (bundle / "disclosed.jsonl").write_bytes(_without_line(3)((bundle / "disclosed.jsonl").read_bytes()))


def _name_another_key(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    manifest["log_key"] = signer("somebody else").verifier_key
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def _disclosed(old: bytes, new: bytes) -> Callable[[Path], None]:
    return _spoil("disclosed.jsonl", lambda text: text.replace(old, new, 1))


REEXPORTED: dict[str, tuple[str, Callable[[Path], None]]] = {
    "last-entry-hidden-behind-the-range": ("first-four", _hide_last_entry),
    "text-behind-last-line": (
        "next-four",
        _spoil("entries.jsonl", lambda text: text + b'{"type":"generation.refused"}'),
    ),
    "disclosed-under-an-index-before-the-range": ("next-four", _disclosed(b'"index":6', b'"index":2')),
    "disclosed-under-another-event": (
        "first-four",
        _disclosed(make_event(2).event_id.encode(), make_event(0).event_id.encode()),
    ),
    "disclosed-text-twice": ("first-four", _disclosed(b'"text":', b'"text":"a harmless dog","text":')),
    "erased-text-invented": ("first-four", _disclosed(b'"state":"erased"', b'"state":"erased","text":"a dog"')),
    "another-log-key-named": ("first-four", _name_another_key),
}


def write_vectors(folder: Path) -> None:
    """Write all vectors into ``folder``."""
    stores, receipts = folder / "stores", folder / "receipts"
    stores.mkdir(parents=True, exist_ok=True)
    receipts.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "audit.db"
        with AuditLog.open(path, signer=signer(), master_key=MASTER_KEY) as log:
            log.append_many([(make_event(number), None) for number in range(ENTRIES)])
            good = log.receipt(5)
            (folder / "log.vkey").write_text(log.verifier_key + "\n", encoding="utf-8")
            (folder / "held.checkpoint").write_text(log.checkpoint(), encoding="utf-8")
        for name, change in STORES.items():
            _write_store(path, stores / f"{name}.db", change)
    write_home(stores / "rolled-back-behind-signed-db")
    with tempfile.TemporaryDirectory() as made, _settled():
        write_custody(folder, Path(made))
    for name, receipt in {"good": good, **damaged_receipts(good)}.items():
        text = json.dumps(receipt.model_dump(mode="json", by_alias=True), ensure_ascii=False, indent=1)
        (receipts / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def write_home(folder: Path) -> None:
    """A store beside ``signed.db``, as it was an entry before the last signature: an old copy put back."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with tempfile.TemporaryDirectory() as made:
        with AuditLog.open(Path(made) / "audit.db", signer=signer()) as log:
            log.append_many([(make_event(number), None) for number in range(ENTRIES)])
            _write_store(Path(made) / "audit.db", folder / "audit.db", lambda _: None)
            log.append(make_event(ENTRIES))
        _write_store(Path(made) / "signed.db", folder / "signed.db", lambda _: None)


def _write_store(source: Path, target: Path, change: Change) -> None:
    target.unlink(missing_ok=True)
    original = sqlite3.connect(source)
    copy = sqlite3.connect(target, isolation_level=None)
    original.backup(copy)
    change(copy)
    copy.execute("PRAGMA journal_mode = DELETE")
    copy.execute("PRAGMA page_size = 512")
    copy.execute("VACUUM")
    copy.close()
    original.close()


if __name__ == "__main__":
    write_vectors(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "vectors")
