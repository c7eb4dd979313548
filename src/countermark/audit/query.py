"""Looking things up: which columns of an event are indexed, and the filters over them.

The index is derived from the entries and can be rebuilt from them with :func:`index_row` alone; whoever looks something
up in it checks the answer against the entry (:meth:`Filter.matches`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import orjson

from countermark.audit.canonical import is_canonical
from countermark.errors import UsageError
from countermark.model import Category, EventType, Outcome

INDEX_COLUMNS: Final = (
    "event_id",
    "time",
    "type",
    "tenant",
    "attempt",
    "decision",
    "model",
    "policy",
    "output_sha256",
    "manifest_sha256",
    "watermark_payload",
    "fingerprint",
    "actor",
    "categories",
    "words",
)
_PLACE: Final = {name: place for place, name in enumerate(INDEX_COLUMNS)}
_WORD = re.compile(r"\w+")

IndexRow = tuple[str | None, ...]


def index_row(document: Mapping[str, Any]) -> IndexRow:
    """The indexed values of an event's document, in the order of :data:`INDEX_COLUMNS`.

    ``policy`` is ``id@version``; ``categories`` are those with a severity above 0, and ``words`` those of the reasons,
    each a sorted set written as `` one two `` so that ``LIKE '% one %'`` finds a member.
    """
    output = document.get("output") or {}
    model = document.get("model") or {}
    actor = document.get("actor") or {}
    policy = document.get("policy")
    return (
        document["event_id"],
        document["time"],
        document["type"],
        document["tenant"],
        document["attempt"],
        document.get("decision"),
        model.get("id"),
        f"{policy['id']}@{policy['version']}" if policy else None,
        output.get("sha256"),
        output.get("manifest_sha256"),
        output.get("watermark_payload"),
        output.get("fingerprint"),
        actor.get("pseudonym"),
        _set_of([check["category"] for check in document.get("checks") or () if check.get("severity")]),
        _set_of([word for reason in document.get("reasons") or () for word in words_of(reason)]),
    )


def columns_of(body: bytes) -> IndexRow | None:
    """What the index should say of an entry; ``None`` where the entry is no event in its one true spelling."""
    try:
        document = orjson.loads(body)
        return index_row(document) if is_canonical(document, body) else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def words_of(text: str) -> list[str]:
    """The words of a text as they are indexed: letters, digits and underscores, case folded."""
    return _WORD.findall(text.casefold())


def _set_of(members: list[str]) -> str | None:
    return f" {' '.join(sorted(set(members)))} " if members else None


@dataclass(frozen=True)
class Filter:
    """Conditions joined by *and*; those left ``None`` do not matter.

    ``policy`` is an id, or ``id@version``. ``category`` asks for a check with a severity above 0. ``text`` asks for all
    of its words in the reasons, in any order. ``since`` is inclusive and ``until`` exclusive: RFC 3339 times in UTC or
    any beginning of one. ``before`` is an index, for the next page.
    """

    event_id: str | None = None
    attempt: str | None = None
    type: str | None = None
    tenant: str | None = None
    actor: str | None = None
    decision: str | None = None
    category: str | None = None
    model: str | None = None
    policy: str | None = None
    text: str | None = None
    output_sha256: str | None = None
    manifest_sha256: str | None = None
    watermark_payload: str | None = None
    since: str | None = None
    until: str | None = None
    before: int | None = None

    def __post_init__(self) -> None:
        """Refuse a text in which there is nothing to look for."""
        if self.text is not None and not words_of(self.text):
            raise UsageError("The text to look for holds no word.", remedy="Give one or more whole words.")

    def where(self) -> tuple[str, list[str | int]]:
        """An SQL condition over ``event_index`` with ``?`` for each value, and the values."""
        conditions, values = ["1 = 1"], list[str | int]()
        for name, value in self.given().items():
            for condition, bound in _SQL.get(name, _equal)(name, value):
                conditions.append(condition)
                values.append(bound)
        return " AND ".join(conditions), values

    def matches(self, row: IndexRow) -> bool:
        """Whether an entry with this index row meets every condition but ``before``, which is not about the row."""
        return all(_TESTS.get(name, _is)(row, name, str(v)) for name, v in self.given().items() if name != "before")

    def given(self) -> dict[str, str | int]:
        """The conditions that matter, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


# --- what can be asked sensibly -----------------------------------------------------------------------------------

_VOCABULARIES: Final[Mapping[str, type[StrEnum]]] = {"type": EventType, "decision": Outcome, "category": Category}
_DIGITS: Final = {
    "event_id": 32,
    "actor": 32,
    "output_sha256": 64,
    "manifest_sha256": 64,
    "watermark_payload": 12,
}
_HEX = re.compile(r"[0-9a-f]+")
_TIME = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-9]{2}(:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,3})?Z?)?)?)?)?)?")
_FIRST_MOMENT: Final = "0000-01-01T00:00:00.000"


