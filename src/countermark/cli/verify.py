"""``countermark verify``: what can be proved about a file."""

from __future__ import annotations

from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from countermark.cli.output import common, console, load, note, print_json, progress
from countermark.errors import EXIT_USAGE, UsageError
from countermark.files import read_small

if TYPE_CHECKING:
    from countermark.cli.check_many import Item
    from countermark.model import Receipt
    from countermark.verification import Trust

MAX_SIDE_FILE_BYTES = 1 << 20


@click.command("verify")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False))
@click.option(
    "--offline", is_flag=True, help="For scripts that say so: verify uses no network but for a log or store elsewhere."
)
@click.option(
    "--receipt",
    "--bundle",
    "receipt_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A receipt (`log proof`) to check without the log; again for more. --bundle is its older name.",
)
@click.option(
    "--trust",
    "trust_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Further anchors and log keys to believe: the file of `keys export-trust`; again for more.",
)
@click.option("--recursive", is_flag=True, help="Verify every image in the folders among FILES.")
@common
def command(
    *,
    files: tuple[Path, ...],
    offline: bool,
    receipt_files: tuple[Path, ...],
    trust_files: tuple[Path, ...],
    recursive: bool,
    as_json: bool,
    home: Path | None,
) -> int:
    """Say what can be proved about each of FILES.

    \b
    countermark verify boat.png                       with this installation's keys
    countermark verify --recursive FOLDER --json      every image in there
    countermark verify boat.png --trust trust.json --receipt receipt.json
                                                      with what its maker gave you

    Exit codes: 0 verified, 3 inconclusive, 10 no provenance, 11 tampered, 12 untrusted signer, 13 audit proof failed,
    14 evidence contradicts, 15 recovered (from watermark or fingerprint, and proved in the log); of several files,
    the code of the first that is not verified, or 2 where some could not be read: these get an error of their own,
    and the others are verified all the same. A trusted signature alone verifies: whether the file is recorded too is in
    its last line, and in --json as evidence.audit.state. With --json: one object for one file, an array for several.
    """  # noqa: D301 (a raw string would hide the backspace that keeps click from joining the examples' lines)
    from countermark.cli.show import report_lines
    from countermark.compose import verify

    settings = load(home=home).settings
    receipts = [_read_receipt(path) for path in receipt_files]
    trust = reduce(add, map(_read_trust, trust_files)) if trust_files else None
    items = _expand(files, recursive)
    alone = len(items) == 1 and not recursive
    told: list[dict[str, Any]] = []
    codes: list[int] = []
    with progress("Verifying", len(items), results=not as_json) as advance:
        for number, item in enumerate(items, 1):
            try:
                if item.fault is not None:
                    raise item.fault
                report = verify(item.file, settings=settings, receipts=receipts, trust=trust)
            except UsageError as error:  # what is wrong with this file; the next may be well
                if alone:
                    raise
                told.append({"schema": "countermark.error/1", "file": str(item.file), "error": error.to_dict()})
                codes.append(EXIT_USAGE)
                note(f"{item.file}: {error.message}")
            else:
                told.append(report.model_dump(mode="json", by_alias=True))
                codes.append(report.verdict.exit_code)
                for line in () if as_json else report_lines(report):
                    console().print(line)
            advance(number, len(items))
    if as_json:
        print_json(told[0] if alone else told)
    return EXIT_USAGE if EXIT_USAGE in codes else next(filter(None, codes), 0)


def _expand(files: tuple[Path, ...], recursive: bool) -> list[Item]:
    """The files to verify, and what of a folder cannot be looked at; a folder without images is an error."""
    from countermark.cli.check_many import Item, images_in

    if not recursive:
        return [Item(path) for path in files]
    return [item for path in files for item in (images_in(path).each if path.is_dir() else [Item(path)])]


def _read_receipt(path: Path) -> Receipt:
    from pydantic import ValidationError

    from countermark.model import Receipt

    remedy = "Make one with: countermark log proof EVENT -o FILE; a bundle is read by audit/verify_log.py."
    try:
        return Receipt.model_validate_json(read_small(path, "a receipt", at_most=MAX_SIDE_FILE_BYTES, remedy=remedy))
    except ValidationError as error:
        raise UsageError(f"{path} is not a receipt.", remedy=remedy) from error


def _read_trust(path: Path) -> Trust:
    from countermark.compose import read_trust

    remedy = "Ask its owner for: countermark keys export-trust"
    return read_trust(read_small(path, "a trust document", at_most=MAX_SIDE_FILE_BYTES, remedy=remedy), str(path))
