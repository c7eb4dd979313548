"""Pictures held for review: nobody sees one without a trace, and nobody sees one that was erased."""

from __future__ import annotations

import json
import secrets
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.conftest import CLEAN_PROMPT, UNSAFE_PROMPT, Given, photograph

from countermark import Countermark
from countermark.audit import AuditLog, Warrant
from countermark.cli.main import run
from countermark.cli.show import result_lines
from countermark.compose import Home
from countermark.errors import AuditError, AuditPoisoned, NotFound, OutputUnwritable
from countermark.imaging import Raster, decode, encode
from countermark.model import Category, DetectorRef, Event, EventType, Finding, GenerationRequest, Stage
from countermark.objects import ObjectStore
from countermark.pipeline import Result
from countermark.pipeline.review import show
from countermark.policy import Policy
from countermark.safety.interface import IMAGE_CATEGORIES, assessed, not_assessed
from countermark.yaml_file import parse_yaml

POLICY = b"""
apiVersion: countermark.policy/v1
kind: Policy
metadata: {id: holding, version: "1"}
categories:
  sexual: {image: {review: 0.5}}
  violence: {prompt: {review: 0.5}}
"""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
WHY = Warrant("case 17")
Make = Callable[..., Countermark]
Log = Callable[..., tuple[int, Any, str]]


class HoldsAll:
    """Wants a person to look at every picture."""

    detector = DetectorRef(id="test.holds-all", version="1")
    categories = frozenset({Category.SEXUAL})

    def assess(self, pixels: NDArray[np.uint8]) -> tuple[Finding, ...]:
        unseen = (one for one in IMAGE_CATEGORIES if one not in self.categories)
        others = [not_assessed(Stage.IMAGE, one, self.detector, "no") for one in unseen]
        return (assessed(Stage.IMAGE, Category.SEXUAL, self.detector, 0.6, 2), *others)


@pytest.fixture
def picture() -> NDArray[np.uint8]:
    return photograph("coffee", 128)


@pytest.fixture
def holding(build: Make) -> Countermark:
    """A layer that holds every picture."""
    return build(image_safety=HoldsAll(), policy=parse_yaml(POLICY, "holding.yaml", Policy))


def generate(cm: Countermark, *pictures: NDArray[np.uint8], prompt: str = CLEAN_PROMPT) -> list[Result]:
    return list(cm.pipeline.generate(GenerationRequest(prompt=prompt, actor="alice@example.org"), Given(*pictures)))


@dataclass
class Held:
    """An installation that held one picture, as entry 0."""

    home: Home
    event: Event

    @property
    def object(self) -> Path:
        return self.home.folder / "objects" / self.event.params["held_object"]

    def files(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self.home.folder.rglob("*") if path.is_file()}


@pytest.fixture
def held(holding: Countermark, picture: NDArray[np.uint8]) -> Held:
    (result,) = generate(holding, picture)
    assert (result.outcome, result.index, result.data) == ("held", 0, None)
    event = holding.log.event(0)
    holding.close()
    return Held(holding.home, event)


@pytest.fixture
def log(held: Held, capsys: pytest.CaptureFixture[str]) -> Log:
    def call(*arguments: object) -> tuple[int, Any, str]:
        code = run(["log", *map(str, arguments), "--home", str(held.home.folder), "--json"])
        told = capsys.readouterr()
        return code, json.loads(told.out) if told.out.strip() else None, told.err

    return call


def size(log: Log) -> int:
    return int(log("list", "-n", 1)[1][0]["index"]) + 1


# --- at rest ----------------------------------------------------------------------------------------------------------


def test_nothing_of_the_picture_lies_in_the_clear(held: Held, picture: NDArray[np.uint8]) -> None:
    plain, rows = encode(Raster(picture), "image/png"), [row.tobytes() for row in picture[::16]]
    parts = [plain[at : at + 24] for at in range(0, len(plain), 4096)]
    assert held.object.is_file()
    for path, data in held.files().items():
        assert PNG_SIGNATURE not in data, path
        assert not any(part in data for part in parts + rows), path


def test_every_picture_has_a_key_of_its_own_which_is_a_protected_field(
    holding: Countermark, picture: NDArray[np.uint8]
) -> None:
    first, _ = generate(holding, picture, picture)
    assert "countermark log picture 0 " in result_lines(first, None)[-1]
    events = [holding.log.event(index) for index in range(2)]
    assert {tuple(c.field for c in event.protected) for event in events} == {("held_picture", "prompt")}
    assert len({event.params["held_object"] for event in events}) == 2, "the same pixels do not look the same"
    keys = {holding.log.reveal(index, "held_picture", reason="a test") for index in range(2)}
    assert len(keys) == 2
    for event in events:
        assert not any(key in event.model_dump_json() for key in keys)


