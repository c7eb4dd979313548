from __future__ import annotations

import os
import stat
from pathlib import Path
from urllib.parse import quote

import pytest

from countermark.credentials.pem import read_pem
from countermark.errors import KeyUnavailable, OutputUnwritable, SettingsInvalid
from countermark.keys import KeyInfo, KeyRing, Purpose, resolve, resolve_token
from countermark.keys.ring import OF_AN_INSTALLATION
from countermark.settings import load_settings


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    ring = KeyRing.open(tmp_path / "keys")
    ring.ensure()
    return ring


def test_ensure_makes_one_key_for_each_purpose_and_then_nothing(ring: KeyRing) -> None:
    assert {info.purpose for info in ring.list()} == set(OF_AN_INSTALLATION)
    before = {p: ring.secret(p) for p in OF_AN_INSTALLATION}
    assert ring.ensure() == []
    assert {p: ring.secret(p) for p in OF_AN_INSTALLATION} == before
    assert len(set(before.values())) == len(OF_AN_INSTALLATION)


def test_a_witness_key_is_made_only_when_asked_for(ring: KeyRing) -> None:
    assert ring.epochs(Purpose.WITNESS) == ()
    assert [info.purpose for info in ring.ensure([Purpose.WITNESS])] == [Purpose.WITNESS]


def test_key_files_are_closed_to_others(ring: KeyRing) -> None:
    for path in ring.folder.iterdir():
        assert path.stat().st_mode & 0o077 == 0


def test_a_key_file_open_to_others_is_refused_with_the_command_that_closes_it(ring: KeyRing) -> None:
    path = ring.folder / "master-00.key"
    path.chmod(0o644)
    with pytest.raises(KeyUnavailable) as caught:
        ring.secret(Purpose.MASTER)
    assert "chmod 600" in caught.value.remedy


def test_no_secret_appears_in_what_is_listed(ring: KeyRing) -> None:
    listed = repr(ring.list())
    for purpose in OF_AN_INSTALLATION:
        assert ring.secret(purpose).hex() not in listed


def test_epochs_are_kept_and_the_newest_is_the_default(ring: KeyRing) -> None:
    newer = ring.folder / "watermark-01.key"
    newer.write_bytes(bytes(range(32)))
    newer.chmod(0o600)
    assert ring.epochs(Purpose.WATERMARK) == (0, 1)
    assert ring.secret(Purpose.WATERMARK) == bytes(range(32))
    assert ring.secret(Purpose.WATERMARK, 0) != bytes(range(32))


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33, b"z" * 64])
def test_a_damaged_key_is_refused(ring: KeyRing, content: bytes) -> None:
    path = ring.folder / "master-00.key"
    path.write_bytes(content)
    with pytest.raises(KeyUnavailable):
        ring.secret(Purpose.MASTER)


def test_secrets_by_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret"
    path.write_text("ab" * 32 + "\n")
    path.chmod(0o600)
    assert resolve(f"file://{path}") == bytes.fromhex("ab" * 32)
    monkeypatch.setenv("CM_TEST_KEY", "cd" * 32)
    assert resolve("env://CM_TEST_KEY") == bytes.fromhex("cd" * 32)
    ring = KeyRing.open(tmp_path / "ring", {Purpose.MASTER: "env://CM_TEST_KEY"})
    ring.ensure()
    assert ring.secret(Purpose.MASTER) == bytes.fromhex("cd" * 32)
    assert not (tmp_path / "ring" / "master-00.key").exists()
    with pytest.raises(SettingsInvalid):
        resolve("vault://somewhere")
    with pytest.raises(KeyUnavailable):
        resolve("env://CM_NOT_SET_ANYWHERE")


def test_keys_kept_elsewhere_have_epochs_too_and_keep_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ABC":
        monkeypatch.setenv(name, name.encode().hex() * 32)
    one = KeyRing.open(tmp_path, {Purpose.MASTER: "env://A"})
    three = KeyRing.open(tmp_path, {Purpose.MASTER: ["env://C", "env://B", "env://A"]})
    assert (one.epochs(Purpose.MASTER), three.epochs(Purpose.MASTER)) == ((0,), (0, 1, 2))
    assert three.secret(Purpose.MASTER, 0) == one.secret(Purpose.MASTER) == b"A" * 32
    assert three.secrets(Purpose.MASTER) == [b"C" * 32, b"B" * 32, b"A" * 32]
    assert [info.location for info in three.list()] == ["env://A", "env://B", "env://C"]
    with pytest.raises(KeyUnavailable, match="epoch 1"):
        one.secret(Purpose.MASTER, 1)


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc").exists(), reason="needs /proc when run by root")
def test_an_unwritable_folder_is_a_typed_error() -> None:
    with pytest.raises(OutputUnwritable) as caught:
        KeyRing.open(Path("/proc/countermark-keys")).ensure()
    assert "COUNTERMARK_HOME" in caught.value.remedy


def test_a_rotation_is_announced_before_the_key_is_there(ring: KeyRing) -> None:
    said: list[tuple[str, int, str]] = []

    def announce(before: KeyInfo, epoch: int, key_id: str) -> None:
        assert ring.epochs(Purpose.MASTER) == (0,)
        said.append((before.key_id, epoch, key_id))

    first = ring.key_id(Purpose.MASTER)
    made = ring.rotate(Purpose.MASTER, announce)
    assert said == [(first, 1, made.key_id)]
    assert ring.key_id(Purpose.MASTER) == made.key_id != first
    assert [len(ring.secrets(Purpose.MASTER)), ring.key_id(Purpose.MASTER, 0)] == [2, first]


