"""The fast canonical form against an independent RFC 8785 implementation, and what it refuses."""

from __future__ import annotations

from types import ModuleType

import orjson
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from countermark.audit.canonical import MAX_ENTRY_BYTES, canonical_bytes, event_document, is_canonical
from countermark.errors import EventInvalid
from countermark.model import Event

ascii_keys = st.text(st.characters(max_codepoint=127), max_size=12)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53) + 1, 2**53 - 1),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
)
documents = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(ascii_keys, inner, max_size=5))
)


@given(documents)
@settings(max_examples=150, deadline=None)
def test_equals_rfc_8785_wherever_it_accepts(document: object) -> None:
    assert canonical_bytes(document) == rfc8785.dumps(document)  # type: ignore[arg-type]


def test_events_equal_rfc_8785_and_survive_the_round_trip(kit: ModuleType) -> None:
    for number in range(8):
        event = kit.make_event(number)
        body = canonical_bytes(event_document(event))
        assert body == rfc8785.dumps(event_document(event))
        assert Event.model_validate_json(body) == event
        assert b"null" not in body


@pytest.mark.parametrize(
    "value", [0.5, 1.0, float("nan"), 2**53, -(2**53), {"é": 1}, {1: 2}, b"bytes", {"a": [{"b": 0.1}]}, "\ud800"]
)
def test_refuses_what_has_no_single_spelling(value: object) -> None:
    with pytest.raises(EventInvalid):
        canonical_bytes({"field": value})


def test_the_largest_integers_are_taken() -> None:
    assert canonical_bytes({"a": 2**53 - 1, "b": 1 - 2**53}) == b'{"a":9007199254740991,"b":-9007199254740991}'


def test_the_largest_entry_fits_and_one_more_byte_does_not() -> None:
    frame = len(b'{"a":""}')
    assert len(canonical_bytes({"a": "x" * (MAX_ENTRY_BYTES - frame)})) == MAX_ENTRY_BYTES
    with pytest.raises(EventInvalid, match="65,536 bytes"):
        canonical_bytes({"a": "x" * (MAX_ENTRY_BYTES - frame + 1)})


def test_a_refusal_names_the_field_and_never_the_text() -> None:
    with pytest.raises(EventInvalid) as refusal:
        canonical_bytes({"params": {"secret prompt": 0.5, "text": "a private prompt"}})
    assert "private" not in str(refusal.value)


@pytest.mark.parametrize(
    ("body", "canonical"),
    [
        (b'{"a":1,"b":"x"}', True),
        (b'{"a":"3,1.5 or :null or ,12345678901234567"}', True),
        (b'{"b":1,"a":1}', False),
        (b'{"a":1,"a":1}', False),
        (b'{"a": 1}', False),
        (b'{"a":1}\n', False),
        (b'{"a":1.5}', False),
        (b'{"a":[1e5]}', False),
        (b'{"a":9007199254740993}', False),
        (b'{"a":9007199254740991}', True),
        (b'{"a":-9007199254740991}', True),
        (b'{"a":-9007199254740992}', False),
        (b'{"a":[true,1,"x",null]}', False),
        (b'{"a":null}', False),
        ('{"\u00e4":1}'.encode(), False),
        ('{"a":1,"\u00e4":1}'.encode(), False),
        ('{"a":{"a":1,"\u00e4":1},"b":1}'.encode(), False),
        ('{"a":[1,{"b":"\u00e4"},{"\u00e4":1}]}'.encode(), False),
        ('{"a":"\u00e4"}'.encode(), True),
        (b"[1]", False),
        (b'{"a":{"b":[null]}}', False),
        (b'{"a":"\\u0061"}', False),
        (b'{"a":"' + b"x" * (65_535 - 8) + b'"}', True),
        (b'{"a":"' + b"x" * (65_536 - 8) + b'"}', False),
    ],
)
def test_only_the_one_true_spelling_is_canonical(body: bytes, canonical: bool) -> None:
    assert is_canonical(orjson.loads(body), body) is canonical
