"""What ``countermark check`` does with many: files of prompts and folders of images, item by item, the bad ones too."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from countermark.cli.output import console, literal, note, print_json_line, progress, table
from countermark.errors import EXIT_USAGE, CountermarkError, NotFound, UsageError
from countermark.files import check_file, open_file

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
    it stands. Empty lines are passed over. A file without a prompt, a file or folder that cannot be read, and a link to
    a folder, which is not followed, carry theirs likewise.

    Raises:
        NotFound: there is no such file, it is none, or the folder holds none.
    """
    files = _prompt_files(path)
    each = (item for file in files for item in ([file] if file.fault else _lines(file.file)))
    return Items(sum(1 if file.fault else _count_lines(file.file) for file in files), each)


def images_in(path: Path) -> Items:
    """The images of a folder and of the folders in it; what cannot be read carries its fault, as with prompts.

    Raises:
        NotFound: there is no such folder, or no image in it.
    """
    if not path.is_dir():
        raise NotFound(f"There is no folder {path}.")
    found, others = _below(path, _IMAGE_ENDINGS)
    if not found:
        raise NotFound(f"There is no image in {path}.")
    _tell_of_others(path, others, "images")
    return Items(len(found), found)


def check_each(
    items: Items, look: Callable[[Item], Looked], as_dict: Callable[..., dict[str, Any]], *, as_json: bool
) -> int:
    """Assess every item in order: one JSON line each, or a table of outcomes; gives the exit code.

    An item that cannot be read or assessed gets an error line of its own, and the run goes on. The exit code is 0
    where all were assessed, whatever the outcome, and 2 where some were not.
    """
    outcomes: Counter[tuple[str, ...]] = Counter()
    faults: Counter[str] = Counter()
    with progress("Checking", items.about, results=as_json) as advance:
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
    category = "not assessed" if decision.unseen else decision.category
    about = (category, decision.severity, decision.stage, decision.rule)
    return (str(decision.outcome), *("–" if part is None else str(part) for part in about))


def _show(outcomes: Counter[tuple[str, ...]], faults: Counter[str]) -> None:
    rows = table("outcome", "category", "severity", "stage", "rule")
    rows.add_column("count", justify="right")
    order = {"allow": 0, "redact": 1, "review": 2, "block": 3}
    for row, count in sorted(outcomes.items(), key=lambda pair: (order[pair[0][0]], -pair[1])):
        rows.add_row(*map(literal, row), str(count))
    for code, count in sorted(faults.items()):
        rows.add_row("[red]not assessed[/]", "–", "–", "–", f"error: {code}", str(count))
    console().print(rows)


def _prompt_files(path: Path) -> list[Item]:
    if not path.is_dir():
        try:
            check_file(path)
        except FileNotFoundError as error:
            raise NotFound(f"There is no file {path}.") from error
        except OSError as error:
            raise NotFound(f"{path} cannot be read: {error.strerror or error}.") from error
        return [Item(path)]
    found, others = _below(path, _PROMPT_ENDINGS)
    if not found:
        raise NotFound(f"There is no file of prompts (.jsonl, .ndjson, .json or .txt) in {path}.")
    _tell_of_others(path, others, "prompts")
    return found


def _tell_of_others(folder: Path, others: int, what: str) -> None:
    if others:
        note(f"Not looked at: {others} other files in {folder}, whose names do not end as those of {what} do.")


def _count_lines(file: Path) -> int:
    try:
        with open_file(file) as data:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: data.read(MAX_LINE_BYTES), b""))
    except OSError:
        return 0


def _below(folder: Path, endings: frozenset[str]) -> tuple[list[Item], int]:
    """What lies below a folder and has such a name, or cannot be looked into, in order; and how many other files do."""
    found: list[Item] = []
    others = 0

    def closed(error: OSError) -> None:
        found.append(Item(Path(error.filename), fault=_unreadable("folder", error.strerror or str(error))))

    for where, folders, files in os.walk(folder, onerror=closed):
        links = [path for path in (Path(where, name) for name in folders) if path.is_symlink()]
        remedy = "Check the folder that it leads to by itself."
        found += [Item(link, fault=NotFound("A link to a folder is not followed.", remedy=remedy)) for link in links]
        paths = [Path(where, name) for name in files]
        named = [path for path in paths if path.suffix.lower() in endings]
        others += len(paths) - len(named)
        found += [Item(path, fault=_unfit(path)) for path in named]
    return sorted(found, key=lambda item: item.file), others


def _unfit(path: Path) -> CountermarkError | None:
    try:
        check_file(path)
    except FileNotFoundError:
        return _unreadable("file", "it is a link that leads nowhere")
    except OSError as error:
        return _unreadable("file", error.strerror or str(error))
    return None


def _unreadable(what: str, why: str) -> NotFound:
    return NotFound(f"The {what} cannot be read: {why}.")


def _lines(file: Path) -> Iterator[Item]:
    document = file.suffix.lower() == ".json"
    empty = True
    try:
        with open_file(file) as lines:
            number = 0
            while line := lines.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    while line and not line.endswith(b"\n"):  # the rest of it, piece by piece
                        line = lines.readline(MAX_LINE_BYTES)
                    yield Item(file, number, fault=_no_prompt("the line is longer than 1 MiB"))
                elif line.strip():
                    item = _parsed(file, number, line)
                    if document and empty and item.fault and line.lstrip().startswith((b"[", b"{")):
                        yield Item(file, fault=_fault("The file is one JSON document, not JSON lines"))
                        return
                    yield item
                else:
                    continue
                empty = False
    except OSError as error:
        yield Item(file, fault=_unreadable("file", error.strerror or str(error)))
    else:
        if empty:
            yield Item(file, fault=_fault("The file holds no prompt"))


def _parsed(file: Path, number: int, line: bytes) -> Item:
    try:
        if file.suffix.lower() == ".txt":
            return Item(file, number, line.decode().rstrip("\r\n"))
        # Unlike JSON, this takes NaN: many files are written so. As floats, numbers of any length are read and ignored.
        row = json.loads(line, parse_int=float)
    except UnicodeDecodeError:
        return Item(file, number, fault=_no_prompt("not UTF-8"))
    except (ValueError, RecursionError):
        return Item(file, number, fault=_no_prompt("not JSON"))
    if isinstance(row, dict):
        given = [row[name] for name in ("text", "prompt") if row.get(name) not in (None, "")]
        if len(given) == 2 and given[0] != given[1]:
            return Item(file, number, fault=_no_prompt("its 'text' and its 'prompt' differ, and only one can be meant"))
        row = given[0] if given else row.get("text", row.get("prompt"))
    if not isinstance(row, str):
        return Item(file, number, fault=_no_prompt("neither a JSON string nor an object with a 'text' or 'prompt'"))
    return Item(file, number, row)


def _no_prompt(why: str) -> UsageError:
    return _fault(f"The line is no prompt: {why}")


def _fault(what: str) -> UsageError:
    return UsageError(f"{what}.", remedy='One JSON object a line: {"text": "a prompt"}')