def test_a_rotation_that_cannot_be_announced_does_not_happen(ring: KeyRing) -> None:
    def announce(*_: object) -> None:
        raise OutputUnwritable("the log is full")

    with pytest.raises(OutputUnwritable):
        ring.rotate(Purpose.MASTER, announce)
    assert ring.epochs(Purpose.MASTER) == (0,)


def test_what_cannot_be_rotated_is_said(ring: KeyRing, tmp_path: Path) -> None:
    def announce(*_: object) -> None:
        return

    with pytest.raises(KeyUnavailable, match="trusted because they name it"):
        ring.rotate(Purpose.AUDIT_LOG, announce)
    with pytest.raises(KeyUnavailable, match="no key 'master'"):
        KeyRing.open(tmp_path / "empty").rotate(Purpose.MASTER, announce)
    with pytest.raises(KeyUnavailable, match="kept elsewhere") as caught:
        KeyRing.open(ring.folder, {Purpose.MASTER: ("env://B", "env://A")}).rotate(Purpose.MASTER, announce)
    assert '[keys] master = ["NEW", "env://B", "env://A"]' in caught.value.remedy
    for _ in range(15):
        ring.rotate(Purpose.WATERMARK, announce)
    with pytest.raises(KeyUnavailable, match="All 16 epochs"):
        ring.rotate(Purpose.WATERMARK, announce)


def test_a_token_is_one_word_that_only_its_owner_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", " sk-123\n")
    assert resolve_token("env://TOKEN") == "sk-123"
    for value in ("", "  ", "two words", "line\r\nInjected: header", "ключ"):
        monkeypatch.setenv("TOKEN", value)
        with pytest.raises(KeyUnavailable) as caught:
            resolve_token("env://TOKEN")
        assert not value.strip() or value.strip() not in caught.value.message
    with pytest.raises(KeyUnavailable):
        resolve_token((tmp_path / "missing").as_uri())
    with pytest.raises(SettingsInvalid):
        resolve_token("https://x")


@pytest.mark.parametrize("mistaken", ["ab" * 32, "sk-secret-of-a-service", "vault://user:secret@host"])
def test_a_secret_put_where_its_address_belongs_is_not_quoted(mistaken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for read in (resolve, resolve_token):
        with pytest.raises(SettingsInvalid) as caught:
            read(mistaken)
        assert "secret@" not in str(caught.value)
        assert mistaken not in f"{caught.value} {caught.value.remedy}"
    monkeypatch.setenv("COUNTERMARK_KEYS__MASTER", mistaken)
    with pytest.raises(SettingsInvalid, match="never the key") as caught:
        load_settings()
    assert mistaken not in f"{caught.value} {caught.value.remedy}"


def test_a_file_uri_may_hold_any_letter(tmp_path: Path) -> None:
    path = tmp_path / "a key? #1 [für uns]"
    path.write_text("ab" * 32)
    path.chmod(0o600)
    for uri in (f"file://{path}", f"file://localhost{path}", f"file:{path}", f"file://{quote(str(path))}"):
        assert resolve(uri) == bytes.fromhex("ab" * 32)


@pytest.mark.parametrize("uri", ["file://keys/master", "file:///a%00b", "file://[x/y", "env://\u2100", "env://"])
def test_an_address_that_leads_nowhere_is_a_typed_error(uri: str) -> None:
    with pytest.raises((KeyUnavailable, SettingsInvalid)):
        resolve(uri)


def test_an_environment_variable_of_any_bytes_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = bytes(range(224, 256))
    monkeypatch.setenv("CM_RAW", os.fsdecode(raw))
    assert resolve("env://CM_RAW") == raw
    with pytest.raises(KeyUnavailable):
        resolve_token("env://CM_RAW")


@pytest.mark.parametrize("half", ["0123456789abcdef" * 2, "correct horse battery staple 123"])
def test_thirty_two_characters_are_no_key(half: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CM_HALF", half)
    with pytest.raises(KeyUnavailable, match="text") as caught:
        resolve("env://CM_HALF")
    assert half not in f"{caught.value} {caught.value.remedy}"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
def test_a_pipe_is_no_key_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(KeyUnavailable, match="a pipe"):  # to open it would wait for ever
        resolve(f"file://{tmp_path / 'pipe'}")
    with pytest.raises(KeyUnavailable, match="a pipe"):
        read_pem(tmp_path / "pipe", private=True)
    with pytest.raises(KeyUnavailable):
        read_pem(Path("a\0b"))


def test_only_our_own_names_are_key_files(ring: KeyRing) -> None:
    (ring.folder / "master-\u0660\u0661.key").write_bytes(bytes(32))  # digits, though not ours
    (ring.folder / "master-01.key\n").write_bytes(bytes(32))
    assert ring.epochs(Purpose.MASTER) == (0,)
    assert ring.list()


def test_a_file_in_the_place_of_the_folder_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("")
    with pytest.raises(OutputUnwritable):
        KeyRing.open(tmp_path / "keys").ensure()


@pytest.mark.skipif(os.name == "nt", reason="folders cannot be synced there")
def test_a_new_key_outlives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written under a key must not outlive it: its name is synced after it is there."""
    synced: list[set[str]] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            synced.append({path.name for path in tmp_path.joinpath("keys").iterdir()})
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    KeyRing.open(tmp_path / "keys").ensure([Purpose.MASTER])
    assert synced
    assert "master-00.key" in synced[-1]


def test_a_damaged_key_of_the_ring_is_to_be_restored_not_replaced(ring: KeyRing) -> None:
    (ring.folder / "watermark-00.key").write_bytes(b"")
    with pytest.raises(KeyUnavailable) as caught:
        ring.secret(Purpose.WATERMARK)
    assert "openssl" not in caught.value.remedy
    assert "backup" in caught.value.remedy
