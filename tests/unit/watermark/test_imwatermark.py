"""The backend on the invisible-watermark package: what it writes is read back, and nothing else is."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
import structlog
from PIL import Image

from countermark.errors import (
    AssetInvalid,
    AssetTooLarge,
    AssetTooSmall,
    KeyUnavailable,
    MissingExtra,
    UsageError,
    WeightsMismatch,
    WeightsMissing,
)
from countermark.watermark import InvisibleWatermark, Watermark
from countermark.watermark.imwatermark import rivagan
from countermark.watermark.imwatermark.blocks import block_votes, centred, fold, readings
from countermark.watermark.imwatermark.presence import presence
from countermark.watermark.imwatermark.search import LIMIT, TagSearch, id_bits
from countermark.watermark.payload import append_tag

KEY = b"a key for the other backend"
RECORD_ID = 0x5A17C3E9B264
BLOCK_METHODS = ("dwtDctSvd", "dwtDct")


def jpeg(pixels, quality):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


@pytest.fixture(scope="module")
def package():
    return pytest.importorskip("imwatermark", reason="pip install 'countermark[imwatermark]'")


@pytest.fixture
def small(photographs):
    return np.ascontiguousarray(photographs["astronaut"][:272, :272])


@pytest.mark.parametrize("method", ["dwtDctSvd", "dwtDct", "rivaGan"])
def test_without_the_package_the_extra_is_named(monkeypatch, method):
    monkeypatch.setitem(sys.modules, "imwatermark", None)
    with pytest.raises(MissingExtra) as caught:
        InvisibleWatermark(method, key=KEY)
    assert "countermark[imwatermark]" in caught.value.remedy


@pytest.mark.usefixtures("package")
class TestBackend:
    @pytest.mark.parametrize("method", BLOCK_METHODS)
    def test_a_record_id_is_read_back(self, photographs, method):
        backend = InvisibleWatermark(method, key=KEY)
        assert isinstance(backend, Watermark)
        found = backend.detect(backend.embed(photographs["astronaut"], RECORD_ID))
        assert (found.state, found.record_id) == ("detected", RECORD_ID)
        assert found.false_positive_probability <= 1e-6

    def test_it_outlives_mild_compression(self, photographs):
        backend = InvisibleWatermark(key=KEY)
        assert backend.detect(jpeg(backend.embed(photographs["astronaut"], RECORD_ID), 80)).record_id == RECORD_ID

    @pytest.mark.parametrize("method", BLOCK_METHODS)
    def test_a_mark_of_another_key_is_inconclusive_and_says_why(self, photographs, method):
        marked = InvisibleWatermark(method, key=KEY + b"!").embed(photographs["astronaut"], 1)
        found = InvisibleWatermark(method, key=KEY).detect(marked)
        assert (found.state, found.record_id, found.false_positive_probability) == ("inconclusive", None, 1.0)
        assert "does not verify" in found.note
        assert "statistic" in found.note

    def test_a_damaged_mark_is_inconclusive(self, photographs):
        backend = InvisibleWatermark(key=KEY)
        marked = backend.embed(photographs["astronaut"], RECORD_ID)
        assert backend.detect(jpeg(marked, 60)).state == "inconclusive"

    @pytest.mark.parametrize("method", BLOCK_METHODS)
    def test_unmarked_pictures_are_absent(self, photographs, method):
        backend = InvisibleWatermark(method, key=KEY)
        for name, pixels in photographs.items():
            assert backend.detect(pixels).state == "absent", name
        flat = np.full((300, 300, 3), (200, 30, 90), np.uint8)
        assert backend.detect(flat).state == "absent"
        assert backend.detect(flat[:100]).state == "absent"

    def test_marks_of_older_keys_are_detected(self, small):
        marked = InvisibleWatermark(key=KEY).embed(small, 77)
        rotated = InvisibleWatermark(key=KEY + b"2", older_keys=[KEY + b"1", KEY])
        assert rotated.detect(marked).record_id == 77
        assert rotated.detect(marked).false_positive_probability <= 1e-6

    def test_colours_are_not_swapped(self, small):
        difference = InvisibleWatermark(key=KEY).embed(small, 1).astype(int) - small
        # The mark is in U, which is blue less luma: blue changes most.
        assert np.abs(difference[:, :, 2]).mean() > np.abs(difference[:, :, 0]).mean()

    def test_refusals_are_typed(self, small):
        with pytest.raises(UsageError, match="unknown"):
            InvisibleWatermark("fourier", key=KEY)
        with pytest.raises(KeyUnavailable):
            InvisibleWatermark(key=b"short")
        with pytest.raises(KeyUnavailable):
            InvisibleWatermark(key=KEY, older_keys=[b"short"])
        with pytest.raises(AssetTooSmall):
            InvisibleWatermark(key=KEY).embed(small[:200], 1)
        with pytest.raises(AssetInvalid):
            InvisibleWatermark(key=KEY).embed(small[:, :, 0], 1)
        with pytest.raises(UsageError):
            InvisibleWatermark(key=KEY).embed(small, 2**48)

    def test_dwt_dct_is_said_to_be_discouraged(self):
        with structlog.testing.capture_logs() as logs:
            assert "discouraged" not in repr(InvisibleWatermark(key=KEY))
            assert logs == []
            assert "discouraged" in repr(InvisibleWatermark("dwtDct", key=KEY))
        assert [(line["log_level"], line["method"]) for line in logs] == [("warning", "dwtDct")]

    def test_reading_does_not_import_the_package(self):
        program = (
            "import sys, numpy as np\n"
            "from countermark.watermark import InvisibleWatermark\n"
            "InvisibleWatermark(key=b'k' * 16).detect(np.zeros((300, 300, 3), np.uint8))\n"
            "assert 'imwatermark' not in sys.modules and 'torch' not in sys.modules\n"
        )
        subprocess.run([sys.executable, "-c", program], check=True)


class TestVotes:
    @pytest.mark.parametrize("method", BLOCK_METHODS)
    @pytest.mark.parametrize("length", [32, 48, 80])
    def test_they_fold_to_the_bits_that_the_package_returns(self, package, photographs, method, length):
        noise = np.random.default_rng(0).integers(0, 256, (260, 333, 3), dtype=np.uint8)
        flat = np.full((300, 301, 3), 128, np.uint8)
        for pixels in (photographs["astronaut"], photographs["china"][:401, :603], noise, flat):
            theirs = package.WatermarkDecoder("bits", length).decode(np.ascontiguousarray(pixels[:, :, ::-1]), method)
            ours = readings(block_votes(pixels, method), length)[0] > 0
            assert np.array_equal(ours, theirs)

    def test_those_of_floating_point_pixels_are_the_packages_too(self, package, photographs):
        pixels = photographs["coffee"]
        theirs = package.WatermarkDecoder("bits", 48).decode(pixels[:, :, ::-1].astype(np.float32), "dwtDct")
        assert np.array_equal(readings(block_votes(pixels, "dwtDct", floats=True), 48)[0] > 0, theirs)

    def test_bands_do_not_matter(self, photographs):
        tall = np.ascontiguousarray(np.tile(photographs["coffee"], (4, 1, 1)))[:, :64]
        whole = block_votes(tall, "dwtDct")
        assert whole.shape == (tall.shape[0] // 8, 8)
        assert np.array_equal(whole[128:], block_votes(np.ascontiguousarray(tall[1024:]), "dwtDct"))

    def test_what_neighbours_share_is_taken_out(self):
        assert not centred(np.ones((20, 30), bool)).any()
        assert not centred(np.zeros((5, 1), bool) | (np.arange(5) > 2)[:, None])[:, 1:].any()

    def test_a_bit_without_a_block_is_undecided(self):
        assert fold(np.ones((1, 3)), 5).tolist() == [1, 1, 1, 0, 0]


class TestPresence:
    def votes(self, rows, columns, reliability, seed=0):
        generator = np.random.default_rng(seed)
        word = generator.integers(0, 2, 80).astype(bool)
        clean = np.resize(word, rows * columns).reshape(rows, columns)
        return np.where(generator.random((rows, columns)) < reliability, clean, ~clean)

    def test_a_message_is_seen_and_fair_coins_are_not(self):
        assert presence(self.votes(64, 64, 0.8), 80).evident
        for seed in range(20):
            assert not presence(self.votes(64, 64, 0.5, seed), 80).evident

    def test_a_message_of_another_length_is_not_taken_for_ours(self):
        word = np.random.default_rng(1).integers(0, 2, 48).astype(bool)
        assert not presence(np.resize(word, (64, 64)), 80).evident

    def test_stripes_agree_under_every_step(self):
        stripes = np.tile(np.random.default_rng(2).integers(0, 2, 16).astype(bool), (64, 4))
        found = presence(stripes, 80)
        assert found.statistic > 100
        assert not found.evident

    @pytest.mark.parametrize("columns", [40, 80, 160])
    def test_where_the_width_allows_no_decoy_nothing_is_claimed(self, columns):
        assert presence(self.votes(64, columns, 1.0), 80).statistic == 0


class TestSearch:
    TAG_KEY = b"k" * 32

    def soft(self, record_id, length=32):
        return append_tag(self.TAG_KEY, id_bits(record_id), length) - 0.5

    def search(self, **changes):
        given = {"tag_length": 32, "tag_errors": 1, "words": 2, **changes}
        return TagSearch(given.pop("keys", [self.TAG_KEY]), **given)

    def test_the_bits_least_certain_and_a_few_of_the_tag_may_be_wrong(self):
        word = self.soft(0x123456789ABC, 48)
        word[[1, 7, 30, 46]] *= -0.1
        word[[50, 60, 70, 80]] *= -1
        match = self.search(tag_length=48, tag_errors=4, words=1).find([word])
        assert match is not None
        assert match.record_id == 0x123456789ABC
        assert 1e-9 < match.false_positive_probability <= LIMIT
        word[90] *= -1
        assert self.search(tag_length=48, tag_errors=4, words=1).find([word]) is None

    def test_the_second_reading_counts_and_the_best_match_is_told(self):
        word = self.soft(5)
        wrong = word.copy()
        wrong[60] *= -1
        match = self.search().find([wrong, word])
        assert match is not None
        assert match.false_positive_probability == 2 * 64 * 2.0**-32

    @pytest.mark.parametrize("keys", [1, 2, 5, 16])
    def test_every_comparison_is_counted_within_the_limit(self, keys):
        search = self.search(keys=[bytes([i]) * 32 for i in range(keys)])
        assert 2 * keys * 2**search.flips * 33 * 2.0**-32 <= LIMIT
        assert search.flips == 6 - (keys - 1).bit_length()

    def test_random_words_are_never_ours(self):
        search = self.search()
        generator = np.random.default_rng(0)
        assert all(search.find([generator.normal(size=80)]) is None for _ in range(50))


@pytest.fixture(scope="module")
def riva_gan(package):
    return InvisibleWatermark("rivaGan", key=KEY)


@pytest.fixture(scope="module")
def marked(riva_gan, photographs):
    return riva_gan.embed(photographs["astronaut"], RECORD_ID)


class TestRivaGan:
    def test_a_record_id_is_read_back_and_only_with_the_key(self, riva_gan, marked):
        found = riva_gan.detect(marked)
        assert (found.state, found.record_id) == ("detected", RECORD_ID)
        assert found.false_positive_probability <= 1e-6
        assert InvisibleWatermark("rivaGan", key=KEY + b"!").detect(marked).state == "absent"

    def test_a_small_number_is_read_back_too(self, riva_gan, photographs):
        picture = np.ascontiguousarray(photographs["coffee"][:, :500])
        assert riva_gan.detect(riva_gan.embed(picture, 1)).record_id == 1

    def test_it_outlives_compression_and_the_picture_stays_good(self, riva_gan, marked, photographs):
        assert riva_gan.detect(jpeg(marked, 75)).record_id == RECORD_ID
        error = ((marked.astype(float) - photographs["astronaut"]) ** 2).mean()
        assert 39 < 10 * np.log10(255**2 / error) < 42

    def test_bits_are_those_that_the_packages_own_decoder_reads(self, package, photographs):
        bits = np.random.default_rng(3).integers(0, 2, 96).astype(np.uint8)
        written = rivagan.RivaGan().embed(photographs["astronaut"], bits)
        package.WatermarkDecoder.loadModel()
        strip = np.ascontiguousarray(written[:171, :, ::-1])
        theirs = np.asarray(package.WatermarkDecoder("bits", 32).decode(strip, "rivaGan"))
        assert (theirs != bits[:32]).sum() <= 1  # its threshold is .52, not 0

    def test_sizes_are_refused(self, riva_gan, photographs):
        with pytest.raises(AssetTooSmall, match="three strips"):
            riva_gan.embed(photographs["astronaut"][:400, :400], 1)
        huge = np.zeros((2049, 2049, 3), np.uint8)
        with pytest.raises(AssetTooLarge):
            riva_gan.embed(huge, 1)
        assert riva_gan.detect(huge).state == "skipped"
        assert riva_gan.detect(huge[:200, :200]).state == "absent"

    def test_altered_or_missing_model_files_are_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr(rivagan, "_package_folder", lambda: tmp_path)
        with pytest.raises(WeightsMissing, match="rivagan_encoder"):
            rivagan.RivaGan()
        (tmp_path / "rivagan_encoder.onnx").write_bytes(b"not a network")
        with pytest.raises(WeightsMismatch):
            rivagan.RivaGan()

    def test_large_strips_are_cut_into_tiles(self):
        tiles = rivagan._tiles(np.zeros((683, 2048, 3), np.uint8))
        assert sum(tile.shape[0] * tile.shape[1] for tile in tiles) == 683 * 2048
        assert all(tile.shape[0] * tile.shape[1] <= 2**18 + 683 for tile in tiles)
