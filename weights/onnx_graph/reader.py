"""Reads a graph: turns ONNX's nodes, in an order in which they can run, into steps.

Nodes of constants are computed on the spot. Of the others, those that only say which element is which (Reshape,
Transpose...) become layouts; the rest become steps, one for each way in which the library computes something.
"""
import heapq
import math
from fractions import Fraction
from typing import NamedTuple

from convert import BadModel, FLOATS, joined, shown

from . import layout as layouts
from .constants import Budget, check, fold
from .layout import sizes_of
from .steps import Step, check_size, divided_scale

UNKNOWN = "the library has no such layer"


class Tensor(NamedTuple):
    """A value of the graph that depends on the input."""
    step: Step
    layout: tuple

    @property
    def shape(self):
        return sizes_of(self.layout)


def in_order(graph):
    """The nodes that the output depends on, each behind those whose results it uses."""
    makers = {}
    known = {"", *graph.initializers, *(info.name for info in graph.inputs)}
    for at, node in enumerate(graph.nodes):
        for name in filter(None, node.outputs):
            check(node, name not in makers and name not in known, f"its output {shown(name)} has the name of another")
            makers[name] = at
    needed, waiting = set(), [makers[info.name] for info in graph.outputs if info.name in makers]
    while waiting:
        at = waiting.pop()
        if at in needed:
            continue
        needed.add(at)
        for name in graph.nodes[at].inputs:
            check(graph.nodes[at], name in known or name in makers,
                  f"its input {shown(name)} is neither a tensor nor the output of a node")
            if name in makers:
                waiting.append(makers[name])
    before = {at: {makers[name] for name in graph.nodes[at].inputs if name in makers} for at in needed}
    after = {at: [] for at in needed}
    for at, others in before.items():
        for other in others:
            after[other].append(at)
    ready, order = [at for at in needed if not before[at]], []
    heapq.heapify(ready)
    while ready:
        at = heapq.heappop(ready)
        order.append(graph.nodes[at])
        for other in after[at]:
            before[other].discard(at)
            if not before[other]:
                heapq.heappush(ready, other)
    if len(order) < len(needed):
        stuck = min(at for at in needed if before[at])
        raise BadModel(f"{graph.nodes[stuck]} depends on its own result: the graph has a cycle")
    return order


def input_shape(graph):
    """(height, width, channels) of the only input."""
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise BadModel(f"it has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, expected one of each")
    name, dtype, shape = graph.inputs[0]
    what = f"the input {shown(name)}"
    if dtype not in FLOATS:
        raise BadModel(f"{what} is {dtype}, expected floating-point numbers")
    if shape is None or len(shape) != 4:
        raise BadModel(f"{what} has {'no shape' if shape is None else f'{len(shape)} dimensions'}, expected batch, "
                       "channels, height and width")
    if shape[0] not in (None, 1):
        raise BadModel(f"{what} is a batch of {shape[0]}, expected 1")
    for size, which in zip(shape[1:], ("number of channels", "height", "width")):
        if size is None:
            raise BadModel(f"the {which} of {what} is not fixed: export the model with an input of a fixed size (the "
                           "network that is written takes images of any size)")
        if not 1 <= size <= 65535:
            raise BadModel(f"the {which} of {what} is {size}, expected 1 to 65535")
    return shape[2], shape[3], shape[1]


