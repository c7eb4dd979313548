"""``countermark log``: read, prove and verify the audit log; view, hold, erase and export, all of it on the record."""

from __future__ import annotations

from importlib import import_module

import click

from countermark.cli.lazy import LazyGroup

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


def _load(name: str) -> click.Command:
    found: click.Command = import_module(f"{__name__}.{_COMMANDS[name][0]}").COMMANDS[name]
    return found


@click.group("log", cls=LazyGroup, told={name: text for name, (_, text) in _COMMANDS.items()}, load=_load)
def command() -> None:
    """Read and prove the audit log; view, hold, erase and export on the record. Reading never changes it."""
