"""Makes of the steps of a graph those that a person would write: recognises the layers that exporters take apart, folds
factors and shifts of channels into weights, and lets convolutions apply the activation and add the map that follow.
"""
import math

from convert import floats

from .constants import check
from .steps import CONVOLUTIONS, NORMS, WEIGHTED, Steps, Weights, composed

PARTS = {"erf": "a GELU", "sqrt": "a layer norm or instance norm", "reciprocal": "a layer norm or instance norm",
         "divide": "a layer norm or instance norm", "mean_of_channels": "a layer norm",
         "pad": "a convolution, whose padding is then alike on all sides"}


def simplify(output):
    """Returns the Steps, and sentences on what was folded into what."""
    steps, folded = Steps(output), []
    for step in list(steps.all):
        for pattern in PATTERNS:
            found = pattern(step)
            if found is not None:
                steps.replace(step, found)
                step = found
    steps.refresh()
    join_affine(steps)
    for step in steps.all:
        check(step.node, step.kind not in PARTS,
              f"the library has it only as a part of {PARTS.get(step.kind)}, which is not what is here")
    for step in list(steps.all):
        for rule in RULES:
            rule(steps, step, folded)
    steps.refresh()
    return steps, folded


# Patterns: each returns the step that computes the same, or None.

def is_close(a, b):
    return abs(a - b) <= 1e-4 * abs(b)


def scalar(values):
    """The number that all values are equal to, or None if they differ; 1 without values."""
    return 1.0 if values is None else values[0] if all(value == values[0] for value in values) else None


def peeled(step):
    """Yields (step, gain, shift) without none, one, two... of the affine steps that end in it, as long as the numbers are
    the same for all channels.
    """
    gain, shift = 1.0, 0.0
    yield step, gain, shift
    while step.kind == "affine":
        factor, term = scalar(step.gain), 0.0 if step.shift is None else scalar(step.shift)
        if factor is None or term is None:
            return
        gain, shift = gain * factor, shift + gain * term
        step = step.inputs[0]
        yield step, gain, shift


def unscaled(step):
    """The last of these."""
    return list(peeled(step))[-1]


def is_scaled(step, x, gain, shift=0.0):
    """Whether the step is x * gain + shift."""
    return any(inner is x and is_close(factor, gain) and term == shift for inner, factor, term in peeled(step))


def scaled(step, gain, result):
    """`result`, or what a gain makes of it, in the place of `step`."""
    if is_close(gain, 1):
        return result
    result.order -= 0.5  # before the other
    return step.becomes("affine", [result], gain=[gain] * step.channels, shift=None, names=("", ""))


def is_function(step, name):
    return step.kind == "activation" and step.function == (name,)


def factors(step):
    """Both orders of a product's factors."""
    if step.kind == "multiply":
        a, b = step.inputs
        yield a, b
        if a is not b:
            yield b, a


def normalization(step):
    """(x - mean) / sqrt(variance + epsilon)."""
    for centred, root in [tuple(step.inputs)] if step.kind == "divide" else factors(step):
        if step.kind == "multiply":
            if root.kind != "reciprocal":
                continue
            root = root.inputs[0]
        if root.kind != "sqrt" or centred.kind != "subtract":
            continue
        variance, gain, epsilon = unscaled(root.inputs[0])
        x, mean = centred.inputs
        kinds = {"mean_of_channels": "layer_norm", "global_average": "instance_norm"}
        if variance.kind not in kinds or mean.kind != variance.kind or mean.inputs[0] is not x or gain != 1:
            continue
        square = variance.inputs[0]
        if square.kind == "multiply" and square.inputs == [centred, centred] and epsilon > 0:
            return step.becomes(kinds[variance.kind], [x], epsilon=epsilon)
    return None


def gelu(step):
    """x * (1 + erf(x / sqrt(2))) / 2, and the form with tanh, up to a factor."""
    for left, right in factors(step):
        inner, slope, offset = unscaled(right)
        if slope != offset or not (inner.kind == "erf" or is_function(inner, "tanh")):
            continue
        argument = inner.inputs[0]
        for x, gain, shift in peeled(left):
            if shift == 0 and inner.kind == "erf" and is_scaled(argument, x, math.sqrt(0.5)):
                return scaled(step, 2 * gain * slope, step.becomes("activation", [x], function=("gelu",)))
            if shift == 0 and inner.kind != "erf" and is_cubic(argument, x):
                return scaled(step, 2 * gain * slope, step.becomes("activation", [x], function=("gelu_tanh",)))
    return None


