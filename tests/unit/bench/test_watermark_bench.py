from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.conftest import photograph

from countermark.bench.attacks import ATTACKS, select
from countermark.bench.backends import Peer, build, number_for
from countermark.bench.heatmap import colour, draw
from countermark.bench.images import Picture, PictureSet
from countermark.bench.quality import difference_picture, psnr, ssim
from countermark.bench.report import Report, Tally
from countermark.bench.watermark import Task, measure, measure_picture
from countermark.errors import AssetInvalid, AssetTooSmall, UsageError


@pytest.fixture(scope="module")
def pictures() -> PictureSet:
    return PictureSet("one", "user", (Picture("coffee", photograph("coffee", 320)),))


@pytest.fixture(scope="module")
def report(pictures: PictureSet) -> Report:
    attacks = select(["none", "JPEG 75", "marked at 192 px", "crop 25% offset", "vignette"])
    return measure(pictures, attacks, ["lattice", "dwtDctSvd"], timed=False)


def test_a_run_counts_what_is_recovered(report: Report) -> None:
    ours, peer = report.backends
    assert ours.attacks["none"] == Tally(recovered=1)
    assert ours.attacks["JPEG 75"].share == 1
    assert (ours.wrong_payloads, ours.false_detections, ours.unmarked) == (0, 0, 1)
    assert ours.psnr == pytest.approx(40, abs=0.2)
    assert ours.ssim is not None
    assert 0.9 < ours.ssim < 1
    assert peer.attacks["none"].share == 1
    assert (peer.unmarked, peer.false_detections) == (0, 0)  # it cannot tell


def test_a_size_that_the_peer_refuses_is_a_miss_and_not_an_error(report: Report) -> None:
    peer = report.backends[1]
    assert peer.attacks["marked at 192 px"] == Tally(refused=1, missed_on=("coffee",))
    assert peer.attacks["marked at 192 px"].share == 0


def test_a_picture_that_is_too_small_to_examine_is_a_miss() -> None:
    task = Task("lattice", 40.0, Picture("small", photograph("coffee", 192)), ("scale 0.3",))
    assert measure_picture(task).outcomes == {"scale 0.3": "refused"}


def test_totals_keep_core_and_extra_apart(report: Report) -> None:
    assert [attack.name for attack in report.attacks if not attack.core] == ["vignette"]
    for backend in report.backends:
        totals = report.totals[backend.name]
        shares = [backend.attacks[attack.name].share for attack in report.attacks[1:]]  # the first is the unaltered one
        assert totals["all"] == pytest.approx(np.mean(shares))
        assert totals["core"] == pytest.approx(np.mean(shares[:-1]))
        assert totals["everyday"] == backend.attacks["vignette"].share
    ours, peer = (report.totals[backend.name]["all"] for backend in report.backends)
    assert ours is not None
    assert peer
    assert report.ratios == {"dwtDctSvd": {"core": pytest.approx(3 * report.totals["lattice"]["core"]),  # type: ignore[operator]
                                           "all": pytest.approx(ours / peer)}}  # fmt: skip


def test_limits_are_measured_and_in_no_mean(pictures: PictureSet) -> None:
    report = measure(pictures, select(["JPEG 75", "squeezed 0.4 x 1"]), ["lattice"], timed=False)
    totals = report.totals["lattice"]
    assert (totals["all"], totals["core"], totals["limits"]) == (1, 1, 0)
    assert [attack.aside for attack in report.attacks] == ["", "in no mean"]


def test_the_report_round_trips_as_json(report: Report) -> None:
    text = report.to_json()
    assert json.loads(text)["schema"] == "countermark.bench.watermark/1"
    assert Report.model_validate_json(text) == report


def test_jobs_do_not_change_the_figures(pictures: PictureSet) -> None:
    attacks = select(["none", "noise 15"])
    alone, together = (measure(pictures, attacks, ["lattice"], timed=False, jobs=jobs) for jobs in (1, 2))
    assert alone == together


def test_every_backend_reads_what_it_embedded_and_numbers_are_fixed() -> None:
    pixels = photograph("astronaut", 256)
    for name in ("lattice", "dwtDctSvd"):
        backend = build(name)
        number = number_for("astronaut", backend.bits)
        assert number == number_for("astronaut", backend.bits) < 1 << backend.bits
        assert backend.read(backend.embed(pixels, number)) == number
    assert build("lattice").read(pixels) is None
    with pytest.raises(AssetTooSmall):
        Peer("dwtDct").read(photograph("astronaut", 128))


def test_backends_must_be_known_and_named_once(pictures: PictureSet) -> None:
    for names in (["no such mark"], ["lattice", "LATTICE"], []):
        with pytest.raises(UsageError):
            measure(pictures, [ATTACKS["none"]], names)


def test_quality() -> None:
    flat = np.full((64, 64, 3), 100, np.uint8)
    assert psnr(flat, flat + np.uint8(1)) == pytest.approx(48.13, abs=0.01)
    assert psnr(flat, flat) == float("inf")
    assert ssim(flat, flat) == pytest.approx(1)


def test_the_difference_is_shown_about_mid_grey() -> None:
    original = np.full((20, 30, 3), 100, np.uint8)
    marked = original.copy()
    marked[0, 0] = (103, 100, 60)
    shown = difference_picture(original, marked, gain=10)
    assert shown.shape == (20, 3 * 30 + 16, 3)
    assert shown[0, -30].tolist() == [158, 128, 0]
    assert (shown[1:, -30:] == 128).all()
    with pytest.raises(AssetInvalid):
        difference_picture(original, marked[1:])


def test_the_heat_map_shows_every_share_in_its_colour(report: Report, tmp_path: Path) -> None:
    picture: NDArray[np.uint8] = draw(report)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, draw(report))
    for backend in report.backends:
        for tally in backend.attacks.values():
            assert (picture == colour(tally.share)).all(axis=-1).sum() > 1000


def test_the_scale_darkens_all_the_way() -> None:
    brightness = [sum(colour(step / 20)) for step in range(21)]
    assert brightness == sorted(brightness, reverse=True)
    assert len(set(brightness)) == len(brightness)
