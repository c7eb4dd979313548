"""Named people, brands and ages in prompts; and those who only share a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from countermark.errors import PolicyInvalid, SettingsInvalid
from countermark.model import MAX_PROMPT_CHARS, Category, FindingState
from countermark.safety import EntityPrompts, PromptClassifier

EVERYTHING = EntityPrompts(("public_figure", "brand", "character", "minor_age"))


def kinds(prompt: str) -> set[str]:
    return {
        signal.removeprefix("entity_")
        for finding in EVERYTHING.assess(prompt)
        for signal in finding.signals
        if signal.startswith("entity_")
    }


@pytest.mark.parametrize(
    "prompt",
    [
        "a portrait of Angela Merkel in a garden",
        "angela merkel",
        "ANGELA MERKEL'S speech",
        "Recep Tayyip Erdogan at a desk",
        "Recep Tayyip Erdoğan",
        "beyonce on a stage",
        "Donald J. Trump eating a burger",
        "@emmawatson on the red carpet",
        "a photo of Emma-Watson",
        "Lula da Silva em Brasília",
        "jk rowling and stephen king",
        "j.k. rowling",
        "4ngela M3rkel",
        "a n g e l a  m e r k e l",
        "Ang\u0435la M\u0435rk\u0435l",
        "Elon\u200b Musk",
        "Winnie met Viktor Orban",
    ],
)
def test_public_figures_are_named(prompt: str) -> None:
    assert kinds(prompt) == {"public_figure"}


@pytest.mark.parametrize(
    "prompt",
    [
        "Angela in a garden",
        "a merkel diamond gesture",
        "emma reads a book",
        "a taylor sewing, a swift in the sky",
        "a cavalier king charles spaniel on a sofa",
        "the queen elizabeth ii bridge at night",
        "a trump card on a green table",
        "bill gates open in the wind".replace("bill gates", "the bill: gates"),
        "a pope giving a blessing",
        "a president speaking at a lectern",
        "donald the duck",
        "a musk ox and an apple",
        "pedro paints, sanchez sings",
        "prince william county courthouse",
        "a 35 year old woman",
        "12 year old whisky",
        "a picture of 15 boats",
    ],
)
def test_namesakes_and_first_names_are_nobody(prompt: str) -> None:
    assert kinds(prompt) == set()


def test_kinds_are_told_apart() -> None:
    assert kinds("a coca cola can next to a croissant") == {"brand"}
    assert kinds("Mickey Mouse and darth vader") == {"character"}
    assert kinds("a girl, 9 years old, with Taylor Swift") == {"public_figure", "minor_age"}
    assert kinds("ein vierzehnjähriger Junge") == {"minor_age"}


def test_an_age_alone_is_evidence_and_nothing_to_refuse() -> None:
    (finding,) = EntityPrompts(["minor_age"]).assess("a boy, 7 years old, on a swing")
    assert (finding.category, finding.score, finding.severity) == (Category.SEXUAL_MINORS, 0.0, 0)


def test_it_is_a_partial_classifier_for_its_own_categories() -> None:
    people = EntityPrompts()
    assert isinstance(people, PromptClassifier)
    assert people.categories == {Category.PUBLIC_FIGURE}
    (clear,) = people.assess("a lighthouse")
    assert (clear.state, clear.score) == (FindingState.ASSESSED, 0.0)
    (found,) = people.assess("Barack Obama")
    assert (found.category, found.severity) == (Category.PUBLIC_FIGURE, 4)
    assert "obama" not in found.model_dump_json().lower()
    assert people.detector.digest != EVERYTHING.detector.digest


@pytest.mark.parametrize("prompt", ["", " ", "x" * (MAX_PROMPT_CHARS + 1)])
def test_empty_and_endless_prompts_are_not_assessed(prompt: str) -> None:
    assert {f.state for f in EVERYTHING.assess(prompt)} == {FindingState.NOT_ASSESSED}


@pytest.mark.parametrize("prompt", ["\u200b", "\x00", "\ud800", "\u202e", "!!!", "a " * 4000, "ж" * 5000])
def test_odd_prompts_never_raise(prompt: str) -> None:
    assert {f.category for f in EVERYTHING.assess(prompt)} == EVERYTHING.categories


HEAD = (
    "apiVersion: countermark.entities/v1\nkind: staff\ncategory: public_figure\nversion: '1'\nscore: 0.7\nseverity: 4\n"
)


def test_a_deployer_adds_names_in_any_script(tmp_path: Path) -> None:
    (tmp_path / "entities").mkdir()
    (tmp_path / "entities" / "own.yaml").write_text(
        HEAD + "names: [Jane Q. Example, Мария Иванова, 山田太郎]\nexcept: [Jane Example Street]\n", encoding="utf-8"
    )
    own = EntityPrompts(["staff"], terms=tmp_path)
    for prompt in ("jane q example", "мария иванова в саду", "山田太郎"):
        assert own.assess(prompt)[0].score == 0.7
    assert own.assess("Jane in a garden")[0].score == 0.0


def test_a_deployer_adds_patterns(tmp_path: Path) -> None:
    (tmp_path / "entities").mkdir()
    (tmp_path / "entities" / "own.yaml").write_text(
        HEAD + "patterns: ['\\bacme (?:bot|droid)s?\\b']\n", encoding="utf-8"
    )
    own = EntityPrompts(["staff"], terms=tmp_path)
    for prompt in ("two ACME Droids", "an Acm\u0435 b0t"):
        (found,) = own.assess(prompt)
        assert (found.score, found.signals[0]) == (0.7, "entity_staff")
    assert own.assess("an acme robot")[0].score == 0.0


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (HEAD + "patterns: ['(']\n", "does not compile"),
        (HEAD + "names: ['!!!']\n", "no letters"),
        (HEAD.replace("public_figure", "hash_match"), "prompt stage"),
        (HEAD.replace("staff", "Staff Members"), "kind"),
        (HEAD.replace("0.7", "7"), "score"),
    ],
)
def test_a_bad_list_is_refused_with_its_place(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "entities").mkdir()
    (tmp_path / "entities" / "own.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(PolicyInvalid, match=complaint):
        EntityPrompts(["staff"], terms=tmp_path)


def test_a_kind_without_a_list_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match=r"celebrity.*public_figure"):
        EntityPrompts(["celebrity"])
    with pytest.raises(SettingsInvalid, match="no kind"):
        EntityPrompts([])


def test_what_is_cut_when_written_out_clears_nobody() -> None:
    (finding,) = EntityPrompts(["public_figure"]).assess("⒇" * 9000 + " Аngеlа Меrkеl")  # in Cyrillic letters
    assert finding.state is FindingState.NOT_ASSESSED
    assert "written out" in finding.reason
    (named,) = EntityPrompts(["public_figure"]).assess("Angela Merkel " + "⒇" * 9000)
    assert named.state is FindingState.ASSESSED
