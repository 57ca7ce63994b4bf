"""ONNX's operators: what each of them is as a step, or as another layout of the tensor that it is given.

A handler takes the reader, the node and its inputs (tensors, constants, or None where an input is left out), of which
at least one is a tensor, and returns the node's result, or a list of results.
"""
import math
from fractions import Fraction

from convert import joined, shown

from . import layout as layouts
from .constants import (attribute, axes_of, axis_of, check, integers, optional_list, permutation, reshaped, shape_of,
                        slice_ranges, transposed)
from .layout import Part, dimension, whole
from .reader import Tensor
from .steps import Weights, check_limits, divided_scale
from .wire import Constant

LARGEST = 3.4028234663852886e38  # float32


def constant_input(node, inputs, at, what):
    """An input that has to be a constant of floating-point numbers; None if it is left out."""
    if len(inputs) <= at or inputs[at] is None:
        return None
    check(node, isinstance(inputs[at], Constant), f"its {what} depends on the input, expected a constant")
    check(node, inputs[at].is_float, f"its {what} is {inputs[at].dtype}, expected floating-point numbers")
    return inputs[at]


def number_input(node, inputs, at, what, default=None):
    constant = constant_input(node, inputs, at, what)
    if constant is None:
        return default
    check(node, constant.count == 1, f"its {what} has {constant.count} values, expected one")
    return constant.values[0]


def vector_input(node, inputs, at, what, count):
    constant = constant_input(node, inputs, at, what)
    check(node, constant is None or constant.count == count,
          f"its {what} has {constant and constant.count} values, expected {count}")
    return constant


def same_layout(function):
    """A handler of what is computed of each element alone."""
    def handler(reader, node, inputs):
        check(node, isinstance(inputs[0], Tensor), "its first input is a constant, expected a map")
        step = function(reader, node, inputs[0].step, inputs)
        return Tensor(step, inputs[0].layout)
    return handler


# Arithmetic.

