"""The object store: written once, checked when read, durable when kept; and what is sealed opens with its key alone."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from countermark.errors import AssetTooLarge, AuditStoreDamaged, NotFound, OutputUnwritable
from countermark.objects import ObjectStore, seal, unseal

PLAIN = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore.open(tmp_path / "objects")


def test_what_was_changed_or_is_gone_is_not_given_out(store: ObjectStore, tmp_path: Path) -> None:
    key = store.put("held", PLAIN)
    assert store.get(key) == PLAIN
    path = tmp_path / "objects" / key
    path.write_bytes(PLAIN[:-1])
    with pytest.raises(AuditStoreDamaged, match="changed"):
        store.get(key)
    assert store.put("held", PLAIN) == key
    assert store.get(key) == PLAIN, "keeping it again mends it"
    path.unlink()
    with pytest.raises(NotFound):
        store.get(key)


def test_what_could_not_be_read_again_is_not_kept(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("countermark.objects.store.MAX_OBJECT_BYTES", len(PLAIN))
    assert store.get(store.put("held", PLAIN)) == PLAIN
    with pytest.raises(AssetTooLarge, match="cannot be kept"):
        store.put("held", PLAIN + b"x")


def test_what_is_kept_outlives_a_power_cut(store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda opened: synced.append(os.fstat(opened).st_ino))
    key = store.put("held", PLAIN)
    path = tmp_path / "objects" / key
    assert synced == [place.stat().st_ino for place in (path, *path.parents[:3])], "the bytes, then every name"
    synced.clear()
    store.put("held", PLAIN)
    assert path.stat().st_ino in synced, "a crash may have left it unsynced the first time"


def test_what_the_disk_refuses_is_not_kept(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_opened: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputUnwritable):
        store.put("held", PLAIN)


def test_what_is_sealed_opens_with_its_key_for_its_event_alone() -> None:
    sealed, key = seal(PLAIN, "event 1")
    assert unseal(sealed, key, "event 1") == PLAIN
    assert PLAIN[:8] not in sealed
    again, other = seal(PLAIN, "event 1")
    assert (again == sealed, other == key) == (False, False), "every object has a key of its own"
    for wrong in (other, secrets.token_hex(32), "", "no key", key[:32]):
        with pytest.raises(AuditStoreDamaged):
            unseal(sealed, wrong, "event 1")
    with pytest.raises(AuditStoreDamaged):
        unseal(sealed, key, "event 2")


@pytest.mark.parametrize("at", [0, 20, 21, 32, 33, 500, -17, -16, -1])
def test_a_single_flipped_bit_is_noticed(at: int) -> None:
    sealed, key = seal(PLAIN, "event 1")
    altered = bytearray(sealed)
    altered[at] ^= 1
    with pytest.raises(AuditStoreDamaged):
        unseal(bytes(altered), key, "event 1")


@pytest.mark.parametrize("length", [0, 5, 21, 33, 40])
def test_a_cut_object_is_noticed(length: int) -> None:
    sealed, key = seal(PLAIN, "event 1")
    with pytest.raises(AuditStoreDamaged):
        unseal(sealed[:length], key, "event 1")


@pytest.mark.parametrize("key", ["../secret", "released/../../secret", "released//x", "a\0b", "\ud800", "", "/etc"])
def test_a_key_that_no_object_can_have_finds_nothing(tmp_path: Path, key: str) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    with pytest.raises(NotFound):
        ObjectStore.open(tmp_path / "objects").get(key)


@contextmanager
def bucket(monkeypatch: pytest.MonkeyPatch, code: int, asked: list[str]) -> Iterator[None]:
    """Every bucket of S3 answers with this error."""

    class OutOfOrder(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(code)

        do_PUT = do_GET  # noqa: N815 (the name is the library's)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), OutOfOrder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        for name, value in (("ALLOW_HTTP", "true"), ("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b")):
            monkeypatch.setenv(f"AWS_{name}", value)
        yield
        server.shutdown()


def test_a_reader_soon_gives_up_on_a_store_that_is_out_of_order(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    with bucket(monkeypatch, 503, asked), pytest.raises(NotFound, match="cannot be read"):
        ObjectStore.open("s3://images", patient=False).get(f"released/00/{64 * '0'}")
    assert len(asked) == 3


def test_who_keeps_in_a_bucket_is_not_told_to_choose_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    with bucket(monkeypatch, 403, []), pytest.raises(OutputUnwritable, match="refused a write") as told:
        ObjectStore.open("s3://images").put("released", PLAIN)
    assert "credentials" in told.value.remedy
