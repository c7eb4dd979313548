"""Models of transformers and diffusers on this machine: found, checked against a pinned digest, loaded once.

Only safetensors files are read and code from a model's repository is never run: pickled weights and foreign code could
do anything to this machine.
"""

from __future__ import annotations

import hashlib
import re
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from countermark.errors import CountermarkError, EnvironmentLacking, MissingExtra, WeightsMismatch, WeightsMissing
from countermark.model import Category, DetectorRef, Finding
from countermark.safety.adapters.opinion import Answer, Opinion, Scale
from countermark.safety.adapters.options import LocalOptions
from countermark.safety.adapters.patience import Patience
from countermark.safety.loading import Loaded

LoadedT = TypeVar("LoadedT")
OptionsT = TypeVar("OptionsT", bound=LocalOptions)

_HUB_ID: Final = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_RETRY_SECONDS: Final = 60.0
"""A model that could not be loaded is not tried again before: hashing and loading gigabytes takes its time."""
_COUNTED: Final = (".safetensors", ".json", ".jinja", ".txt", ".model")


class LocalModel(Generic[LoadedT]):
    """A model that is loaded when it is first needed, once for all threads.

    Args:
        options: where it is and how it is to be run.
        kind: what it is, for its name among detectors.
        read: loads it from a folder.
        subfolder: looked into where the folder has it, as the parts of a pipeline are kept.
    """

    def __init__(
        self, options: LocalOptions, kind: str, read: Callable[[Path], LoadedT], *, subfolder: str = ""
    ) -> None:
        self._options = options
        self._read = read
        self._subfolder = subfolder
        self._loaded: Loaded[LoadedT] = Loaded(self._try, options.load_timeout)
        self._failure: CountermarkError | None = None
        self._failed_at = 0.0
        version = options.revision or "local"
        self.detector = DetectorRef(id=f"{kind}.{_public_name(options.model)}", version=version)

    def get(self, *, patiently: bool = False) -> LoadedT:
        """The model.

        Args:
            patiently: wait however long it takes, fetching included.

        Raises:
            MissingExtra: torch or transformers is not installed.
            WeightsMissing: it is not on this machine, or could not be fetched.
            WeightsMismatch: it is not the one whose digest the settings pin.
            EnvironmentLacking: its files cannot be loaded.
            StillLoading: it takes longer than the settings allow.
        """
        failure = self._failure
        if failure is not None and time.monotonic() < self._failed_at + _RETRY_SECONDS:
            raise failure
        return self._loaded.get(patiently=patiently)

    def _try(self) -> LoadedT:
        try:
            return self._load()
        except CountermarkError as error:
            self._failed_at, self._failure = time.monotonic(), error
            raise

    def _load(self) -> LoadedT:
        folder = self._find()
        if self._subfolder and (folder / self._subfolder).is_dir():
            folder = folder / self._subfolder
        digest = folder_digest(folder)
        if self._options.digest not in ("", digest):
            raise WeightsMismatch(
                f"The model {self._options.model} has the digest {digest}, not {self._options.digest}.",
                remedy="Find out who changed it; pin the new digest only if the change is meant.",
            )
        try:
            loaded = self._read(folder)
        except CountermarkError:
            raise
        except ImportError as error:
            raise MissingExtra("opinions", "A second opinion by a local model") from error
        except Exception as error:
            raise EnvironmentLacking(
                f"The model {self._options.model} cannot be loaded ({type(error).__name__}).",
                remedy="It needs its configuration, tokenizer or processor, and weights as safetensors files.",
            ) from error
        self.detector = self.detector.model_copy(update={"digest": digest})
        return loaded

    def _find(self) -> Path:
        """The folder of the model: named, in the hub's cache, or fetched where that is allowed."""
        options = self._options
        folder = Path(options.model).expanduser()
        if folder.is_dir():
            return folder
        if not _HUB_ID.fullmatch(options.model):
            raise WeightsMissing(
                f"There is no folder {options.model}, and it is not a hub id (owner/model) either.",
                remedy="Correct the opinion's model in the settings.",
            )
        try:
            from huggingface_hub import snapshot_download
        except ImportError as error:
            raise MissingExtra("opinions", "A second opinion by a model of the hub") from error
        try:
            return Path(
                snapshot_download(
                    options.model,
                    revision=options.revision or None,
                    local_files_only=not options.allow_download,
                    allow_patterns=[f"*{suffix}" for suffix in _COUNTED],
                )
            )
        except Exception as error:
            raise WeightsMissing(
                f"The model {options.model} is not in this machine's cache ({type(error).__name__}).",
                remedy=f"Fetch it first with: hf download {options.model}, or set allow_download.",
            ) from error


