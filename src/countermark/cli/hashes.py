"""``countermark hashes``: lists of pictures that must not be released, known by their hashes alone."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from countermark.cli.output import common, console, literal, load, print_json, status, table

_EXIT_LISTED, _EXIT_NOT_LOOKED = 20, 21


@click.group("hashes")
def command() -> None:
    """Lists of pictures that must not be released, known by their hashes alone (SHA-256 and PDQ).

    \b
    countermark hashes import LIST.csv --list partner
    countermark hashes check photo.jpg
    """  # noqa: D301 (a raw string would hide the backspace that keeps click from joining the examples' lines)


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--list", "name", required=True, help="Which list to add to; made if there is none of that name.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "csv", "jsonl"]),
    help="How FILE is written (default: by its suffix).",
)
@click.option(
    "--type", "kind", type=click.Choice(["pdq", "sha256"]), help="What a hash is where the line does not say."
)
@click.option("--skip-other-types", is_flag=True, help="Leave out MD5, PhotoDNA and so on instead of stopping.")
@common
def import_list(
    *,
    file: Path,
    name: str,
    form: str | None,
    kind: str | None,
    skip_other_types: bool,
    as_json: bool,
    home: Path | None,
) -> int:
    """Add the hashes of FILE to a list; all of them, or none where a line is faulty.

    FILE is plain text (one hash a line, # comments; needs --type), CSV (columns hash and type) or JSON lines (those
    keys). A running server takes the new list at its next picture.
    """
    from countermark.compose.hash_lists import hash_lists
    from countermark.safety.hash_import import read_hashes

    store = hash_lists(load(home=home).settings.home)
    with status(f"Importing {file.name}"):
        batches = read_hashes(file, form=form, kind=kind, skip_others=skip_other_types)  # type: ignore[arg-type]
        added = store.add(name, batches)
    if as_json:
        print_json({"schema": "countermark.hash-import/1", "list": name, **asdict(added)})
        return 0
    left_out = f", {added.others:,} of other types left out" if added.others else ""
    console().print(f"[green]✓[/] list {name}: {added.new:,} new, {added.known:,} known already{left_out}")
    console().print(f"    [dim]sha256 {added.digest}[/]")
    return 0


@command.command("list")
@common
def show_lists(as_json: bool, home: Path | None) -> int:
    """Show every list: how many hashes it has, and its digest. Exit code 1 if one is damaged."""
    from countermark.compose.hash_lists import hash_lists
    from countermark.errors import EXIT_INTERNAL, CountermarkError

    store = hash_lists(load(home=home).settings.home)
    rows: list[dict[str, Any]] = []
    damaged = False
    for name in store.names():
        try:
            found = store.read(name)
        except CountermarkError as error:
            damaged = True
            rows.append({"list": name, "error": error.to_dict()})
        else:
            counts: dict[str, Any] = {kind: len(hashes) for kind, hashes in found.hashes.items()}
            rows.append({"list": name, **counts, "digest": found.digest})
    if as_json:
        print_json({"schema": "countermark.hash-lists/1", "lists": rows})
    elif not rows:
        console().print("No list has been imported yet: countermark hashes import FILE --list NAME")
    else:
        shown = table("list", "PDQ", "SHA-256", "digest")
        for row in rows:
            if "error" in row:
                shown.add_row(literal(row["list"]), "", "", "[red]damaged[/]")
            else:
                shown.add_row(literal(row["list"]), f"{row['pdq']:,}", f"{row['sha256']:,}", str(row["digest"]))
        console().print(shown)
    return EXIT_INTERNAL if damaged else 0


@command.command("remove")
@click.argument("name")
@common
def remove(name: str, as_json: bool, home: Path | None) -> int:
    """Delete the list NAME."""
    from countermark.compose.hash_lists import hash_lists

    hash_lists(load(home=home).settings.home).remove(name)
    if as_json:
        print_json({"removed": name})
    else:
        console().print(f"[green]✓[/] removed list {name}")
    return 0


@command.command("check")
@click.argument("image", type=click.Path(path_type=Path))
@common
def check(image: Path, as_json: bool, home: Path | None) -> int:
    """Look IMAGE up in every list; nothing is recorded.

    Exit codes: 0 on no list, 20 on one, 21 a list could not be used, or there is none.
    """
    from countermark.cli.show import BAD, OK, WARN, finding_dict
    from countermark.compose.checking import to_raster
    from countermark.compose.hash_lists import hash_list_classifier
    from countermark.safety.known import Known
    from countermark.safety.transparent import look_through

    raster = to_raster(image)
    classifier = hash_list_classifier(load(home=home).settings.home)
    findings = look_through(classifier, raster, Known(raster.sha256))
    if as_json:
        shown = [finding_dict(finding) for finding in findings]
        print_json({"schema": "countermark.hash-check/1", "file": str(image), "findings": shown})
    for finding in findings if not as_json else ():
        mark = WARN if finding.score is None else BAD if finding.severity else OK
        console().print(f"{mark} {literal(finding.reason)}")
    if any(finding.severity for finding in findings):
        return _EXIT_LISTED
    return 0 if all(finding.score is not None for finding in findings) else _EXIT_NOT_LOOKED
