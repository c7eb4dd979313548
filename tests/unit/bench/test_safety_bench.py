from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.conftest import photograph
from tests.unit.bench.safety_sets import HARMLESS, VIOLENT, row, small_set, write

from countermark.bench.safety.disguise import EVASIONS, STYLES
from countermark.bench.safety.judges import PROFANITY, TFIDF, WORD_LIST, House, peer
from countermark.bench.safety.measure import measure
from countermark.bench.safety.photographs import STAGE, folder, measure_pictures, shipped
from countermark.bench.safety.plot import chosen_part, draw
from countermark.bench.safety.report import JudgeFigures, Report
from countermark.bench.safety.sets import PromptRow, load
from countermark.errors import MissingExtra, NotFound, UsageError
from countermark.model import Outcome
from countermark.policy import load_policy
from countermark.safety import ImageEnsemble, OpenNsfw, PromptEnsemble


@pytest.fixture(scope="module")
def house() -> House:
    return House("countermark", PromptEnsemble(), load_policy())


@pytest.fixture(scope="module")
def report(house: House, tmp_path_factory: pytest.TempPathFactory) -> Report:
    place = small_set(tmp_path_factory.mktemp("prompts"))
    write(place, "overt.jsonl", row("a fencing duel, staged", 0, "overt_benign"),
          row(VIOLENT[0] + " again", 1, "overt_unsafe", labels={"violence": 1}),
          row("a poster with a brand's logo", 1, "mine", labels={"copyright": 1}),
          row("Ein Hund schläft unter dem Küchentisch und träumt.", 0, "mine", lang="de"))  # fmt: skip
    prompts = load(place)
    judges = [house, peer(WORD_LIST, prompts.rows, prompts.terms), peer(TFIDF, prompts.rows, prompts.terms)]
    return measure(prompts, judges, house.policy)


def ours(report: Report) -> JudgeFigures:
    return report.parts[0].judges[0]


def prompt(text: str) -> PromptRow:
    return PromptRow(text, None, frozenset(), "mine", "reporting", "image prompts")


def test_sources_of_training_are_a_part_of_their_own(report: Report) -> None:
    assert [(part.role, bool(part.notice)) for part in report.parts] == [("reporting", False), ("trained_on", True)]
    assert report.parts[0].rows == {"mine": 10, "yours": 9}
    assert report.parts[1].rows == {"overt_benign": 1, "overt_unsafe": 1}


def test_violent_prompts_are_told_from_harmless_ones(report: Report) -> None:
    figures = ours(report)
    assert (figures.harmless.of, figures.hard.of, figures.unsafe.of) == (11, 3, 4)
    assert figures.ranking is not None
    assert figures.ranking.auroc.value == 1
    assert figures.unsafe.blocked + figures.unsafe.held == 4
    assert figures.harmless.blocked == 0
    assert figures.style is not None
    assert figures.style.plain.of == figures.style.without_stop.outcomes.of == 11
    assert figures.ranking_without_stops is not None
    assert figures.ranking_without_stops.auroc.of == figures.ranking.auroc.of
    assert figures.style.wrapped.outcomes.of == 11 * len(STYLES)
    assert figures.style.styles.keys() == set(STYLES)
    assert figures.curve[-1] == (1, 1)


def test_what_the_policy_does_not_name_is_in_no_overall_figure(report: Report) -> None:
    categories = {one.category: one for one in ours(report).categories}
    assert set(categories) == {"violence", "copyright"}
    assert not categories["copyright"].in_policy
    assert categories["violence"].in_policy
    assert categories["violence"].named_right is not None
    assert categories["violence"].named_right.of == 4


def test_a_language_that_is_not_read_counts_as_not_assessed_and_not_as_caught(report: Report) -> None:
    german = next(one for one in ours(report).languages if one.language == "de")
    assert (german.safe.of, german.safe.blocked, german.safe.held, german.safe.not_assessed) == (1, 0, 0, 1)
    assert ours(report).harmless.not_assessed == 1


def test_every_evasion_is_tried_on_every_judge(report: Report) -> None:
    for judge in report.parts[0].judges:
        assert [one.evasion for one in judge.evasions] == list(EVASIONS)
    leet = ours(report).evasions[0]
    assert leet.kept is not None
    assert leet.kept.of == 4
    assert leet.kept.value >= 0.75