class Reader:
    """`handlers` are functions of the reader, a node and its inputs, and `counts` numbers of inputs (operators.py)."""

    def __init__(self, graph, file_size, handlers, counts):
        self.handlers, self.counts = handlers, counts
        self.graph, self.opset, self.budget = graph, graph.opset, Budget(file_size)
        self.order, self.known = 0, {}
        self.image = self.step("input", [], input_shape(graph), Fraction(1), None)

    def step(self, kind, inputs, shape, scale, node, tensors=None, **options):
        """A new step, or the same one as before if it has the same inputs and options."""
        key = (kind, shape, *map(id, inputs), *(id(value) for value in (tensors or {}).values()), repr(options))
        if key in self.known and not tensors:
            return self.known[key]
        if node is not None:
            check_size(node, shape)
        made = Step(kind, inputs, shape, scale, node, self.order, **options)
        made.tensors = tensors or {}
        self.order += 1
        self.known[key] = made
        return made

    def same_size(self, kind, node, step, tensors=None, **options):
        return self.step(kind, [step], step.shape, step.scale, node, tensors, **options)

    def map_of(self, node, tensor):
        """The step whose map the tensor is, with everything where ONNX has it."""
        check(node, isinstance(tensor, Tensor), "its input is a constant, expected a map that depends on the input")
        step, layout = tensor
        how = layouts.movement(layout, step.shape)
        check(node, how is not None,
              f"its input of {joined(tensor.shape)} is arranged by reshaping, transposing or slicing in a way that "
              "maps of channels, height and width are not")
        return step if how[0] == "none" else self.moved(node, step, *how)

    def moved(self, node, step, kind, r):
        """A pixel shuffle or unshuffle, or every r-th pixel."""
        height, width, channels = step.shape
        if kind == "every" and channels == 1 and height % r == width % r == 0:  # one of the pixels of each cell
            return self.sliced(node, self.moved(node, step, "pixel_unshuffle", r), 0, 1)
        if kind == "every":
            return self.step("max_pool", [step], (-(-height // r), -(-width // r), channels),
                             divided_scale(step.scale, r), node, kernel=1, stride=r, padding=0, ceil_mode=False,
                             counts_padding=True)
        if kind == "pixel_shuffle":
            return self.step(kind, [step], (height * r, width * r, channels // (r * r)),
                             None if step.scale is None else step.scale * r, node, factor=r)
        if step.kind == "slice" and (step.first % 16 or channels % 16):  # the channels of a cell are side by side
            base = self.moved(node, step.inputs[0], kind, r)
            return self.sliced(node, base, step.first * r * r, channels * r * r)
        return self.step(kind, [step], (height // r, width // r, channels * r * r), divided_scale(step.scale, r), node,
                         factor=r)

    def sliced(self, node, step, first, count):
        """Some channels of a map."""
        if count == step.channels:
            return step
        if step.kind == "slice":
            return self.sliced(node, step.inputs[0], step.first + first, count)
        return self.step("slice", [step], (*step.pixels, count), step.scale, node, first=first)

    def affine(self, node, tensor, gain, shift, names=("", "")):
        """The tensor times a gain plus a shift; both are lists with a number for each channel of the map, or None.
        `names` are those of the tensors in the file that they come from.
        """
        step = tensor.step
        if gain is not None and all(value == 1 for value in gain):
            gain = None
        if shift is not None and not any(shift):
            shift = None
        if gain is None and shift is None:
            return Tensor(step, tensor.layout)
        check(node, all(map(math.isfinite, (*(gain or ()), *(shift or ())))), "it has a value that is NaN or infinite")
        return Tensor(self.same_size("affine", node, step, gain=gain, shift=shift, names=names), tensor.layout)

    def read(self):
        """The step of the output."""
        values = dict(self.graph.initializers)
        values[self.graph.inputs[0].name] = Tensor(self.image, layouts.plain(self.image.shape))
        for node in in_order(self.graph):
            inputs = []
            for name in node.inputs:
                check(node, name in values or not name,
                      f"its input {shown(name)} is a further result of another node, which is not supported")
                inputs.append(values[name] if name else None)
            results = self.results(node, inputs)
            check(node, len(results) <= len(node.outputs) or not node.outputs or len(results) == 1,
                  f"it has {len(node.outputs)} outputs, expected {len(results)}")
            values.update((name, result) for name, result in zip(node.outputs, results) if name)
        name = self.graph.outputs[0].name
        if not isinstance(values.get(name), Tensor):
            raise BadModel(f"the output {shown(name)} does not depend on the input")
        return self.finished(values[name])

    def finished(self, tensor):
        last = self.graph.nodes[-1]
        maker = next((node for node in self.graph.nodes if self.graph.outputs[0].name in node.outputs), last)
        check(maker, len(tensor.shape) == 4,
              f"the network's output has {len(tensor.shape)} dimensions, expected batch, channels, height and width")
        return self.map_of(maker, tensor)

    def results(self, node, inputs):
        if not any(isinstance(value, Tensor) for value in inputs):
            constant = fold(node, inputs, self.opset, self.budget)
            check(node, constant is not None, f"{UNKNOWN}, nor can it be computed beforehand")
            return [constant]
        handler = self.handlers.get(node.op)
        check(node, handler is not None, UNKNOWN)
        least, most = self.counts.get(node.op, (1, 1))
        check(node, least <= len(inputs) <= most,
              f"it has {len(inputs)} inputs, expected {least if least == most else f'{least} to {most}'}")
        result = handler(self, node, inputs)
        return result if isinstance(result, list) else [result]
