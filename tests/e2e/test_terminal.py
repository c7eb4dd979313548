"""What stands on a terminal: bars beside what is said and asked, tables that are narrow, names with brackets."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from tests.conftest import photograph

from countermark.audit.warrant import Warrant
from countermark.cli.main import run
from countermark.cli.output import console
from countermark.compose import Home
from countermark.model import EventType
from countermark.settings import load_settings

MODULE = [sys.executable, "-m", "countermark"]
_PIECES = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\r|\n|[^\x1b\r\n]+")
needs_pty = pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")


def screen(raw: str) -> list[str]:
    """The lines of a wide terminal after ``raw``: of its language, what rich and click use."""
    lines, row, column = [""], 0, 0
    for piece in _PIECES.finditer(raw):
        if piece[0] == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif piece[0] == "\r":
            column = 0
        elif piece[2] == "A":
            row -= int(piece[1] or 1)
        elif piece[2] == "K":
            lines[row] = ""
        elif piece[2] is None:
            lines[row] = lines[row][:column].ljust(column) + piece[0] + lines[row][column + len(piece[0]) :]
            column += len(piece[0])
    return [line.rstrip() for line in lines]


def on_terminal(*arguments: str, wait_for: str = "", answer: str = "") -> tuple[int, list[str], list[str]]:
    """Exit code, and the screen before the answer and at the end."""
    import pty

    master, terminal = pty.openpty()
    environ = os.environ | {"TERM": "xterm", "COLUMNS": "300"}
    with subprocess.Popen(
        [*MODULE, *arguments], stdin=terminal, stdout=terminal, stderr=terminal, env=environ
    ) as process:
        os.close(terminal)
        raw, before = b"", []
        while True:
            if answer and not before and wait_for in raw.decode(errors="replace"):
                while select.select([master], [], [], 0.5)[0]:  # whatever a bar would still draw over the question
                    raw += os.read(master, 65536)
                    if len(raw) > 1 << 16:
                        break
                before = screen(raw.decode())
                os.write(master, answer.encode())
            try:
                piece = os.read(master, 65536)
            except OSError:  # the terminal is gone with the process
                break
            if not piece:
                break
            raw += piece
        os.close(master)
    return process.returncode, before, screen(raw.decode())


@pytest.fixture
def log(tmp_path: Path) -> Home:
    """A log of Alice's prompts."""
    place = Home(load_settings({"home": tmp_path / "home"}).settings)
    place.make()
    with place.open_log() as log:
        for number in range(3):
            asked = Warrant("asked", place.pseudonym("alice"))
            log.append(asked.event(EventType.REFUSED, event_id=f"{number:032x}"), protected={"prompt": f"cat {number}"})
    return place


@needs_pty
def test_an_erasure_is_asked_for_on_a_line_of_its_own(log: Home) -> None:
    code, asked, end = on_terminal(
        "log", "erase", "--subject", "alice", "--reason", "Art. 17", wait_for="ever?", answer="y\n"
    )
    assert [line for line in asked if line] == ["Make the protected fields of 3 events unreadable for ever? [y/N]:"]
    assert code == 0
    assert end[0].endswith("ever? [y/N]: y")
    assert not any("Searching" in line for line in end)


@needs_pty
def test_nobody_is_asked_about_an_erasure_of_nothing(log: Home) -> None:
    code, _, end = on_terminal("log", "erase", "--subject", "nobody", "--reason", "Art. 17")
    assert code == 2
    assert end[0].startswith("error: Nothing is left to erase")


@needs_pty
def test_no_report_stands_behind_a_bar(tmp_path: Path) -> None:
    Image.fromarray(photograph()).save(tmp_path / "photo.png")
    (tmp_path / "empty.png").touch()
    code, _, end = on_terminal("verify", "empty.png", "photo.png")
    assert code == 2
    assert end[0] == "empty.png: empty.png is empty (0 bytes)."
    assert end[1].startswith("photo.png  image/png")
    code, _, end = on_terminal("check", "--images", ".")
    assert code == 2
    assert end[0] == "empty.png: empty.png is empty (0 bytes)."
    assert end[1].startswith("outcome")
    code, _, end = on_terminal("check", "--images", ".", "--json")
    assert [line[:11] for line in end if line] == ['{"schema":"'] * 2


@pytest.mark.parametrize("columns", ["60", "80"])
def test_a_narrow_terminal_cuts_nothing_of_holds_and_entries(
    columns: str, log: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    why = "a long reason with \x1b[31mcolours, [bold]brackets[/] and :cat:s"
    assert run(["log", "hold", "add", "--subject", "alice", "--reason", why]) == 0
    monkeypatch.setenv("COLUMNS", columns)
    console.cache_clear()
    capsys.readouterr()
    for words in (["hold", "list"], ["list"]):
        assert run(["log", *words]) == 0
        told = capsys.readouterr().out
        assert "…" not in told
        assert "\x1b" not in told
        if words[0] == "hold":
            letters = re.sub(r"\s", "", told)
            assert all(part in letters for part in ("brackets[/]", ":cat:s", "[bold]"))
    console.cache_clear()


def test_names_are_told_as_they_are(tmp_path: Path, log: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Rich would take brackets for tags, and words between colons for pictures."""
    photo = tmp_path / "a:cat:[b] [red].png"
    Image.fromarray(photograph()).save(photo)
    for words, said in (
        (["verify", str(photo)], str(photo)),
        (["keys", "init", "--home", "home[red]"], f"home[red]{os.sep}keys"),
        (["keys", "list", "--home", "home[red]"], f"home[red]{os.sep}keys"),
        (["log", "checkpoint", "-o", "c[red].txt"], "c[red].txt (size 3)"),
        (["log", "proof", "0", "--format", "tlog-proof", "-o", "p[red].txt"], "p[red].txt"),
        (["log", "export", "-o", "e[red]", "--reason", "x"], "wrote e[red]:"),
        (["keys", "export-trust", "-o", "t [red].json", "--home", "home[red]"], "--trust 't [red].json'"),
    ):
        run(words)
        assert said in capsys.readouterr().out, words
