"""``countermark bench``: measurements that anyone can repeat; each in a module of its own, loaded when it is called."""

from __future__ import annotations

from importlib import import_module

import click

_SUITES = {
    "watermark": "What the watermark survives, beside peers, in the same run.",
    "safety": "What the checks miss and what they refuse for nothing, beside peers.",
    "red-team": "What gets through the checks of a folder of attacks: signed, and on the record.",
}


class _LazySuites(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_SUITES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _SUITES:
            return None
        suite: click.Command = import_module(f"countermark.cli.bench_{cmd_name.replace('-', '')}").command
        return suite

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_SUITES.items()))


@click.group("bench", cls=_LazySuites)
def command() -> None:
    """Measure what is claimed: run it yourself, on pictures and prompts of your own.

    \b
    countermark bench watermark --images FOLDER
    countermark bench safety --prompts FOLDER
    countermark bench red-team --prompts FOLDER
    """  # noqa: D301 (a raw string would hide the backspace that keeps click from joining the examples' lines)
