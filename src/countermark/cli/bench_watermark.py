"""``countermark bench watermark``: attacks, quality, false alarms and cost of watermarks, ours and its peers'."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from countermark.cli.bench_output import plan, write_picture, write_report
from countermark.cli.output import Integer, Number, console, literal, note, print_json, progress
from countermark.errors import AssetInvalid, MissingExtra, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from countermark.bench.images import PictureSet
    from countermark.bench.report import BackendReport, Report

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_SETS = click.Choice(["reporting", "textures", "graphics", "generated", "untuned", "tuning"])


@click.command("watermark")
@click.option("--images", type=_FOLDER, help="A folder of your own pictures instead of a set.")
@click.option("--set", "set_name", type=_SETS, help="Which pictures (default: reporting).")
@click.option(
    "--backends",
    default="lattice,dwtDctSvd+tag,dwtDctSvd",
    show_default=True,
    help="Of lattice, dwtDctSvd, dwtDct, rivaGan; with +tag a peer carries our payload, else 32 bits.",
)
@click.option("--attacks", default="core", show_default=True, help="core, extra, all (both), limits, groups or names.")
@click.option("--limit", type=Integer(min=1), help="Only the first N pictures.")
@click.option("--psnr", type=Number(30, 50), default=40.0, show_default=True, help="Our mark's strength, dB.")
@click.option("--jobs", type=Integer(1, 64), default=1, show_default=True, help="Processes at the same time.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout.")
@click.option("-o", "--output", type=_FILE, help="Draw a heat map: PICTURE.png.")
@click.option("--save", type=_FILE, help="Write the report as JSON.")
@click.option("--show", type=_FOLDER, help="A folder for the first picture, marked, with its difference ten times.")
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
def command(
    *,
    images: Path | None,
    set_name: str | None,
    backends: str,
    attacks: str,
    limit: int | None,
    psnr: float,
    jobs: int,
    as_json: bool,
    output: Path | None,
    save: Path | None,
    show: Path | None,
    force: bool,
) -> int:
    """Mark pictures, attack them, and count whose whole payload is read.

    \b
    countermark bench watermark                              some minutes; -o map.png draws it
    countermark bench watermark --images DIR --limit 8       your own photographs
    countermark bench watermark --attacks "JPEG 75,crop"     one attack, one group
    countermark bench watermark --attacks limits             where it ends

    The peers carry 32 bits and always return some; ours carries 48 bits under a tag and knows when nothing is there.
    Their task is the easier one.
    """  # noqa: D301 (a raw string would hide the backspace that keeps click from joining the examples' lines)
    from countermark.bench.attacks import select
    from countermark.bench.images import load
    from countermark.bench.watermark import measure

    chosen = select(_listed(attacks))
    names = _listed(backends)
    for path in (output, save):
        plan(path, force=force)
    if output is not None:
        _check_picture_name(output)
    pictures = load(set_name, images, limit=limit)
    for name, reason in pictures.skipped:
        note(f"{name} is left out: {reason}")
    shown = _plan_shown(show, pictures, names, force) if show is not None else {}
    with progress("Measuring", len(pictures.pictures) * len(names)) as advance:
        try:
            report = measure(pictures, chosen, names, psnr_target=psnr, jobs=jobs, advance=advance)
        except MissingExtra as lacking:
            lacking.remedy += " or leave the peers out: --backends lattice"
            raise
    if as_json:
        print_json(report.model_dump(mode="json", by_alias=True))
    else:
        _print(report)
    _write(report, output, save, force=force)
    for name, path in shown.items():
        _write_shown(pictures, name, psnr, path, force=force)
    return 0


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _check_picture_name(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise UsageError(f"{path} does not end in .png.", remedy="The heat map is a PNG file: -o PICTURE.png.")


def _plan_shown(folder: Path, pictures: PictureSet, names: Sequence[str], force: bool) -> dict[str, Path]:
    """The file for each watermark's picture of the difference."""
    stem = re.sub(r"[^\w.-]+", "-", Path(pictures.pictures[0].name).stem).strip("-.")
    planned = {name: folder / f"{stem}-{name}.png" for name in names}
    for path in planned.values():
        plan(path, force=force)
    return planned


def _write(report: Report, output: Path | None, save: Path | None, *, force: bool) -> None:
    from countermark.bench.heatmap import draw

    write_report(report.to_json(), save, force=force)
    write_picture(lambda: draw(report), output, "Heat map", force=force)


