"""The report as one picture: attacks down, watermarks across, the share recovered as colour and figure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from countermark.bench.report import AttackRow, BackendReport, Report

Colour = tuple[int, int, int]
Group = tuple[str, tuple[AttackRow, ...]]

# Pixels; drawn at twice the size at which a README shows it.
_MARGIN, _GUTTER = 48, 56
_ROW, _HEADING, _GAP = 38, 50, 14
_LABEL, _CELL = 330, 124
_TEXT, _SMALL, _TITLE = 23, 21, 40
_MIN_WIDTH = 1680  # what the longest line of totals takes

_INK, _MUTED, _ALARM, _PAPER = (28, 34, 40), (98, 108, 118), (176, 32, 32), (255, 255, 255)
_SCALE: Final[tuple[Colour, ...]] = ((254, 241, 217), (206, 221, 182), (96, 173, 161), (16, 82, 103))
"""From nothing to everything recovered. Between these, colours are interpolated in OKLab, where equal steps look
equal (Ottosson 2020, "A perceptual color space for image processing"); lightness falls all the way."""


def draw(report: Report) -> NDArray[np.uint8]:
    """The heat map; RGB, uint8, H×W×3. Drawn with Pillow and its own font, so it is the same everywhere."""
    panels = _panels(list(report.groups.items()))
    layout = _Layout(report, panels)
    image = Image.new("RGB", (layout.width, layout.height), _PAPER)
    pen = ImageDraw.Draw(image)
    _draw_head(pen, report, layout)
    for number, groups in enumerate(panels):
        _draw_panel(pen, report, groups, layout.left(number), layout.top)
    _draw_totals(pen, report, layout)
    return np.array(image)


def colour(share: float) -> Colour:
    """The colour of a share of 0 to 1."""
    place = min(max(share, 0), 1) * (len(_SCALE) - 1)
    below = min(int(place), len(_SCALE) - 2)
    one, other = _to_oklab(_SCALE[below]), _to_oklab(_SCALE[below + 1])
    return _from_oklab(one + (place - below) * (other - one))


@dataclass(frozen=True)
class _Layout:
    """Where things are, in pixels."""

    report: Report
    panels: list[list[Group]]

    @property
    def panel_width(self) -> int:
        return _LABEL + _CELL * len(self.report.backends)

    @property
    def width(self) -> int:
        panels = len(self.panels)
        return max(_MIN_WIDTH, 2 * _MARGIN + panels * self.panel_width + (panels - 1) * _GUTTER)

    @property
    def top(self) -> int:
        return _MARGIN + (196 if self.report.set.notice else 158)

    @property
    def bottom(self) -> int:
        return self.top + _ROW + max(_height(groups) for groups in self.panels)

    @property
    def height(self) -> int:
        return self.bottom + 96 + _ROW * (len(self.report.backends) + 1) + _MARGIN

    def left(self, panel: int) -> int:
        return _MARGIN + panel * (self.panel_width + _GUTTER)


def _height(groups: list[Group]) -> int:
    return sum(_HEADING + _ROW * len(rows) + _GAP for _, rows in groups)


def _panels(groups: list[Group]) -> list[list[Group]]:
    """The groups in order, in one to three columns of nearly equal height."""
    rows = sum(len(members) for _, members in groups)
    count = min(len(groups), 1 if rows < 24 else 2 if rows < 48 else 3)
    cuts = min(
        ((0, *inner, len(groups)) for inner in combinations(range(1, len(groups)), count - 1)),
        key=lambda cut: max(_height(groups[a:b]) for a, b in pairwise(cut)),
    )
    return [groups[a:b] for a, b in pairwise(cuts)]


def _draw_head(pen: ImageDraw.ImageDraw, report: Report, layout: _Layout) -> None:
    pictures = len(report.set.pictures)
    x, y = _MARGIN, _MARGIN
    pen.text((x, y), "What the watermark survives", fill=_INK, font=_font(_TITLE))
    said = f"Share of pictures whose whole payload is read after each of {len(report.real)} attacks, in per cent."
    pen.text((x, y + 58), said, fill=_INK, font=_font(_TEXT))
    where = f"{pictures} pictures of the set '{report.set.name}', role {report.set.role}"
    pen.text((x, y + 92), f"{where}. {_tasks_of(report)}.", fill=_MUTED, font=_font(_SMALL))
    if report.set.notice:
        pen.text((x, y + 126), report.set.notice, fill=_ALARM, font=_font(_TEXT))
    _draw_legend(pen, layout.width - _MARGIN - 300, y + 6)


def _tasks_of(report: Report) -> str:
    """What each watermark carries, those with the same task together."""
    names: dict[str, list[str]] = {}
    for backend in report.backends:
        names.setdefault(backend.task.split(";")[0], []).append(backend.name)
    return ". ".join(f"{', '.join(those)}: {task}" for task, those in names.items())


def _draw_legend(pen: ImageDraw.ImageDraw, x: int, y: int) -> None:
    for step in range(300):
        pen.line((x + step, y, x + step, y + 22), fill=colour(step / 299))
    pen.text((x, y + 28), "lost", fill=_MUTED, font=_font(_SMALL))
    pen.text((x + 300, y + 28), "recovered", fill=_MUTED, font=_font(_SMALL), anchor="ra")


def _draw_panel(pen: ImageDraw.ImageDraw, report: Report, groups: list[Group], x: int, y: int) -> None:
    for column, backend in enumerate(report.backends):
        middle = x + _LABEL + _CELL * column + _CELL // 2
        font = _font_within(pen, backend.name, _CELL - 8)
        pen.text((middle, y + _ROW // 2), backend.name, fill=_INK, font=font, anchor="mm")
    y += _ROW
    for group, rows in groups:
        base = y + _HEADING - 14
        extra = f"  ({rows[0].aside})" if rows[0].aside else ""
        pen.text((x, base), group + extra, fill=_INK, font=_font(_TEXT + 2), anchor="ls")
        pen.line((x, base + 8, x + _LABEL + _CELL * len(report.backends) - 3, base + 8), fill=_MUTED, width=2)
        for column, backend in enumerate(report.backends):
            middle = x + _LABEL + _CELL * column + _CELL // 2
            mean = f"{100 * (backend.recovery(rows) or 0):.1f}"
            pen.text((middle, base), mean, fill=_MUTED, font=_font(_SMALL), anchor="ms")
        y += _HEADING
        for row in rows:
            _draw_row(pen, report, row, x, y)
            y += _ROW
        y += _GAP


def _draw_row(pen: ImageDraw.ImageDraw, report: Report, row: AttackRow, x: int, y: int) -> None:
    pen.text((x, y + _ROW // 2), row.name, fill=_INK, font=_font(_SMALL), anchor="lm")
    for column, backend in enumerate(report.backends):
        share = backend.attacks[row.name].share
        left, fill = x + _LABEL + _CELL * column, colour(share)
        pen.rectangle((left, y, left + _CELL - 3, y + _ROW - 3), fill=fill)
        ink = _INK if _to_oklab(fill)[0] > 0.66 else _PAPER
        middle = (left + _CELL // 2 - 1, y + _ROW // 2 - 1)
        pen.text(middle, f"{100 * share:.0f}", fill=ink, font=_font(_SMALL), anchor="mm")


def _draw_totals(pen: ImageDraw.ImageDraw, report: Report, layout: _Layout) -> None:
    y = layout.bottom + 24
    pen.line((_MARGIN, y, layout.width - _MARGIN, y), fill=_MUTED, width=2)
    y += 26
    indent = 24 + max(pen.textlength(backend.name, font=_font(_TEXT)) for backend in report.backends)
    for backend in report.backends:
        pen.text((_MARGIN, y), backend.name, fill=_INK, font=_font(_TEXT))
        pen.text((_MARGIN + indent, y), ",   ".join(_totals_of(report, backend)), fill=_INK, font=_font(_TEXT))
        y += _ROW
    versions = report.machine.versions
    source = (
        f"countermark bench watermark, version {versions.get('countermark', '?')}, strength {report.psnr_target:g} dB"
    )
    pen.text((_MARGIN, y + 8), source, fill=_MUTED, font=_font(_SMALL))


def _totals_of(report: Report, backend: BackendReport) -> list[str]:
    totals = report.totals[backend.name]
    spans = {"core": len(report.core), "all": len(report.real)}
    if spans["core"] in (0, spans["all"]):
        spans.pop("all" if spans["core"] else "core")
    said = [f"{span} ({count}) {100 * (totals[span] or 0):.1f} %" for span, count in spans.items() if count]
    if backend.psnr is not None:
        said.append(f"PSNR {backend.psnr:.1f} dB")
    if backend.ssim is not None:
        said.append(f"SSIM {backend.ssim:.3f}")
    if backend.unmarked:
        said.append(f"wrong payloads {backend.wrong_payloads}")
        said.append(f"false detections {backend.false_detections} of {backend.unmarked}")
    if backend.cost is not None and backend.cost.embed is not None and backend.cost.detect is not None:
        said.append(f"embed / detect {backend.cost.embed:.0f} / {backend.cost.detect:.0f} ms")
    return said


def _font_within(pen: ImageDraw.ImageDraw, text: str, width: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The largest font, up to that of other text, in which a name fits its column."""
    sizes = range(_TEXT, _SMALL // 2, -1)
    return _font(next((size for size in sizes if pen.textlength(text, font=_font(size)) <= width), _SMALL // 2))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


_TO_LMS = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                    [0.2119034982, 0.6806995451, 0.1073969566],
                    [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
_TO_LAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                    [1.9779984951, -2.4285922050, 0.4505937099],
                    [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip


def _to_oklab(colour: Colour) -> NDArray[np.float64]:
    values = np.array(colour) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return np.asarray(_TO_LAB @ np.cbrt(_TO_LMS @ linear), np.float64)


def _from_oklab(lab: NDArray[np.float64]) -> Colour:
    linear = np.clip(np.linalg.solve(_TO_LMS, np.linalg.solve(_TO_LAB, lab) ** 3), 0, 1)
    values = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = (int(value) for value in np.rint(255 * values))
    return red, green, blue
