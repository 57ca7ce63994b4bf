"""Computes nodes whose inputs are known: what exporters leave of arithmetic on shapes, and of weights."""
import math

from convert import BadModel, joined, row_major, shown

from .wire import DTYPES, Constant, bounds

FREE = 1 << 20  # values that all folded constants may have together, beside some times those of the file


class Budget:
    """Bounds the memory that a file can ask for."""

    def __init__(self, size):
        self.left = FREE + size

    def take(self, node, count):
        self.left -= count
        if self.left < 0:
            raise BadModel(f"{node} makes constants that are far larger than the file")


def check(node, holds, sentence):
    if not holds:
        raise BadModel(f"{node}: {sentence}")


def attribute(node, name, kind, default=None):
    value = node.attributes.get(name, default)
    if value is default:
        return default
    kinds = {"int": int, "float": (int, float), "string": str, "ints": list, "floats": list, "tensor": Constant}
    check(node, isinstance(value, kinds[kind]) and (kind != "ints" or all(isinstance(item, int) for item in value)),
          f"the attribute {name} is not of the kind {kind}")
    return value


def integers(node, constant, what):
    """The values of a constant that are places or sizes."""
    check(node, isinstance(constant, Constant) and constant.dtype in ("i64", "i32") and len(constant.shape) <= 1,
          f"{what} is not a list of numbers that are known: export the model with a fixed size")
    return list(constant.values)


def axis_of(node, axis, rank, what="axis"):
    check(node, -rank <= axis < rank, f"{what} is {axis}, expected {-rank} to {rank - 1}")
    return axis % rank


def axes_of(node, axes, rank):
    result = [axis_of(node, axis, rank) for axis in axes]
    check(node, len(set(result)) == len(result), f"the axes {shown(str(axes))} are not different ones")
    return result


def optional_list(node, inputs, opset, name, since):
    """A list that is an attribute before the opset `since` and the second input from it on; None if there is none."""
    if opset < since:
        return attribute(node, name, "ints")
    return integers(node, inputs[1], name) if len(inputs) > 1 and inputs[1] is not None else None


def target_shape(node, old, sizes, allow_zero=False):
    """What Reshape makes of a shape: 0 keeps a dimension, one -1 takes what is left."""
    check(node, all(size >= -1 for size in sizes) and sizes.count(-1) <= 1, f"the shape is {shown(str(sizes))}")
    sizes = list(sizes)
    for at, size in enumerate(sizes):
        if size == 0 and not allow_zero:
            check(node, at < len(old), f"the shape {shown(str(sizes))} keeps dimension {at}, which is not there")
            sizes[at] = old[at]
    count, known = math.prod(old), math.prod(size for size in sizes if size != -1)
    if -1 in sizes:
        check(node, known > 0 and count % known == 0, f"{joined(old)} does not fit into {shown(str(sizes))}")
        sizes[sizes.index(-1)] = count // known
    check(node, math.prod(sizes) == count, f"{joined(old)} does not fit into {joined(sizes)}")
    return tuple(sizes)


def slice_ranges(node, inputs, shape):
    """[(axis, range)] of a Slice."""
    starts, ends = integers(node, inputs[1], "starts"), integers(node, inputs[2], "ends")
    axes = integers(node, inputs[3], "axes") if len(inputs) > 3 and inputs[3] is not None else range(len(starts))
    steps = integers(node, inputs[4], "steps") if len(inputs) > 4 and inputs[4] is not None else [1] * len(starts)
    check(node, len(starts) == len(ends) == len(axes) == len(steps), "starts, ends, axes and steps differ in length")
    check(node, 0 not in steps, "a step is 0")
    axes = axes_of(node, axes, len(shape))
    return [(axis, range(*slice(begin, end, step).indices(shape[axis]) if step > 0 or end >= -shape[axis] else
                         slice(begin, None, step).indices(shape[axis])))
            for axis, begin, end, step in zip(axes, starts, ends, steps)]


def picked(constant, choices, shape=None):
    """The values at these indexes along each dimension, in their order."""
    steps = row_major(constant.shape)
    values, places = constant.values, [0]
    for step, chosen in zip(steps, choices):
        places = [place + index * step for place in places for index in chosen]
    shape = tuple(len(chosen) for chosen in choices) if shape is None else shape
    return Constant(constant.dtype, shape, [values[place] for place in places])