def _write_shown(pictures: PictureSet, name: str, psnr: float, path: Path, *, force: bool) -> None:
    from countermark import imaging
    from countermark.bench.backends import build, number_for
    from countermark.bench.quality import difference_picture
    from countermark.files import write_new

    picture, backend = pictures.pictures[0], build(name, psnr)
    try:
        marked = backend.embed(picture.pixels, number_for(picture.name, backend.bits))
        panels = imaging.from_array(difference_picture(picture.pixels, marked))
    except AssetInvalid as error:  # too small for a peer, or too wide for a file: the figures are there all the same
        note(f"{path} is not written: {error.message}")
        return
    write_new(path, imaging.encode(panels, "image/png"), overwrite=force)
    note(f"Original, marked, difference x10: {path}")


def _print(report: Report) -> None:
    screen = console()
    names = ", ".join(literal(picture.name) for picture in report.set.pictures)
    which = f"{literal(repr(report.set.name))}, role {report.set.role}"
    screen.print(f"[bold]{len(report.set.pictures)} pictures[/] of the set {which}")
    screen.print(f"[dim]{names}[/]")
    if report.set.notice:
        screen.print(f"[bold red]{literal(report.set.notice)}[/]")
    for backend in report.backends:
        screen.print(f"[bold]{backend.name}[/]: {backend.task}")
    screen.print("Share of pictures whose whole payload is read after the attack:\n")
    screen.print(_table(report))
    cpu = report.machine
    versions = ", ".join(f"{name} {version}" for name, version in cpu.versions.items())
    screen.print(f"\n[dim]{cpu.processor}, {cpu.cores} cores, {cpu.system}, Python {cpu.python}; {versions}[/]")


def _table(report: Report) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("attack")
    for backend in report.backends:
        table.add_column(backend.name, justify="right")
    for group, rows in report.groups.items():
        extra = f" ({rows[0].aside})" if rows[0].aside else ""
        means = [_share(report.totals[backend.name][group]) for backend in report.backends]
        table.add_row(f"{group}{extra}", *means, style="bold")
        for row in rows:
            table.add_row(f"  {row.name}", *(_share(backend.attacks[row.name].share, 2) for backend in report.backends))
    table.add_section()
    for label, cells in _totals(report):
        table.add_row(label, *map(literal, cells), style="bold" if label.startswith(("core", "all")) else "")
    return table


def _share(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _totals(report: Report) -> list[tuple[str, list[str]]]:
    """The rows below the attacks: means, ratios, safety, quality, cost."""
    from countermark.bench.attacks import CORE, EXTRA
    from countermark.bench.report import OURS

    backends, totals = report.backends, report.totals
    rows = []
    if report.core:
        label = f"core ({len(report.core)} of {len(CORE)})"
        rows.append((label, [_share(totals[b.name]["core"]) for b in backends]))
    if len(report.real) > len(report.core):
        label = f"all ({len(report.real)} of {len(CORE) + len(EXTRA)})"
        rows.append((label, [_share(totals[b.name]["all"]) for b in backends]))
    for span in ("core", "all") if len(report.real) > len(report.core) else ("core",):
        if report.ratios and any(attack.core or span == "all" for attack in report.real):
            rows.append((f"{OURS} is so many times better, {span}", [_ratio(report, b, span) for b in backends]))
    rows.append(("refused (size), counted as lost", [f"{b.refused} of {b.attempts}" for b in backends]))
    rows.append(("wrong payloads", [str(b.wrong_payloads) if b.unmarked else "cannot tell" for b in backends]))
    rows.append(("false detections, unmarked", [_false(b) for b in backends]))
    rows.append(("PSNR (dB)", [_share(b.psnr, 2) for b in backends]))
    rows.append(("SSIM", [_ssim(b) for b in backends]))
    for label, attribute in (("embed", "embed"), ("detect, unaltered", "detect"), ("detect, unmarked", "unmarked")):
        costs = [None if b.cost is None else getattr(b.cost, attribute) for b in backends]
        rows.append((f"{label} (CPU ms, 1024²)", [_share(cost, 0) for cost in costs]))
    return rows


def _ratio(report: Report, backend: BackendReport, span: str) -> str:
    ratio = report.ratios.get(backend.name, {}).get(span)
    return "–" if ratio is None else f"{ratio:.1f}"


def _false(backend: BackendReport) -> str:
    return f"{backend.false_detections} of {backend.unmarked}" if backend.unmarked else "cannot tell"


def _ssim(backend: BackendReport) -> str:
    from countermark.bench.quality import SSIM_MISSING

    return SSIM_MISSING if backend.ssim is None and backend.psnr is not None else _share(backend.ssim, 4)
