"""The pages docs/settings.md and docs/exit-codes.md, made from the code that they describe.

``python -m countermark.cli.reference docs`` writes them; a test keeps the committed files equal.
"""

from __future__ import annotations

import json
import re
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from countermark.cli.exit_codes import EXIT_CODES
from countermark.errors import CountermarkError
from countermark.keys import Purpose
from countermark.safety.adapters.options import ImageOpinion, PromptOpinion
from countermark.settings import CONFIG_FILE, PREFIX, Settings, WitnessSettings

_SETTINGS_HEAD: Final = f"""\
# Settings

A setting comes from the command line, else from the environment, else from the file `{CONFIG_FILE}`, else it has its
default. `countermark config show --origin` prints what is in force and where each value came from.

The file is the one that `COUNTERMARK_CONFIG` names, else `{CONFIG_FILE}` in the working folder; none is looked for in
the home folder (`COUNTERMARK_HOME`), which is itself a setting. Paths that are not absolute start at the working one;
`~` at the beginning is the user's folder.

In the environment two underscores step into a section; lists can only stand in the file. A name that is unknown, in the
file or with the prefix `{PREFIX}`, is an error, and so is a value that does not fit: the message names the source. No
setting holds a secret, only where one is kept: `env://NAME` or `file:///path`.

In Python: `Countermark.from_settings(**{{"watermark.psnr": 41}})`, over file and environment.

Not settings, but heeded: `COUNTERMARK_CONFIG`, and `NO_COLOR` for output without colours.
"""
_EXIT_CODES_HEAD: Final = """\
# Exit codes

Scripts may rely on them. The first table says what a command's exit code means, the second what `--json` prints of an
error (`error.code`) and what Python raises, with the attributes `exit_code`, `http_status` (for a service that passes
the error on) and `retryable` (whether the same request may succeed later). A refusal by policy is no error.

"""
_MADE: Final = "\n<!-- Made by `python -m countermark.cli.reference docs` from the code; do not edit. -->\n"
_FACTORIES: Final = {
    "home": "the user's data folder: `~/.local/share/countermark` on Linux",
    "keys": "none",
}
_PAGE: Final = re.compile(r"\(docs/(\S+\.md)\)")
_SCALARS: Final = {str: "text", Path: "path", bool: "true or false", int: "whole number", float: "number"}


def settings_page() -> str:
    """docs/settings.md: every setting, in the order of the models, with the sentence that its field has."""
    sections = [_SETTINGS_HEAD, *_section(Settings, ""), _witnesses(), _opinions()]
    return "\n".join(sections) + _MADE


def exit_codes_page() -> str:
    """docs/exit-codes.md: the codes, and every error with its own."""
    codes = _table(("exit code", "means", "of"), [(str(code), meaning, who) for code, meaning, who in EXIT_CODES])
    rows = [
        (
            f"`{error.code}`",
            f"`{error.__name__}`",
            str(error.exit_code),
            str(error.http_status),
            "yes" if error.retryable else "no",
            (error.__doc__ or "").partition("\n")[0],
        )
        for error in errors()
    ]
    head = ("`error.code`", "Python", "exit code", "`http_status`", "`retryable`", "means")
    return f"{_EXIT_CODES_HEAD}{codes}\n## Errors\n\n{_table(head, rows)}{_MADE}"


def errors(base: type[CountermarkError] = CountermarkError) -> Iterator[type[CountermarkError]]:
    """Every kind of error, each before those that derive from it."""
    yield base
    for kind in base.__subclasses__():
        if kind.__module__ == CountermarkError.__module__:
            yield from errors(kind)


def write(folder: Path) -> None:
    """Write both pages."""
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


PAGES: Final[dict[str, Callable[[], str]]] = {"settings.md": settings_page, "exit-codes.md": exit_codes_page}


def _section(model: type[BaseModel], name: str) -> Iterator[str]:
    head = ("setting", "environment", "type", "default", "what it does")
    inner = {f: i.annotation for f, i in model.model_fields.items() if _is_model(i.annotation)}
    own = [(f, i) for f, i in model.model_fields.items() if f not in inner]
    if own:
        title = f"`[{name}]`" if name else "Outside any section"
        example = "\n".join([*([f"[{name}]"] if name else []), *(line for f, i in own for line in _toml(f, i))])
        rows = [_row(f"{name}.{f}" if name else f, i) for f, i in own]
        about = (model.__doc__ or "").partition("\n")[0].replace("``", "`")
        yield f"## {title}\n\n{about if name else ''}\n\n{_table(head, rows)}\n```toml\n{example}\n```\n".replace(
            "\n\n\n\n", "\n\n"
        )
    for field, annotation in inner.items():
        assert isinstance(annotation, type)
        yield from _section(annotation, f"{name}.{field}" if name else field)


