from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.conftest import photograph

from countermark.bench.attacks import ATTACKS, CORE, EXTRA, GROUPS, Attack, select
from countermark.errors import UsageError


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    return np.ascontiguousarray(photograph("coffee", 192)[:160])


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=list(ATTACKS))
def test_an_attack_gives_the_same_rgb_picture_every_time_and_leaves_its_input_alone(
    attack: Attack, picture: NDArray[np.uint8]
) -> None:
    before = picture.copy()
    attacked = attack(picture)
    assert attacked.dtype == np.uint8
    assert attacked.ndim == 3
    assert attacked.shape[2] == 3
    assert attacked.flags.c_contiguous
    assert np.array_equal(picture, before)
    assert np.array_equal(attacked, attack(picture))
    # A limit of 1,080 pixels leaves a small picture's size alone; only the control leaves the pixels alone.
    assert (attacked.shape == before.shape and np.array_equal(attacked, before)) == (attack.name == "none")


def test_the_core_has_76_attacks_and_is_measured_with_the_unaltered_picture() -> None:
    assert len(CORE) == 76
    assert [attack.name for attack in select(["core"])] == ["none", *(attack.name for attack in CORE)]
    assert 1 + len(CORE) + len(EXTRA) + len(select(["limits"])) == len(ATTACKS)  # names are unique
    assert all("," not in name and name == name.strip() for name in ATTACKS)  # they can be listed with commas


def test_each_group_is_wholly_core_or_wholly_extra_and_no_name_is_a_group() -> None:
    for group in GROUPS:
        assert len({attack.core for attack in ATTACKS.values() if attack.group == group}) == 1
    assert not {name.lower() for name in ATTACKS} & {*GROUPS, "core", "extra", "all"}


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("scale 0.5", (80, 96)),
        ("aspect 0.8 x 1", (160, 154)),
        ("crop 25% offset", (80, 96)),
        ("crop 50% resized", (160, 192)),
        ("pasted on a page", (224, 249)),
        ("rotate 90", (192, 160)),
        ("rotate 15", (160, 192)),
        ("collage of two", (160, 387)),
    ],
)
def test_sizes(name: str, shape: tuple[int, int], picture: NDArray[np.uint8]) -> None:
    assert ATTACKS[name](picture).shape[:2] == shape


def test_a_turned_picture_is_cut_without_black_corners() -> None:
    white = np.full((200, 300, 3), 255, np.uint8)
    assert ATTACKS["rotate 15"](white).min() == 0
    assert ATTACKS["rotate 10 cut"](white).min() == 255


def test_the_input_is_shrunk_before_marking_but_never_below_what_the_embedder_takes() -> None:
    small = ATTACKS["marked at 128 px"]
    assert small.prepare(np.zeros((512, 512, 3), np.uint8)).shape == (128, 128, 3)
    assert small.prepare(np.zeros((400, 800, 3), np.uint8)).shape == (128, 256, 3)
    assert small.prepare(np.zeros((100, 120, 3), np.uint8)).shape == (100, 120, 3)
    rows, columns, _ = ATTACKS["marked at 256 px"].prepare(np.zeros((427, 640, 3), np.uint8)).shape
    assert 256 * 256 <= rows * columns < 258 * 258


def test_selection_by_name_group_and_kind() -> None:
    assert select(["core"])[1:] == CORE
    assert select(["extra"]) == EXTRA
    assert len(select(["all"])) == 1 + len(CORE) + len(EXTRA)
    assert set(select(["limits"])).isdisjoint(select(["all"]))
    assert [attack.name for attack in select(["jpeg 75", "none", "added noise", "JPEG 75"])] == [
        "none", "JPEG 75", "noise 5", "noise 15", "noise 25", "salt and pepper 2%",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="no-such"):
        select(["JPEG 75", "no-such"])
    with pytest.raises(UsageError):
        select([])
