"""``countermark log hold|erase|vouch``: what may not be erased, what is, and who vouches for a log without record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from countermark.cli.log.shared import (
    event_ids,
    home_of,
    on_warrant,
    opened,
    pseudonyms_of,
    read_checkpoint,
    warrant,
)
from countermark.cli.output import aside, common, console, literal, note, print_json, progress, status, table
from countermark.errors import UsageError

if TYPE_CHECKING:
    from countermark.audit import AuditLog
    from countermark.audit.hold import Hold
    from countermark.audit.verify import Progress

_HELD = 21
_events = click.option("--event", "events", multiple=True, help="An index, event id, attempt, watermark or digest.")
_subject = click.option("--subject", help="A person: the name that requests carried, or the pseudonym in the log.")


@click.group("hold")
def hold() -> None:
    """Legal holds: what they cover cannot be erased. They are events, so nobody can quietly lift one."""


@hold.command("add")
@_events
@_subject
@click.option(
    "--query", "conditions", multiple=True, metavar="NAME=VALUE", help="A condition; repeated, all must hold."
)
@click.option("--until", help="RFC 3339 time in UTC, or any beginning of one, at which it ends by itself.")
@on_warrant()
@common
def add(
    *,
    events: tuple[str, ...],
    subject: str | None,
    conditions: tuple[str, ...],
    until: str | None,
    reason: str,
    actor: str | None,
    as_json: bool,
    home: Path | None,
) -> int:
    """Place a hold on single events, or on all, earlier and later, of a subject or that meet a query.

    --query actor=NAME is the same as --subject NAME. A person whose pseudonym changed with a rotation of its key gets a
    hold for each.
    """
    from countermark.audit.hold import check_query

    place = home_of(home)
    query = _conditions(conditions)
    if subject is not None and "actor" in query:
        raise UsageError("--subject and the condition 'actor' both say whom.", remedy="Give one of the two.")
    name = query.pop("actor", subject)
    queries = [query | {"actor": one} for one in pseudonyms_of(place, name)] if name is not None else [query]
    for asked_for in queries:
        check_query(asked_for)  # before the first hold is placed
    asked = warrant(place, reason, actor)
    with opened(place, writing=True) as log, progress("Searching the log") as advance:
        ids = event_ids(log, events)
        placed = [log.hold(asked, events=ids, query=one, until=until) for one in queries]
        counts = _covered(log, placed, advance)
    if as_json:
        print_json([_plain(one, active=True) | {"covers": count} for one, count in zip(placed, counts, strict=True)])
        return 0
    if len(placed) > 1:
        console().print(
            f"This person has {len(placed)} pseudonyms, because the key behind them was rotated; each needs a hold:"
        )
    for one, count in zip(placed, counts, strict=True):
        covers = "" if count is None else f" It covers {count} of the events that are there now."
        console().print(f"[green]✓[/] hold {one.id} is in force; recorded as entry {one.index}.{covers}")
    if not any(counts) and None not in counts:
        console().print(
            "[yellow]![/] No event is covered yet: where that is unexpected, see how entries name what was meant with:"
            " countermark log list"
        )
    return 0


def _covered(log: AuditLog, placed: list[Hold], advance: Progress) -> list[int] | list[None]:
    """How many events each hold covers; ``None`` where nobody can tell. The holds are in force either way."""
    from countermark.errors import AuditStoreDamaged

    try:
        return log.count_covered(placed, progress=advance)
    except AuditStoreDamaged as damage:
        note(f"What is covered cannot be counted: {damage.message} Find the change with: countermark log verify")
        return [None] * len(placed)


def _conditions(queries: tuple[str, ...]) -> dict[str, str]:
    query = {}
    for text in queries:
        name, equals, value = text.partition("=")
        if not equals or name in query:
            raise UsageError(f"'{name}' is not one condition.", remedy="Write --query name=value, each name once.")
        query[name] = value
    return query


@hold.command("list")
@click.option("--all", "everything", is_flag=True, help="Those too that ended.")
@common
def list_holds(*, everything: bool, as_json: bool, home: Path | None) -> int:
    """List the holds in force, as the log's entries tell them."""
    from countermark.audit.warrant import now

    with opened(home_of(home)) as log, status("Reading the log"):
        holds = log.holds()
    time = now()
    shown = [one for one in holds if everything or one.active(time)]
    if as_json:
        print_json([_plain(one, active=one.active(time)) for one in shown])
        return 0
    if not shown:
        console().print("No legal hold is in force.")
        return 0
    rows = table("hold", "entry", "since (UTC)", "covers", "until", "why")
    for one in shown:
        covers = [f"{len(one.events)} events"] if one.events else []
        covers += [f"{name}={value}" for name, value in one.query.items()]
        ended = "released" if one.released_at is not None else one.until or ""
        rows.add_row(one.id, str(one.index), one.time[:19], literal(", ".join(covers)), ended, literal(one.reason))
    console().print(rows)
    return 0


