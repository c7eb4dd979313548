"""Converts the model ``mobilenet_v2_mid`` of the npm package ``nsfwjs`` to ONNX.

    npm pack nsfwjs@4.4.0
    python -m training.image_safety.convert nsfwjs-4.4.0.tgz --out build/nsfwjs_mid.onnx

Weights stay the eight-bit codes that the package ships, and the graph turns them back into the numbers that
TensorFlow.js computes with; an inference engine does so once, when it loads the file. Nothing is quantised anew, so
nothing is lost. The input is RGB in 0..1, N×224×224×3; the output N×5 probabilities: drawing, hentai, neutral, porn,
sexy.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from training.image_safety.tfjs import GraphModel, Node, QuantisedWeight, read_graph_model

PACKAGE_SHA256 = "585cd178f3b994337c4d10a87b080d342fc52f8b9bf0085c4d1f345a3a1c5382"
FOLDER = "package/dist/models/mobilenet_v2_mid"
SIDE = 224
CLASSES = ("drawing", "hentai", "neutral", "porn", "sexy")
OPSET = 17
IR_VERSION = 8


class Converter:
    """Translates node by node, from TensorFlow's N×H×W×C to ONNX's N×C×H×W."""

    def __init__(self, model: GraphModel) -> None:
        self._model = model
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._named: dict[str, str] = {}
        self._translate: dict[str, Callable[[Node, str], None]] = {
            "_FusedConv2D": self._convolution,
            "FusedDepthwiseConv2dNative": self._convolution,
            "_FusedMatMul": self._dense,
            "AddV2": lambda node, out: self._elementwise("Add", node, out),
            "Mul": lambda node, out: self._elementwise("Mul", node, out),
            "Sub": lambda node, out: self._elementwise("Sub", node, out),
            "AvgPool": self._pool,
            "Squeeze": lambda node, out: self._add("Flatten", [self._value(node.inputs[0])], out, axis=1),
            "Softmax": lambda node, out: self._add("Softmax", [self._value(node.inputs[0])], out, axis=1),
            "Identity": lambda node, out: self._add("Identity", [self._value(node.inputs[0])], out),
        }

    def convert(self) -> onnx.ModelProto:
        """The whole graph, checked by ONNX's own checker."""
        last = ""
        for index, node in enumerate(self._model.nodes):
            if node.op == "Const":
                continue
            last = f"t{index}"
            self._named[node.name] = last
            if node.op == "Placeholder":
                self._add("Transpose", ["input"], last, perm=[0, 3, 1, 2])
            else:
                self._translate[node.op](node, last)
        graph = helper.make_graph(
            self._nodes,
            "nsfwjs_mid",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", SIDE, SIDE, 3])],
            [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["n", len(CLASSES)])],
            self._constants,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="countermark"
        )
        helper.set_model_props(model, {"classes": ",".join(CLASSES), "license": "MIT", "origin": "nsfwjs 4.4.0"})
        onnx.checker.check_model(model, full_check=True)
        return model

    def _convolution(self, node: Node, out: str) -> None:
        source, kernel, bias = node.inputs
        if node.attributes["padding"] != "SAME" or node.attributes["dilations"] != [1, 1, 1, 1]:
            raise ValueError(f"{node.name}: only undilated convolutions with SAME padding are read here")
        weight = self._model.weights[kernel]
        depthwise = node.op == "FusedDepthwiseConv2dNative"
        # H×W×I×O, where a depthwise kernel's "out" is its multiplier of 1; ONNX wants O×I×H×W, and groups.
        codes = weight.codes.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
        self._add(
            "Conv",
            [self._value(source), self._dequantised(kernel, weight, codes), self._weight(bias)],
            activated := f"{out}_conv",
            auto_pad="SAME_UPPER",
            kernel_shape=list(weight.codes.shape[:2]),
            strides=node.attributes["strides"][1:3],
            group=codes.shape[0] if depthwise else 1,
        )
        match node.attributes["fused_ops"]:
            case ["BiasAdd"]:
                self._add("Identity", [activated], out)
            case ["BiasAdd", "Relu6"]:
                self._add("Clip", [activated, self._scalar("zero", 0), self._scalar("six", 6)], out)
            case other:
                raise ValueError(f"{node.name}: {other} is not read here")

    def _dense(self, node: Node, out: str) -> None:
        if node.attributes["fused_ops"] != ["BiasAdd"] or node.attributes["transpose_a"] is True:
            raise ValueError(f"{node.name}: only a plain dense layer is read here")
        source, kernel, bias = node.inputs
        self._add("Gemm", [self._value(source), self._weight(kernel), self._weight(bias)], out)

    def _elementwise(self, op: str, node: Node, out: str) -> None:
        self._add(op, [self._value(name) for name in node.inputs], out)

    def _pool(self, node: Node, out: str) -> None:
        size = node.attributes["ksize"][1:3]
        if size != [SIDE // 32, SIDE // 32] or node.attributes["padding"] != "VALID":
            raise ValueError(f"{node.name}: only the average over all positions is read here")
        self._add("AveragePool", [self._value(node.inputs[0])], out, kernel_shape=size, strides=[1, 1])

    def _value(self, name: str) -> str:
        return self._named[name] if name in self._named else self._weight(name)

    def _weight(self, name: str) -> str:
        weight = self._model.weights[name]
        return self._dequantised(name, weight, weight.codes)

    def _dequantised(self, name: str, weight: QuantisedWeight, codes: NDArray[np.uint8]) -> str:
        if name not in self._named:
            tag = f"w{len(self._named)}"
            self._constants.append(numpy_helper.from_array(np.ascontiguousarray(codes), f"{tag}_codes"))
            self._add("Cast", [f"{tag}_codes"], f"{tag}_float", to=TensorProto.FLOAT)
            self._add("Mul", [f"{tag}_float", self._scalar(f"{tag}_scale", weight.scale)], f"{tag}_scaled")
            self._add("Add", [f"{tag}_scaled", self._scalar(f"{tag}_minimum", weight.minimum)], tag)
            self._named[name] = tag
        return self._named[name]

    def _scalar(self, name: str, value: float) -> str:
        if all(constant.name != name for constant in self._constants):
            self._constants.append(numpy_helper.from_array(np.array(value, np.float32), name))
        return name

    def _add(self, op: str, inputs: list[str], output: str, **attributes: object) -> None:
        self._nodes.append(helper.make_node(op, inputs, [output], **attributes))


def main() -> None:
    """Write the ONNX file and print its digest."""
    parser = argparse.ArgumentParser(prog="python -m training.image_safety.convert", description=main.__doc__)
    parser.add_argument("tarball", type=Path, help="nsfwjs-4.4.0.tgz, from `npm pack nsfwjs@4.4.0`")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    digest = hashlib.sha256(args.tarball.read_bytes()).hexdigest()
    if digest != PACKAGE_SHA256:
        raise SystemExit(
            f"{args.tarball} has the SHA-256 digest {digest}; the conversion was checked for {PACKAGE_SHA256}"
        )
    data = Converter(read_graph_model(args.tarball, FOLDER)).convert().SerializeToString(deterministic=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_bytes(data)
    print(f"{len(data) / 1e6:.2f} MB, SHA-256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main()
