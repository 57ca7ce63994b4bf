"""ONNX models for convert.py: weights, and a header with the network in C++.

    wire.py        protobuf's wire format, ONNX's messages
    constants.py   nodes whose inputs are known are computed
    layout.py      reshaped and transposed tensors as maps
    reader.py      the graph, in an order in which it can run, as steps of the library's terms
    operators.py   what each operator is as a step
    steps.py       the steps
    simplify.py    layers that exporters take apart, and what convolutions do on the way
    plan.py        which map lies where
    layers.py      names of layers and tensors
    header.py      the header
"""
from typing import NamedTuple

from convert import BadModel, NUMBERS, Own, own_network

from . import header, operators, simplify, wire
from .reader import Reader


class Converted(NamedTuple):
    name: str  # of the struct
    network: Own
    values: dict  # name: float32 bytes
    header: str
    folded: list  # sentences


def convert_model(data, source, path, arrangement="checkpoint"):
    """The network of an ONNX file. `source` is the file's name, `path` that of the header, `arrangement` that of the
    weights.
    """
    name = header.class_name(path)
    graph = wire.read_graph(data)
    reader = Reader(graph, len(data), operators.HANDLERS, operators.INPUTS)
    steps, folded = simplify.simplify(reader.read())
    height, width, channels = image = reader.image.shape
    out = steps.output
    facts = [f"Made by mirnet's convert.py from {header.printable(source)}",
             f"({header.printable(graph.producer) or 'an unnamed exporter'}, opset {graph.opset}), which has an input of "
             f"{width}x{height} pixels of", f"{channels} channels and an output of {out.shape[1]}x{out.shape[0]} of "
             f"{out.channels}. This network takes images of any size."]
    text, layers = header.header_text(name, steps, image, facts)
    if arrangement == "packed":
        check_packable(steps)
    network = own_network((channels, out.channels), (0,) * NUMBERS, layers.shapes, layers.transposed)
    return Converted(name, network, layers.values, text, folded)


def check_packable(steps):
    """Refuses layers whose tensors the arrangement "packed" does not have."""
    for step in steps.all:
        if step.kind in ("linear", "affine") or step.kind == "transposed" and (
                step.kernel, step.stride, step.padding, step.output_padding) != (3, 2, 1, 1):
            raise BadModel(f"{step.node} becomes a layer whose weights cannot be stored packed: leave out --layout")
