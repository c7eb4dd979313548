"""Hash lists: importing, keeping, and looking pictures up."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.conftest import photograph

from countermark.compose.hash_lists import PdqSearch, with_hash_lists
from countermark.errors import HashListDamaged, HashListInvalid, NotFound
from countermark.fingerprint import pdq
from countermark.model import UNUSABLE, Category, FindingState
from countermark.safety import ImageEnsemble
from countermark.safety.hash_import import MAX_LINE, Batch, read_hashes
from countermark.safety.hash_list import HashListClassifier
from countermark.safety.hash_store import MAX_LISTS, HashListStore
from countermark.safety.interface import IMAGE_CATEGORIES
from countermark.safety.known import Known, look_at

A, B, C = (f"{n:02x}" * 32 for n in (0xA1, 0xB2, 0xC3))


@pytest.fixture
def store(tmp_path: Path) -> HashListStore:
    return HashListStore(tmp_path / "hashes")


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    def write(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def of_pictures(*pictures: NDArray[np.uint8]) -> Batch:
    return Batch(pdq=bytearray(b"".join(pdq.compute(picture).packed.tobytes() for picture in pictures)))


def read(path: Path, **options: object) -> tuple[list[str], list[str], int]:
    sha256, perceptual, others = b"", b"", 0
    for batch in read_hashes(path, **options):  # type: ignore[arg-type]
        sha256, perceptual, others = sha256 + batch.sha256, perceptual + batch.pdq, others + batch.others
    return *([data[i : i + 32].hex() for i in range(0, len(data), 32)] for data in (sha256, perceptual)), others


# --- importing ---


def test_text_takes_comments_blank_lines_and_either_case(written: Callable[..., Path]) -> None:
    path = written("list.txt", f"\ufeff# a list\n\n{A}  # first\r\n{B.upper()}\n")
    assert read(path, kind="pdq") == ([], [A, B], 0)
    assert read(path, kind="sha256") == ([A, B], [], 0)


@pytest.mark.parametrize(
    "text",
    [
        f"hash,type,added\n{A},pdq,2026\n{B},SHA-256,2025\n",
        f"added,type,hash\n2026,HASH_PDQ,{A}\n,sha256,{B}\n",
        f'{A},PDQ\n"{B}","sha_256"\n',
    ],
)
def test_csv_finds_its_columns(written: Callable[..., Path], text: str) -> None:
    assert read(written("list.csv", text)) == ([B], [A], 0)


def test_json_lines(written: Callable[..., Path]) -> None:
    rows = [{"hash": A, "type": "pdq", "quality": 90}, {"type": "sha256", "hash": B}, {"hash": C}]
    path = written("list.jsonl", "\n".join(map(json.dumps, rows)))
    assert read(path, kind="pdq") == ([B], [A, C], 0)


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("list.csv", f"hash,type\n{A},pdq\n{B[:-2]},pdq\n", 3),
        ("list.csv", f"hash,type\n{A},md5\n", 2),
        ("list.csv", f"hash,type\n{A}\n", 2),
        ("list.csv", f'hash,type\n"{A},pdq\n{B},pdq\n', 2),
        ("list.jsonl", f'{{"hash": "{A}", "type": "pdq"}}\n{{"hash": 7}}\n', 2),
        ("list.jsonl", "\n{]\n", 2),
        ("list.jsonl", f'{{"hash": "{A}"}}\n', 1),
        ("list.jsonl", f'{{"hash": "{A}", "type": 3}}\n', 1),
        ("list.csv", "hash,type\n" + "x" * (MAX_LINE + 1), 2),
        ("list.csv", b"hash,type\n\xff\xfe,pdq\n", 2),
        ("list.csv", f"hash,type\n{A[:-1]}g,pdq\n", 2),
    ],
)
def test_a_faulty_line_is_named_and_no_hash_quoted(
    written: Callable[..., Path], name: str, text: str | bytes, line: int
) -> None:
    with pytest.raises(HashListInvalid, match=f"{name}:{line}: ") as caught:
        read(written(name, text))
    assert A[:16] not in caught.value.message


def test_a_plain_list_must_be_told_what_it_holds(written: Callable[..., Path]) -> None:
    with pytest.raises(HashListInvalid, match="PDQ and SHA-256 look the same"):
        read(written("list.txt", A))
    with pytest.raises(HashListInvalid, match="does not say how it is written"):
        read(written("list.dat", A), kind="pdq")
    assert read(written("list.dat", A), form="text", kind="pdq") == ([], [A], 0)
    with pytest.raises(NotFound):
        read(Path("no-such-list.txt"), kind="pdq")


def test_other_kinds_are_left_out_and_counted_when_asked(written: Callable[..., Path]) -> None:
    path = written("list.csv", f"hash,type\nd41d8cd98f00b204e9800998ecf8427e,md5\n{A},pdq\nx,photodna\n")
    assert read(path, skip_others=True) == ([], [A], 2)


@given(st.binary(max_size=400), st.sampled_from(["text", "csv", "jsonl"]))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes, form: str) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "list"
    path.write_bytes(data)
    message = f"{path}:"
    try:
        read(path, form=form, kind="pdq")
    except HashListInvalid as error:
        message = error.message
    assert message.startswith(f"{path}:")


# --- keeping ---


def test_a_list_grows_without_repeating_itself(store: HashListStore) -> None:
    first = store.add("ours", [Batch(pdq=bytearray.fromhex(A + B + A), sha256=bytearray.fromhex(A))])
    assert (first.new, first.known) == (3, 1)
    second = store.add("ours", [Batch(pdq=bytearray.fromhex(B + C)), Batch(pdq=bytearray.fromhex(C), others=2)])
    assert (second.new, second.known, second.others) == (1, 2, 2)
    kept = store.read("ours")
    assert [row.tobytes().hex() for row in kept.hashes["pdq"]] == [A, B, C]
    assert [row.tobytes().hex() for row in kept.hashes["sha256"]] == [A]
    assert kept.digest == second.digest != first.digest
    assert store.add("ours", [Batch(pdq=bytearray.fromhex(C))]).digest == second.digest


def test_the_digest_stands_for_name_and_content(tmp_path: Path) -> None:
    batch = Batch(pdq=bytearray.fromhex(A + B))
    digests = {HashListStore(tmp_path / str(n)).add("ours", [batch]).digest for n in range(2)}
    digests.add(HashListStore(tmp_path / "2").add("theirs", [batch]).digest)
    assert len(digests) == 2


def test_every_changed_byte_and_every_cut_is_noticed(store: HashListStore) -> None:
    store.add("ours", [Batch(pdq=bytearray.fromhex(A), sha256=bytearray.fromhex(B))])
    (path,) = store.folder.iterdir()
    good = path.read_bytes()
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(HashListDamaged):
            store.read("ours")
    after_a_block = len(good) - (16 + 32 + 32)
    for length in (*range(after_a_block), *range(after_a_block + 1, len(good))):
        path.write_bytes(good[:length])
        with pytest.raises(HashListDamaged):
            store.read("ours")
    path.write_bytes(good)
    path.rename(path.with_name("theirs.hashes"))
    with pytest.raises(HashListDamaged):
        store.read("theirs")


def test_a_faulty_import_leaves_the_list_as_it_was(store: HashListStore, written: Callable[..., Path]) -> None:
    store.add("ours", [Batch(pdq=bytearray.fromhex(A))])
    (path,) = store.folder.iterdir()
    before = path.read_bytes()
    with pytest.raises(HashListInvalid):
        store.add("ours", read_hashes(written("list.txt", f"{B}\nrubbish\n"), kind="pdq"))
    path.write_bytes(before[:-1])
    with pytest.raises(HashListDamaged):
        store.add("ours", [Batch(pdq=bytearray.fromhex(B))])
    assert [p.read_bytes() for p in store.folder.iterdir()] == [before[:-1]]


@pytest.mark.parametrize("name", ["", "..", "../up", "a/b", "Ours", "a" * 65, ".hidden", "ours\n"])
def test_names_stay_in_the_folder(store: HashListStore, name: str) -> None:
    with pytest.raises(HashListInvalid):
        store.add(name, [Batch(pdq=bytearray.fromhex(A))])


def test_lists_are_bounded_in_number_and_can_be_removed(store: HashListStore) -> None:
    for number in range(MAX_LISTS):
        store.add(f"list-{number}", [Batch(pdq=bytearray.fromhex(A))])
    with pytest.raises(HashListInvalid, match=str(MAX_LISTS)):
        store.add("one-more", [Batch(pdq=bytearray.fromhex(A))])
    store.remove("list-0")
    assert "list-0" not in store.names()
    with pytest.raises(NotFound):
        store.remove("list-0")
    with pytest.raises(NotFound):
        store.read("list-0")


def test_an_import_without_a_hash_is_no_import(store: HashListStore, written: Callable[..., Path]) -> None:
    with pytest.raises(HashListInvalid, match="no hash to import: "):
        store.add("ours", read_hashes(written("empty.txt", "# nothing\n"), kind="pdq"))
    others = written("others.csv", "hash,type\nx,photodna\ny,md5\n")
    with pytest.raises(HashListInvalid, match="besides 2 of types that cannot be looked up"):
        store.add("ours", read_hashes(others, skip_others=True))
    assert store.names() == ()


def test_a_pipe_is_not_opened(store: HashListStore, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(HashListInvalid, match="a pipe, not a file"):
        read(tmp_path / "pipe.txt", kind="pdq")
    store.folder.mkdir()
    os.mkfifo(store.folder / "ours.hashes")
    with pytest.raises(HashListDamaged, match="a pipe, not a file"):
        store.read("ours")


# --- looking up ---


@pytest.fixture
def classifier(store: HashListStore) -> HashListClassifier:
    return HashListClassifier(store, PdqSearch)


def test_without_lists_nothing_was_assessed(classifier: HashListClassifier, photo: NDArray[np.uint8]) -> None:
    (finding,) = classifier.assess(photo)
    assert finding.category is Category.HASH_MATCH
    assert finding.state is FindingState.NOT_ASSESSED
    assert "no hash list" in finding.reason
    assert classifier.detector.digest is None


@pytest.mark.parametrize("form", range(8))
def test_a_listed_picture_is_known_turned_shrunk_and_recompressed(
    store: HashListStore, classifier: HashListClassifier, photo: NDArray[np.uint8], form: int
) -> None:
    store.add("ours", [of_pictures(photograph("astronaut"), photo)])
    store.add("theirs", [of_pictures(photograph("chelsea"))])
    small = cv2.resize(photo, (256, 256), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 30])
    turned = np.rot90(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8), form % 4)
    copy = np.ascontiguousarray(turned[:, ::-1] if form >= 4 else turned)
    (finding,) = classifier.assess(copy)
    assert (finding.score, finding.severity) == (1.0, 6)
    assert "'ours'" in finding.reason
    assert "of 256 bits apart" in finding.reason
    assert finding.signals == ("hash_list:ours",)
    for listed in pdq.dihedral(photo):
        assert listed.bits not in finding.reason


def test_an_unlisted_picture_is_on_none(
    store: HashListStore, classifier: HashListClassifier, photo: NDArray[np.uint8]
) -> None:
    store.add("ours", [of_pictures(photograph("astronaut"))])
    (finding,) = classifier.assess(photo)
    assert (finding.score, finding.severity) == (0.0, 0)
    assert finding.reason == "on none of 1 lists (1 hashes)"


def test_a_file_is_known_by_its_bytes_alone(
    store: HashListStore, classifier: HashListClassifier, photo: NDArray[np.uint8]
) -> None:
    digest = hashlib.sha256(b"the file").digest()
    rows = np.random.default_rng(1).integers(0, 256, (5000, 32), np.uint8)
    rows[1:3, :8] = np.frombuffer(digest[:8], np.uint8)  # others that begin alike
    store.add("files", [Batch(sha256=bytearray(rows.tobytes() + digest))])
    (finding,) = classifier.assess_file(photo, digest.hex())
    assert finding.severity == 6
    assert "SHA-256" in finding.reason
    assert digest.hex() not in finding.reason
    (other,) = classifier.assess_file(photo, hashlib.sha256(b"another").hexdigest())
    assert other.severity == 0
    (unknown,) = classifier.assess(photo)
    assert unknown.state is FindingState.NOT_ASSESSED, "digests of files say nothing of pixels"


def test_each_list_that_has_the_picture_is_named(
    store: HashListStore, classifier: HashListClassifier, photo: NDArray[np.uint8]
) -> None:
    for name in ("one", "two"):
        store.add(name, [of_pictures(photo)])
    assert [finding.signals for finding in classifier.assess(photo)] == [("hash_list:one",), ("hash_list:two",)]


def test_the_likeness_of_a_featureless_picture_is_weak(store: HashListStore, classifier: HashListClassifier) -> None:
    blank = np.full((256, 256, 3), 200, np.uint8)
    blank[:128] = 198
    assert pdq.compute(blank).quality < 50
    store.add("ours", [of_pictures(blank)])
    (finding,) = classifier.assess(blank)
    assert (finding.score, finding.severity) == (0.5, 2)


def test_a_damaged_list_is_never_silent(
    store: HashListStore, classifier: HashListClassifier, photo: NDArray[np.uint8]
) -> None:
    store.add("bad", [of_pictures(photo)])
    store.add("good", [of_pictures(photo)])
    (path,) = store.folder.glob("bad*")
    path.write_bytes(path.read_bytes()[:-1])
    hit, broken = classifier.assess(photo)
    assert hit.severity == 6
    assert broken.state is FindingState.NOT_ASSESSED
    assert "hash_list_damaged" in broken.reason
    (alone,) = classifier.assess(photograph("astronaut"))
    assert alone.state is FindingState.NOT_ASSESSED
    assert alone.signals == (UNUSABLE,)


@pytest.mark.parametrize(
    "how", ["a link that leads nowhere", "a folder", "a pipe", "an empty file", "no folder at all"]
)
def test_a_list_that_something_else_stands_for_is_never_silent(
    store: HashListStore, classifier: HashListClassifier, photo: NDArray[np.uint8], how: str
) -> None:
    store.add("ours", [of_pictures(photo)])
    (path,) = store.folder.iterdir()
    path.unlink()
    if how == "a link that leads nowhere":
        path.symlink_to("elsewhere")
    elif how == "a folder":
        path.mkdir()
    elif how == "a pipe":
        os.mkfifo(path)
    elif how == "an empty file":
        path.touch()
    else:
        store.folder.rmdir()
        store.folder.write_bytes(b"")
    for _ in range(2):
        (finding,) = classifier.assess(photo)
        assert finding.state is FindingState.NOT_ASSESSED
        assert finding.signals == (UNUSABLE,)
        assert "hash_list_damaged" in finding.reason


def test_a_list_that_comes_or_goes_is_noticed(
    store: HashListStore, classifier: HashListClassifier, photo: NDArray[np.uint8]
) -> None:
    assert classifier.assess(photo)[0].score is None
    store.add("ours", [of_pictures(photo)])
    assert classifier.assess(photo)[0].severity == 6
    before = classifier.detector
    store.add("ours", [of_pictures(photograph("astronaut"))])
    assert classifier.detector != before
    store.remove("ours")
    assert classifier.assess(photo)[0].score is None


def test_what_the_look_up_cannot_read_is_not_assessed(store: HashListStore, classifier: HashListClassifier) -> None:
    store.add("ours", [Batch(pdq=bytearray.fromhex(A))])
    (finding,) = classifier.assess(np.zeros((0, 4, 3), np.uint8))
    assert finding.state is FindingState.NOT_ASSESSED
    assert "AssetInvalid" in finding.reason


def test_beside_the_ensemble_every_category_is_answered_once_more(
    tmp_path: Path, photo: NDArray[np.uint8], images: ImageEnsemble
) -> None:
    both = with_hash_lists(images, tmp_path)
    HashListStore(tmp_path / "hashes").add("ours", [Batch(sha256=bytearray.fromhex(A))])
    found = look_at(both, photo, Known(A))
    assert {finding.category for finding in found} == set(IMAGE_CATEGORIES)
    (match,) = [finding for finding in found if finding.category is Category.HASH_MATCH]
    assert match.severity == 6
    (unknown,) = [f for f in look_at(both, photo) if f.category is Category.HASH_MATCH]
    assert unknown.state is FindingState.NOT_ASSESSED
    assert look_at(images, photo, Known(A)) == images.assess(photo)
