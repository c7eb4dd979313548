"""What ``--help`` says: every option explained, examples where a command takes some thought, ``--home`` anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from countermark.cli.main import root, run


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def test_every_option_says_what_it_is_for() -> None:
    silent = [
        f"{' '.join(path)} {option.opts[-1]}"
        for path, command in commands(root)
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert silent == []


def test_no_complaint_calls_a_number_a_range(capsys: pytest.CaptureFixture[str]) -> None:
    ranges = [
        f"{' '.join(path)} {option.opts[-1]}"
        for path, command in commands(root)
        for option in command.params
        if option.type.name.endswith("range")
    ]
    assert ranges == []
    assert run(["generate", "a boat", "--seed", "abc"]) == 2
    assert "'abc' is not a valid integer." in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["generate"], ["mark"], ["verify"], ["keys"], ["config"], ["hashes"], ["policy"], ["bench"]]
)
def test_help_has_examples_that_fit_a_terminal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    examples = [line for line in lines if line.startswith("  countermark ")]
    assert len(examples) > 1
    assert max(map(len, lines)) <= 90


@pytest.mark.parametrize("where", ["before", "after", "both"])
def test_home_may_stand_before_the_command_too(where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    meant, other = str(tmp_path / "meant"), str(tmp_path / "other")
    before = {"before": ["--home", meant], "after": [], "both": ["--home", other]}[where]
    after = [] if where == "before" else ["--home", meant]
    assert run([*before, "config", "show", *after, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["home"] == {"value": meant, "origin": "command line"}
