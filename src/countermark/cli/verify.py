"""``countermark verify``: what can be proved about a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from countermark.cli.output import common, console, load, note, print_json, progress
from countermark.errors import NotFound, UsageError

if TYPE_CHECKING:
    from countermark.model import Receipt, VerificationReport
    from countermark.verification import Trust

MAX_BUNDLE_BYTES = 1 << 20


@click.command("verify")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--offline", is_flag=True, help="Use no network (verify never does; the flag says so in scripts).")
@click.option("--bundle", multiple=True, type=click.Path(path_type=Path), help="A receipt to check without the log.")
@click.option("--trust", "trust_file", type=click.Path(path_type=Path), help="Further anchors and log keys to believe.")
@click.option("--recursive", is_flag=True, help="Verify every image in a folder.")
@common
def command(
    *,
    files: tuple[Path, ...],
    offline: bool,
    bundle: tuple[Path, ...],
    trust_file: Path | None,
    recursive: bool,
    as_json: bool,
    home: Path | None,
) -> int:
    """Say what can be proved about each of FILES.

    \b
    Exit codes: 0 verified, 3 inconclusive, 10 no provenance, 11 tampered, 12 untrusted signer, 13 audit proof failed,
    14 evidence contradicts, 15 recovered (from watermark or fingerprint, and proved in the log); of several files,
    the code of the first that is not verified.
    """  # noqa: D301
    from countermark.cli.show import report_lines
    from countermark.compose import verify

    settings = load(home=home).settings
    receipts = [_read_receipt(path) for path in bundle]
    trust = _read_trust(trust_file) if trust_file else None
    paths = _expand(files, recursive)
    reports: list[VerificationReport] = []
    with progress("Verifying", len(paths)) as advance:
        for number, path in enumerate(paths):
            reports.append(verify(path, settings=settings, receipts=receipts, trust=trust))
            advance(number + 1, len(paths))
            if not as_json:
                for line in report_lines(reports[-1]):
                    console().print(line)
    if as_json:
        plain = [report.model_dump(mode="json", by_alias=True) for report in reports]
        print_json(plain[0] if len(plain) == 1 and not recursive else plain)
    return next((code for code in (report.verdict.exit_code for report in reports) if code), 0)


def _expand(files: tuple[Path, ...], recursive: bool) -> list[Path]:
    if not recursive:
        return list(files)
    from countermark.cli.check_many import list_images

    paths = [found for path in files for found in (list_images(path) if path.is_dir() else [path])]
    if not paths:
        note("There are no images in there.")
    return paths


def _read_small(path: Path) -> bytes:
    if not path.is_file():
        raise NotFound(f"There is no file {path}.")
    if path.stat().st_size > MAX_BUNDLE_BYTES:
        raise UsageError(f"{path} is too large to be a receipt or trust file.", remedy="Give the file that we wrote.")
    return path.read_bytes()


def _read_receipt(path: Path) -> Receipt:
    from pydantic import ValidationError

    from countermark.model import Receipt

    try:
        return Receipt.model_validate_json(_read_small(path))
    except ValidationError as error:
        raise UsageError(
            f"{path} is not a receipt.", remedy="Make one with: countermark log proof EVENT -o FILE"
        ) from error


def _read_trust(path: Path) -> Trust:
    from countermark.compose import read_trust

    return read_trust(_read_small(path), str(path))
