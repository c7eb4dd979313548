"""Reads a TensorFlow.js graph model out of the npm package ``nsfwjs``, without node and without TensorFlow.

The package wraps each part of its models as a browserify bundle: a JavaScript object literal for the graph, a base64
string for each shard of weights.
"""

from __future__ import annotations

import base64
import json
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EXPORTS = re.compile(r"\w\.exports=(?=[{\"])")
_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")|(!0|!1)|([A-Za-z_$][\w$]*)(?=:)|(-?)(?<!\d)(\.\d[\deE+-]*)')


@dataclass(frozen=True)
class QuantisedWeight:
    """A tensor as it was shipped: ``value = code * scale + minimum``, all its codes on one scale."""

    codes: NDArray[np.uint8]
    scale: float
    minimum: float

    def values(self) -> NDArray[np.float32]:
        """The weights that TensorFlow.js computes with."""
        return (self.codes.astype(np.float64) * self.scale + self.minimum).astype(np.float32)


@dataclass(frozen=True)
class Node:
    """One operation: its kind, its own name, those of its inputs, and its attributes, decoded."""

    op: str
    name: str
    inputs: tuple[str, ...]
    attributes: dict[str, Any]


@dataclass(frozen=True)
class GraphModel:
    """Nodes in the order in which they can be computed, and the weights by name."""

    nodes: tuple[Node, ...]
    weights: dict[str, QuantisedWeight]


def read_graph_model(tarball: Path, folder: str) -> GraphModel:
    """The model in ``folder`` of the package, for example ``package/dist/models/mobilenet_v2_mid``."""
    with tarfile.open(tarball) as archive:

        def text(name: str) -> str:
            member = archive.extractfile(f"{folder}/{name}.min.js")
            if member is None:
                raise FileNotFoundError(f"{name} is not a file in {tarball}")
            return member.read().decode("ascii")

        model = json.loads(_as_json(_exported(text("model"))))
        (group,) = model["weightsManifest"]
        data = b"".join(base64.b64decode(json.loads(_exported(text(path)))) for path in group["paths"])
    nodes = tuple(
        Node(node["op"], node["name"], _data_inputs(node), _attributes(node.get("attr", {})))
        for node in model["modelTopology"]["node"]
    )
    return GraphModel(_ordered(nodes), _weights(group["weights"], data))


def _exported(bundle: str) -> str:
    """What the bundle's only module assigns to ``exports``: an object or a string."""
    start = [match.end() for match in _EXPORTS.finditer(bundle)][-1]
    if bundle[start] == '"':
        return bundle[start : bundle.index('"', start + 1) + 1]
    depth, quoted = 0, False
    for offset, char in enumerate(bundle[start:]):
        if char == '"':
            quoted = not quoted
        elif not quoted:
            depth += (char == "{") - (char == "}")
            if depth == 0:
                return bundle[start : start + offset + 1]
    raise ValueError("the bundle's object does not end")


def _as_json(literal: str) -> str:
    def replace(match: re.Match[str]) -> str:
        string, boolean, key, sign, fraction = match.groups()
        if string:
            return string
        if boolean:
            return "true" if boolean == "!0" else "false"
        return f'"{key}"' if key else f"{sign}0{fraction}"

    return _TOKEN.sub(replace, literal)


def _data_inputs(node: dict[str, Any]) -> tuple[str, ...]:
    """Without those marked ``^``, which only order the computation."""
    return tuple(name for name in node.get("input", ()) if not name.startswith("^"))


def _attributes(raw: dict[str, Any]) -> dict[str, Any]:
    """TensorFlow's attribute values as plain ones; strings come as base64, integers as strings."""
    return {name: _plain(value) for name, value in raw.items()}


def _plain(value: dict[str, Any]) -> Any:
    if "list" in value:
        kinds = value["list"]
        if "i" in kinds:
            return [int(item) for item in kinds["i"]]
        return [base64.b64decode(item).decode() for item in kinds.get("s", [])]
    if "s" in value:
        return base64.b64decode(value["s"]).decode()
    if "i" in value:
        return int(value["i"])
    return next(iter(value.values()), None)


def _weights(specs: list[dict[str, Any]], data: bytes) -> dict[str, QuantisedWeight]:
    found: dict[str, QuantisedWeight] = {}
    offset = 0
    for spec in specs:
        if spec["dtype"] != "float32" or spec.get("quantization", {}).get("dtype") != "uint8":
            raise ValueError(f"{spec['name']} is not quantised to eight bits: only that is read here")
        size = int(np.prod(spec["shape"], dtype=np.int64))
        codes = np.frombuffer(data, np.uint8, size, offset).reshape(spec["shape"])
        found[spec["name"]] = QuantisedWeight(codes, spec["quantization"]["scale"], spec["quantization"]["min"])
        offset += size
    if offset != len(data):
        raise ValueError(f"the shards hold {len(data)} bytes, the manifest describes {offset}")
    return found


def _ordered(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    by_name = {node.name: node for node in nodes}
    done: dict[str, Node] = {}

    def visit(node: Node) -> None:
        for name in node.inputs:
            if name not in done:
                visit(by_name[name])
        done.setdefault(node.name, node)

    for node in nodes:
        visit(node)
    return tuple(done.values())