def is_cubic(step, x):
    """Whether it is sqrt(2 / pi) * (x + 0.044715 * x^3)."""
    total, factor, rest = unscaled(step)
    if total.kind != "add" or rest != 0 or not is_close(factor, math.sqrt(2 / math.pi)):
        return False
    for linear, cubic in (total.inputs, total.inputs[::-1]):
        cube, weight, rest = unscaled(cubic)
        if linear is x and rest == 0 and is_close(weight, 0.044715):
            return any(other is x and square.kind == "multiply" and square.inputs == [x, x]
                       for square, other in factors(cube))
    return False


def gated(step):
    """x * sigmoid(x), x * hard_sigmoid(x), and x * relu6(x + 3) / 6."""
    for x, gate in factors(step):
        for name, result in (("sigmoid", "silu"), ("hard_sigmoid", "hard_swish")):
            if is_function(gate, name) and gate.inputs[0] is x:
                return step.becomes("activation", [x], function=(result,))
        inner, gain, shift = unscaled(gate)
        if shift == 0 and is_relu6(inner, x):
            return scaled(step, 6 * gain, step.becomes("activation", [x], function=("hard_swish",)))
    return None


def is_relu6(step, x):
    """Whether it is clamp(x + 3, 0, 6)."""
    return step.kind == "activation" and step.function == ("clamp", 0.0, 6.0) and is_scaled(step.inputs[0], x, 1.0, 3.0)


def hard_sigmoid(step):
    """relu6(x + 3) / 6."""
    if step.kind == "affine":
        inner, gain, shift = unscaled(step)
        if is_close(gain, 1 / 6) and shift == 0 and inner.kind == "activation" and inner.inputs[0].kind == "affine":
            x = inner.inputs[0].inputs[0]
            if is_relu6(inner, x):
                return step.becomes("activation", [x], function=("hard_sigmoid",))
    return None


PATTERNS = (normalization, gelu, gated, hard_sigmoid)


def join_affine(steps):
    """One affine step of two that follow each other, as patterns leave them; none of those that change nothing."""
    for step in list(steps.all):
        if step.kind != "affine":
            continue
        before, names = step.inputs[0], step.names
        gain, shift = step.gain, step.shift
        if before.kind == "affine":
            names = tuple(first or second for first, second in zip(before.names, names))
            gain, shift = composed((before.gain, before.shift), (gain, shift))
            before = before.inputs[0]
        if gain is not None and all(is_close(value, 1) for value in gain):
            gain = None
        if gain is None and shift is None:
            steps.replace(step, before)
        elif before is not step.inputs[0] or gain is not step.gain:
            steps.replace(step, step.becomes("affine", [before], gain=gain, shift=shift, names=names))
    steps.refresh()


# Rules: each changes the steps where it applies. Steps come in their order, so what a step can be joined to is done.

def doubles(weights):
    """The values of Weights as Python numbers."""
    values = weights.values
    return values.values if hasattr(values, "values") else memoryview(values).cast("f")


def changed(layer, values):
    name = f"a weight of {layer.node}"
    return floats(name, values)


