"""Make the test vectors in ``vectors/``: a good store and receipt, and one of each kind of damage.

    python audit/make_vectors.py [FOLDER]

Keys, nonces and times are fixed, so that every run makes the same entries, proofs and signatures. The keys protect
nothing: their secrets are the SHA-256 of a public sentence.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countermark.audit.canonical import canonical_bytes, event_document
from countermark.audit.checkpoint import sign_checkpoint
from countermark.audit.log import AuditLog
from countermark.audit.note import NoteSigner
from countermark.audit.query import INDEX_COLUMNS, index_row
from countermark.audit.tiles import HashedTree
from countermark.audit.tree import leaf_hash
from countermark.model import Event, ModelRef, Outcome, OutputRecord, PolicyRef, Receipt

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
    if index:
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


STORES: dict[str, Change] = {
    "good": lambda _: None,
    **ATTACKS,
    "entry-edited-and-tree-forged": _then_forge(edit, None),
    "entry-edited-and-signed-anew": _then_forge(edit, signer()),
    "log-truncated-and-signed-anew": _then_forge(truncate, signer()),
    "leaf-hash-altered": alter_leaf_hash,
    "signed-by-another-key": sign_with_another_key,
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
        "proof-hash-flipped": proof(magic, index, base64.b64encode(flipped).decode(), *rest),
        "proof-too-short": proof(magic, index, *rest),
        "proof-too-long": proof(magic, index, first, first, *rest),
        "checkpoint-edited": proof(
            magic, index, first, *rest, checkpoint=body.replace(f"\n{ENTRIES}\n", "\n13\n") + "\n\n" + signature
        ),
        "signed-by-another-key": proof(magic, index, first, *rest, checkpoint=other),
        "unsigned": proof(magic, index, first, *rest, checkpoint=body + "\n\n"),
    }


def write_vectors(folder: Path) -> None:
    """Write all vectors into ``folder``."""
    stores, receipts = folder / "stores", folder / "receipts"
    stores.mkdir(parents=True, exist_ok=True)
    receipts.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "audit.db"
        with AuditLog.open(path, signer=signer(), master_key=bytes(32)) as log:
            log.append_many([(make_event(number), None) for number in range(ENTRIES)])
            good = log.receipt(5)
            (folder / "log.vkey").write_text(log.verifier_key + "\n", encoding="utf-8")
            (folder / "held.checkpoint").write_text(log.checkpoint(), encoding="utf-8")
        for name, change in STORES.items():
            _write_store(path, stores / f"{name}.db", change)
    for name, receipt in {"good": good, **damaged_receipts(good)}.items():
        text = json.dumps(receipt.model_dump(mode="json", by_alias=True), ensure_ascii=False, indent=1)
        (receipts / f"{name}.json").write_text(text + "\n", encoding="utf-8")


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
