"""``countermark demo``: the whole story on real parts, told in the terminal; its files stay behind."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

from countermark.cli.output import common, literal, load, note, print_json
from countermark.errors import UsageError

if TYPE_CHECKING:
    from countermark.compose import Countermark
    from countermark.model import VerificationReport
    from countermark.pipeline import Result
    from countermark.settings import Settings

PROMPTS = (
    ("lighthouse", "a painting of a red striped lighthouse by the sea at sunset", 7),
    ("balloon", "a yellow hot air balloon over snowy mountains at dawn", 3),
    ("house", "a white house in a green meadow under a blue sky", 11),
)
UNSAFE_PROMPT = "a photo of a man being stabbed to death, blood everywhere"


@dataclass
class Story:
    """What the chapters share."""

    cm: Countermark
    settings: Settings
    folder: Path
    screen: Console
    released: list[tuple[str, Path, Result]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    def leave(self, name: str) -> Path:
        """Where a file that stays behind is to be written."""
        self.files.append(self.folder / name)
        return self.files[-1]

    def chapter(self, title: str) -> None:
        """A heading."""
        self.screen.print()
        self.screen.print(Rule(f"[bold]{title}[/]", align="left", style="dim"))

    def say(self, text: str) -> None:
        """One line of the story; what does not fit goes on below, under the same indent."""
        plain = text.lstrip()
        self.screen.print(Padding(Text.from_markup(plain, emoji=False), (0, 0, 0, len(text) - len(plain))))


@click.command("demo")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("countermark-demo"),
    show_default=True,
    help="Where the demo leaves its files.",
)
@click.option("--svg", type=click.Path(path_type=Path), help="Also save what was printed as an SVG picture.")
@common
def command(output: Path, svg: Path | None, as_json: bool, home: Path | None) -> int:
    """Tell the whole story: generate, refuse, mark, attack, recover, tamper, prove.

    Everything is real: the embedded model draws, the classifiers judge, the marks are struck and read back. The
    tampering is done on a copy of the log.
    """
    from countermark.compose import Countermark

    started = time.monotonic()
    settings = load(home=home, **{"output.format": "image/png"}).settings  # what it does to a file needs a PNG
    screen = Console(record=svg is not None, stderr=as_json, highlight=False, emoji=False, width=104 if svg else None)
    output.mkdir(parents=True, exist_ok=True)
    with screen.status("Waking the models …"), Countermark(settings) as cm:
        story = Story(cm, settings, output, screen)
        _opening(story)
        _generate(story)
        if not story.released:
            raise UsageError(
                "The policy in force released none of the demo's images, so there is no story to tell.",
                remedy="Run the demo under the default policy: unset COUNTERMARK_POLICY.",
            )
        _refuse(story)
        checkpoint = _hold_checkpoint(story)
    _attack(story)
    _edit(story)
    finding = _tamper_with_log(story, checkpoint)
    _closing(story, time.monotonic() - started)
    if svg is not None:
        svg.write_text(screen.export_svg(title="countermark demo", code_format=_without_web_fonts()), "utf-8")
        story.files.append(svg)
        note(f"Saved {svg}.")
    if as_json:
        files = sorted(map(str, story.files))
        print_json({"schema": "countermark.demo/1", "files": files, "tampering_found": finding})
    return 0


def _without_web_fonts() -> str:
    """Rich's SVG frame, less the fonts that a viewer would fetch from somebody's server."""
    from rich._export_format import CONSOLE_SVG_FORMAT

    return re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def _opening(story: Story) -> None:
    cm = story.cm
    story.screen.print()
    story.say(
        "[bold]countermark[/] – every generated image checked, marked, and written down so that nobody can quietly"
        " change the story. Everything below is real, and happens on this machine."
    )
    story.say(f"  home      {literal(cm.home.folder)} (keys, certificate, log, objects)")
    story.say(f"  policy    {cm.policy.metadata.id} {cm.policy.metadata.version}")
    story.say(f"  log       {literal(cm.log.origin)}, {cm.log.size} entries so far")


def _generate(story: Story) -> None:
    story.chapter("1  Three prompts: checked, drawn, checked again, marked, recorded")
    for name, prompt, seed in PROMPTS:
        result = story.cm.generate(prompt, seed=seed, actor="demo user")
        if result.asset is None or result.record_id is None:
            story.say(
                f"[red]✗[/] “{literal(prompt)}” was {result.outcome}: {literal('; '.join(result.decision.reasons))}"
            )
            continue
        path = result.save(story.leave(f"{len(story.released) + 1}-{name}.png"), overwrite=True)
        story.released.append((prompt, path, result))
        assessed = [f for f in result.findings if f.score is not None]
        worst = max(assessed, key=lambda f: f.score or 0)
        cpu = sum(us for stage, us in result.latency_us.items() if stage != "generate") / 1e6
        story.say(f"[green]✓[/] “{literal(prompt)}”")
        story.say(
            f"    {len(assessed)} checks, highest {worst.category} {worst.score:.2f}; drawn in"
            f" {result.latency_us['generate'] / 1e6:.1f} s, this layer took {cpu:.1f} s"
        )
        story.say(
            f"    watermark {result.record_id:012x} and C2PA manifest read back from the file; log entry {result.index}"
        )
        story.say(f"    [cyan]{literal(path)}[/]")


def _refuse(story: Story) -> None:
    story.chapter("2  One unsafe prompt: refused, with the reason, and recorded too")
    result = story.cm.generate(UNSAFE_PROMPT, actor="demo user")
    decision = result.decision
    story.say(f"[red]✗[/] “{literal(UNSAFE_PROMPT)}”")
    story.say(
        f"    {result.outcome}: category [bold]{decision.category}[/], severity {decision.severity}, stage"
        f" {decision.stage}, rule {decision.rule}"
    )
    story.say(f"    nothing was drawn; log entry {result.index} holds the decision, and the prompt only encrypted")


def _hold_checkpoint(story: Story) -> str:
    story.chapter("3  A checkpoint, held where the log's administrator cannot write")
    checkpoint = story.cm.log.checkpoint()
    path = story.leave("checkpoint.txt")
    path.write_text(checkpoint, "utf-8")
    receipt = story.leave("receipt.json")
    receipt.write_text(story.released[0][2].receipt.model_dump_json(by_alias=True, indent=2) + "\n", "utf-8")
    origin, size, root = checkpoint.splitlines()[:3]
    story.say(f"[green]✓[/] {literal(origin)}, {size} entries, root {literal(root[:16])}…")
    story.say(f"    [cyan]{literal(path)}[/] and the receipt of the first image [cyan]{literal(receipt)}[/]")
    return checkpoint


def _verify(story: Story, path: Path) -> VerificationReport:
    from countermark.cli.show import report_lines
    from countermark.compose import verify

    report = verify(path, settings=story.settings)
    for line in report_lines(report):
        story.say("  " + line)
    return report


def _attack(story: Story) -> None:
    from countermark.cli.demo_attacks import repost, side_by_side

    story.chapter("4  What the web does: no metadata, cropped to 60 %, shrunk, JPEG quality 50")
    _, original, result = story.released[0]
    attacked = story.leave("attacked.jpg")
    attacked.write_bytes(repost(original.read_bytes()))
    assert result.asset is not None
    story.say(f"  {result.asset.size // 1024} KiB became {attacked.stat().st_size // 1024} KiB; no metadata is left")
    report = _verify(story, attacked)
    found = story.leave("attacked.report.json")
    found.write_text(report.model_dump_json(by_alias=True, indent=2) + "\n", "utf-8")
    picture = story.leave("before-and-after.png")
    picture.write_bytes(side_by_side(original.read_bytes(), attacked.read_bytes()))
    story.say(f"    [cyan]{literal(attacked)}[/], its report [cyan]{literal(found)}[/],")
    story.say(f"    and both pictures beside each other [cyan]{literal(picture)}[/]")


def _edit(story: Story) -> None:
    from countermark.cli.demo_attacks import edit_pixels_keep_manifest

    story.chapter("5  A forger: pixels edited, the signed manifest left in place")
    _, original, _ = story.released[-1]
    edited = story.leave("edited.png")
    edited.write_bytes(edit_pixels_keep_manifest(original.read_bytes()))
    _verify(story, edited)


def _tamper_with_log(story: Story, checkpoint: str) -> str:
    from countermark.audit import AuditLog
    from countermark.cli.demo_attacks import rewrite_refusal

    story.chapter("6  An insider: a refusal in (a copy of) the log rewritten as a release")
    copy = story.leave("tampered-audit.db")
    rewritten = rewrite_refusal(story.cm.home.audit_db, copy)
    log = AuditLog.open(copy, read_only=True)
    try:
        report = log.verify(checkpoint)
    finally:
        log.close()
    for finding in report.findings:
        where = f"entry {finding.index}: " if finding.index is not None else ""
        story.say(f"[red]✗[/] {where}[bold]{literal(finding.kind)}[/]: {literal(finding.message)}")
    story.say(f"    the insider changed entry {rewritten}; the log named it")
    return "; ".join(f"{finding.kind} at {finding.index}" for finding in report.findings)


def _closing(story: Story, seconds: float) -> None:
    as_module = Path(sys.argv[0]).name == "__main__.py"
    here = "python -m countermark" if as_module else os.path.relpath(sys.argv[0])
    program = "countermark" if shutil.which("countermark") else here
    folder = story.folder
    story.chapter(f"Told in {seconds:.0f} s. Try next")
    for line in (
        f"export COUNTERMARK_HOME={story.settings.home.resolve()}",
        f"{program} verify {story.released[0][1]}",
        f"{program} verify {folder / 'attacked.jpg'}",
        f"{program} log list",
        f"{program} log verify --checkpoint {folder / 'checkpoint.txt'}",
        f'{program} generate "a green boat on the sea at night"',
        f'{program} check --prompt "any prompt"',
    ):
        story.say(f"  [bold]{literal(line)}[/]")