class LocalOpinion(Opinion, Generic[OptionsT, LoadedT]):
    """The part of an opinion that is a model on this machine; which stage it is for, its other base says.

    Args:
        options: where the model is and how it is to be run.
        kind: what it is, for its name among detectors.
        categories: what it answers for.
        subfolder: as :class:`LocalModel`.
    """

    def __init__(self, options: OptionsT, kind: str, categories: Iterable[Category], *, subfolder: str = "") -> None:
        self._options = options
        self._scale = Scale(options.review, options.block)
        self._patience = Patience(options.timeout)
        self._model: LocalModel[LoadedT] = LocalModel(options, kind, self._open, subfolder=subfolder)
        super().__init__(self._model.detector, categories)

    @property
    def detector(self) -> DetectorRef:
        """The model, with the digest of its files once it is loaded."""
        return self._model.detector

    def load(self) -> None:
        """Load the model now, however long it takes, instead of when it is first asked."""
        self._model.get(patiently=True)

    def _findings(self, look: Callable[[], Answer]) -> tuple[Finding, ...]:
        """As without a model, within the times that the settings allow for loading it and for its answer."""

        def in_time() -> Answer:
            self._model.get()
            return self._patience.ask(look)

        return super()._findings(in_time)

    @abstractmethod
    def _open(self, folder: Path) -> LoadedT:
        """Load it from a folder; may raise anything."""


def device_of(options: LocalOptions) -> str:
    """The device of torch that the settings mean."""
    import torch

    if options.device != "auto":
        return options.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def from_files() -> dict[str, Any]:
    """What every ``from_pretrained`` of transformers is told: no network, no code of the model's own."""
    return {"local_files_only": True, "trust_remote_code": False}


def whole_model(kind: Any, folder: Path, device: str, **options: Any) -> Any:
    """A model with all of its weights, ready for inference.

    Args:
        kind: a model class with ``from_pretrained``.
        folder: its files.
        device: of torch.
        options: for ``from_pretrained``.

    Raises:
        EnvironmentLacking: weights are missing. Loading would make them up at random, and the model would guess.
    """
    options = {"use_safetensors": True, "local_files_only": True, "output_loading_info": True, **options}
    model, info = kind.from_pretrained(folder, **options)
    lacking = {name for found in ("missing_keys", "mismatched_keys") for name in info.get(found, ())}
    if lacking:
        raise EnvironmentLacking(
            f"The files of the model {folder.name} lack {len(lacking)} of its weights: it is of another kind.",
            remedy="Name a model that was trained for this task, not the one that it was made from.",
        )
    return model.eval().to(device)


def pil_backend() -> dict[str, Any]:
    """What image processors are told, so that they do without torchvision and answer alike everywhere."""
    import transformers

    return {"backend": "pil"} if int(transformers.__version__.partition(".")[0]) >= 5 else {"use_fast": False}


def folder_digest(folder: Path) -> str:
    """SHA-256 over the lines that ``sha256sum`` prints for the folder's own files of weights and configuration."""
    lines = []
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix in _COUNTED:
            with path.open("rb") as file:
                lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.name}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _public_name(model: str) -> str:
    """The hub id, or of a local path the last part alone."""
    return model if _HUB_ID.fullmatch(model) and not Path(model).is_dir() else Path(model).name