def comparable_time(text: str, what: str) -> str:
    """A time as it compares with those of events, which are text of 24 characters and end in milliseconds and ``Z``.

    Args:
        text: an RFC 3339 time in UTC, or one cut short after a whole part: ``2026``, ``2026-11``, ``2026-11-22T10:00``.
        what: names it in the error.

    Raises:
        UsageError: it is no such time, or none of the calendar.
    """
    moment = text.removesuffix("Z")
    moment += _FIRST_MOMENT[len(moment) :]
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        datetime.fromisoformat(moment)
    except ValueError:
        raise UsageError(
            f"'{text[:40]}' is not a time ({what}).",
            remedy="Write it in UTC as 2026-11-22T10:00:00Z, or cut short after a whole part: 2026-11-22, 2026-11.",
        ) from None
    return f"{moment}Z" if text.endswith("Z") else text


def checked_conditions(conditions: Mapping[str, Any]) -> dict[str, Any]:
    """Conditions of a :class:`Filter` as they are compared, refused where no entry could ever meet them.

    Not part of :class:`Filter` itself: what was recorded, such as an older hold, is judged by whatever it says.

    Args:
        conditions: by name; those that are ``None`` do not matter.

    Raises:
        UsageError: an unknown name, an empty value, a time that is none, an unknown type, decision or category, an
            actor that is no pseudonym, an id or digest of another shape, or no time between ``since`` and ``until``.
    """
    given = {name: value for name, value in conditions.items() if value is not None}
    for name, value in given.items():
        given[name] = _checked(name, value)
    if "since" in given and "until" in given and _moment(given["since"]) >= _moment(given["until"]):
        raise UsageError(
            f"There is no time from {given['since']} until {given['until']}.",
            remedy="'until' is exclusive, and must be later than 'since'.",
        )
    Filter(**given)
    return given


def _moment(time: str) -> str:
    """The first moment of a time that may be cut short."""
    return time + _FIRST_MOMENT[len(time) :]


def _checked(name: str, value: Any) -> Any:
    if name not in _NAMES:
        raise UsageError(f"There is no condition '{name}'.", remedy=f"Use {', '.join(_NAMES)}.")
    if name == "before":
        if value < 0:
            raise UsageError(f"No entry has an index before {value}.", remedy="Give the last index of the page before.")
        return value
    if value == "" and name != "tenant":  # an event may be of no tenant
        raise UsageError(f"The condition '{name}' is empty.", remedy="Give it a value, or leave it out.")
    if name in ("since", "until"):
        return comparable_time(value, name)
    if name in _VOCABULARIES and value not in list(_VOCABULARIES[name]):
        raise UsageError(f"There is no {name} '{value[:40]}'.", remedy=f"Use one of: {', '.join(_VOCABULARIES[name])}.")
    if name in _DIGITS and not (len(value) == _DIGITS[name] and _HEX.fullmatch(value)):
        what = "a pseudonym" if name == "actor" else f"a value of '{name}'"
        raise UsageError(
            f"What was given as '{name}' is not {what}.",
            remedy=f"It has {_DIGITS[name]} lowercase hexadecimal digits, as entries show it.",
        )
    return value


# --- how it is compared -------------------------------------------------------------------------------------------

_NAMES: Final = tuple(field.name for field in fields(Filter))
_Conditions = list[tuple[str, str | int]]


def _equal(name: str, value: str | int) -> _Conditions:
    return [(f"{name} = ?", value)]


def _policy(name: str, value: str | int) -> _Conditions:
    if "@" in str(value):
        return _equal(name, value)
    return [("policy >= ?", f"{value}@"), ("policy < ?", f"{value}A")]  # "A" follows "@"


def _member(column: str, member: str) -> tuple[str, str | int]:
    escaped = re.sub(r"([\\%_])", r"\\\1", member)
    return f"{column} LIKE ? ESCAPE '\\'", f"% {escaped} %"


_SQL: Final[Mapping[str, Callable[[str, str | int], _Conditions]]] = {
    "since": lambda _, value: [("time >= ?", value)],
    "until": lambda _, value: [("time < ?", value)],
    "before": lambda _, value: [("seq < ?", value)],
    "policy": _policy,
    "category": lambda _, value: [_member("categories", str(value))],
    "text": lambda _, value: [_member("words", word) for word in words_of(str(value))],
}


def _is(row: IndexRow, name: str, value: str) -> bool:
    return row[_PLACE[name]] == value


def _is_policy(recorded: str, value: str) -> bool:
    return recorded == value if "@" in value else recorded.startswith(f"{value}@")


def _holds(row: IndexRow, column: str, member: str) -> bool:
    return f" {member} " in (row[_PLACE[column]] or "")


_TESTS: Final[Mapping[str, Callable[[IndexRow, str, str], bool]]] = {
    "since": lambda row, _, value: (row[_PLACE["time"]] or "") >= value,
    "until": lambda row, _, value: (row[_PLACE["time"]] or "") < value,
    "policy": lambda row, _, value: _is_policy(row[_PLACE["policy"]] or "", value),
    "category": lambda row, _, value: _holds(row, "categories", value),
    "text": lambda row, _, value: all(_holds(row, "words", word) for word in words_of(value)),
}
