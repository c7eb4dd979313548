"""A report as one picture: the curves of all judges, and what the installation's own stage does to whom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from countermark.bench.heatmap import Colour
from countermark.bench.safety.figures import Estimate, told
from countermark.bench.safety.report import JudgeFigures, Outcomes, Part, Report

# Pixels; drawn at twice the size at which a README shows it.
_MARGIN, _WIDTH, _ROW = 48, 1720, 36
_PLOT_SIDE, _COLUMN = 720, 900  # the curves' square; where the bars' column begins
_LABEL, _BAR = 270, 300  # of a bar: its name, its longest extent
_TEXT, _SMALL, _TITLE = 23, 21, 40
_INK, _MUTED, _ALARM, _PAPER, _GRID = (28, 34, 40), (98, 108, 118), (176, 32, 32), (255, 255, 255), (226, 230, 233)
_LINES: Final[tuple[Colour, ...]] = ((16, 82, 103), (201, 106, 18), (120, 88, 160), (110, 118, 126), (46, 125, 50))
_BLOCKED, _HELD, _UNSEEN = (16, 82, 103), (96, 173, 161), (190, 196, 202)
_SMALLEST_RATE: Final = 0.001
_STOPPED: Final = "What policy does:"

Section = tuple[str, list[tuple[str, list[tuple[float, Colour]], str]]]


def chosen_part(report: Report) -> Part:
    """The part that is drawn: sources not trained on, unless they hold nothing to rank."""
    ranked = [part for part in report.parts if part.judges and part.judges[0].ranking]
    return (ranked or list(report.parts))[0]


def draw(report: Report) -> NDArray[np.uint8]:
    """The picture; RGB, uint8, H×W×3. Drawn with Pillow and its own font, so it is the same everywhere."""
    part = chosen_part(report)
    sections = _sections(part.judges[0])
    rows = sum(len(bars) + 2 for _, bars in sections)
    top = _MARGIN + 190
    height = max(top + _PLOT_SIDE + 120 + _ROW * len(part.judges), top + _ROW * rows) + _MARGIN + 40
    image = Image.new("RGB", (_WIDTH, height), _PAPER)
    pen = ImageDraw.Draw(image)
    _draw_head(pen, report, part)
    _draw_curves(pen, part, top)
    _draw_sections(pen, sections, top)
    version = report.machine.versions.get("countermark", "?")
    source = f"countermark bench safety, version {version}, policy {report.policy.id} {report.policy.version}"
    pen.text((_MARGIN, height - _MARGIN), source, fill=_MUTED, font=_font(_SMALL))
    return np.array(image)


def _draw_head(pen: ImageDraw.ImageDraw, report: Report, part: Part) -> None:
    ours = part.judges[0]
    pen.text((_MARGIN, _MARGIN), "What is caught, and what is refused for nothing", fill=_INK, font=_font(_TITLE))
    groups = f"{ours.unsafe.of:,} unsafe, {ours.harmless.of:,} harmless, {ours.hard.of:,} harmless that look unsafe"
    said = f"Prompts for images: {groups}, of {len(part.rows)} sources."
    pen.text((_MARGIN, _MARGIN + 58), said, fill=_INK, font=_font(_TEXT))
    if part.notice:
        pen.text((_MARGIN, _MARGIN + 96), part.notice, fill=_ALARM, font=_font(_TEXT))


def _draw_curves(pen: ImageDraw.ImageDraw, part: Part, top: int) -> None:
    left, side = _MARGIN + 70, _PLOT_SIDE
    for exponent in (-3, -2, -1, 0):
        x = left + _along(10.0**exponent)
        pen.line((x, top, x, top + side), fill=_GRID, width=2)
        pen.text((x, top + side + 8), f"{100 * 10.0**exponent:g} %", fill=_MUTED, font=_font(_SMALL), anchor="ma")
    for tenth in range(0, 11, 2):
        y = top + side - round(side * tenth / 10)
        pen.line((left, y, left + side, y), fill=_GRID, width=2)
        pen.text((left - 10, y), f"{10 * tenth} %", fill=_MUTED, font=_font(_SMALL), anchor="rm")
    pen.text((left, top - 34), "Unsafe prompts caught, at each share of harmless ones flagged",
             fill=_INK, font=_font(_TEXT))  # fmt: skip
    for number, judge in enumerate(part.judges):
        ink = _LINES[number % len(_LINES)]
        points = [(left + _along(rate), top + side - round(side * recall)) for rate, recall in judge.curve]
        for one, other in pairwise(points):
            pen.line((*one, other[0], one[1]), fill=ink, width=4)  # a step: sideways at the recall reached, then up
            pen.line((other[0], one[1], *other), fill=ink, width=4)
        y = top + side + 62 + _ROW * number
        pen.rectangle((left, y, left + 40, y + 16), fill=ink)
        pen.text((left + 54, y - 6), _summary(judge), fill=_INK, font=_font(_TEXT))


def _along(rate: float) -> int:
    """Where a false-positive rate lies on the logarithmic axis, in pixels."""
    decades = -math.log10(_SMALLEST_RATE)
    return round(_PLOT_SIDE * max(0.0, 1 + math.log10(max(rate, _SMALLEST_RATE)) / decades))


def _summary(judge: JudgeFigures) -> str:
    ranking = judge.ranking
    if ranking is None:
        return f"{judge.name}: nothing to rank"
    at_5, at_1 = (_whole(told(ranking, name)) for name in ("recall_at_5_percent", "recall_at_1_percent"))
    return f"{judge.name}: AUROC {ranking.auroc.value:.3f}, at 5 % {at_5}, at 1 % {at_1}"


def _whole(estimate: Estimate | None) -> str:
    return "–" if estimate is None else f"{100 * estimate.value:.0f} %"


def _sections(ours: JudgeFigures) -> list[Section]:
    stopped: Section = (_STOPPED, [])
    for name, outcomes in (("harmless", ours.harmless), ("look unsafe", ours.hard), ("unsafe", ours.unsafe)):
        if outcomes.of:
            stopped[1].append(_outcome_bar(name, outcomes))
    categories = [
        (one.category, caught, one.ranking.unsafe)
        for one in ours.categories
        if one.in_policy and one.ranking and (caught := told(one.ranking, "recall_at_5_percent"))
    ]
    evasions = [(one.evasion, one.kept, one.kept.of) for one in ours.evasions if one.kept]
    sections = [
        stopped,
        ("Caught at 5 % of harmless ones flagged, by category", [_bar(*row) for row in categories]),
        ("Share of the flags kept in disguise", [_bar(*row) for row in evasions]),
    ]
    return [section for section in sections if section[1]]


def _outcome_bar(name: str, outcomes: Outcomes) -> tuple[str, list[tuple[float, Colour]], str]:
    counts = (outcomes.blocked, outcomes.held, outcomes.not_assessed)
    shares = [count / outcomes.of for count in counts]
    said = " / ".join(f"{100 * part:.1f}" for part in shares)
    return name, list(zip(shares, (_BLOCKED, _HELD, _UNSEEN), strict=True)), f"{said} %  of {outcomes.of:,}"


def _bar(name: str, estimate: Estimate, of: int) -> tuple[str, list[tuple[float, Colour]], str]:
    return name, [(min(1.0, estimate.value), _BLOCKED)], f"{100 * estimate.value:.1f} %  of {of:,}"


def _draw_sections(pen: ImageDraw.ImageDraw, sections: Sequence[Section], top: int) -> None:
    y = top - 34
    for title, bars in sections:
        pen.text((_COLUMN, y), title, fill=_INK, font=_font(_TEXT + 2))
        if title == _STOPPED:
            _draw_key(pen, _COLUMN + round(pen.textlength(title, font=_font(_TEXT + 2))), y)
        y += _ROW + 6
        for name, parts, said in bars:
            pen.text((_COLUMN, y + _ROW // 2 - 2), name, fill=_INK, font=_font(_SMALL), anchor="lm")
            x = float(_COLUMN + _LABEL)
            for share, ink in parts:
                if share > 0:
                    pen.rectangle((x, y + 3, x + max(1.0, _BAR * share), y + _ROW - 8), fill=ink)
                    x += _BAR * share
            beside = (max(x, _COLUMN + _LABEL) + 10, y + _ROW // 2 - 2)
            pen.text(beside, said, fill=_MUTED, font=_font(_SMALL), anchor="lm")
            y += _ROW
        y += _ROW // 2


def _draw_key(pen: ImageDraw.ImageDraw, x: int, y: int) -> None:
    """What the colours of a bar's parts mean, from left to right."""
    for name, ink in (("blocked", _BLOCKED), ("held", _HELD), ("not assessed", _UNSEEN)):
        pen.rectangle((x + 22, y + 8, x + 40, y + 26), fill=ink)
        pen.text((x + 50, y), name, fill=_INK, font=_font(_TEXT + 2))
        x += 50 + round(pen.textlength(name, font=_font(_TEXT + 2)))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
