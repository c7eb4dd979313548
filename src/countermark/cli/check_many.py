"""What ``countermark check`` does with many: files of prompts and folders of images, item by item, the bad ones too."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from countermark.cli.output import console, note, print_json_line, progress
from countermark.errors import EXIT_USAGE, CountermarkError, NotFound, UsageError

if TYPE_CHECKING:
    from countermark.model import Decision, Finding

    Looked = tuple[tuple[Finding, ...], Decision]

MAX_LINE_BYTES: Final = 1 << 20
_PROMPT_ENDINGS: Final = frozenset({".jsonl", ".ndjson", ".json", ".txt"})
_IMAGE_ENDINGS: Final = frozenset({
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".gif", ".tif", ".tiff",
})  # fmt: skip


@dataclass(frozen=True)
class Item:
    """One prompt or image to be assessed, or what keeps it from being so (``fault``)."""

    file: Path
    line: int | None = None
    text: str | None = None
    fault: CountermarkError | None = None

    @property
    def place(self) -> dict[str, Any]:
        """Where it stands, as the JSON lines say it."""
        return {"file": str(self.file)} | ({} if self.line is None else {"line": self.line})


@dataclass(frozen=True)
class Items:
    """What is to be assessed, one after the other and never all in memory, and about how many these are."""

    about: int
    each: Iterable[Item]


def prompts_in(path: Path) -> Items:
    """Every line of a file, or of all files of a folder, in order; a line that is no prompt carries its fault.

    A line is a JSON object with a ``text`` or ``prompt`` field, or a JSON string; in a ``.txt`` file, the prompt as
    it stands. Empty lines are passed over.

    Raises:
        NotFound: there is no such file, or the folder holds none.
    """
    files = _prompt_files(path)
    return Items(sum(map(_count_lines, files)), (item for file in files for item in _lines(file)))


def images_in(path: Path) -> Items:
    """The images of a folder and of the folders in it.

    Raises:
        NotFound: there is no such folder, or no image in it.
    """
    if not path.is_dir():
        raise NotFound(f"There is no folder {path}.")
    files = list_images(path)
    if not files:
        raise NotFound(f"There is no image in {path}.")
    _tell_of_others(path, len(files), "images")
    return Items(len(files), map(Item, files))


def list_images(folder: Path) -> list[Path]:
    """Every file below a folder whose name ends like an image's, sorted."""
    return _below(folder, _IMAGE_ENDINGS)


def check_each(
    items: Items, look: Callable[[Item], Looked], as_dict: Callable[..., dict[str, Any]], *, as_json: bool
) -> int:
    """Assess every item in order: one JSON line each, or a table of outcomes; gives the exit code.

    An item that cannot be read or assessed gets an error line of its own, and the run goes on. The exit code is 0
    where all were assessed, whatever the outcome, and 2 where some were not.
    """
    outcomes: Counter[tuple[str, ...]] = Counter()
    faults: Counter[str] = Counter()
    with progress("Checking", items.about) as advance:
        for number, item in enumerate(items.each, 1):
            try:
                if item.fault is not None:
                    raise item.fault
                findings, decision = look(item)
            except CountermarkError as error:
                line = {"schema": "countermark.error/1", **item.place, "error": error.to_dict()}
                faults[error.code] += 1
                if not as_json:
                    note(f"{':'.join(map(str, item.place.values()))}: {error.message}")
            else:
                line = as_dict(findings, decision) | item.place
                outcomes[_row(decision)] += 1
            if as_json:
                print_json_line(line)
            advance(number, max(number, items.about))
    if not as_json:
        _show(outcomes, faults)
    return EXIT_USAGE if faults else 0


def _row(decision: Decision) -> tuple[str, ...]:
    """What a table says of an outcome: never only that something was stopped."""
    about = (decision.category, decision.severity, decision.stage, decision.rule)
    return (str(decision.outcome), *("–" if part is None else str(part) for part in about))


def _show(outcomes: Counter[tuple[str, ...]], faults: Counter[str]) -> None:
    from rich.table import Table

    table = Table("outcome", "category", "severity", "stage", "rule", box=None, pad_edge=False)
    table.add_column("count", justify="right")
    order = {"allow": 0, "redact": 1, "review": 2, "block": 3}
    for row, count in sorted(outcomes.items(), key=lambda pair: (order[pair[0][0]], -pair[1])):
        table.add_row(*row, str(count))
    for code, count in sorted(faults.items()):
        table.add_row("[red]not assessed[/]", "–", "–", "–", f"error: {code}", str(count))
    console().print(table)


def _prompt_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise NotFound(f"There is no file {path}.")
    found = _below(path, _PROMPT_ENDINGS)
    if not found:
        raise NotFound(f"There is no file of prompts (.jsonl, .ndjson, .json or .txt) in {path}.")
    _tell_of_others(path, len(found), "prompts")
    return found


def _tell_of_others(folder: Path, taken: int, what: str) -> None:
    others = sum(file.is_file() for file in folder.rglob("*")) - taken
    if others:
        note(f"Not looked at: {others} other files in {folder}, whose names do not end as those of {what} do.")


def _count_lines(file: Path) -> int:
    try:
        with file.open("rb") as data:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: data.read(MAX_LINE_BYTES), b""))
    except OSError:
        return 0


def _below(folder: Path, endings: frozenset[str]) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in endings and p.is_file())


def _lines(file: Path) -> Iterator[Item]:
    try:
        with file.open("rb") as lines:
            number = 0
            while line := lines.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    while line and not line.endswith(b"\n"):  # the rest of it, piece by piece
                        line = lines.readline(MAX_LINE_BYTES)
                    yield Item(file, number, fault=_fault("the line is longer than 1 MiB"))
                elif line.strip():
                    yield _parsed(file, number, line)
    except OSError as error:
        yield Item(file, fault=NotFound(f"The file cannot be read: {error.strerror or error}."))


def _parsed(file: Path, number: int, line: bytes) -> Item:
    try:
        if file.suffix.lower() == ".txt":
            return Item(file, number, line.decode().rstrip("\r\n"))
        row = json.loads(line)  # which takes NaN, unlike JSON: many files are written so
    except UnicodeDecodeError:
        return Item(file, number, fault=_fault("not UTF-8"))
    except (json.JSONDecodeError, RecursionError):
        return Item(file, number, fault=_fault("not JSON"))
    if isinstance(row, dict):
        row = row.get("text", row.get("prompt"))
    if not isinstance(row, str):
        return Item(file, number, fault=_fault("neither a JSON string nor an object with a 'text' or 'prompt'"))
    return Item(file, number, row)


def _fault(what: str) -> UsageError:
    return UsageError(f"The line is no prompt: {what}.", remedy='One JSON object a line: {"text": "a prompt"}')