def channel_values(node, tensor, constant):
    """What a constant is for each channel of the tensor's map, once it has been broadcast."""
    rank = len(tensor.layout)
    check(node, len(constant.shape) <= rank or constant.count == 1,
          f"a constant of {joined(constant.shape)} makes more dimensions of {joined(tensor.shape)}")
    values = constant.values
    if constant.count == 1:
        return [values[0]] * tensor.step.channels
    sizes = (1,) * (rank - len(constant.shape)) + constant.shape
    places = [0] * tensor.step.channels
    for parts, size in zip(tensor.layout, sizes):
        if size == 1:
            continue
        check(node, size == layouts.size_of(parts) and all(part.axis == "c" for part in parts),
              f"a constant of {joined(constant.shape)} is no number for each channel of {joined(tensor.shape)}")
        places = [place * size for place in places]
        for at, part in enumerate(parts):
            inner = layouts.size_of(parts[at + 1:])
            places = [place + channel // part.step % part.count * inner for channel, place in enumerate(places)]
    return [values[place] for place in places]


def with_constant(reader, node, inputs):
    """Add, Sub, Mul and Div of a tensor and a constant."""
    first = isinstance(inputs[0], Tensor)
    tensor, constant = inputs if first else inputs[::-1]
    check(node, constant.is_float, f"a constant is {constant.dtype}, expected floating-point numbers")
    values = channel_values(node, tensor, constant)
    name = constant.name
    if node.op == "Add":
        return reader.affine(node, tensor, None, values, ("", name))
    if node.op == "Mul":
        return reader.affine(node, tensor, values, None, (name, ""))
    negative = [-value for value in values]
    if node.op == "Sub" and first:
        return reader.affine(node, tensor, None, negative, ("", name))
    if node.op == "Sub":
        return reader.affine(node, tensor, [-1.0] * len(values), values, ("", name))
    if first:
        check(node, 0 not in values, "it divides by 0")
        return reader.affine(node, tensor, [1 / value for value in values], None, (name, ""))
    inverse = reader.same_size("reciprocal", node, tensor.step)
    return reader.affine(node, Tensor(inverse, tensor.layout), values, None, (name, ""))


def aligned(reader, node, a, b):
    """The tensors with as many dimensions, and plain if one of them is moved and the other is not."""
    rank = max(len(a.layout), len(b.layout))
    a, b = (Tensor(tensor.step, ((),) * (rank - len(tensor.layout)) + tensor.layout) for tensor in (a, b))
    if a.layout == b.layout and a.step.shape == b.step.shape:
        return a, b
    return tuple(
        tensor if layouts.is_whole(tensor.layout, tensor.step.shape) else
        Tensor(*(lambda step: (step, layouts.plain(step.shape)))(reader.map_of(node, tensor))) for tensor in (a, b))


def two_tensors(reader, node, a, b, kind):
    a, b = aligned(reader, node, a, b)
    fits = all(x == y or not x or not y for x, y in zip(a.layout, b.layout))
    check(node, fits, f"its inputs of {joined(a.shape)} and {joined(b.shape)} do not have the same arrangement")
    whole_a, whole_b = (all(x or not y for x, y in zip(one.layout, other.layout)) for one, other in ((a, b), (b, a)))
    check(node, whole_a or whole_b, f"both inputs, of {joined(a.shape)} and {joined(b.shape)}, are broadcast")
    if not whole_a and kind in ("add", "multiply"):
        a, b = b, a
    elif not whole_a:
        check(node, kind == "subtract", "the first input is broadcast, expected the second")
        difference = Tensor(operation(reader, node, "subtract", b.step, a.step), b.layout)
        return reader.affine(node, difference, [-1.0] * b.step.channels, None)
    return Tensor(operation(reader, node, kind, a.step, b.step), a.layout)


def operation(reader, node, kind, a, b):
    return reader.step(kind, [a, b], a.shape, a.scale, node)


def arithmetic(kind):
    def handler(reader, node, inputs):
        check(node, None not in inputs, "one of its inputs is left out")
        if all(isinstance(value, Tensor) for value in inputs):
            return two_tensors(reader, node, *inputs, kind)
        return with_constant(reader, node, inputs)
    return handler


def add_all(reader, node, inputs):
    """Sum."""
    check(node, all(isinstance(value, Tensor) for value in inputs), "it adds constants, which only Add may")
    result = inputs[0]
    for other in inputs[1:]:
        result = two_tensors(reader, node, result, other, "add")
    return result


def negative(reader, node, inputs):
    return reader.affine(node, inputs[0], [-1.0] * inputs[0].step.channels, None)


def power(reader, node, inputs):
    exponent = number_input(node, [value if isinstance(value, Tensor) or value is None or value.is_float else
                                   Constant("f64", value.shape, list(map(float, value.values)))
                                   for value in inputs], 1, "exponent")
    check(node, isinstance(inputs[0], Tensor) and exponent in (1, 2, 3, 0.5, -0.5, -1),
          f"its exponent is {exponent}, expected 2")
    tensor, step = inputs[0], inputs[0].step
    if exponent in (2, 3):
        square = operation(reader, node, "multiply", step, step)
        step = square if exponent == 2 else operation(reader, node, "multiply", square, step)
    if exponent in (0.5, -0.5):
        step = reader.same_size("sqrt", node, step)
    if exponent < 0:
        step = reader.same_size("reciprocal", node, step)
    return Tensor(step, tensor.layout)


def one(kind):
    return same_layout(lambda reader, node, step, inputs: reader.same_size(kind, node, step))


# Activations.

def activated(reader, node, step, *function):
    return reader.same_size("activation", node, step, function=function)


def function(name):
    return same_layout(lambda reader, node, step, inputs: activated(reader, node, step, name))


@same_layout
def leaky_relu(reader, node, step, inputs):
    return activated(reader, node, step, "leaky_relu", float(attribute(node, "alpha", "float", 0.01)))


def prelu(reader, node, inputs):
    slopes = constant_input(node, inputs, 1, "slope")
    check(node, isinstance(inputs[0], Tensor) and slopes is not None, "it has no slope")
    step = inputs[0].step
    if slopes.count == 1:
        shape, values = (1,), list(slopes.values)
    else:
        shape, values = (step.channels,), channel_values(node, inputs[0], slopes)
    made = reader.same_size("activation", node, step, {"weight": Weights(shape, Constant("f64", shape, values), slopes.name)}, function=("prelu",))
    return Tensor(made, inputs[0].layout)


@same_layout
def gelu(reader, node, step, inputs):
    kind = attribute(node, "approximate", "string", "none")
    check(node, kind in ("none", "tanh"), f"its attribute approximate is {shown(kind)}, expected none or tanh")
    return activated(reader, node, step, "gelu" if kind == "none" else "gelu_tanh")


def hard_sigmoid(reader, node, inputs):
    alpha, beta = attribute(node, "alpha", "float", 0.2), attribute(node, "beta", "float", 0.5)
    check(node, isinstance(inputs[0], Tensor), "its input is a constant")
    tensor = inputs[0]
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return Tensor(activated(reader, node, tensor.step, "hard_sigmoid"), tensor.layout)
    n = tensor.step.channels
    tensor = reader.affine(node, tensor, [alpha] * n, [beta] * n)
    return Tensor(activated(reader, node, tensor.step, "clamp", 0.0, 1.0), tensor.layout)


def clamped(reader, node, tensor, low, high):
    check(node, low <= high, f"it clips to {low:g} to {high:g}, which is nothing")
    if low <= -LARGEST and high >= LARGEST:
        return tensor
    if low == 0 and high >= LARGEST:
        return Tensor(activated(reader, node, tensor.step, "relu"), tensor.layout)
    bounds = (max(low, -LARGEST), min(high, LARGEST))
    return Tensor(activated(reader, node, tensor.step, "clamp", *map(float, bounds)), tensor.layout)


def clip(reader, node, inputs):
    check(node, isinstance(inputs[0], Tensor), "its input is a constant")
    low, high = (number_input(node, inputs, at, what, default)
                 for at, what, default in ((1, "min", -LARGEST), (2, "max", LARGEST)))
    return clamped(reader, node, inputs[0], low, high)


def limit(reader, node, inputs):
    """Max and Min with a number."""
    check(node, any(isinstance(value, Constant) for value in inputs),
          "it compares maps, expected a map and a number")
    tensor, constant = inputs if isinstance(inputs[0], Tensor) else inputs[::-1]
    value = number_input(node, [constant], 0, "limit")
    return clamped(reader, node, tensor, *((value, LARGEST) if node.op == "Max" else (-LARGEST, value)))


def softmax(reader, node, inputs):
    tensor = inputs[0]
    rank = len(tensor.layout)
    axis = axis_of(node, attribute(node, "axis", "int", -1 if reader.opset >= 13 else 1), rank)
    over = tensor.layout[axis] if reader.opset >= 13 else dimension(*layouts.chained(tensor.layout[axis:]))
    step = tensor.step
    if over == whole("c", step.shape):
        return Tensor(reader.same_size("softmax_of_channels", node, step), tensor.layout)
    check(node, over == layouts.pixels(step.shape), "it is over neither all channels nor all pixels")
    return Tensor(reader.same_size("softmax_of_pixels", node, step), tensor.layout)


# Convolutions, linear layers.

def windows(node, constant_shape=None):
    """kernel_shape, strides, pads (top, left, bottom, right) and dilations of two dimensions."""
    kernel = attribute(node, "kernel_shape", "ints", list(constant_shape or ()))
    strides = attribute(node, "strides", "ints", [1, 1])
    pads = attribute(node, "pads", "ints", [0, 0, 0, 0])
    dilations = attribute(node, "dilations", "ints", [1, 1])
    check(node, [len(kernel), len(strides), len(pads), len(dilations)] == [2, 2, 4, 2],
          "it does not work on two dimensions, height and width")
    check(node, min(kernel + strides + dilations) >= 1 and min(pads) >= 0,
          "a kernel, stride or dilation is below 1, or padding below 0")
    check(node, strides[0] == strides[1] and dilations[0] == dilations[1],
          f"strides {strides} and dilations {dilations} differ between height and width")
    automatic = attribute(node, "auto_pad", "string", "NOTSET")
    extents = [(size - 1) * dilations[0] + 1 for size in kernel]
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        totals = [max(extent - strides[0], 0) for extent in extents]  # for sizes that are multiples of the stride
        small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
        pads = small + large if automatic == "SAME_UPPER" else large + small
    else:
        check(node, automatic in ("NOTSET", "VALID"), f"auto_pad is {shown(automatic)}")
    return kernel, strides[0], pads, dilations[0]


def square(node, weights, kernel, pads, dilation):
    """A kernel of a square's shape and padding that is alike on all sides: zeros around the weights do it."""
    if kernel[0] == kernel[1] and len(set(pads)) == 1:
        return weights, kernel[0], pads[0]
    padding = max(pads)
    room = [(padding - pad) for pad in pads]
    check(node, dilation == 1 or not any(room), "its padding differs between the sides, and it is dilated")
    height, width = kernel[0] + room[0] + room[2], kernel[1] + room[1] + room[3]
    check(node, height == width, f"its kernel is {kernel[0]}x{kernel[1]} with pads {pads}, expected a square or what "
          "zeros make one")
    check_limits(node, (1,), 1, kernel=height)
    values, result = weights.values.values, []
    for at in range(0, len(values), kernel[0] * kernel[1]):
        result += [0.0] * (room[0] * width)
        for row in range(kernel[0]):
            begin = at + row * kernel[1]
            result += [0.0] * room[1] + list(values[begin:begin + kernel[1]]) + [0.0] * room[3]
        result += [0.0] * (room[2] * width)
    shape = (*weights.shape[:2], height, width)
    return Weights(shape, Constant("f64", shape, result), weights.name), height, padding


def before_padding(step, kinds):
    """(the map that was padded, its pads, the kind of padding) of a map; pads are 0 for one that was not."""
    if step.kind == "pad" and step.mode in kinds:
        return step.inputs[0], step.pads, step.mode
    return step, (0, 0, 0, 0), "zeros"


def with_bias(node, tensors, inputs, count):
    bias = vector_input(node, inputs, 2, "bias", count)
    if bias is not None:
        tensors["bias"] = Weights((count,), bias, bias.name)
    return tensors


def weights_of(node, inputs):
    weights = constant_input(node, inputs, 1, "weights")
    check(node, weights is not None and len(weights.shape) == 4 and weights.count > 0,
          f"its weights are {joined(weights.shape) if weights else 'missing'}, expected four dimensions")
    kernel, *others = windows(node, weights.shape[2:])
    check(node, tuple(kernel) == weights.shape[2:], f"kernel_shape is {kernel}, its weights are {joined(weights.shape)}")
    groups = attribute(node, "group", "int", 1)
    check(node, groups >= 1, f"it has {groups} groups")
    return Weights(weights.shape, weights, weights.name), groups, kernel, others


def convolution(reader, node, inputs):
    padded = reader.map_of(node, inputs[0])
    weights, groups, kernel, (stride, pads, dilation) = weights_of(node, inputs)
    step, more, mode = before_padding(padded, ("zeros", "reflect", "replicate"))
    if mode != "zeros" and any(pads):
        step, more, mode = padded, (0, 0, 0, 0), "zeros"
    pads = [a + b for a, b in zip(pads, more)]
    out = weights.shape[0]
    check(node, step.channels == weights.shape[1] * groups and out % groups == 0,
          f"its input has {step.channels} channels, its weights are {joined(weights.shape)} in {groups} groups")
    if mode != "zeros":
        check(node, len(set(pads)) == 1 and kernel[0] == kernel[1],
              f"the padding before it differs between the sides: {pads}")
    weights, kernel, padding = square(node, weights, kernel, pads, dilation)
    check_limits(node, (step.channels, out), groups, kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    sizes = [(size + 2 * padding - (kernel - 1) * dilation - 1) // stride + 1 for size in step.pixels]
    tensors = with_bias(node, {"weight": weights}, inputs, out)
    made = reader.step("conv", [step], (*sizes, out), divided_scale(step.scale, stride), node, tensors, kernel=kernel,
                       stride=stride, padding=padding, dilation=dilation, groups=groups, mode=mode, activation=None,
                       subtracts=False)
    return Tensor(made, layouts.plain(made.shape))


def transposed_convolution(reader, node, inputs):
    step = reader.map_of(node, inputs[0])
    weights, groups, kernel, (stride, pads, dilation) = weights_of(node, inputs)
    more = attribute(node, "output_padding", "ints", [0, 0])
    check(node, "output_shape" not in node.attributes and attribute(node, "auto_pad", "string", "NOTSET") == "NOTSET",
          "output_shape and auto_pad are not supported, expected pads")
    check(node, kernel[0] == kernel[1] and len(set(pads)) == 1 and len(more) == 2 and more[0] == more[1],
          f"its kernel {kernel}, pads {pads} or output_padding {more} differ between the sides")
    out = weights.shape[1] * groups
    check(node, step.channels == weights.shape[0] and step.channels % groups == 0,
          f"its input has {step.channels} channels, its weights are {joined(weights.shape)} in {groups} groups")
    check(node, 0 <= more[0] < max(stride, dilation), f"output_padding is {more[0]}, expected less than the stride")
    check_limits(node, (step.channels, out), groups, kernel=kernel[0], stride=stride, padding=pads[0],
                 dilation=dilation)
    sizes = [(size - 1) * stride - 2 * pads[0] + (kernel[0] - 1) * dilation + 1 + more[0] for size in step.pixels]
    tensors = with_bias(node, {"weight": weights}, inputs, out)
    scale = None if step.scale is None else step.scale * stride
    made = reader.step("transposed", [step], (*sizes, out), scale, node, tensors, kernel=kernel[0], stride=stride,
                       padding=pads[0], output_padding=more[0], dilation=dilation, groups=groups, activation=None)
    return Tensor(made, layouts.plain(made.shape))


def linear(reader, node, tensor, weights, bias):
    """`weights` are of outputs and inputs. The last dimension of the tensor is that of the channels."""
    step = tensor.step
    check(node, tensor.layout and tensor.layout[-1] == whole("c", step.shape) and step.channels == weights.shape[1],
          f"the last dimension of its input ({joined(tensor.shape)}) is not one of {weights.shape[1]} channels")
    out = weights.shape[0]
    check_limits(node, (step.channels, out), 1)
    tensors = {"weight": Weights(weights.shape, weights, weights.name)}
    if bias is not None:
        tensors["bias"] = bias
    made = reader.step("linear", [step], (*step.pixels, out), step.scale, node, tensors, activation=None,
                       subtracts=False)
    return Tensor(made, (*tensor.layout[:-1], whole("c", made.shape)))


def swapped(node, matrix):
    plain_node = node._replace(attributes={"perm": [1, 0]})
    return transposed(plain_node, matrix)


def matmul(reader, node, inputs):
    check(node, isinstance(inputs[0], Tensor), "its first input is a constant, expected a map")
    matrix = constant_input(node, inputs, 1, "second input")
    check(node, matrix is not None and len(matrix.shape) == 2, "its second input is not a matrix")
    return linear(reader, node, inputs[0], swapped(node, matrix), None)


def gemm(reader, node, inputs):
    matrix = constant_input(node, inputs, 1, "second input")
    check(node, isinstance(inputs[0], Tensor) and len(inputs[0].layout) == 2 and matrix is not None
          and len(matrix.shape) == 2, "it is not of a map and a matrix")
    alpha, beta = attribute(node, "alpha", "float", 1.0), attribute(node, "beta", "float", 1.0)
    check(node, not attribute(node, "transA", "int", 0) and alpha == 1 and beta == 1,
          "transA, alpha and beta are not supported")
    if not attribute(node, "transB", "int", 0):
        matrix = swapped(node, matrix)
    bias = vector_input(node, inputs, 2, "bias", matrix.shape[0])
    return linear(reader, node, inputs[0], matrix, None if bias is None else Weights((matrix.shape[0],), bias, bias.name))


# Normalizations.

def batch_norm(reader, node, inputs):
    tensor = inputs[0]
    check(node, isinstance(tensor, Tensor) and len(tensor.layout) >= 2, "its input is not a map")
    check(node, not attribute(node, "training_mode", "int", 0), "it is in training mode: export the model for inference")
    count = tensor.shape[1]
    gain, shift, mean, variance = (
        vector_input(node, inputs, at, what, count)
        for at, what in ((1, "scale"), (2, "bias"), (3, "mean"), (4, "variance")))
    check(node, None not in (gain, shift, mean, variance), "one of its inputs is left out")
    epsilon = attribute(node, "epsilon", "float", 1e-5)
    check(node, min(variance.values) + epsilon > 0, "its variance is below 0")
    gains = [g / math.sqrt(v + epsilon) for g, v in zip(gain.values, variance.values)]
    shifts = [b - m * g for b, m, g in zip(shift.values, mean.values, gains)]
    shape = (count,) + (1,) * (len(tensor.layout) - 2)
    return reader.affine(node, tensor, *(channel_values(node, tensor, Constant("f64", shape, values))
                                         for values in (gains, shifts)), (gain.name, shift.name))


def layer_norm(reader, node, inputs):
    tensor = inputs[0]
    check(node, isinstance(tensor, Tensor), "its input is a constant")
    rank = len(tensor.layout)
    axis = axis_of(node, attribute(node, "axis", "int", -1), rank)
    check(node, axis == rank - 1 and tensor.layout[axis] == whole("c", tensor.step.shape),
          "it is not over the channels of each pixel")
    gain, shift = (vector_input(node, inputs, at, what, tensor.step.channels)
                   for at, what in ((1, "scale"), (2, "bias")))
    norm = reader.same_size("layer_norm", node, tensor.step, epsilon=float(attribute(node, "epsilon", "float", 1e-5)))
    return affine_of(reader, node, Tensor(norm, tensor.layout), gain, shift)


def affine_of(reader, node, tensor, gain, shift):
    return reader.affine(node, tensor, *(value and list(value.values) for value in (gain, shift)),
                         tuple(value.name if value else "" for value in (gain, shift)))


def instance_norm(reader, node, inputs):
    tensor = inputs[0]
    check(node, isinstance(tensor, Tensor) and len(tensor.layout) >= 3, "its input is not a map")
    step = tensor.step
    check(node, tensor.layout[1] == whole("c", step.shape)
          and dimension(*layouts.chained(tensor.layout[2:])) == layouts.pixels(step.shape),
          "it is not of each channel over all pixels (a group norm, perhaps, which the library does not have)")
    gain, shift = (vector_input(node, inputs, at, what, step.channels) for at, what in ((1, "scale"), (2, "bias")))
    norm = reader.same_size("instance_norm", node, step, epsilon=float(attribute(node, "epsilon", "float", 1e-5)))
    return affine_of(reader, node, Tensor(norm, tensor.layout), gain, shift)


# Pooling, resizing, padding.

def pooled_size(size, kernel, stride, padding, ceil_mode):
    """PyTorch's: a window that is rounded up to begins within the map or its padding before."""
    room = size + 2 * padding - kernel
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - ((count - 1) * stride >= size + padding)


def pool(reader, node, inputs):
    step = reader.map_of(node, inputs[0])
    check(node, len(node.outputs) == 1, "its second output, the places of the largest values, is not supported")
    average = node.op == "AveragePool"
    if (tuple(attribute(node, "kernel_shape", "ints", [])) == step.pixels != (1, 1)
            and not any(attribute(node, "pads", "ints", []))):
        return global_pool(reader, node, step, "global_average" if average else "global_max")
    kernel, stride, pads, dilation = windows(node)
    ceil_mode = bool(attribute(node, "ceil_mode", "int", 0))
    counts = bool(attribute(node, "count_include_pad", "int", 0))
    check(node, kernel[0] == kernel[1] and len(set(pads)) == 1 and dilation == 1,
          f"its kernel {kernel} or pads {pads} differ between the sides, or it is dilated")
    if average and not any(pads) and not ceil_mode:
        inner, more, _ = before_padding(step, ("zeros",))
        if len(set(more)) == 1 and more[0] > 0:  # as PyTorch exports padding that counts
            step, pads, counts = inner, more, True
    padding = pads[0]
    check(node, padding <= kernel[0] // 2, f"its padding of {padding} is more than half of the kernel")
    check_limits(node, (step.channels,), 1, kernel=kernel[0], stride=stride, padding=padding)
    check(node, min(step.pixels) + 2 * padding >= kernel[0], f"its kernel of {kernel[0]} is larger than the map")
    sizes = [pooled_size(size, kernel[0], stride, padding, ceil_mode) for size in step.pixels]
    made = reader.step("average_pool" if average else "max_pool", [step], (*sizes, step.channels),
                       divided_scale(step.scale, stride), node, kernel=kernel[0], stride=stride, padding=padding,
                       ceil_mode=ceil_mode, counts_padding=counts or padding == 0)
    return Tensor(made, layouts.plain(made.shape))


def global_pool(reader, node, step, kind):
    made = reader.step(kind, [step], (1, 1, step.channels), None, node)
    return Tensor(made, layouts.plain(made.shape))


def whole_pool(kind):
    return lambda reader, node, inputs: global_pool(reader, node, reader.map_of(node, inputs[0]), kind)


def reduction(kind):
    """ReduceMean, ReduceMax: over all pixels, or over the channels."""
    def handler(reader, node, inputs):
        tensor = inputs[0]
        check(node, isinstance(tensor, Tensor), "its input is a constant")
        rank, step = len(tensor.layout), tensor.step
        axes = optional_list(node, inputs, reader.opset, "axes", 18)
        axes = axes_of(node, range(rank) if axes is None else axes, rank)
        over = sorted(part for axis in axes for part in tensor.layout[axis])
        kept = attribute(node, "keepdims", "int", 1)
        layout = tuple(() if at in axes else parts for at, parts in enumerate(tensor.layout)
                       if kept or at not in axes)
        if not over:
            return Tensor(step, layout)
        if over == sorted(whole("h", step.shape) + whole("w", step.shape)):
            return Tensor(reader.step(f"global_{kind}", [step], (1, 1, step.channels), None, node), layout)
        check(node, kind == "average" and over == list(whole("c", step.shape)),
              "it is not over all pixels")
        return Tensor(reader.step("mean_of_channels", [step], (*step.pixels, 1), step.scale, node), layout)
    return handler


def resize_sizes(reader, node, inputs, step):
    """The sizes of the result, and the factor: as the file says, or None where it only says the sizes."""
    axes = attribute(node, "axes", "ints", [0, 1, 2, 3])
    scales = inputs[2] if len(inputs) > 2 and inputs[2] is not None and inputs[2].shape != (0,) else None
    sizes = inputs[3] if len(inputs) > 3 else None
    check(node, (scales is None) != (sizes is None), "expected either scales or sizes")
    given = scales if scales is not None else sizes
    check(node, isinstance(given, Constant) and given.count == len(axes), "its scales or sizes are not known, or not one "
          "for each axis")
    by_axis = dict(zip(axes_of(node, axes, 4), given.values))
    old = (1, step.channels, *step.pixels)
    if scales is None:
        new = [int(by_axis.get(axis, old[axis])) for axis in range(4)]
        factors = [Fraction(a, b) for a, b in zip(new, old)]
    else:
        factors = [by_axis.get(axis, 1.0) for axis in range(4)]
        check(node, all(0 < factor <= 1 << 16 for factor in factors), "a scale is not above 0")
        new = [math.floor(size * factor) for size, factor in zip(old, factors)]
    check(node, new[0] == 1 and new[1] == step.channels and factors[2] == factors[3],
          f"it resizes {joined(old)} to {joined(new)}, expected one factor for height and width")
    return new[2:], factors[2], scales is not None


def resize(reader, node, inputs):
    step = reader.map_of(node, inputs[0])
    mode = attribute(node, "mode", "string", "nearest")
    place = attribute(node, "coordinate_transformation_mode", "string", "half_pixel")
    rounding = attribute(node, "nearest_mode", "string", "round_prefer_floor")
    policy = attribute(node, "keep_aspect_ratio_policy", "string", "stretch")
    check(node, not attribute(node, "antialias", "int", 0) and policy == "stretch"
          and not attribute(node, "exclude_outside", "int", 0),
          "antialias, exclude_outside and keep_aspect_ratio_policy are not supported")
    sizes, factor, by_factor = resize_sizes(reader, node, inputs, step)
    is_integer = factor == int(factor) and factor >= 1
    if mode == "nearest":
        same = (place == "asymmetric" and rounding == "floor" or is_integer and (
            place == "half_pixel" and rounding in ("round_prefer_floor", "round_prefer_ceil")
            or place == "tf_half_pixel_for_nn" and rounding == "floor"))
    else:
        check(node, mode in ("linear", "cubic"), f"its mode is {shown(mode)}, expected nearest, linear or cubic")
        same = place in ("half_pixel", "pytorch_half_pixel", "align_corners")
    check(node, same, f"the coordinate_transformation_mode {shown(place)} (nearest_mode {shown(rounding)}) of mode {mode} "
          "is none that the library has")
    exact = Fraction(factor)
    if by_factor:
        exact = Fraction(sizes[0], step.shape[0])
        check(node, exact == Fraction(sizes[1], step.shape[1]),
              f"its factor of {factor:g} makes {joined(sizes)} of {joined(step.pixels)}: export with another size")
    if exact == 1 and mode != "cubic":
        return Tensor(step, layouts.plain(step.shape))
    made = reader.step("resize", [step], (*sizes, step.channels), None if step.scale is None else step.scale * exact,
                       node, factor=float(factor), exact=exact, mode={"linear": "bilinear", "cubic": "bicubic"}.get(
                           mode, mode), align_corners=place == "align_corners",
                       cubic=float(attribute(node, "cubic_coeff_a", "float", -0.75)))
    return Tensor(made, layouts.plain(made.shape))


def pad(reader, node, inputs):
    tensor = inputs[0]
    check(node, isinstance(tensor, Tensor), "its input is a constant")
    rank = len(tensor.layout)
    pads = integers(node, inputs[1] if len(inputs) > 1 else None, "pads")
    axes = integers(node, inputs[3], "axes") if len(inputs) > 3 and inputs[3] is not None else list(range(rank))
    check(node, len(pads) == 2 * len(axes), f"it has {len(pads)} pads, expected {2 * len(axes)}")
    axes = axes_of(node, axes, rank)
    if not any(pads):
        return tensor
    step = reader.map_of(node, tensor)
    before, after = ({axis: pads[at + first] for at, axis in enumerate(axes)} for first in (0, len(axes)))
    four = [sides.get(axis, 0) for sides in (before, after) for axis in (2, 3)]
    check(node, not any(sides.get(axis) for sides in (before, after) for axis in (0, 1)) and min(four) >= 0,
          "it pads channels, or removes pixels")
    mode = attribute(node, "mode", "string", "constant")
    modes = {"constant": "zeros", "reflect": "reflect", "edge": "replicate"}
    check(node, mode in modes, f"its mode is {shown(mode)}, expected constant, reflect or edge")
    value = number_input(node, inputs, 2, "value", 0.0)
    check(node, mode != "constant" or value == 0, f"it pads with {value}, expected 0")
    height, width = step.pixels
    shape = (height + four[0] + four[2], width + four[1] + four[3], step.channels)
    made = reader.step("pad", [step], shape, step.scale, node, pads=tuple(four), mode=modes[mode])
    return Tensor(made, layouts.plain(made.shape))


# Channels.

def concat(reader, node, inputs):
    check(node, all(isinstance(value, Tensor) for value in inputs), "one of its inputs is a constant, expected maps")
    axis = axis_of(node, attribute(node, "axis", "int", 0), len(inputs[0].layout))
    if not all(tensor.layout[axis:axis + 1] == (whole("c", tensor.step.shape),)
               and layouts.is_whole(tensor.layout, tensor.step.shape) for tensor in inputs):
        check(node, axis == 1, "it does not join channels")
        inputs = [Tensor(step, layouts.plain(step.shape))
                  for step in (reader.map_of(node, tensor) for tensor in inputs)]
    rest = [tensor.layout[:axis] + tensor.layout[axis + 1:] for tensor in inputs]
    first = inputs[0].step
    check(node, rest.count(rest[0]) == len(rest) and all(tensor.step.pixels == first.pixels for tensor in inputs),
          f"it joins {shown(' and '.join(joined(tensor.shape) for tensor in inputs))}, expected maps of one size")
    pieces = [inputs[0].step]
    for tensor in inputs[1:]:
        joint = neighbours(reader, node, pieces[-1], tensor.step)
        pieces[-1:] = [joint] if joint else [pieces[-1], tensor.step]
    made = pieces[0]
    if len(pieces) > 1:
        channels = sum(step.channels for step in pieces)
        check_limits(node, (channels,), 1)
        made = reader.step("concat", pieces, (*first.pixels, channels), first.scale, node)
    layout = list(inputs[0].layout)
    layout[axis] = whole("c", made.shape)
    return Tensor(made, tuple(layout))


def neighbours(reader, node, a, b):
    """The channels of both if these lie side by side in one map, else None."""
    if a.kind == b.kind == "slice" and a.inputs[0] is b.inputs[0] and a.first + a.channels == b.first:
        return reader.sliced(node, a.inputs[0], a.first, a.channels + b.channels)
    return None


def part_of(reader, node, tensor, axis, chosen):
    """Some places of one dimension."""
    parts, step = tensor.layout[axis], tensor.step
    if len(chosen) == layouts.size_of(parts):
        return tensor
    check(node, len(chosen) > 0, "it takes nothing")
    layout = list(tensor.layout)
    if parts in (whole("h", step.shape), whole("w", step.shape)) and chosen == range(0, parts[0].count, chosen.step):
        layout[axis] = dimension(Part(parts[0].axis, chosen.step, len(chosen)))  # every n-th row or column
        return Tensor(step, tuple(layout))
    if len(parts) > 1 and layouts.movement(tensor.layout, step.shape):  # a pixel shuffle or unshuffle
        step = reader.map_of(node, tensor)
        tensor = Tensor(step, layouts.plain(step.shape))
        parts = tensor.layout[axis]
    check(node, chosen.step == 1 and len(parts) == 1 and parts[0].axis == "c"
          and parts[0].step * parts[0].count == step.channels,
          f"it takes {len(chosen)} of {layouts.size_of(parts)} places of dimension {axis}, which are not channels that "
          "lie side by side")
    inner = parts[0].step
    made = reader.sliced(node, step, chosen.start * inner, len(chosen) * inner)
    layout = list(tensor.layout)
    layout[axis] = dimension(Part("c", inner, len(chosen)))
    return Tensor(made, tuple(layout))


def slice_(reader, node, inputs):
    tensor = inputs[0]
    check(node, isinstance(tensor, Tensor), "its input is a constant")
    for axis, chosen in slice_ranges(node, inputs, tensor.shape):
        tensor = part_of(reader, node, tensor, axis, chosen)
    return tensor


def split(reader, node, inputs):
    tensor = inputs[0]
    check(node, isinstance(tensor, Tensor), "its input is a constant")
    axis = axis_of(node, attribute(node, "axis", "int", 0), len(tensor.layout))
    sizes = optional_list(node, inputs, reader.opset, "split", 13)
    total, count = tensor.shape[axis], len(node.outputs)
    if sizes is None:
        check(node, 1 <= count <= total, f"it makes {count} parts of {total}")
        size = -(-total // count)
        sizes = [min(size, total - at * size) for at in range(count)]
    check(node, sum(sizes) == total and len(sizes) == count and min(sizes) > 0, f"it splits {total} into {sizes}")
    ends = [sum(sizes[:at + 1]) for at in range(count)]
    return [part_of(reader, node, tensor, axis, range(end - size, end)) for end, size in zip(ends, sizes)]


def gather(reader, node, inputs):
    tensor, index = inputs
    check(node, isinstance(tensor, Tensor) and isinstance(index, Constant) and index.count == 1
          and index.dtype in ("i64", "i32"), "it does not take one place that is known")
    axis = axis_of(node, attribute(node, "axis", "int", 0), len(tensor.layout))
    place = axis_of(node, index.values[0], tensor.shape[axis], "the index")
    part = part_of(reader, node, tensor, axis, range(place, place + 1))
    return Tensor(part.step, part.layout[:axis] + ((),) * len(index.shape) + part.layout[axis + 1:])


# Layouts.

def rearranged(reader, node, inputs):
    tensor = inputs[0]
    check(node, isinstance(tensor, Tensor), "its input is a constant")
    sizes = reshaped(node, inputs, tensor.shape, reader.opset)
    layout = layouts.reshape(tensor.layout, sizes)
    check(node, layout is not None, f"it makes {joined(sizes)} of {joined(tensor.shape)}, across the ends of rows, pixels "
          "or channels")
    return Tensor(tensor.step, layout)


def transpose(reader, node, inputs):
    order = permutation(node, len(inputs[0].layout))
    return Tensor(inputs[0].step, tuple(inputs[0].layout[axis] for axis in order))


def depth_to_space(reader, node, inputs):
    r = attribute(node, "blocksize", "int", 0)
    mode = attribute(node, "mode", "string", "DCR")
    step = reader.map_of(node, inputs[0])
    check(node, 1 <= r <= 256 and step.channels % (r * r) == 0, f"its blocksize is {r}, of {step.channels} channels")
    check(node, mode == "CRD" or step.channels == r * r or r == 1, f"its mode is {shown(mode)}, expected CRD")
    made = reader.moved(node, step, "pixel_shuffle", r) if r > 1 else step
    return Tensor(made, layouts.plain(made.shape))


def space_to_depth(reader, node, inputs):
    r = attribute(node, "blocksize", "int", 0)
    step = reader.map_of(node, inputs[0])
    check(node, 1 <= r <= 256 and all(size % r == 0 for size in step.pixels), f"its blocksize is {r}, of "
          f"{joined(step.pixels)} pixels")
    check(node, step.channels == 1 or r == 1, "its order of channels is not that of a pixel unshuffle, unless the map has "
          "one channel")
    made = reader.moved(node, step, "pixel_unshuffle", r) if r > 1 else step
    return Tensor(made, layouts.plain(made.shape))


def unchanged(reader, node, inputs):
    check(node, node.op != "Dropout" or len(inputs) < 3 or inputs[2] is None or not any(inputs[2].values),
          "it is in training mode: export the model for inference")
    return inputs[0]


def cast(reader, node, inputs):
    check(node, attribute(node, "to", "int", 0) in (1, 10, 11, 16), "it casts a map to something that is not "
          "floating-point numbers")
    return inputs[0]


def shape(reader, node, inputs):
    return shape_of(node, inputs[0].shape)


HANDLERS = {
    "Add": arithmetic("add"), "Sub": arithmetic("subtract"), "Mul": arithmetic("multiply"), "Div": arithmetic("divide"),
    "Sum": add_all, "Neg": negative, "Pow": power, "Sqrt": one("sqrt"), "Erf": one("erf"),
    "Reciprocal": one("reciprocal"),
    "Relu": function("relu"), "LeakyRelu": leaky_relu, "PRelu": prelu, "Sigmoid": function("sigmoid"),
    "Tanh": function("tanh"), "Gelu": gelu, "HardSigmoid": hard_sigmoid, "HardSwish": function("hard_swish"),
    "Clip": clip, "Max": limit, "Min": limit, "Softmax": softmax,
    "Conv": convolution, "ConvTranspose": transposed_convolution, "MatMul": matmul, "Gemm": gemm,
    "BatchNormalization": batch_norm, "LayerNormalization": layer_norm, "InstanceNormalization": instance_norm,
    "MaxPool": pool, "AveragePool": pool, "GlobalAveragePool": whole_pool("global_average"),
    "GlobalMaxPool": whole_pool("global_max"), "ReduceMean": reduction("average"), "ReduceMax": reduction("max"),
    "Resize": resize, "Pad": pad,
    "Concat": concat, "Slice": slice_, "Split": split, "Gather": gather,
    "Reshape": rearranged, "Flatten": rearranged, "Squeeze": rearranged, "Unsqueeze": rearranged,
    "Transpose": transpose, "DepthToSpace": depth_to_space, "SpaceToDepth": space_to_depth,
    "Identity": unchanged, "Dropout": unchanged, "Cast": cast, "Shape": shape, "Size": shape,
}

# How many inputs they have, at least and at most, where it is not one.
INPUTS = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "PRelu", "Max", "Min", "MatMul", "Gather", "Reshape"), (2, 2)),
    **dict.fromkeys(("Conv", "ConvTranspose", "Gemm", "LayerNormalization"), (2, 3)),
    **dict.fromkeys(("ReduceMean", "ReduceMax", "Split", "Squeeze", "Unsqueeze"), (1, 2)),
    **dict.fromkeys(("Clip", "Dropout"), (1, 3)), **dict.fromkeys(("Resize", "Pad"), (1, 4)),
    **dict.fromkeys(("Concat", "Sum"), (1, 1 << 16)), "BatchNormalization": (5, 5), "InstanceNormalization": (3, 3),
    "Slice": (3, 5)}