@hold.command("release")
@click.argument("hold_id", metavar="ID")
@on_warrant()
@common
def release(*, hold_id: str, reason: str, actor: str | None, as_json: bool, home: Path | None) -> int:
    """End the hold ID, which may be cut short to 6 characters or more, where it stays unmistakable."""
    place = home_of(home)
    with opened(place, writing=True) as log:
        ended = log.release_hold(hold_id, warrant(place, reason, actor))
    if as_json:
        print_json(_plain(ended, active=False))
    else:
        console().print(f"[green]✓[/] hold {ended.id} is released.")
    return 0


def _plain(one: Hold, *, active: bool) -> dict[str, Any]:
    return {
        "id": one.id,
        "index": one.index,
        "active": active,
        "time": one.time,
        "reason": one.reason,
        "events": list(one.events),
        "query": dict(one.query),
        "until": one.until,
        "released_at": one.released_at,
    }


@click.command("erase")
@_events
@_subject
@click.option("--yes", is_flag=True, help="Do not ask.")
@on_warrant()
@common
def erase(
    *,
    events: tuple[str, ...],
    subject: str | None,
    yes: bool,
    reason: str,
    actor: str | None,
    as_json: bool,
    home: Path | None,
) -> int:
    """Make the prompts and held pictures of single events, or of all of a subject, unreadable for ever.

    Their data keys are deleted. Entries, proofs, digests and fingerprints of the images stay; so does what a legal
    hold covers.

    Exit codes: 0 erased, 21 nothing was erased, because legal holds cover all of it.
    """
    place = home_of(home)
    asked = warrant(place, reason, actor)
    people = pseudonyms_of(place, subject) if subject is not None else ()
    with opened(place, writing=True) as log, progress("Searching the log") as advance:
        ids = event_ids(log, events)
        plan = log.plan_erasure(events=ids, subject=people, progress=advance)
        if plan.erase and not yes:
            _confirm(len(plan.erase), plan.kept)
        erasure = log.erase(asked, events=ids, subject=people, progress=advance)
    in_the_clear = sorted(set(plan.in_the_clear))
    if as_json:
        print_json(
            {
                "entries": list(erasure.entries),
                "erased": list(erasure.erased),
                "held_back": {hold_id: list(kept) for hold_id, kept in erasure.held_back.items()},
                "in_the_clear": in_the_clear,
            }
        )
        return 0 if erasure.erased else _HELD
    if erasure.erased:
        console().print(f"[green]✓[/] erased the protected fields of {len(erasure.erased)} events.")
    else:
        console().print(f"[red]✗[/] nothing was erased: legal holds cover all of it (exit code {_HELD}).")
    for hold_id, events_held in erasure.held_back.items():
        console().print(f"[yellow]![/] {len(events_held)} events were kept: legal hold {hold_id}.")
    for object_key in in_the_clear:
        console().print(
            f"[yellow]![/] {literal(object_key)} was held in the clear, by an earlier version: delete this object of"
            " the store too, unless another entry names it."
        )
    console().print(f"  Recorded as entry {', '.join(map(str, erasure.entries))}; every proof holds as before.")
    return 0 if erasure.erased else _HELD


def _confirm(count: int, kept: int) -> None:
    import sys

    if not sys.stdin.isatty():
        raise UsageError("An erasure must be confirmed, and nobody is here to ask.", remedy="Add --yes.")
    held = f" ({kept} more are under legal hold and stay)" if kept else ""
    with aside():
        click.confirm(f"Make the protected fields of {count} events unreadable for ever{held}?", abort=True, err=True)


@click.command("vouch")
@click.option(
    "--checkpoint",
    "held_path",
    required=True,
    type=click.Path(path_type=Path),
    help="The newest checkpoint that was kept where the log's administrator cannot write.",
)
@on_warrant()
@common
def vouch(*, held_path: Path, reason: str, actor: str | None, as_json: bool, home: Path | None) -> int:
    """Carry on a log whose record of signed checkpoints (signed.db) was lost or brought back from a backup.

    Without the record nothing here can tell whether the newest entries were cut off; the checkpoint vouches for those
    that it covers. That there was such a gap is recorded. A log that opens without help is left alone.
    """
    from countermark.audit.checkpoint import peek_checkpoint
    from countermark.errors import AuditRollback
    from countermark.model import EventType

    held = read_checkpoint(held_path)
    place = home_of(home)
    asked = warrant(place, reason, actor)
    try:
        with opened(place, writing=True):
            raise UsageError("The record of signed checkpoints is there.", remedy="Nothing needs to be done.")
    except AuditRollback:
        pass
    covered = peek_checkpoint(held).size
    with opened(place, writing=True, held=held) as log:
        size = log.size
        said = {"vouched": str(covered), "entries": str(size)}
        index = log.append(asked.event(EventType.CHECKPOINT_GAP, params=said)).index
    if as_json:
        print_json({"vouched": covered, "entries": size, "recorded": index})
    else:
        console().print(
            f"[green]✓[/] the checkpoint vouches for {covered} of {size} entries; recorded as entry {index}."
        )
    return 0


COMMANDS = {"hold": hold, "erase": erase, "vouch": vouch}
