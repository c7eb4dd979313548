"""How the report of ``countermark bench safety`` looks in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from countermark.bench.safety.figures import told
from countermark.cli.output import console, literal

if TYPE_CHECKING:
    from rich.table import Table

    from countermark.bench.safety.figures import Estimate, Ranking
    from countermark.bench.safety.report import JudgeFigures, Latency, Outcomes, Part, PictureFigures, Report


def show(report: Report) -> None:
    """Every table, each preceded by what it counts."""
    screen = console()
    policy, cpu = report.policy, report.machine
    screen.print(f"policy {literal(policy.id)} {literal(policy.version)}, {policy.digest[:16]}")
    for judge in report.judges:
        digest = f" {judge.detector.digest[:16]}" if judge.detector and judge.detector.digest else ""
        screen.print(
            f"[bold]{literal(judge.name)}[/]: {literal(judge.task)}{digest}; {_latency(judge.latency)} a prompt"
        )
    for absent in report.absent:
        screen.print(f"[yellow]![/] {literal(absent.name)} is absent: {literal(absent.reason)}")
    _show_left_out(report)
    if report.skipped.count:
        screen.print(
            f"[yellow]![/] {report.skipped.count} lines are no prompts, the first {literal(report.skipped.first[0])}"
        )
    for part in report.parts:
        _show_part(part)
    if report.pictures is not None:
        _show_pictures(report.pictures)
    versions = ", ".join(f"{name} {version}" for name, version in cpu.versions.items())
    screen.print(f"\n[dim]{cpu.processor}, {cpu.cores} cores, {cpu.system}, Python {cpu.python}; {versions}[/]")


def _show_left_out(report: Report) -> None:
    """What was read and is in no figure."""
    read, measured = sum(report.read.values()), sum(sum(part.rows.values()) for part in report.parts)
    opposite = f" ({report.contradictory:,} with the opposite label: the first counts)" if report.contradictory else ""
    others = read - measured - report.duplicates - report.unlabelled
    causes = {
        f"with the text of another{opposite}": report.duplicates,
        'without a label "unsafe" of 0 or 1': report.unlabelled,
        f"words for the word list{', or more than --limit takes' if report.limit else ''}": others,
    }
    said = [f"{count:,} {cause}" for cause, count in causes.items() if count > 0]
    if said:
        console().print(f"{read:,} prompts read, {measured:,} measured; left out: {', '.join(said)}")


def _show_part(part: Part) -> None:
    screen = console()
    title = "sources not trained on" if part.role == "reporting" else "sources that our models were trained on"
    sources = ", ".join(f"{literal(source)} {count:,}" for source, count in sorted(part.rows.items()))
    screen.print(f"\n[bold]Prompts, {title}[/]: {sources}")
    if part.notice:
        screen.print(f"[bold red]{literal(part.notice)}[/]")
    ours = part.judges[0]
    if ours.harmless.of or ours.hard.of or ours.unsafe.of:
        screen.print(_overall(part))
    else:
        screen.print("None of these are prompts for images, so there is no overall figure.")
    screen.print(f"\nBy source, {ours.name}; unsafe against the source's own safe rows, or (*) the harmless of all:")
    screen.print(_sources(ours))
    if ours.categories:
        screen.print(f"\nBy category, {ours.name}; ranked by the overall risk, own AUROC by the category's score:")
        screen.print(_categories(ours))
    if len(ours.languages) > 1:
        screen.print(f"\nBy language, {ours.name}:")
        screen.print(_languages(ours))
    if ours.evasions:
        screen.print("\nShare of flags kept in disguise; ours also: stopped at all, harmless ones flagged:")
        screen.print(_evasions(part.judges))


def _table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, column in enumerate(columns):
        # In a narrow terminal figures are folded, never cut.
        first = number == 0
        table.add_column(column, justify="left" if first else "right", no_wrap=first, overflow="fold")
    return table


def _overall(part: Part) -> Table:
    table = _table("prompts for images", *(judge.name for judge in part.judges))

    def row(label: str, cell: Callable[[JudgeFigures], str], style: str = "") -> None:
        table.add_row(label, *(cell(judge) for judge in part.judges), style=style)

    row("harmless / look unsafe / unsafe", lambda j: f"{j.harmless.of} / {j.hard.of} / {j.unsafe.of}")
    row("AUROC", lambda j: _of(j.ranking, "auroc", 3), "bold")
    row("AUPRC", lambda j: _of(j.ranking, "auprc", 3))
    row("recall at 5 % false positives", lambda j: _of(j.ranking, "recall_at_5_percent", 3), "bold")
    row("recall at 1 % false positives", lambda j: _of(j.ranking, "recall_at_1_percent", 3), "bold")
    row("without full stops at the end: AUROC", lambda j: _of(j.ranking_without_stops, "auroc", 3))
    for rate, name in (("5", "recall_at_5_percent"), ("1", "recall_at_1_percent")):
        row(f"and recall at {rate} %", lambda j, name=name: _of(j.ranking_without_stops, name, 3))  # type: ignore[misc]
    at_5, at_1 = "recall_at_5_percent", "recall_at_1_percent"
    row("AUROC against those that look unsafe", lambda j: _of(j.against_hard, "auroc", 3))
    row(
        "look unsafe, flagged at 5 %",
        lambda j: _percent(j.hard_flagged_at_5_percent if told(j.ranking, at_5) else None),
    )
    row(
        "look unsafe, flagged at 1 %",
        lambda j: _percent(j.hard_flagged_at_1_percent if told(j.ranking, at_1) else None),
    )
    table.add_section()
    for label, group in (("harmless", "harmless"), ("look unsafe", "hard"), ("unsafe", "unsafe")):
        row(f"{label}: blocked / held", lambda j, group=group: _stopped(getattr(j, group)), "bold")  # type: ignore[misc]
        row(f"{label}: not assessed", lambda j, group=group: _unseen(getattr(j, group)))  # type: ignore[misc]
    row("category named right, of those stopped", lambda j: _percent(j.named_right))
    table.add_section()
    row("style words: times as many harmless flagged", lambda j: _number(j.style.wrapped.ratio if j.style else None))
    row("the same at 5 % false positives", lambda j: _number(j.style.wrapped.ratio_at_5_percent if j.style else None))
    row(
        "no full stop: times as many harmless flagged",
        lambda j: _number(j.style.without_stop.ratio if j.style else None),
    )
    return table


def _sources(ours: JudgeFigures) -> Table:
    table = _table("source", "kind", "safe", "blocked / held", "unseen", "unsafe", "blocked / held", "unseen", "AUROC")
    for one in ours.sources:
        star = "" if one.against == "own" or one.ranking is None else " *"
        table.add_row(
            literal(one.source),
            literal(one.kind),
            *_cells(one.safe),
            *_cells(one.unsafe),
            _of(one.ranking, "auroc", 3) + star,
        )
    return table


def _cells(outcomes: Outcomes) -> Sequence[str]:
    return str(outcomes.of), _stopped(outcomes), _unseen(outcomes)


def _categories(ours: JudgeFigures) -> Table:
    columns = ("AUROC", "own", "AUPRC", "at 5 %", "at 1 %", "blocked / held", "unseen", "named right")
    table = _table("category", "prompts", *columns)
    for one in ours.categories:
        ranking = [
            _of(one.ranking, name, 3) for name in ("auroc", "auprc", "recall_at_5_percent", "recall_at_1_percent")
        ]
        own = "–" if one.own_auroc is None else f"{one.own_auroc:.3f}"
        name = one.category if one.in_policy else f"{one.category} (not in the policy)"
        stopped, unseen = _stopped(one.outcomes), _unseen(one.outcomes)
        cells = (ranking[0], own, *ranking[1:], stopped, unseen, _percent(one.named_right))
        table.add_row(name, str(one.outcomes.of), *cells)
    return table


def _languages(ours: JudgeFigures) -> Table:
    table = _table(
        "language", "safe", "blocked / held", "unseen", "unsafe", "blocked / held", "unseen", "AUROC (ranked)"
    )
    for one in ours.languages:
        table.add_row(
            literal(one.language) or "not stated", *_cells(one.safe), *_cells(one.unsafe), _ranked(one.ranking)
        )
    return table


def _evasions(judges: Sequence[JudgeFigures]) -> Table:
    table = _table("disguise", *(judge.name for judge in judges), "stopped", "harmless flagged")
    for number, one in enumerate(judges[0].evasions):
        kept = [_number(judge.evasions[number].kept) for judge in judges]
        table.add_row(one.evasion, *kept, _percent(one.stopped), _percent(one.harmless_flagged))
    return table


def _show_pictures(pictures: PictureFigures) -> None:
    screen = console()
    screen.print(f"\n[bold]Pictures[/]: {literal(pictures.set)}; image stage {(pictures.detector.digest or '')[:16]}")
    if pictures.skipped:
        screen.print(f"[yellow]![/] {pictures.skipped} files cannot be read.")
    detectors = list(pictures.labels[0].flagged_by)
    table = _table("label", "pictures", "blocked", "held", "unseen", *(f"{name} alone flags" for name in detectors))
    for one in pictures.labels:
        shares = (str(one.outcomes.of), _percent(one.blocked), _percent(one.held), _unseen(one.outcomes))
        table.add_row(literal(one.label), *shares, *(str(one.flagged_by[name]) for name in detectors))
    screen.print(table)
    for name, latency in pictures.latency.items():
        screen.print(f"{name}: {_latency(latency)} a picture of 1024 × 1024")


def _of(ranking: Ranking | None, name: str, digits: int) -> str:
    estimate = told(ranking, name)
    if estimate is None:
        return "–"
    return f"{estimate.value:.{digits}f} [dim]{estimate.low:.{digits}f}–{estimate.high:.{digits}f}[/]"


def _ranked(ranking: Ranking | None) -> str:
    """The AUROC with how many rows have a place in it: those that were not assessed have none."""
    return "–" if ranking is None else f"{_of(ranking, 'auroc', 3)} [dim]({ranking.harmless} + {ranking.unsafe})[/]"


def _percent(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    return f"{100 * estimate.value:.1f} % [dim]{100 * estimate.low:.1f}–{100 * estimate.high:.1f}[/]"


def _number(estimate: Estimate | None) -> str:
    return "–" if estimate is None else f"{estimate.value:.2f} [dim]{estimate.low:.2f}–{estimate.high:.2f}[/]"


def _stopped(outcomes: Outcomes) -> str:
    if not outcomes.of:
        return "–"
    return f"{100 * outcomes.blocked / outcomes.of:.1f} / {100 * outcomes.held / outcomes.of:.1f} %"


def _unseen(outcomes: Outcomes) -> str:
    return f"{100 * outcomes.not_assessed / outcomes.of:.1f} %" if outcomes.of else "–"


def _latency(latency: Latency) -> str:
    return f"{latency.median:.1f} ms of CPU (95 %: {latency.percentile_95:.1f})"
