"""Digests of weights: of a folder of files, of the modules in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".ckpt", ".msgpack", ".onnx", ".gguf")
_CHUNK = 4 * 2**20


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while piece := stream.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def combined_digest(files: dict[str, str]) -> str:
    """SHA-256 over "digest  path" lines sorted by path: what `sha256sum` prints, so that anyone can recompute it."""
    lines = "".join(f"{digest}  {path}\n" for path, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def folder_digest(folder: Path, components: Iterable[str] | None = None) -> str:
    """Combined digest of the weight files of a pipeline folder.

    Args:
        folder: a pipeline in the layout of diffusers.
        components: names of the sub-folders that count; all by default. What is not loaded should not count.
    """
    roots = [folder] if components is None else [folder / name for name in components]
    paths = [path for root in roots if root.is_dir() for path in root.rglob("*") if path.suffix in WEIGHT_SUFFIXES]
    return combined_digest({path.relative_to(folder).as_posix(): file_digest(path) for path in paths})


class ModuleDigest:
    """Digest of the weights that a pipeline holds in memory: the truth also for one that was tuned or put together.

    Hashing gigabytes takes seconds, so the digest is kept until a tensor is replaced or changed in place.
    """

    def __init__(self) -> None:
        self._mark: int | None = None
        self._digest: str | None = None

    def of(self, components: dict[str, Any]) -> str | None:
        """SHA-256 over names, types, shapes and bytes of all tensors; `None` where some are not in memory."""
        tensors = list(_tensors(components))
        mark = hash(tuple((name, t.data_ptr(), _changes(t)) for name, t in tensors))
        if mark != self._mark:
            self._digest = _tensor_digest(tensors)
            self._mark = mark
        return self._digest


def _tensors(components: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    for component in sorted(components):
        module = components[component]
        if hasattr(module, "state_dict") and hasattr(module, "parameters"):
            for name, tensor in sorted(module.state_dict(keep_vars=True).items()):
                if hasattr(tensor, "data_ptr"):
                    yield f"{component}.{name}", tensor


def _changes(tensor: Any) -> int:
    """How often a tensor was changed in place, as torch counts it (inference tensors are not counted)."""
    try:
        return int(tensor._version)
    except RuntimeError:
        return -1


def _tensor_digest(tensors: list[tuple[str, Any]]) -> str | None:
    import torch

    digest = hashlib.sha256()
    for name, tensor in tensors:
        if tensor.is_meta:
            return None
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        plain = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(plain.numpy().data)
    return digest.hexdigest()
