"""``countermark log list|show|proof|checkpoint``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from countermark.cli.log.shared import (
    cosigned_checkpoint,
    home_of,
    locate,
    offline_check,
    on_warrant,
    opened,
    plain,
    pseudonyms_of,
    warrant,
)
from countermark.cli.output import Integer, common, console, literal, note, print_json, table

if TYPE_CHECKING:
    from countermark.audit.listing import Listed, Page


@click.command("list")
@click.option("-n", "--limit", type=Integer(1, 10_000), default=20, show_default=True, help="How many at most.")
@click.option("--before", type=Integer(min=0), help="Only entries before this index (for the next page).")
@click.option("--type", help="For example generation.released.")
@click.option("--tenant", help="Whose images.")
@click.option("--actor", help="A person: the name that requests carried, or the pseudonym in the log.")
@click.option("--decision", help="allow, redact, review or block.")
@click.option("--category", help="Where this category was found, for example violence.")
@click.option("--model", help="A model's id.")
@click.option("--policy", help="A policy's id, or id@version.")
@click.option("--text", help="Whole words in the reasons.")
@click.option("--since", help="RFC 3339 time or any beginning of one, for example 2026-11-22.")
@click.option("--until", help="Likewise, exclusive.")
@common
def list_entries(*, limit: int, actor: str | None, as_json: bool, home: Path | None, **conditions: Any) -> int:
    """List entries, newest first; all conditions must hold. A damaged entry is shown as such."""
    from countermark.audit.query import Filter, checked_conditions

    place = home_of(home)
    people = (None,) if actor is None else pseudonyms_of(place, actor)
    filters = [Filter(**checked_conditions(conditions | {"actor": one})) for one in people]
    with opened(place) as log:
        page = _merged([log.page(one, limit) for one in filters], limit)
    if page.index_damage:
        note(f"warning: {page.index_damage} The entries were searched without the index: countermark log reindex")
    if as_json:
        print_json([_row(row) for row in page.rows])
        return 0
    rows = table("index", "time (UTC)", "what", "by rule", "watermark")
    for row in page.rows:
        if row.event is None:
            rows.add_row(str(row.index), "", "[red]damaged[/]", f"[red]{literal(row.damage)}[/]", "")
            continue
        event = row.event
        payload = event.output.watermark_payload if event.output else ""
        what = event.type.removeprefix("generation.") + (f" [red]{literal(row.damage)}[/]" if row.damage else "")
        rows.add_row(
            str(row.index), event.time[:19].replace("T", " "), what, literal(event.rule or event.error), payload
        )
    console().print(rows)
    return 0


def _merged(pages: list[Page], limit: int) -> Page:
    """The newest entries of several pages: a person's pseudonyms are looked up one by one."""
    from countermark.audit.listing import Page

    rows = {row.index: row for page in pages for row in page.rows}
    newest = sorted(rows, reverse=True)[:limit]
    return Page(tuple(rows[index] for index in newest), next((p.index_damage for p in pages if p.index_damage), ""))


def _row(row: Listed) -> dict[str, Any]:
    damage = {"damage": row.damage} if row.damage else {}
    return {"index": row.index, **damage, **(plain(row.event) if row.event else {})}


@click.command("show")
@click.argument("entry")
@click.option("--reveal", is_flag=True, help="Show its protected fields too; the access is recorded first.")
@on_warrant(reason_required=False)
@common
def show(*, entry: str, reveal: bool, reason: str | None, actor: str | None, as_json: bool, home: Path | None) -> int:
    """Show ENTRY: an index, event id, attempt, watermark payload or file digest.

    Protected fields stay closed, unless --reveal is given with a --reason.
    """
    place = home_of(home)
    asked = warrant(place, reason, actor) if reveal else None
    with opened(place, writing=reveal) as log:
        index = locate(log, entry)
        document = {"index": index, **plain(log.event(index))}
        if asked:
            document["revealed"] = {one.field: one.text for one in log.disclose(index, asked)}
    if as_json:
        print_json(document)
    else:
        console().print_json(data=document)
    return 0


@click.command("proof")
@click.argument("entry")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write (default: stdout).")
@click.option("--witnessed", is_flag=True, help="Under the newest checkpoint that witnesses cosigned.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("receipt", "tlog-proof")),
    default="receipt",
    show_default=True,
    help="With the entry, as JSON; or the proof alone, as C2SP's tools read it.",
)
@common
def proof(*, entry: str, output: Path | None, witnessed: bool, form: str, as_json: bool, home: Path | None) -> int:
    """Write the receipt of ENTRY: event, inclusion proof and signed checkpoint, checkable offline."""
    from countermark.files import write_new

    place = home_of(home)
    with opened(place) as log:
        receipt = log.receipt(locate(log, entry), under=cosigned_checkpoint(place) if witnessed else None)
    text = receipt.proof if form == "tlog-proof" else receipt.model_dump_json(by_alias=True, indent=2) + "\n"
    if output is None:
        if as_json and form == "tlog-proof":
            print_json({"proof": text})
        else:
            click.echo(text, nl=False)
        return 0
    write_new(output, text.encode())
    if as_json:
        print_json({"file": str(output)})
    elif form == "tlog-proof":
        console().print(f"[green]✓[/] wrote {literal(output)}, a proof by c2sp.org/tlog-proof of the entry's bytes")
    else:
        console().print(f"✓ wrote {output}; check it with: {offline_check(output, receipt.log_key)}", markup=False)
    return 0


@click.command("checkpoint")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write (default: stdout).")
@common
def checkpoint(*, output: Path | None, as_json: bool, home: Path | None) -> int:
    """Print the newest signed checkpoint. Keep it where the log's administrator cannot write."""
    from countermark.files import write_new

    with opened(home_of(home)) as log:
        text, key, size = log.checkpoint(), log.verifier_key, log.size
    if output is not None:
        write_new(output, text.encode())
    if as_json:
        print_json({"checkpoint": text, "log_key": key, "size": size})
    elif output is None:
        click.echo(text, nl=False)
    else:
        console().print(
            f"[green]✓[/] wrote {literal(output)} (size {size}). Keep it where the log's administrator cannot write."
        )
    return 0


COMMANDS = {"list": list_entries, "show": show, "proof": proof, "checkpoint": checkpoint}
