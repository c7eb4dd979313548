"""Stdout and stderr as they may be: not UTF-8, full, closed, without colour; and JSON where a command goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from tests.conftest import photograph

from countermark.cli.main import run

MODULE = [sys.executable, "-m", "countermark"]
FULL = Path("/dev/full")


def call(*arguments: str, stdout: int = subprocess.PIPE, **environ: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*MODULE, *arguments], stdout=stdout, stderr=subprocess.PIPE, env=os.environ | environ, check=False
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_an_encoding_lacks_ends_no_command(encoding: str) -> None:
    done = call("policy", "check", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith("✓ policy".encode(encoding, "replace"))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_loses_nothing_whatever_the_encoding(encoding: str) -> None:
    name = "Café ✓ 😀"
    done = call("config", "show", "--json", PYTHONIOENCODING=encoding, COUNTERMARK_TENANT=name)
    assert done.returncode == 0
    assert json.loads(done.stdout.decode(encoding))["tenant"]["value"] == name


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are Unicode elsewhere")
def test_a_file_name_that_is_not_utf_8_is_told_as_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    Image.fromarray(photograph()).save(path)
    assert run(["verify", "--json", str(path)]) == 10
    assert json.loads(capsys.readouterr().out)["file"] == str(path)
    assert run(["verify", str(path)]) == 10
    assert r"caf\udce9.png" in capsys.readouterr().out


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["policy", "check"], ["policy", "check", "--json"], ["--help"]])
def test_a_full_disk_under_stdout_is_no_fault_of_ours(arguments: list[str], unbuffered: str) -> None:
    with FULL.open("wb") as full:
        done = call(*arguments, stdout=full.fileno(), PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 2
    assert b"could not be written to stdout: No space left on device" in done.stderr
    assert b"internal" not in done.stderr
    assert b"ignored" not in done.stderr


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_an_error_keeps_its_exit_code_where_nothing_can_be_written() -> None:
    with FULL.open("wb") as full:
        done = subprocess.run([*MODULE, "verify", "none.png", "--json"], stdout=full, stderr=full, check=False)
    assert done.returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")
@pytest.mark.parametrize("no_colour", ["", "1"])
def test_errors_are_coloured_on_a_terminal_unless_told_otherwise(no_colour: str) -> None:
    import pty

    master, terminal = pty.openpty()
    environ = os.environ | {"NO_COLOR": no_colour, "TERM": "xterm"}
    subprocess.run([*MODULE, "keys", "rotate", "master", "--reason", "x"], stderr=terminal, env=environ, check=False)
    os.close(terminal)
    said = os.read(master, 4096)
    os.close(master)
    assert b"error: " in said
    assert (b"\x1b[31m" in said) is not bool(no_colour)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["verify", "--json"], "Missing argument"),
        (["generate", "a boat", "--seed", "abc", "--json"], "'abc' is not a valid integer."),
        (["nonsense", "--json"], "No such command"),
        (["check", "--json"], "--prompt"),
    ],
)
def test_a_command_line_that_is_wrong_is_told_as_json_too(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    told = capsys.readouterr()
    answer = json.loads(told.out)
    assert answer["schema"] == "countermark.error/1"
    assert answer["error"]["code"] == "usage"
    assert says in answer["error"]["message"]
    assert "--help" in answer["error"]["remedy"]
    assert says in told.err
