"""``countermark bench``: measurements that anyone can repeat; each in a module of its own, loaded when it is called."""

from __future__ import annotations

from importlib import import_module

import click

from countermark.cli.lazy import LazyGroup

_SUITES = {
    "watermark": "What the watermark survives, beside peers, in the same run.",
    "safety": "What the checks miss and what they refuse for nothing, beside peers.",
    "red-team": "What gets through the checks of a folder of attacks: signed, and on the record.",
}


def _load(name: str) -> click.Command:
    suite: click.Command = import_module(f"countermark.cli.bench_{name.replace('-', '')}").command
    return suite


@click.group("bench", cls=LazyGroup, told=_SUITES, load=_load)
def command() -> None:
    """Measure what is claimed: run it yourself, on pictures and prompts of your own.

    \b
    countermark bench watermark --images FOLDER
    countermark bench safety --prompts FOLDER
    countermark bench red-team --prompts FOLDER
    """  # noqa: D301 (a raw string would hide the backspace that keeps click from joining the examples' lines)
