"""``countermark log``: read, prove and verify the audit log; view, hold, erase and export, all of it on the record."""

from __future__ import annotations

from importlib import import_module

import click

_COMMANDS = {
    "list": ("reading", "List entries, newest first."),
    "show": ("reading", "Show one entry; its protected fields only with --reveal and a reason."),
    "picture": ("picture", "Write a picture that is held for review; that it was viewed is recorded first."),
    "proof": ("reading", "Write the receipt of an entry, checkable offline."),
    "checkpoint": ("reading", "Print the newest signed checkpoint, to be kept elsewhere."),
    "verify": ("verifying", "Hash every entry again and name every change."),
    "reindex": ("verifying", "Build the look-up index anew from the entries."),
    "vouch": ("custody", "Carry on after signed.db was lost, on the word of a checkpoint kept elsewhere."),
    "migrate": ("verifying", "Bring the tables of a log in PostgreSQL to this version."),
    "export": ("exporting", "Write a bundle that an auditor verifies offline."),
    "hold": ("custody", "Place, list and release legal holds."),
    "erase": ("custody", "Make prompts and held pictures unreadable for ever; entries and proofs stay."),
}


class _LazyLog(click.Group):
    """Imports a command's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of use."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The named command, its module imported now."""
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"{__name__}.{_COMMANDS[cmd_name][0]}")
        found: click.Command = module.COMMANDS[cmd_name]
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group("log", cls=_LazyLog)
def command() -> None:
    """Read and prove the audit log; view, hold, erase and export on the record. Reading never changes it."""