def scale_outputs(layer, gain, shift, shift_name):
    """Folds a gain and a shift of the output's channels into weights and bias."""
    weight, out = layer.tensors["weight"], layer.channels
    if gain is not None:
        values = doubles(weight)
        if layer.kind == "transposed":
            groups, outer, inner = layer.groups, weight.shape[0], math.prod(weight.shape[2:])
            own = weight.shape[1]  # outputs of a group
            of_row = [row // (outer // groups) * own for row in range(outer)]
            result = [value * gain[of_row[at // (own * inner)] + at // inner % own] for at, value in enumerate(values)]
        else:
            step = math.prod(weight.shape[1:])
            result = [value * gain[at // step] for at, value in enumerate(values)]
        layer.tensors["weight"] = Weights(weight.shape, changed(layer, result), weight.name)
    bias = layer.tensors.get("bias")
    old = None if bias is None else list(doubles(bias))
    _, new = composed((None, old), (gain, shift))
    if new is not None:
        layer.tensors["bias"] = Weights((out,), changed(layer, new), bias.name if bias else shift_name)


def scale_inputs(layer, gain, shift):
    """The same of the input's channels."""
    weight, values = layer.tensors["weight"], doubles(layer.tensors["weight"])
    inner, columns = math.prod(weight.shape[2:]), weight.shape[1]
    rows = layer.channels if layer.kind != "transposed" else 0
    if layer.kind == "transposed":
        channel = [at // (columns * inner) for at in range(len(values))]
    else:
        first = [row // (rows // getattr(layer, "groups", 1)) * columns for row in range(rows)]
        channel = [first[at // (columns * inner)] + at // inner % columns for at in range(len(values))]
    if shift is not None:
        bias = layer.tensors.get("bias")
        sums = list(doubles(bias)) if bias is not None else [0.0] * rows
        for at, value in enumerate(values):
            sums[at // (columns * inner)] += value * shift[channel[at]]
        layer.tensors["bias"] = Weights((rows,), changed(layer, sums), bias.name if bias else "")
    if gain is not None:
        layer.tensors["weight"] = Weights(weight.shape, changed(layer, [
            value * gain[of] for value, of in zip(values, channel)]), weight.name)


def own_tensors(layer):
    """A layer whose tensors may be changed."""
    layer.tensors = dict(layer.tensors)
    return layer


def fold_affine(steps, step, folded):
    if step.kind != "affine":
        return
    before = step.inputs[0]
    if steps.uses(before) == 1 and before.kind in WEIGHTED and before.activation is None and len(before.inputs) == 1:
        scale_outputs(own_tensors(before), step.gain, step.shift, step.names[1])
        folded.append(f"{step.node} into {before.node}")
        steps.replace(step, before)
    elif steps.uses(before) == 1 and before.kind in NORMS:
        fold_into_norm(own_tensors(before), step)
        steps.replace(step, before)
    elif steps.uses(step) == 1:
        users = steps.users[id(step)]
        after = users[0] if users else None
        if after is not None and after.kind in WEIGHTED and after.inputs[0] is step and takes_affine(after, step):
            scale_inputs(own_tensors(after), step.gain, step.shift)
            folded.append(f"{step.node} into {after.node}")
            steps.replace(step, before)


def takes_affine(layer, step):
    """Whether it is the same if the layer does it: a shift of zeros around the map is not."""
    if step.shift is None or layer.kind == "linear":
        return True
    return layer.kind == "conv" and (layer.padding == 0 or layer.mode != "zeros")


def fold_into_norm(norm, step):
    n, old = norm.channels, norm.tensors
    before = tuple(list(doubles(old[name])) if name in old else None for name in ("weight", "bias"))
    gain, shift = composed(before, (step.gain, step.shift))
    names = [old[name].name if name in old else other for name, other in zip(("weight", "bias"), step.names)]
    norm.tensors = {"weight": Weights((n,), changed(norm, gain or [1.0] * n), names[0]),
                    "bias": Weights((n,), changed(norm, shift or [0.0] * n), names[1])}


def fuse_activation(steps, step, folded):
    if step.kind != "activation":
        return
    before = step.inputs[0]
    if steps.uses(before) == 1 and before.kind in WEIGHTED and before.activation is None and len(before.inputs) == 1:
        before.options["activation"] = step
        steps.replace(step, before)


def fuse_sum(steps, step, folded):
    """Lets a convolution add the other map, or subtract its result from it, at the place of the sum."""
    if step.kind not in ("add", "subtract"):
        return
    a, b = step.inputs
    choices = [(b, a)] if step.kind == "subtract" else sorted([(b, a), (a, b)], key=lambda pair: -pair[0].order)
    for layer, other in choices:
        if (layer.kind in CONVOLUTIONS and len(layer.inputs) == 1 and steps.uses(layer) == 1 and layer is not other
                and layer.shape == other.shape == step.shape):
            layer.order = step.order
            layer.options["subtracts"] = step.kind == "subtract"
            steps.replace(step, layer)
            layer.inputs.append(other)
            steps.users[id(other)].append(layer)
            return


def fuse_gate(steps, step, folded):
    """NAFNet's SimpleGate: the product of the halves of a convolution's channels."""
    if step.kind != "multiply" or any(half.kind != "slice" for half in step.inputs):
        return
    first, second = sorted(step.inputs, key=lambda half: half.first)
    layer = first.inputs[0]
    if (layer is second.inputs[0] and layer.kind in CONVOLUTIONS and layer.activation is None
            and len(layer.inputs) == 1 and steps.uses(layer) == 2 and steps.uses(first) == steps.uses(second) == 1
            and 2 * step.channels == layer.channels and (first.first, second.first) == (0, step.channels)):
        layer.options["activation"] = step.becomes("activation", [layer], function=("simple_gate",))
        layer.shape = step.shape
        steps.replace(step, layer)
        for half in (first, second):
            steps.drop(half)


RULES = (fuse_gate, fold_affine, fuse_activation, fuse_sum)
