"""Groups of commands whose modules are imported when they are called, so that ``--help`` stays instant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """A group of which only names and one line each are known beforehand.

    Args:
        told: what the list of commands says of each, in the order of the list.
        load: gives the command of a name, its module imported now.
    """

    def __init__(
        self, *args: Any, told: Mapping[str, str], load: Callable[[str], click.Command], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._told, self._load = told, load

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in order."""
        return list(self._told)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The named command, its module imported now."""
        return self._load(cmd_name) if cmd_name in self._told else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._told.items()))
