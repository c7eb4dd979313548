from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.unit.bench.safety_sets import row, small_set, write

import countermark.safety
from countermark.bench.safety.disguise import EVASIONS, STYLES, styled
from countermark.bench.safety.sets import TRAINED_ON, Skipped, load, read_rows
from countermark.errors import NotFound

NAMES_IN_THE_CARD = {
    "adversarial_nibbler": "Adversarial Nibbler",
    "coco_benign": "COCO captions",
    "esd_art_benign": "ESD art prompts",
    "geneval": "GenEval",
    "i2p": "I2P",
    "ldnoobw_terms": "LDNOOBW",
    "multilingual_hatecheck": "HateCheck",
    "nibbler_attempted_unlabelled": "Adversarial Nibbler",
    "overt_benign": "OVERT",
    "overt_unsafe": "OVERT",
    "sneakyprompt_animals": "SneakyPrompt animals",
    "t2i_compbench": "T2I-CompBench",
    "xstest": "XSTest",
}


def test_every_source_that_is_kept_apart_stands_in_the_model_card() -> None:
    safety = Path(countermark.safety.__file__).parent
    card = "".join((safety / folder / "model_card.md").read_text() for folder in ("weights", "multilingual_weights"))
    assert set(NAMES_IN_THE_CARD) == TRAINED_ON
    assert [name for name in NAMES_IN_THE_CARD.values() if name not in card] == []


def test_a_set_of_ones_own_is_read_as_labelled(tmp_path: Path) -> None:
    found = load(small_set(tmp_path))
    assert found.read == {"mine": 8, "yours": 9, "words": 1}
    assert found.terms == {"gore"}
    assert len(found.rows) == 17
    assert {row.role for row in found.rows} == {"reporting"}
    assert sum(row.hard for row in found.rows) == 3
    assert {row.categories for row in found.rows if row.unsafe} == {frozenset({"violence"})}


def test_what_training_saw_is_told_by_name_and_in_every_file(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", row("a dog in a park", 0, "mine"), row("a boat", 0, "coco_benign"))
    write(tmp_path, "b.jsonl", row("A dog  in a park", 0, "coco_benign"), row("a tree", 0, "mine"))
    write(tmp_path, "overt_benign_b.jsonl", row("a knife block", 0, "overt_benign"))
    found = load(tmp_path)
    assert {row.text: row.role for row in found.rows} == {
        "A dog  in a park": "trained_on", "a boat": "trained_on", "a tree": "reporting", "a knife block": "reporting",
    }  # fmt: skip
    assert found.duplicates == 1
    assert [row.text for row in found.rows if row.hard] == ["a knife block"]


def test_labels_languages_and_kinds_have_one_name_each(tmp_path: Path) -> None:
    write(tmp_path, "x.jsonl", row("x", 1, "i2p", labels={"shocking": 1, "hate": 0}),
          row("y", 1, "mine", lang="German"),
          row("z", None, "mine"), row("w", 0, "xstest"))  # fmt: skip
    by_text = {row.text: row for row in load(tmp_path).rows}
    assert set(by_text) == {"x", "y", "w"}  # what nobody labelled has no place in a figure
    assert by_text["x"].categories == {"graphic"}
    assert by_text["x"].kind == "weak labels"
    assert by_text["y"].language == "de"
    assert (by_text["w"].hard, by_text["w"].kind) == (True, "general text")


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    write(tmp_path, "x.jsonl", row("a knife", 1, "mine"), row("A knife", 0, "mine"), row("a knife", 1, "mine"),
          row("a boat", None, "mine"), row("a tree", 0, "mine"))  # fmt: skip
    found = load(tmp_path)
    assert {row.text: row.unsafe for row in found.rows} == {"a knife": True, "a tree": False}, "the first counts"
    assert (sum(found.read.values()), found.duplicates, found.contradictory, found.unlabelled) == (5, 2, 1, 1)


def test_a_line_that_is_no_row_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    write(tmp_path, "x.jsonl", '{"text": "a", "labels": "safe"}', f'{{"text": "a", "n": {"9" * 10_000}}}',
          row("a tree", 0, "mine"))  # fmt: skip
    os.mkfifo(tmp_path / "y.jsonl")
    (tmp_path / "z.jsonl").symlink_to("nowhere")
    said = {skipped.place: skipped.reason for skipped in load(tmp_path).skipped}
    assert said == {
        "x.jsonl:1": '"labels" is no object',
        "x.jsonl:2": "not JSON",
        "y.jsonl": "it cannot be read: it is a pipe, not a file",
        "z.jsonl": "it cannot be read: No such file or directory",
    }


def test_bad_lines_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    bad = ["not json", "[]", '{"text": 3, "labels": {}}', '{"labels": {"unsafe": 1}}', f'{{"text": "{"x" * 10_001}"}}',
           "[" * 100_000]  # fmt: skip
    write(tmp_path, "x.jsonl", *bad, '{"text": "kept", "labels": {"unsafe": 0}, "meta": {"focus": NaN}}')
    found = load(tmp_path)
    assert [row.text for row in found.rows] == ["kept"]
    assert [row.source for row in found.rows] == ["x"]  # for want of a source, the file
    assert [skipped.place for skipped in found.skipped] == [f"x.jsonl:{number}" for number in range(1, 7)]
    assert "10,000" in found.skipped[4].reason


def test_a_text_file_holds_unlabelled_prompts(tmp_path: Path) -> None:
    path = tmp_path / "attacks.txt"
    path.write_bytes("first\r\n\nzweiter, schön\n".encode() + b"\xff\xfe\n")
    (one, first), (three, second), (four, broken) = read_rows(path)
    assert (one, three, four) == (1, 3, 4)
    assert not isinstance(first, Skipped)
    assert not isinstance(second, Skipped)
    assert (first.text, first.unsafe, second.text) == ("first", None, "zweiter, schön")
    assert isinstance(broken, Skipped)


def test_the_sample_is_bounded_by_source_and_label_and_always_the_same(tmp_path: Path) -> None:
    rows = [row(f"a {adjective} house", unsafe, source) for source in ("mine", "yours") for unsafe in (0, 1)
            for adjective in (f"{source} {unsafe} {n}" for n in range(9))]  # fmt: skip
    write(tmp_path, "x.jsonl", *rows)
    found = load(tmp_path, limit=4)
    assert len(found.rows) == 16
    assert found == load(tmp_path, limit=4)
    assert len(load(tmp_path).rows) == 36


def test_an_empty_folder_and_one_without_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load(tmp_path / "none")
    write(tmp_path, "x.jsonl", row("a cat", None, "mine"))
    with pytest.raises(NotFound, match="labelled"):
        load(tmp_path)


@pytest.mark.parametrize("name", EVASIONS)
def test_every_disguise_changes_the_letters_and_loses_none(name: str) -> None:
    hidden = EVASIONS[name]("a violent picture of people")
    assert hidden != "a violent picture of people"
    assert len(hidden) >= len("a violent picture of people")


def test_styles_keep_the_prompt() -> None:
    for style in STYLES:
        wrapped = styled("a cat on a sofa.", style)
        assert "a cat on a sofa" in wrapped
        assert len(wrapped) > 60


def test_a_row_may_call_its_text_a_prompt(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"prompt": "a cat"}\n{"text": "a dog", "prompt": "not this"}\n{"words": "x"}\n')
    first, second, none = (row for _, row in read_rows(tmp_path / "a.jsonl"))
    assert not isinstance(first, Skipped)
    assert not isinstance(second, Skipped)
    assert (first.text, second.text) == ("a cat", "a dog")
    assert isinstance(none, Skipped)
