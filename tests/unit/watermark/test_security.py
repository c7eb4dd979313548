"""What somebody can do to the marks who knows the construction, but not the key; the bench measures the rest."""

from __future__ import annotations

from functools import cache

import pytest

from countermark.bench.security import STRENGTHS, Row, SecurityBench
from countermark.watermark import Lattice

VICTIMS = 4
COLLUDERS = 50


@cache
def bench() -> SecurityBench:
    return SecurityBench(VICTIMS, [COLLUDERS])


@cache
def rows(experiment: str) -> tuple[Row, ...]:
    return tuple(getattr(bench(), experiment)())


def shares(experiment: str, attack: str) -> list[dict[str, float]]:
    found = [row.shares for row in rows(experiment) if row.attack == attack]
    assert found, f"no row for {attack}"
    return found


def test_every_row_is_named_once() -> None:
    names = [(row.attack, row.pictures, row.rmse) for part in ("removal", "collusion") for row in rows(part)]
    assert len(set(names)) == len(names)
    assert {rmse for _, pictures, rmse in names if pictures} == set(STRENGTHS)


def test_noise_as_strong_as_the_mark_leaves_it() -> None:
    for figures in shares("removal", "noise in the mark's shape"):
        assert figures == {"read": 1.0, "read after 5°": 1.0}


def test_folding_a_picture_on_itself_does_not_remove_its_mark() -> None:
    assert all(figures["read"] == 1.0 for figures in shares("removal", "own tile folded"))


@pytest.mark.parametrize("attack", ["average, folded to a tile", "average, strongest tones"])
def test_averaging_fifty_marked_pictures_does_not_remove_the_mark(attack: str) -> None:
    assert all(figures["read"] == 1.0 for figures in shares("collusion", attack))


@pytest.mark.parametrize("attack", ["average of whole planes", "average, tile under unknown signs"])
def test_averaging_whole_periods_does_not_remove_the_mark(attack: str) -> None:
    assert all(figures["read"] == 1.0 for figures in shares("collusion", attack))


def test_the_folded_tile_forges_nothing() -> None:
    assert shares("forgery", "own tile folded") == [{"read": 0.0, "far": 1.0}]


# Known weaknesses, admitted in docs/threat-model.md: whoever mends one is told by the test that passes.


@pytest.mark.xfail(strict=True, reason="pilots that all pictures of a key share tell how they lie to each other")
def test_averaging_aligned_pictures_does_not_remove_the_mark() -> None:
    assert all(figures["read"] == 1.0 for figures in shares("collusion", "average of aligned planes"))


def test_one_picture_does_not_give_its_mark_away() -> None:
    """Its tiles have signs of their own in every dimension: no singular vector gathers them."""
    assert all(figures["read"] == 1.0 for figures in shares("removal", "own tile under unknown signs"))


def test_one_picture_does_not_give_its_waveform_to_another() -> None:
    assert shares("forgery", "own tile under unknown signs") == [{"read": 0.0, "far": 1.0}]


@pytest.mark.parametrize("attack", ["exact difference to the original", "denoising residual"])
def test_a_copied_residual_reads_and_is_told_by_the_fingerprint(attack: str) -> None:
    """No watermark that reads after noise can stop this; what the record says of the picture does."""
    (figures,) = shares("forgery", attack)
    assert figures["read"] > 0
    assert figures["far"] == 1.0


def test_another_keys_mark_lies_beside_the_first() -> None:
    (figures,) = shares("marking_again", "another key")
    assert set(figures.values()) == {1.0}


def test_a_second_mark_of_the_same_key_leaves_one_of_the_two_and_never_a_third() -> None:
    """Which is why a marked picture is refused, or recorded as a parent, before it comes to this."""
    (figures,) = shares("marking_again", "same key")
    assert figures["first read"] + figures["second read"] == 1.0


def test_wrong_keys_are_counted_and_read_nothing() -> None:
    (row,) = SecurityBench(victims=1, colluders=[], wrong_keys=3).wrong()
    assert (row.shares["searches"], row.shares["detected"]) == (3.0, 0.0)


def test_a_stranger_with_the_construction_but_another_key_cannot_mark_in_our_name() -> None:
    forged = Lattice(b"the stranger's own key, 32 bytes").embed(bench().originals[0], 1)
    assert bench().mark.detect(forged).state == "absent"
