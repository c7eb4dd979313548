"""Loading a diffusers pipeline from this machine, or from the hub where that is allowed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import diffusers

from countermark.errors import EnvironmentLacking, GenerationFailed, NotFound
from countermark.generators.weights import folder_digest

_WHERE: Final = ("cache_dir", "revision", "token")
"""Options that say which copy of a model is meant."""
_HUB_ID: Final = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


@dataclass(frozen=True)
class LoadedPipeline:
    """A pipeline from files.

    Attributes:
        pipeline: the diffusers pipeline.
        name: hub id, or the folder's name.
        digest: combined SHA-256 of the weight files that were loaded; `None` if their folder cannot be told.
        checker_left_out: whether the files hold a safety checker that was not loaded.
    """

    pipeline: Any
    name: str
    digest: str | None
    checker_left_out: bool


def load_pipeline(source: str | Path, *, allow_download: bool, options: Mapping[str, Any]) -> LoadedPipeline:
    """Load a pipeline of one of diffusers' own classes, from safetensors files only.

    Code from the hub is never run and pickled weights are never read: both could do anything to this machine.

    Raises:
        NotFound: there is no such folder, or no such model in the local cache.
        EnvironmentLacking: the hub cannot be reached or says no.
        GenerationFailed: the files cannot be loaded.
    """
    place, local = _place(source)
    where = {name: options[name] for name in _WHERE if name in options}
    where["local_files_only"] = local or not allow_download
    index = _index(place, local, where)
    options = {"use_safetensors": True, **_class_options(index), **options, **where}
    checker = index.get("safety_checker")
    checker_left_out = isinstance(checker, list) and bool(checker[0]) and options.get("safety_checker") is None
    try:
        pipeline = diffusers.DiffusionPipeline.from_pretrained(place, **options)
    except Exception as error:
        raise _loading_error(error, local, allow_download) from error
    stored = Path(place) if local else _snapshot(place, where)
    digest = folder_digest(stored, _loaded_components(pipeline)) if stored is not None else None
    return LoadedPipeline(pipeline, Path(place).name if local else place, digest, checker_left_out)


def find_pipeline(source: str | Path) -> str:
    """The class of the pipeline at a folder or in this machine's cache; nothing is fetched, and no weight is read.

    Raises:
        NotFound: there is no such folder, or no such model in the local cache.
        GenerationFailed: it is no pipeline of one of diffusers' own classes.
    """
    place, local = _place(source)
    index = _index(place, local, {"local_files_only": True})
    _class_options(index)
    return str(index["_class_name"])


def is_hub_id(source: str | Path) -> bool:
    """Whether this is how a model of the hub is called: owner/model."""
    return _HUB_ID.fullmatch(str(source)) is not None


def _place(source: str | Path) -> tuple[str, bool]:
    """Where a pipeline is, as diffusers takes it, and whether that is a folder."""
    folder = Path(source).expanduser()
    local = folder.is_dir()
    if not local and not is_hub_id(source):
        raise NotFound("There is no folder of that name, and it is not a hub id (owner/model) either.")
    return str(folder.resolve()) if local else str(source), local


def _index(place: str, local: bool, where: Mapping[str, Any]) -> dict[str, Any]:
    """What `model_index.json` says."""
    try:
        return dict(diffusers.DiffusionPipeline.load_config(place, **where))
    except Exception as error:
        raise _loading_error(error, local, not where["local_files_only"]) from error


def _class_options(index: Mapping[str, Any]) -> dict[str, Any]:
    """Switch off what a pipeline class would otherwise do to images on its own."""
    pipeline_class = getattr(diffusers, str(index.get("_class_name", "")), None)
    if pipeline_class is None:
        raise GenerationFailed(
            "The model's pipeline class is not one of diffusers' own.",
            remedy="Load the pipeline in your own code and give it to countermark as an object.",
        )
    takes = inspect.signature(pipeline_class.__init__).parameters
    options: dict[str, Any] = {}
    if "add_watermarker" in takes:
        options["add_watermarker"] = False
    if "safety_checker" in takes:
        options["safety_checker"] = None
    if "requires_safety_checker" in takes:
        options["requires_safety_checker"] = False
    return options


def _loaded_components(pipeline: Any) -> list[str]:
    return [name for name, part in pipeline.components.items() if part is not None]


def _snapshot(hub_id: str, where: Mapping[str, Any]) -> Path | None:
    """The folder in the local cache that a hub id was loaded from."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id, **{**where, "local_files_only": True}))
    except Exception:  # an incomplete cache: the weights in memory are hashed instead
        return None


def _loading_error(error: Exception, local: bool, allow_download: bool) -> Exception:
    """Say in our own words why a pipeline could not be loaded."""
    if local:
        return GenerationFailed(
            f"The folder cannot be loaded as a diffusers pipeline ({type(error).__name__}).",
            remedy="It needs a model_index.json of a class of diffusers and weights as safetensors files.",
        )
    if not allow_download:
        return NotFound(
            "The model is not, or not completely, in this machine's cache.",
            remedy="Fetch it first with: hf download OWNER/MODEL, or allow downloads.",
        )
    return EnvironmentLacking(
        f"The model could not be fetched from the hub ({type(error).__name__}).",
        remedy="Check the id, the network, HF_HUB_OFFLINE, and for gated models: hf auth login.",
    )
