"""``countermark config``: the settings, and where each came from."""

from __future__ import annotations

from pathlib import Path

import click

from countermark.cli.output import common, console, literal, load, print_json


@click.group("config")
def command() -> None:
    """Show the settings; docs/settings.md says what each does.

    \b
    countermark config show --origin                  and where each value came from
    countermark config show --json
    """  # noqa: D301 (a raw string would hide the backspace that keeps click from joining the examples' lines)


@command.command("show")
@click.option("--origin", is_flag=True, help="Say where each value came from.")
@common
def show(origin: bool, as_json: bool, home: Path | None) -> int:
    """Print every setting in force."""
    from countermark.settings import flat

    loaded = load(home=home)
    values = {name: str(value) if value is not None else None for name, value in flat(loaded.settings).items()}
    if as_json:
        print_json({name: {"value": v, "origin": loaded.origins.get(name, "default")} for name, v in values.items()})
        return 0
    for name, value in values.items():
        where = f"  [dim]({literal(loaded.origins.get(name, 'default'))})[/]" if origin else ""
        console().print(f"{name} = {literal(value) if value else '[dim]not set[/]'}{where}")
    return 0