# --- viewing ----------------------------------------------------------------------------------------------------------


def test_the_reviewer_sees_it_and_that_is_on_the_record(
    log: Log, held: Held, picture: NDArray[np.uint8], tmp_path: Path
) -> None:
    target = tmp_path / "seen.png"
    code, told, _ = log("picture", held.event.event_id, "-o", target, "--reason", "case 17", "--actor", "carol")
    assert (code, told) == (0, {"file": str(target), "index": 0, "access_entry": 1})
    assert np.array_equal(decode(target.read_bytes()).pixels, picture)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    (newest,) = log("list", "-n", 1)[1]
    assert (newest["type"], newest["reasons"]) == ("access", ["case 17"])
    assert newest["access"] == {"event_id": held.event.event_id, "index": 0, "fields": ["held_picture"]}
    carol = held.home.pseudonym("carol")
    assert carol
    assert newest["actor"]["pseudonym"] == carol.pseudonym


def test_people_are_told_what_they_have_before_them(held: Held, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["log", "picture", "0", "--reason", "case 17", "--home", str(held.home.folder)]) == 0
    told = capsys.readouterr().out
    assert f"held-{held.event.event_id[:12]}.png, unmarked and not released" in told
    assert "recorded as entry 1" in told


def test_it_is_written_over_nothing_unless_told_and_never_without_a_reason(
    log: Log, held: Held, tmp_path: Path
) -> None:
    target = tmp_path / "mine.png"
    target.write_bytes(b"mine")
    assert log("picture", 0, "-o", target)[0] == 2
    code, _, complaint = log("picture", 0, "-o", target, "--reason", "x")
    assert (code, "--force" in complaint, target.read_bytes()) == (2, True, b"mine")
    made = tmp_path / f"held-{held.event.event_id[:12]}.png"
    made.write_bytes(b"mine too")
    assert log("picture", 0, "-o", tmp_path, "--reason", "x")[0] == 2, "nor over the name that it makes up"
    assert size(log) == 1, "nothing was shown, so nothing is recorded"
    assert log("picture", 0, "-o", target, "--reason", "x", "--force")[0] == 0
    assert target.read_bytes().startswith(PNG_SIGNATURE)