def broadcast_shape(node, shapes):
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    result = []
    for sizes in zip(*padded):
        largest = 0 if 0 in sizes else max(sizes)
        check(node, all(size in (1, largest) for size in sizes),
              f"shapes {' and '.join(map(joined, shapes))} do not fit together")
        result.append(largest)
    return tuple(result)


def expanded(node, constant, shape):
    """The constant with a shape that it is broadcast to."""
    if constant.shape == shape:
        return constant
    own = (1,) * (len(shape) - len(constant.shape)) + constant.shape
    check(node, len(own) == len(shape) and all(size in (1, wanted) for size, wanted in zip(own, shape)),
          f"{joined(constant.shape)} does not fit into {joined(shape)}")
    choices = [range(size) if size == wanted else [0] * wanted for size, wanted in zip(own, shape)]
    return picked(Constant(constant.dtype, own, constant.values), choices)


def divided(a, b):
    """Integers are divided towards zero."""
    if isinstance(a, int):
        quotient = abs(a) // abs(b)
        return quotient if (a < 0) == (b < 0) else -quotient
    return a / b


def power(a, b):
    if isinstance(a, int) and isinstance(b, int) and b >= 0:
        return a ** b if b <= 64 and abs(a) < 1 << 64 else 1 << 70
    return float(a) ** float(b)


def modulo(node):
    def c_like(a, b):
        return math.fmod(a, b)
    return c_like if attribute(node, "fmod", "int", 0) else lambda a, b: a % b


BINARY = {"Add": lambda a, b: a + b, "Sub": lambda a, b: a - b, "Mul": lambda a, b: a * b, "Div": divided, "Pow": power,
          "Min": min, "Max": max, "Equal": lambda a, b: a == b, "Greater": lambda a, b: a > b,
          "Less": lambda a, b: a < b, "GreaterOrEqual": lambda a, b: a >= b, "LessOrEqual": lambda a, b: a <= b,
          "And": lambda a, b: a and b, "Or": lambda a, b: a or b}
