"""What every command shares: the common options, JSON on stdout, everything else on stderr."""

from __future__ import annotations

import codecs
import functools
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.status import Status
    from rich.table import Table

    from countermark.settings import Loaded

WIDE = 200
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_moving: list[Progress | Status] = []
"""The bar or spinner that is on the terminal now."""
F = TypeVar("F", bound=Callable[..., Any])


class Integer(click.IntRange):
    """A whole number in a range, which a complaint calls an integer and not an "integer range"."""

    name = "integer"


class Number(click.FloatRange):
    """A number in a range, called so."""

    name = "number"


def wants_json(arguments: list[str]) -> bool:
    """Whether the command line asks for JSON."""
    return "--json" in arguments


def home_option(**more: Any) -> Callable[[F], F]:
    """Add ``--home``."""
    folder = click.Path(path_type=Path, file_okay=False)
    return click.option("--home", type=folder, help="The folder of keys, log and objects (COUNTERMARK_HOME).", **more)


def common(function: F) -> F:
    """Add ``--json`` and ``--home`` to a command; it receives ``as_json`` and ``home``.

    A ``--home`` that stands before the command's name counts where none stands after it.
    """
    function = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout; an error, too.")(function)
    return home_option(default=_home_before)(function)


def _home_before() -> Path | None:
    return click.get_current_context().find_root().params.get("home")


def load(**flags: Any) -> Loaded:
    """The settings with the command line's flags on top; sets up the program's own log."""
    from countermark.observe import configure
    from countermark.settings import load_settings

    loaded = load_settings(flags)
    configure(level=loaded.settings.log.level, style=loaded.settings.log.style)
    return loaded


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(_json(value, indent=True))


def print_json_line(value: Any) -> None:
    """One JSON document on one line of stdout."""
    click.echo(_json(value, indent=False))


def _json(value: Any, *, indent: bool) -> str:
    """JSON that stdout can carry as it is: escapes stand for what its encoding may lack, so that nothing is lost."""
    import orjson

    try:
        text = orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else 0).decode()
    except TypeError:  # a file name that is not UTF-8, which orjson refuses
        text = json.dumps(value, indent=2 if indent else None)
    # Beyond ASCII there are only strings in JSON, where an escape means the same.
    return text if _is_utf_8(sys.stdout) else _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text)


def _is_utf_8(stream: Any) -> bool:
    return codecs.lookup(getattr(stream, "encoding", None) or "utf-8").name == "utf-8"


def coloured(text: str, **style: Any) -> str:
    """Text in a colour, unless NO_COLOR is set; click leaves colours out itself where there is no terminal."""
    return text if os.environ.get("NO_COLOR") else click.style(text, **style)


@functools.cache
def console(*, stderr: bool = False) -> Console:
    """A rich console; it honours NO_COLOR and knows whether it writes to a terminal."""
    from rich.console import Console

    screen = Console(stderr=stderr, highlight=False, emoji=False, soft_wrap=not stderr)
    if not screen.is_terminal and "COLUMNS" not in os.environ:
        screen.width = WIDE  # a pipe or a file has no edge at which a table would have to be cut
    return screen


def table(*headers: str) -> Table:
    """A table without lines; a narrow terminal folds its cells, for an id or a path that is cut is of no use."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    for header in headers:
        made.add_column(header, overflow="fold")
    return made


@contextmanager
def progress(
    description: str, total: int | None = None, *, results: bool = False
) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr, only on a terminal; the yielded callable takes (done, total).

    ``results``: they are printed one by one meanwhile, which is progress enough where stdout is a terminal, too.
    """
    screen = console(stderr=True)
    if not screen.is_terminal or (results and console().is_terminal):
        yield lambda done, whole: None
        return
    with _bar(screen) as bar, _on_screen(bar):
        task = bar.add_task(description, total=total)
        yield lambda done, whole: bar.update(task, completed=done, total=whole)


def _bar(screen: Console) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=screen, transient=True)


@contextmanager
def status(description: str) -> Iterator[None]:
    """A spinner on stderr while something runs, only on a terminal."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield
        return
    with screen.status(description) as spinner, _on_screen(spinner):
        yield


@contextmanager
def _on_screen(moving: Progress | Status) -> Iterator[None]:
    _moving.append(moving)
    try:
        yield
    finally:
        _moving.remove(moving)


@contextmanager
def aside() -> Iterator[None]:
    """Take the bar or spinner off the terminal while something is said or asked there, and put it back after."""
    stopped = _moving[:]
    for moving in stopped:
        moving.stop()
    try:
        yield
    finally:
        for moving in stopped:
            moving.start()


def note(text: str) -> None:
    """A line on stderr, or several."""
    with aside():
        click.echo("\n".join(map(printable, text.split("\n"))), err=True)


def printable(text: str) -> str:
    """A text with what is no character to be seen written as an escape: a file's name may hold lines and colours."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def literal(value: object) -> str:
    """What somebody else worded, for a line of markup: its brackets are no tags, its control characters escapes."""
    from rich.markup import escape

    return escape(printable(str(value)))
