"""The layers of a network: what they are called, in the weight file and in C++, and their tensors."""
import hashlib
import re
from typing import NamedTuple

from convert import BadModel, all_finite, floats, widen

from .steps import Weights
from .wire import Constant

# Words of C++, and what a network's struct and its functions call something else.
RESERVED = frozenset("""
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t char8_t class co_await
    co_return co_yield compl concept const const_cast consteval constexpr constinit continue decltype default delete do
    double dynamic_cast else enum explicit export extern false final float for friend goto if import inline int long
    module mutable namespace new noexcept not not_eq nullptr operator or or_eq override private protected public
    register reinterpret_cast requires return short signed sizeof static static_assert static_cast struct switch
    template this thread_local throw true try typedef typeid typename union unsigned using virtual void volatile
    wchar_t while xor xor_eq linux unix NULL EOF NAN INFINITY HUGE_VAL BUFSIZ RAND_MAX errno assert
    T Config Pixel Scalar NetworkBase mirnet std x y context visit layers forward scale pad_multiple pad_mode
    input_channels output_channels check check_header check_size channels_in configure each_layer output_shape run
    schema structure_bytes tile_step with_outline built visit_layers
    activate add average_pool channel_slice concat copy_channels global_average global_max max_pool multiply
    pixel_shuffle pixel_unshuffle resize softmax_of_channels softmax_of_pixels subtract
    """.split())


def identifier(text, taken=()):
    """A C++ identifier made of a text, different from those that are taken."""
    name = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9]", "_", text)).strip("_")[:60] or "layer"
    if name[0].isdigit():
        name = f"layer_{name}"
    if name in RESERVED:
        name += "_"
    return unique(name, taken, "" if name.endswith("_") else "_")


def unique(name, taken, separator):
    if name not in taken:
        return name
    return next(other for other in (f"{name}{separator}{n}" for n in range(2, len(taken) + 3)) if other not in taken)


def scope(node):
    """Where the node is in the modules of PyTorch: "encoders.0.0.conv1" of "/encoders.0/encoders.0.0/conv1/Conv"."""
    path = []
    for part in [part for part in node.name.split("/") if part][:-1]:
        if path and part.startswith(path[-1] + "."):
            path[-1] = part
        else:
            path.append(part)
    return clean(".".join(path))


def clean(text):
    """As names in a weight file are, with room for what is appended."""
    return re.sub(r"\.\.+", ".", re.sub(r"[^A-Za-z0-9._]+", "_", text)).strip("._")[:100].strip("._")


def label(node):
    """What a node is called in profiles: its scope, else its own name, else its operator."""
    last = node.name.rsplit("/", 1)[-1]
    return scope(node) or clean(last).lower() or node.op.lower()


def said_by(tensor_name):
    """The layer that the name of a tensor names, or "" if an exporter made the name up ("onnx::Conv_123", "45")."""
    if not re.fullmatch(r"[A-Za-z0-9_.]*[A-Za-z_.][A-Za-z0-9_.]*", tensor_name):
        return ""
    layer, _, last = tensor_name.rpartition(".")
    return layer if last in ("weight", "bias") else tensor_name if layer else ""


class Layer(NamedTuple):
    member: str  # in C++
    path: str  # in the weight file
    declaration: str  # the type and its arguments
    tensors: tuple  # names in the weight file
    is_visited: bool


class Layers:
    """The layers in the order of their first use. Those that have the same weights are one."""

    def __init__(self, struct):
        self.all, self.by_weights = [], {}
        self.values, self.shapes, self.transposed = {}, {}, []  # of the weight file
        self.members = {struct}  # a member cannot have the name of the struct

    def add(self, step, kind, arguments, tensors, candidates, suffix=""):
        """The layer with these tensors: {"weight": Weights...}, or {"": Weights} for one that is its only tensor.
        `candidates` are names for it, from the best on; empty ones do not count.
        """
        raw = {name: bytes_of(step, weights) for name, weights in tensors.items()}
        key = (kind, arguments, *((name, tensors[name].shape, hashlib.sha256(data).digest())
                                  for name, data in raw.items()))
        if key in self.by_weights:
            return self.by_weights[key]
        path = self.path([clean(name) + suffix for name in candidates if clean(name)])
        if "" in tensors and path.rpartition(".")[2] in ("weight", "bias"):  # which are parts of layers
            path = self.path([path.rpartition(".")[0] + (".gain" if path.endswith("weight") else ".shift")])
        member = identifier(path, self.members)
        self.members.add(member)
        names = tuple(f"{path}.{name}" if name else path for name in tensors)
        for name, part in zip(names, tensors):
            self.shapes[name], self.values[name] = tensors[part].shape, raw[part]
        if kind == "ConvTranspose2d":
            self.transposed.append(names[0])
        made = Layer(member, path, f"{kind}<T> {member}{arguments}", names, bool(tensors))
        self.all.append(made)
        self.by_weights[key] = made
        return made

    def path(self, candidates):
        taken = {layer.path for layer in self.all}
        for name in candidates:
            if name not in taken:
                return name
        return unique(candidates[0], taken, "_")