TRUTHS = ("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "And", "Or", "Not")
UNARY = {"Neg": lambda a: -a, "Abs": abs, "Sqrt": math.sqrt, "Floor": math.floor, "Ceil": math.ceil, "Round": round,
         "Exp": math.exp, "Log": math.log, "Reciprocal": lambda a: 1 / a, "Not": lambda a: not a}


def computed(node, dtype, values):
    """A constant's values, as its type has them."""
    if dtype == "bool":
        return [int(bool(value)) for value in values]
    if dtype in ("f64", "f32", "f16", "bf16"):
        return [float(value) for value in values]
    low, high = bounds(dtype)
    check(node, all(low <= value < high for value in values), f"a result does not fit into {dtype}")
    return [int(value) for value in values]


def elementwise(node, inputs):
    function = modulo(node) if node.op == "Mod" else BINARY.get(node.op) or UNARY[node.op]
    shape = broadcast_shape(node, [constant.shape for constant in inputs])
    lists = [expanded(node, constant, shape).values for constant in inputs]
    dtype = "bool" if node.op in TRUTHS else inputs[0].dtype
    try:
        if len(lists) > 2:  # Min, Max
            values = [function(items) for items in zip(*lists)]
        else:
            values = list(map(function, *lists))
    except (ArithmeticError, ValueError, TypeError):
        raise BadModel(f"{node} has no result: it divides by 0, or overflows") from None
    return Constant(dtype, shape, computed(node, dtype, values))


def cast(node, constant):
    kind = attribute(node, "to", "int", 0)
    check(node, kind in DTYPES, f"it casts to the data type {kind}, expected numbers")
    dtype = DTYPES[kind]
    values = constant.values
    if dtype not in ("f64", "f32", "f16", "bf16", "bool"):
        check(node, all(math.isfinite(value) for value in values), "it casts a value that is no number")
        values = [int(value) for value in values]
    return Constant(dtype, constant.shape, computed(node, dtype, values), name=constant.name)


def gather(node, data, indices):
    check(node, data.shape != (), "it gathers from a scalar")
    axis = axis_of(node, attribute(node, "axis", "int", 0), len(data.shape))
    size = data.shape[axis]
    places = [axis_of(node, index, size, "an index") for index in indices.values]
    choices = [places if at == axis else range(n) for at, n in enumerate(data.shape)]
    return picked(data, choices, data.shape[:axis] + indices.shape + data.shape[axis + 1:])


def concatenated(node, inputs):
    rank = len(inputs[0].shape)
    axis = axis_of(node, attribute(node, "axis", "int", 0), rank)
    rest = [constant.shape[:axis] + constant.shape[axis + 1:] for constant in inputs]
    check(node, all(len(constant.shape) == rank for constant in inputs) and rest.count(rest[0]) == len(rest),
          f"shapes {shown(' and '.join(joined(constant.shape) for constant in inputs))} do not fit together")
    outer = math.prod(inputs[0].shape[:axis])
    values = []
    lists = [(constant.values, constant.count // max(outer, 1)) for constant in inputs]
    for row in range(outer):
        for items, step in lists:
            values += items[row * step:(row + 1) * step]
    shape = list(inputs[0].shape)
    shape[axis] = sum(constant.shape[axis] for constant in inputs)
    return Constant(inputs[0].dtype, shape, values)


def transposed(node, constant):
    rank = len(constant.shape)
    order = permutation(node, rank)
    steps = row_major(constant.shape)
    places = [0]
    for axis in order:
        places = [place + index * steps[axis] for place in places for index in range(constant.shape[axis])]
    values = constant.values
    return Constant(constant.dtype, [constant.shape[axis] for axis in order], [values[place] for place in places],
                    name=constant.name)


def permutation(node, rank):
    order = attribute(node, "perm", "ints", list(range(rank))[::-1])
    check(node, sorted(order) == list(range(rank)), f"perm is {shown(str(order))}, expected an order of {rank} axes")
    return order


def unsqueezed(node, shape, axes):
    check(node, axes is not None, "its axes are not given")
    rank = len(shape) + len(axes)
    axes = set(axes_of(node, axes, rank))
    sizes = iter(shape)
    return tuple(1 if at in axes else next(sizes) for at in range(rank))


def squeezed(node, shape, axes):
    if axes is None:
        return tuple(size for size in shape if size != 1)
    axes = axes_of(node, axes, len(shape))
    check(node, all(shape[axis] == 1 for axis in axes), f"it removes dimensions of {joined(shape)} that are not 1")
    return tuple(size for at, size in enumerate(shape) if at not in axes)


def flattened(node, shape):
    axis = attribute(node, "axis", "int", 1)
    axis = len(shape) if axis == len(shape) else axis_of(node, axis, len(shape))
    return math.prod(shape[:axis]), math.prod(shape[axis:])


def reshaped(node, inputs, shape, opset):
    """The shape that a node gives a tensor whose values stay where they are."""
    if node.op == "Reshape":
        sizes = integers(node, inputs[1] if len(inputs) > 1 else None, "the shape")
        return target_shape(node, shape, sizes, bool(attribute(node, "allowzero", "int", 0)))
    if node.op == "Flatten":
        return flattened(node, shape)
    axes = optional_list(node, inputs, opset, "axes", 13)
    return (unsqueezed if node.op == "Unsqueeze" else squeezed)(node, shape, axes)


RESHAPES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
REDUCTIONS = {"ReduceProd": math.prod, "ReduceSum": sum, "ReduceMax": max, "ReduceMin": min}


def reduced(node, constant):
    """Of all values alone: sizes are multiplied so."""
    check(node, len(constant.shape) == 1 and constant.count > 0, "it reduces a constant that is not a list")
    shape = (1,) if attribute(node, "keepdims", "int", 1) else ()
    return Constant(constant.dtype, shape,
                    computed(node, constant.dtype, [REDUCTIONS[node.op](constant.values)]))


def constant_node(node):
    given = node.attributes
    if "value" in given:
        return attribute(node, "value", "tensor")
    for name, dtype, kind in (("value_float", "f32", "float"), ("value_int", "i64", "int"),
                              ("value_floats", "f32", "floats"), ("value_ints", "i64", "ints")):
        if name in given:
            value = attribute(node, name, kind)
            values = value if isinstance(value, list) else [value]
            return Constant(dtype, (len(values),) if isinstance(value, list) else (), values)
    raise BadModel(f"{node} has no value of numbers")


def spread(node, inputs, budget):
    """ConstantOfShape, Expand, Range and Tile, whose results have any size."""
    if node.op == "Range":
        check(node, all(constant.count == 1 for constant in inputs) and len(inputs) == 3, "it needs three numbers")
        begin, end, step = (constant.values[0] for constant in inputs)
        check(node, step != 0 and all(map(math.isfinite, (begin, end, step))), "its step is 0")
        count = max(0, math.ceil((end - begin) / step))
        budget.take(node, count)
        dtype = inputs[0].dtype
        return Constant(dtype, (count,), computed(node, dtype, [begin + at * step for at in range(count)]))
    sizes = integers(node, inputs[-1], "the shape")
    check(node, all(size >= 0 for size in sizes) and len(sizes) <= 8, f"the shape is {shown(str(sizes))}")
    if node.op == "ConstantOfShape":
        value = attribute(node, "value", "tensor", Constant("f32", (1,), [0.0]))
        check(node, value.count == 1, "its value is not one number")
        budget.take(node, math.prod(sizes))
        return Constant(value.dtype, sizes, list(value.values) * math.prod(sizes))
    data = inputs[0]
    if node.op == "Tile":
        check(node, len(sizes) == len(data.shape), "it repeats other dimensions than there are")
        budget.take(node, data.count * math.prod(sizes))
        return picked(data, [list(range(size)) * times for size, times in zip(data.shape, sizes)])
    shape = broadcast_shape(node, [data.shape, tuple(sizes)])
    budget.take(node, math.prod(shape))
    return expanded(node, data, shape)


def fold(node, inputs, opset, budget):
    """The constant that a node of constants computes, or None for a node that has no such result. Optional inputs that
    are left out are None.
    """
    present = [constant for constant in inputs if constant is not None]
    if node.op == "Constant":
        return constant_node(node)
    check(node, present and inputs[0] is not None, "it has no input")
    first, op = inputs[0], node.op
    if op in ("ConstantOfShape", "Expand", "Range", "Tile"):
        return spread(node, present, budget)
    if op in BINARY or op in UNARY or op in ("Mod", "Where"):
        count = 1 if op in UNARY else 3 if op == "Where" else 2
        check(node, len(present) == count or op in ("Min", "Max"), f"it has {len(present)} inputs, expected {count}")
        budget.take(node, math.prod(broadcast_shape(node, [constant.shape for constant in present])))
        if op == "Where":
            shape = broadcast_shape(node, [constant.shape for constant in present])
            which, a, b = (expanded(node, constant, shape).values for constant in present)
            return Constant(present[1].dtype, shape, [x if yes else y for yes, x, y in zip(which, a, b)])
        if len(present) == 1 and op in ("Min", "Max"):
            return first
        return elementwise(node, present)
    if op in RESHAPES:
        return Constant(first.dtype, reshaped(node, inputs, first.shape, opset), first._values, first._raw, first.name)
    if op in ("Shape", "Size"):
        return shape_of(node, first.shape)
    budget.take(node, sum(constant.count for constant in present))
    if op == "Identity" or op == "Dropout":
        return first
    if op == "Cast":
        return cast(node, first)
    if op == "Concat":
        return concatenated(node, present)
    if op == "Transpose":
        return transposed(node, first)
    if op == "Gather":
        check(node, len(present) == 2 and present[1].dtype in ("i64", "i32"), "its indices are not integers")
        budget.take(node, first.count * present[1].count // max(first.shape[:1] + (1,)))
        return gather(node, first, present[1])
    if op == "Slice":
        check(node, len(inputs) >= 3, f"it has {len(inputs)} inputs, expected 3 or more")
        chosen = dict(slice_ranges(node, inputs, first.shape))
        return picked(first, [chosen.get(at, range(size)) for at, size in enumerate(first.shape)])
    if op in REDUCTIONS:
        return reduced(node, first)
    return None


def shape_of(node, shape):
    if node.op == "Size":
        return Constant("i64", (), [math.prod(shape)])
    rank = len(shape)
    begin, end = attribute(node, "start", "int", 0), attribute(node, "end", "int", rank)
    sizes = list(shape[begin:end])
    return Constant("i64", (len(sizes),), sizes)