def _row(name: str, field: FieldInfo) -> tuple[str, ...]:
    if name == "keys":
        kinds = ", ".join(f"`{purpose}`" for purpose in Purpose)
        return (
            "`keys.KEY`", f"`{PREFIX}KEYS__KEY`", "URI, or list of URIs", "none",
            f"{field.description} KEY is one of {kinds}; in the environment `AUDIT_LOG`.",
        )  # fmt: skip
    variable = "only in the file" if _is_list(field.annotation) else f"`{PREFIX}{name.upper().replace('.', '__')}`"
    return f"`{name}`", variable, _type(field), _default(name, field), str(field.description)


def _toml(name: str, field: FieldInfo) -> Iterator[str]:
    """The line of an example in TOML: what the field gives as one, else the default."""
    if name == "keys":
        yield f"\n[keys]\nmaster = {_value(field.examples[0])}" if field.examples else ""
    elif not _holds_models(field.annotation):
        yield f"{name} = {_value(field.examples[0] if field.examples else field.default)}"


def _witnesses() -> str:
    head = ("setting", "type", "default", "what it does")
    rows = [(f"`{f}`", _type(i), _default(f, i), str(i.description)) for f, i in WitnessSettings.model_fields.items()]
    return (
        f"## `[[audit.witnesses]]`\n\nOne such table for each witness; only in the file.\n\n{_table(head, rows)}\n"
        '```toml\n[[audit.witnesses]]\nname = "witness.example/w1"\nurl = "https://witness.example/w1"\n'
        'vkey = "witness.example/w1+…"\n```\n'
    )


def _opinions() -> str:
    """One table for both stages: a setting that several kinds have alike stands there once."""
    kinds: dict[str, type[BaseModel]] = {}
    for union in (PromptOpinion, ImageOpinion):
        for model in get_args(get_args(union)[0]):
            kinds[get_args(model.model_fields["kind"].annotation)[0]] = model
    rows: dict[tuple[str, ...], list[str]] = {}
    for kind, model in kinds.items():
        for name, field in model.model_fields.items():
            if name != "kind":
                row = (f"`{name}`", _type(field), _default(name, field), str(field.description))
                rows.setdefault(row, []).append(kind)
    table = [
        (name, _those(of, list(kinds)), shape, default, what)
        for (name, shape, default, what), of in sorted(rows.items(), key=lambda pair: -len(pair[1]))
    ]
    listed = ", ".join(f"`{kind}`" for kind in kinds)
    return (
        "## `[[safety.prompt.opinions]]`, `[[safety.image.opinions]]`\n\nOne such table for each second opinion, only"
        f" in the file. `kind` is required and says which it is: {listed}. What each answers for, with examples:"
        f" [second-opinions.md](second-opinions.md).\n\n"
        f"{_table(('setting', 'of the kinds', 'type', 'default', 'what it does'), table)}"
    )


def _those(some: list[str], every: list[str]) -> str:
    others = [kind for kind in every if kind not in some]
    if not others:
        return "all"
    named = ", ".join(f"`{kind}`" for kind in (some if len(others) > 2 else others))
    return named if len(others) > 2 else f"all but {named}"


def _type(field: FieldInfo) -> str:
    bounds = {
        side: getattr(limit, side)
        for limit in field.metadata
        for side in ("ge", "gt", "le", "lt")
        if hasattr(limit, side)
    }
    low = f"{bounds['ge']:,}" if "ge" in bounds else f"over {bounds['gt']:,}" if "gt" in bounds else ""
    high = f"{bounds['le']:,}" if "le" in bounds else f"under {bounds['lt']:,}" if "lt" in bounds else ""
    words = _type_of(field.annotation)
    if low and high:
        return f"{words}, {low} {'and' if 'gt' in bounds else 'to'} {high}"
    return f"{words}, {low} or more" if low else words


def _type_of(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), [a for a in get_args(annotation) if a is not type(None)]
    if origin is Literal:
        *firsts, last = [f"`{value}`" for value in arguments]
        return f"{', '.join(firsts)} or {last}"
    if origin is Annotated:
        return _type_of(arguments[0])
    if origin in (Union, types.UnionType):
        return _type_of(arguments[0])
    if origin is tuple:
        if _holds_models(annotation):
            return "tables"
        return "list of texts" if arguments[-1] is Ellipsis else "two numbers"
    return "table of texts" if origin is dict else _SCALARS[annotation]


def _default(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return _FACTORIES[name]
    return {None: "not set", "": "empty", (): "none"}.get(field.default, f"`{_value(field.default)}`")


def _value(value: Any) -> str:
    """A value as TOML has it."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value if isinstance(value, bool | int | float) else str(value))


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is tuple


def _holds_models(annotation: Any) -> bool:
    return _is_list(annotation) and get_args(annotation)[0] not in _SCALARS


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (f"| {' | '.join(line)} |\n" for line in (head, *rows))
    text = f"{next(lines)}|{'---|' * len(head)}\n{''.join(lines)}"
    return _PAGE.sub(r"([\1](\1))", text)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