def bytes_of(step, weights):
    """float32 bytes, all of them finite."""
    values, what = weights.values, f"a weight of {step.node}"
    if isinstance(values, Constant):
        if values._raw is not None and values.is_float and values.dtype != "f64":
            raw = widen(bytes(values._raw), values.dtype)
        elif values.is_float:
            raw = floats(what, values.values)
        else:
            raise BadModel(f"{what} is {values.dtype}, expected floating-point numbers")
    else:
        raw = bytes(values)
    if not all_finite(raw):
        raise BadModel(f"{what} is NaN or infinite")
    return raw


def options_text(**options):
    """PyTorch's options as C++ has them: {.stride = 2}; those that are None are left out."""
    given = [f".{name} = {value}" for name, value in options.items() if value is not None]
    return f"{{{', '.join(given)}}}" if given else ""


def number(value):
    """A number of a file as C++ writes it."""
    text = repr(float(value))
    return {"inf": "1e999", "-inf": "-1e999"}.get(text, text)


def given(value, default):
    return None if value == default else value


def arguments(*items):
    return "{" + ", ".join(str(item) for item in items if item != "") + "}"


def layer_of(layers, step):
    """The layer that a step computes, or None."""
    node, tensors = step.node, step.tensors
    weight, bias = (said_by(tensors[name].name) if name in tensors else "" for name in ("weight", "bias"))
    candidates = [weight, scope(node), bias, label(node)]
    bias = "true" if "bias" in tensors else None
    if step.kind == "conv":
        padding = ((step.kernel - 1) * step.dilation + 1) // 2
        options = options_text(stride=given(step.stride, 1), padding=given(step.padding, padding),
                               dilation=given(step.dilation, 1), groups=given(step.groups, 1), bias=bias,
                               padding_mode=None if step.mode == "zeros" else f"mirnet::PaddingMode::{step.mode}")
        return layers.add(step, "Conv2d", arguments(step.inputs[0].channels, tensors["weight"].shape[0], step.kernel,
                                                    options), tensors, candidates)
    if step.kind == "transposed":
        options = options_text(stride=given(step.stride, 1), padding=given(step.padding, 0),
                               output_padding=given(step.output_padding, 0), groups=given(step.groups, 1), bias=bias)
        return layers.add(step, "ConvTranspose2d", arguments(step.inputs[0].channels, step.channels, step.kernel,
                                                             options), tensors, candidates)
    if step.kind == "linear":
        options = options_text(bias=bias)
        return layers.add(step, "Linear", arguments(step.inputs[0].channels, tensors["weight"].shape[0], options),
                          tensors, candidates)
    if step.kind in ("layer_norm", "instance_norm"):
        kind, default = ("LayerNorm", True) if step.kind == "layer_norm" else ("InstanceNorm2d", False)
        affine = bool(tensors)
        options = options_text(eps=given(short(step.epsilon), "1e-05"),
                               affine=str(affine).lower() if affine != default or not default else None)
        return layers.add(step, kind, arguments(step.channels, options), tensors, candidates)
    if step.kind == "activation" and step.function == ("prelu",):
        weights = tensors["weight"]
        is_one = weights.shape == (1,)
        return layers.add(step, "PRelu" if is_one else "ChannelPRelu", "" if is_one else arguments(step.channels),
                          tensors, candidates)
    return None


def short(value):
    """A float32 of a file, as a person would write it."""
    text = f"{value:.7g}"
    return text if "." in text or "e" in text else text + ".0"


def constants_of(layers, step):
    """The gain and the shift of an affine step as layers, or None."""
    result = []
    for values, name, what in zip((step.gain, step.shift), step.names, ("gain", "shift")):
        if values is None:
            result.append(None)
            continue
        shape = (1, step.channels, 1, 1)
        weights = Weights(shape, Constant("f64", shape, list(values)))
        whole = name if re.fullmatch(r"[A-Za-z0-9_.]*[A-Za-z_.][A-Za-z0-9_.]*", name) else ""
        result.append(layers.add(step, "Constant", arguments(step.channels), {"": weights},
                                 [whole, f"{label(step.node)}.{what}"]))
    return result