def test_what_cannot_be_recorded_is_not_shown(
    log: Log, held: Held, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held.home.open_log(read_only=True) as reader, pytest.raises(AuditError, match="for reading only"):
        show(reader, held.home.open_objects(), 0, WHY)

    def broken(*_: object) -> None:
        raise AuditPoisoned("The disk failed.")

    with monkeypatch.context() as patched:
        patched.setattr(AuditLog, "append_many", broken)
        assert log("picture", 0, "-o", tmp_path / "seen.png", "--reason", "x")[0] == 1
    assert not (tmp_path / "seen.png").exists()
    assert size(log) == 1


def test_neither_show_nor_export_gives_its_key_away(log: Log, held: Held, tmp_path: Path) -> None:
    only_a_picture = held.event.model_copy(update={"event_id": "1" * 32, "protected": ()})
    with held.home.open_log() as opened:
        opened.append(only_a_picture, protected={"held_picture": secrets.token_hex(32)})
    assert log("show", 0, "--reveal", "--reason", "x")[1]["revealed"] == {"prompt": CLEAN_PROMPT}
    code, _, complaint = log("show", 1, "--reveal", "--reason", "x")
    assert (code, "log picture" in complaint) == (2, True)
    code, exported, _ = log("export", "-o", tmp_path / "bundle", "--reveal", "--reason", "x")
    assert (code, exported["disclosed"]) == (0, 1)
    (line,) = (tmp_path / "bundle" / "disclosed.jsonl").read_text().splitlines()
    assert (json.loads(line)["field"], json.loads(line)["text"]) == ("prompt", CLEAN_PROMPT)


# --- erasing ----------------------------------------------------------------------------------------------------------


def test_erased_it_is_unreadable_with_all_that_is_left(log: Log, held: Held, tmp_path: Path) -> None:
    with held.home.open_log() as opened:
        key = opened.reveal(0, "held_picture", reason="a test")
        with opened._store.reader() as reader:
            wrapped = reader.secret(held.event.event_id)
    assert wrapped
    sealed = held.object.read_bytes()
    assert any(wrapped.wrapped in data for data in held.files().values()), "so that its absence means something"
    assert log("erase", "--event", 0, "--reason", "Art. 17", "--yes")[1]["in_the_clear"] == []
    assert held.object.read_bytes() == sealed, "the key is what goes"
    for path, data in held.files().items():
        assert not any(part in data for part in (wrapped.wrapped, key.encode(), bytes.fromhex(key))), path
    before = size(log)
    code, _, complaint = log("picture", 0, "-o", tmp_path / "seen.png", "--reason", "x")
    assert (code, "was erased by entry 2" in complaint) == (2, True)
    held.object.unlink()
    assert "was erased by entry 2" in log("picture", 0, "--reason", "x")[2], "whatever became of the object"
    assert not (tmp_path / "seen.png").exists()
    assert size(log) == before
    assert log("verify")[1]["intact"]


def test_a_hold_keeps_it_and_a_subject_takes_it_along(log: Log, held: Held, tmp_path: Path) -> None:
    assert log("hold", "add", "--event", 0, "--reason", "litigation")[0] == 0
    assert log("erase", "--subject", "alice@example.org", "--reason", "x", "--yes")[1]["erased"] == []
    code, told, _ = log("picture", 0, "-o", tmp_path / "seen.png", "--reason", "litigation")
    assert (code, told["access_entry"]) == (0, 3)
    (hold,) = log("hold", "list")[1]
    assert log("hold", "release", hold["id"], "--reason", "over")[0] == 0
    assert log("erase", "--subject", "alice@example.org", "--reason", "x", "--yes")[1]["erased"] == [
        held.event.event_id
    ]
    assert log("picture", 0, "--reason", "x")[0] == 2


# --- what may be wrong ------------------------------------------------------------------------------------------------


def fails(log: Log, held: Held, *, code: str, says: str) -> None:
    """Asking for the picture fails so, and neither a file nor an entry is made."""
    before = {path.name for path in Path().iterdir()}
    exit_code, told, _ = log("picture", 0, "--reason", "x")
    assert (exit_code > 0, told["error"]["code"]) == (True, code)
    assert says in told["error"]["message"]
    assert {path.name for path in Path().iterdir()} == before


def test_an_object_that_is_gone(log: Log, held: Held) -> None:
    held.object.unlink()
    fails(log, held, code="not_found", says="holds no held/")
    assert size(log) == 1


@pytest.mark.parametrize("at", [0, 25, 1000, -1])
def test_an_object_that_was_altered(log: Log, held: Held, at: int) -> None:
    data = bytearray(held.object.read_bytes())
    data[at] ^= 1
    held.object.write_bytes(data)
    fails(log, held, code="audit_store_damaged", says="is not the one that was held")
    assert size(log) == 1


def test_another_pictures_object_in_its_place(holding: Countermark, picture: NDArray[np.uint8]) -> None:
    """Not even with an entry of its own that names it: the seal is bound to the event."""
    generate(holding, picture)
    first, key = holding.log.event(0), holding.log.reveal(0, "held_picture", reason="a test")
    copied = first.model_copy(update={"event_id": "2" * 32, "protected": ()})
    holding.log.append(copied, protected={"held_picture": key})
    with pytest.raises(AuditError, match="not what was sealed"):
        show(holding.log, holding.parts.objects, 2, WHY)
    assert holding.log.size == 3


def test_another_key_ring(log: Log, held: Held, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (master,) = (held.home.folder / "keys").glob("master*")
    mine = master.read_bytes()
    master.write_bytes(secrets.token_bytes(len(mine)))
    fails(log, held, code="key_unavailable", says="master key")
    master.write_bytes(mine)
    assert size(log) == 1
    rotate = ["keys", "rotate", "master", "--reason", "yearly", "--home", str(held.home.folder)]
    assert run(rotate) == 0
    capsys.readouterr()
    assert log("picture", 0, "-o", tmp_path / "seen.png", "--reason", "x")[0] == 0, "under the older key"


def test_an_entry_without_a_picture(holding: Countermark, log: Log, tmp_path: Path) -> None:
    with AuditLog.open(holding.home.audit_db, read_only=True) as reader:
        refused = reader.event(0).model_copy(
            update={"event_id": "3" * 32, "type": EventType.REFUSED, "protected": (), "params": {}}
        )
    with holding.home.open_log() as opened:
        opened.append(refused)
        # A generator names the parameters that it used as it likes.
        opened.append(refused.model_copy(update={"event_id": "4" * 32, "params": {"held_object": "keys/master"}}))
    for index in (1, 2):
        code, told, complaint = log("picture", index, "-o", tmp_path / "seen.png", "--reason", "x")
        assert (code, told["error"]["code"]) == (2, "not_found")
        assert "holds no picture" in complaint
    assert size(log) == 3


def test_a_prompt_that_is_held_has_no_picture(holding: Countermark, picture: NDArray[np.uint8]) -> None:
    (result,) = generate(holding, picture, prompt=UNSAFE_PROMPT)
    assert result.outcome == "held"
    assert not any("log picture" in line for line in result_lines(result, None))
    event = holding.log.event(result.index)
    assert ("held_object" in event.params, [c.field for c in event.protected]) == (False, ["prompt"])
    with pytest.raises(NotFound, match="holds no picture"):
        show(holding.log, holding.parts.objects, result.index, WHY)


# --- when something breaks --------------------------------------------------------------------------------------------


def test_it_is_kept_before_the_entry_that_names_it(
    holding: Countermark, picture: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise OutputUnwritable("The object store refused a write.")

    monkeypatch.setattr(ObjectStore, "put", refuses)
    with pytest.raises(OutputUnwritable):
        generate(holding, picture)
    (event,) = (holding.log.event(index) for index in range(holding.log.size))
    assert (event.type, event.error) == (EventType.FAILED, "output_unwritable")


def test_without_its_entry_what_is_left_of_it_is_noise(
    holding: Countermark, picture: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    append = holding.log.append

    def append_unless_held(event: Event, **fields: Any) -> object:
        if event.type is EventType.HELD:
            raise AuditError("The log refused.")
        return append(event, **fields)

    monkeypatch.setattr(holding.log, "append", append_unless_held)
    with pytest.raises(AuditError, match="refused"):
        generate(holding, picture)
    (event,) = (holding.log.event(index) for index in range(holding.log.size))
    assert (event.type, [c.field for c in event.protected]) == (EventType.FAILED, ["prompt"])
    assert "held_object" not in event.params
    (orphan,) = (path for path in (holding.home.folder / "objects" / "held").rglob("*") if path.is_file())
    assert PNG_SIGNATURE not in orphan.read_bytes()


# --- what earlier versions held ---------------------------------------------------------------------------------------


@pytest.fixture
def in_the_clear(held: Held, picture: NDArray[np.uint8]) -> str:
    """The object of entry 1, held as earlier versions did."""
    key = held.home.open_objects().put("held", encode(Raster(picture), "image/png"))
    old = held.event.model_copy(update={"event_id": "5" * 32, "protected": (), "params": {"held_object": key}})
    with held.home.open_log() as opened:
        opened.append(old, protected={"prompt": CLEAN_PROMPT})
    return key


def test_what_was_held_in_the_clear_is_shown_on_the_record(
    log: Log, in_the_clear: str, picture: NDArray[np.uint8], tmp_path: Path
) -> None:
    assert log("picture", 1, "-o", tmp_path / "seen.png", "--reason", "case 3")[1]["access_entry"] == 2
    assert np.array_equal(decode((tmp_path / "seen.png").read_bytes()).pixels, picture)
    (newest,) = log("list", "-n", 1)[1]
    assert newest["access"]["fields"] == ["held_picture"]


def test_an_erasure_says_what_it_does_not_reach(
    log: Log, held: Held, in_the_clear: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert log("erase", "--event", 0, "--reason", "x", "--yes")[1]["in_the_clear"] == []
    assert run(["log", "erase", "--event", "1", "--reason", "x", "--yes", "--home", str(held.home.folder)]) == 0
    assert f"{in_the_clear} was held in the clear" in capsys.readouterr().out
    code, told, _ = log("picture", 1, "-o", tmp_path / "seen.png", "--reason", "x")
    assert (code, in_the_clear in told["error"]["remedy"]) == (2, True)
    assert not (tmp_path / "seen.png").exists()


def test_a_sealed_picture_is_not_taken_for_one_in_the_clear(log: Log, held: Held, picture: NDArray[np.uint8]) -> None:
    """Whoever can write the store cannot put a picture of their own in the place of the one that was held."""
    other = held.home.open_objects().put("held", encode(Raster(picture), "image/png"))
    shutil.copyfile(held.home.folder / "objects" / other, held.object)
    fails(log, held, code="audit_store_damaged", says="is not the one that was held")
