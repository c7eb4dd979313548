"""``countermark bench safety``: what the checks miss, what they refuse for nothing, and what they say of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from countermark.cli.bench_output import plan, write_picture, write_report
from countermark.cli.output import Integer, common, load, note, print_json, progress
from countermark.errors import CountermarkError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from countermark.bench.safety.judges import Judge
    from countermark.bench.safety.report import Absent, PictureFigures, Report
    from countermark.bench.safety.sets import PromptSet
    from countermark.policy import Policy
    from countermark.safety.interface import ImageClassifier, PromptClassifier
    from countermark.settings import Settings

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_OPINIONS = "opinions"
_PEERS = f"word list,alt-profanity-check,char TF-IDF,{_OPINIONS}"


@click.command("safety")
@click.option("--prompts", required=True, type=_FOLDER, help="A folder of JSON-lines files: text, labels, source.")
@click.option("--images", type=_FOLDER, help="A folder of pictures: each folder in it is a label (safe/, …).")
@click.option(
    "--set",
    "picture_set",
    type=click.Choice(("reporting", "textures", "graphics", "generated", "untuned")),
    default="reporting",
    show_default=True,
    help="Pictures to measure where no folder is named: shipped photographs, or what the embedded model draws, ….",
)
@click.option(
    "--peers", default=_PEERS, show_default=True, help="Who else, with commas; opinions: those of the settings; none."
)
@click.option(
    "--limit",
    type=Integer(min=0),
    default=500,
    show_default=True,
    help="At most so many prompts of each source, label and language, and pictures of each label; 0 for all.",
)
@click.option("--policy", type=click.Path(path_type=Path), help="A policy file (default: that of the settings).")
@click.option("-o", "--output", type=_FILE, help="Draw curves and bars: PICTURE.png.")
@click.option("--save", type=_FILE, help="Write the report as JSON.")
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
@common
def command(
    *,
    prompts: Path,
    images: Path | None,
    picture_set: str,
    peers: str,
    limit: int,
    policy: Path | None,
    output: Path | None,
    save: Path | None,
    force: bool,
    as_json: bool,
    home: Path | None,
) -> int:
    """Measure the prompt and image checks on prompts and pictures of yours, beside peers.

    \b
    countermark bench safety --prompts DIR                     a minute or two; -o plot.png draws it
    countermark bench safety --prompts DIR --images PICTURES   your own photographs, too
    countermark bench safety --prompts DIR --limit 0           every prompt

    A line of DIR/*.jsonl is {"text": ..., "labels": {"unsafe": 1, "violence": 1}, "source": ..., "lang": ...}; a
    missing label is unknown. A safe row counts as one that looks unsafe if its "meta" says "hard_negative": true or
    its source or file is named so (hard_negative, looks_unsafe, scary, overt_benign, overt_safe, xstest). Sources of
    which our models were trained on some rows are reported apart, unless the file's name ends in _held_out (or _b),
    which says that these were left out. Nothing is recorded and no prompt is shown.
    """  # noqa: D301 (a raw string would hide the backspace that keeps click from joining the examples' lines)
    from countermark.bench.safety.measure import measure
    from countermark.bench.safety.sets import load as load_prompts
    from countermark.cli.bench_safety_tables import show
    from countermark.policy import load_policy

    settings = load(home=home, policy=policy).settings
    rules = load_policy(settings.policy)
    for path in (output, save):
        plan(path, force=force)
    if output is not None and output.suffix.lower() != ".png":
        raise UsageError(f"{output} does not end in .png.", remedy="The plot is a PNG file: -o PICTURE.png.")
    found = load_prompts(prompts, limit=limit)
    judges, absent = _judges(settings, rules, found, [name.strip() for name in peers.split(",") if name.strip()])
    pictures = _pictures(settings, rules, images or picture_set, limit or None)
    with progress("Prompts", len(found.rows) * len(judges)) as advance:
        report = measure(found, judges, rules, absent=absent, pictures=pictures, limit=limit, advance=advance)
    if as_json:
        print_json(report.model_dump(mode="json", by_alias=True))
    else:
        show(report)
    _write(report, output, save, force=force)
    return 0


def _judges(
    settings: Settings, policy: Policy, found: PromptSet, peers: Sequence[str]
) -> tuple[list[Judge], list[Absent]]:
    """The installation's own stage first, then each peer that can be asked."""
    from countermark.bench.safety.judges import House, opinion, peer
    from countermark.bench.safety.report import Absent
    from countermark.compose import default_prompt_safety

    judges: list[Judge] = [House("countermark", default_prompt_safety(settings), policy)]
    absent = []
    for name in peers if peers != ["none"] else ():
        try:
            if name == _OPINIONS:
                judges += [opinion(one, policy) for one in _prompt_opinions(settings)]
            else:
                judges.append(peer(name, found.rows, found.terms))
        except CountermarkError as error:
            absent.append(Absent(name=name, reason=f"{error.message} {error.remedy}"))
    return judges, absent


def _prompt_opinions(settings: Settings) -> list[PromptClassifier]:
    """The second opinions on prompts that settings name, loaded only where there are any."""
    if not settings.safety.prompt.opinions:
        return []
    from countermark.safety.adapters.build import prompt_opinions

    return [another.classifier for another in prompt_opinions(settings.safety.prompt.opinions)]


def _image_detectors(settings: Settings) -> dict[str, ImageClassifier]:
    """The shipped image models and the second opinions on images that settings name, each by itself."""
    from countermark.safety import ImageEnsemble
    from countermark.safety.image_models import NsfwJsMid, OpenNsfw, OwenSafety

    models = (OpenNsfw(), OwenSafety(), NsfwJsMid())
    found: dict[str, ImageClassifier] = {model.detector.id: ImageEnsemble((model,)) for model in models}
    if settings.safety.image.opinions:
        from countermark.safety.adapters.build import image_opinions

        others = [another.classifier for another in image_opinions(settings.safety.image.opinions)]
        found |= {other.detector.id: other for other in others}
    return found


def _pictures(settings: Settings, policy: Policy, images: Path | str, limit: int | None) -> PictureFigures | None:
    """The image stage on a folder of the user's, or on a set of the bench's where its packages are installed."""
    from countermark.bench.safety.photographs import folder, measure_pictures, shipped
    from countermark.compose import default_image_safety
    from countermark.errors import MissingExtra

    try:
        pictures = shipped(limit, images) if isinstance(images, str) else folder(images, limit)
    except MissingExtra as error:
        note(f"No pictures are measured: {error.message}")
        return None
    with progress("Pictures", len(pictures.pictures)) as advance:
        stage = default_image_safety(settings)
        return measure_pictures(pictures, stage, policy, detectors=_image_detectors(settings), advance=advance)


def _write(report: Report, output: Path | None, save: Path | None, *, force: bool) -> None:
    from countermark.bench.safety.plot import draw

    write_report(report.to_json(), save, force=force)
    write_picture(lambda: draw(report), output, "Plot", force=force)
