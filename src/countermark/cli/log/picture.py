"""``countermark log picture``: a picture that is held for review, as its reviewer sees it."""

from __future__ import annotations

from pathlib import Path

import click

from countermark.cli.log.shared import home_of, locate, on_warrant, opened, warrant
from countermark.cli.output import common, console, literal, print_json
from countermark.cli.writing import plan_output


@click.command("picture")
@click.argument("entry")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write (default: a new name here).")
@click.option("--force", is_flag=True, help="Overwrite the output if it exists.")
@on_warrant()
@common
def picture(
    *,
    entry: str,
    output: Path | None,
    force: bool,
    reason: str,
    actor: str | None,
    as_json: bool,
    home: Path | None,
) -> int:
    """Write the picture that was held for review with ENTRY: an index, event id or attempt.

    It is a PNG file that carries no mark, for its owner alone to read. That it was viewed, by whom and why, is an entry
    of the log before the file is there.
    """
    from countermark.files import write_new
    from countermark.pipeline.review import show

    place = home_of(home)
    asked, target = warrant(place, reason, actor), plan_output(output, force=force)
    with opened(place, writing=True) as log:
        index = locate(log, entry)
        path = target.path or target.folder / f"held-{log.event(index).event_id[:12]}.png"
        plan_output(path, force=force)  # a name that could not be known before
        shown = show(log, place.open_objects(), index, asked)
    write_new(path, shown.data, overwrite=force, private=True)
    if as_json:
        print_json({"file": str(path), "index": index, "access_entry": shown.access})
    else:
        said = literal(path)
        console().print(f"[green]✓[/] wrote {said}, unmarked and not released: guard it, and delete it afterwards.")
        console().print(f"  That it was viewed is recorded as entry {shown.access}.")
    return 0


COMMANDS = {"picture": picture}
