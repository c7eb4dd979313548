"""What may be opened, and that new files are written whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from countermark.errors import NotFound, OutputUnwritable, UsageError
from countermark.files import read_small, write_new


def test_a_small_file_is_read_whole_and_anything_else_is_a_typed_error(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    path.write_bytes(b"12345678")
    os.mkfifo(tmp_path / "pipe")
    assert read_small(path, "a list", at_most=8, remedy="") == b"12345678"
    for name, what in (("keys.txt", "too large to be a list"), ("pipe", "it is a pipe")):
        with pytest.raises(UsageError, match=what) as told:
            read_small(tmp_path / name, "a list", at_most=7, remedy="Ask for another.")
        assert told.value.remedy == "Ask for another."
    with pytest.raises(UsageError, match="is a folder, not a list"):
        read_small(tmp_path, "a list", at_most=7, remedy="")
    for name in ("none", "keys.txt/none", "a\0b"):
        with pytest.raises(NotFound):
            read_small(tmp_path / name, "a list", at_most=7, remedy="")
    with pytest.raises(OSError, match="too long"):
        read_small(tmp_path / ("a" * 300), "a list", at_most=7, remedy="")


def test_nothing_is_overwritten_and_no_half_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "out.png"
    write_new(path, b"one")
    with pytest.raises(OutputUnwritable):
        write_new(path, b"two")
    assert path.read_bytes() == b"one"
    write_new(path, b"three", overwrite=True)
    assert path.read_bytes() == b"three"
    with pytest.raises(OutputUnwritable):
        write_new(tmp_path / "no" / "folder.png", b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]


def test_a_name_may_be_as_long_as_the_system_takes(tmp_path: Path) -> None:
    path = tmp_path / f"{'é' * 125}.png"
    write_new(path, b"one")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["a\0b.png", f"{'é' * 130}.png"])
def test_an_impossible_name_is_a_typed_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputUnwritable, match="cannot be written"):
        write_new(tmp_path / name, b"one")


def test_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:  # as FAT does
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "out.png"
    write_new(path, b"one", private=True)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(OutputUnwritable, match="exists"):
        write_new(path, b"two")
    assert path.read_bytes() == b"one"
    assert [p.name for p in tmp_path.iterdir()] == ["out.png"]