def test_peers_say_no_category(report: Report) -> None:
    names = [judge.name for judge in report.judges]
    assert names == ["countermark", WORD_LIST, TFIDF]
    for peers in report.parts[0].judges[1:]:
        assert peers.categories == ()
        assert peers.named_right is None
    assert report.judges[0].detector is not None
    assert report.judges[0].latency.median > 0


def test_the_report_round_trips_and_holds_no_prompt(report: Report) -> None:
    text = report.to_json()
    assert json.loads(text)["schema"] == "countermark.bench.safety/1"
    assert Report.model_validate_json(text) == report
    assert not any(words in text for words in (*HARMLESS, *VIOLENT))


def test_the_plot_draws_the_part_that_may_be_reported(report: Report) -> None:
    assert chosen_part(report).role == "reporting"
    picture = draw(report)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, draw(report))
    blue = (picture == (16, 82, 103)).all(axis=-1)
    assert blue.sum() > 5000


def test_a_word_list_finds_whole_words_and_a_verdict_follows(house: House) -> None:
    judge = peer(WORD_LIST, (), {"gore", "blood bath"})
    assert judge.judge(prompt("GORE!")).found
    assert judge.judge(prompt("a blood bath")).outcome is Outcome.BLOCK
    assert not judge.judge(prompt("gored by a bull, a bloodbath")).found
    verdict = house.judge(prompt(VIOLENT[3]))
    assert verdict.found
    assert verdict.category in ("violence", "graphic")
    assert verdict.risk == max(verdict.scores.values())
    assert house.judge(prompt("Ein Hund schläft unter dem Küchentisch und träumt.")).risk is None


def test_a_peer_that_cannot_be_asked_says_why() -> None:
    with pytest.raises(UsageError, match="offensive words"):
        peer(WORD_LIST, (), ())
    with pytest.raises(UsageError, match="no peer"):
        peer("oracle", (), ())
    one_source = [prompt("a cat")] * 5
    with pytest.raises(UsageError, match="sources"):
        peer(TFIDF, one_source, ())
    try:
        judge = peer(PROFANITY, (), ())
    except MissingExtra as error:
        assert "countermark[bench]" in error.remedy  # noqa: PT017
    else:
        assert judge.judge(prompt("a fucking idiot")).found
        assert not judge.judge(prompt("a cat on a sofa")).found


def test_pictures_are_counted_by_folder(house: House, tmp_path: Path) -> None:
    for label, name in (("safe", "coffee"), ("safe", "astronaut"), ("unsafe", "rocket")):
        (tmp_path / label).mkdir(exist_ok=True)
        Image.fromarray(photograph(name, 256)).save(tmp_path / label / f"{name}.png")
    (tmp_path / "safe" / "broken.png").write_bytes(b"not a picture")
    yahoo = ImageEnsemble((OpenNsfw(),))
    found = measure_pictures(folder(tmp_path), ImageEnsemble(), house.policy, detectors={"yahoo": yahoo})
    assert {one.label: one.outcomes.of for one in found.labels} == {"safe": 2, "unsafe": 1}
    assert found.skipped == 1
    assert all(one.outcomes.blocked == 0 for one in found.labels)
    assert set(found.latency) == {STAGE, "yahoo"}
    assert found.labels[0].flagged_by == {"yahoo": 0}
    blocked = found.labels[0].blocked
    assert blocked is not None
    assert (blocked.value, blocked.of, blocked.high) == (0, 2, pytest.approx(1 - 0.025**0.5))  # exact: 0 of 2


def test_a_folder_without_labels_is_harmless_and_an_empty_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        folder(tmp_path)
    Image.fromarray(photograph("coffee", 128)).save(tmp_path / "coffee.png")
    assert [one.label for one in folder(tmp_path).pictures] == ["safe"]
    assert [one.label for one in shipped(2).pictures] == ["safe", "safe"]


def test_pictures_of_the_embedded_model_can_be_measured() -> None:
    drawn = shipped(1, "generated")
    assert drawn.name == "the set generated"
    assert [(one.label, one.pixels().shape) for one in drawn.pictures] == [("safe", (512, 512, 3))]
