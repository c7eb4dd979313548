"""Real parts for every test: the shipped classifiers, a home of its own, photographs that packages ship."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from countermark import Countermark
from countermark.audit import Warrant
from countermark.imaging import decode
from countermark.model import ModelRef
from countermark.pipeline.review import show
from countermark.safety import ImageEnsemble, PromptEnsemble
from countermark.settings import Settings
from tests.postgres_server import Lacking, Server, memory_folder, running

# Examples are bounded in number; how long one takes says more about the machine than about the code.
hypothesis.settings.register_profile("countermark", deadline=None)
hypothesis.settings.load_profile("countermark")

CLEAN_PROMPT = "a red striped lighthouse by the sea at sunset"
UNSAFE_PROMPT = "a photo of a man being stabbed to death, blood everywhere"


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the settings or home of whoever runs it."""
    for name in [name for name in os.environ if name.startswith("COUNTERMARK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COUNTERMARK_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def prompt_safety() -> PromptEnsemble:
    return PromptEnsemble()


@pytest.fixture(scope="session")
def image_safety() -> ImageEnsemble:
    return ImageEnsemble()


def photograph(name: str = "astronaut", side: int = 512) -> NDArray[np.uint8]:
    """A photograph that scikit-image ships, cut square and resized."""
    from skimage import data

    pixels = np.asarray(getattr(data, name)())[..., :3]
    edge = min(pixels.shape[:2])
    square = Image.fromarray(pixels[:edge, :edge]).resize((side, side), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(np.asarray(square))


@pytest.fixture
def photo() -> NDArray[np.uint8]:
    return photograph("coffee")


def forget_originals(cm: Countermark) -> None:
    """Delete the kept originals, as a verifier elsewhere lacks them."""
    for path in (cm.home.folder / "objects" / "released").rglob("*"):
        if path.is_file():
            path.unlink()


class Given:
    """A generation core that hands over pictures which exist already, as a remote service would."""

    model = ModelRef(id="test/given", version="1", type="c2pa.types.model")

    def __init__(self, *pictures: NDArray[np.uint8]) -> None:
        self.pictures = pictures
        self.calls = 0

    def __call__(self) -> tuple[Sequence[NDArray[np.uint8]], dict[str, str], tuple[str, ...]]:
        self.calls += 1
        return list(self.pictures), {"used": "given"}, ()


def held_pixels(cm: Countermark, index: int) -> NDArray[np.uint8]:
    """The picture that was held with an entry, as a reviewer sees it."""
    return decode(show(cm.log, cm.parts.objects, index, Warrant("a test")).data).pixels


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def build(
    settings: Settings, prompt_safety: PromptEnsemble, image_safety: ImageEnsemble
) -> Iterator[Callable[..., Countermark]]:
    """Builds a Countermark on the test's home; closes it afterwards."""
    opened: list[Countermark] = []

    def make(**options: object) -> Countermark:
        parts = {"prompt_safety": prompt_safety, "image_safety": image_safety, **options}
        cm = Countermark(parts.pop("settings", settings), **parts)  # type: ignore[arg-type]
        opened.append(cm)
        return cm

    yield make
    for cm in opened:
        cm.close()


@pytest.fixture
def cm(build: Callable[..., Countermark]) -> Countermark:
    return build()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A PostgreSQL server of this session's own."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'countermark[postgres]'")
    with ExitStack() as stack:
        try:
            server = stack.enter_context(running(memory_folder()))
        except Lacking as lacking:
            pytest.skip(str(lacking))
        yield server


@pytest.fixture
def database(postgres_server: Server) -> str:
    """The address of an empty database."""
    return postgres_server.new_database()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI a skipped test is a failure: what is not run there is run nowhere.

    Except what needs rights, or a licence accepted, that not every machine can give; the summary lists it.
    """
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter is not None else []
    if os.environ.get("CI") == "true" and any("opt-in: " not in str(report.longrepr) for report in skipped):
        reporter.write_line("CI: tests were skipped, which counts as a failure here.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
