"""What a network computes, in the library's terms: steps, each of which makes one feature map of others."""
import math
from fractions import Fraction
from typing import NamedTuple, Optional

from convert import BadModel, alternatives, joined

CONVOLUTIONS = ("conv", "linear")  # what can add or subtract a map as it writes its result
WEIGHTED = (*CONVOLUTIONS, "transposed")
NORMS = ("layer_norm", "instance_norm")


class Weights(NamedTuple):
    """A tensor of a layer: `values` is float32 bytes, or the constant of the file that has them. `name` is that of the
    file, where it was an initializer.
    """
    shape: tuple
    values: object
    name: str = ""


class Step:
    """`shape` is (height, width, channels); `scale` how large the map is in terms of the input, None for one pixel.

    Kinds and their options:

        input
        conv                kernel stride padding dilation groups mode; activation residual subtracts
        transposed          kernel stride padding output_padding dilation groups; activation
        linear              activation residual subtracts
        affine              gain, shift: lists of numbers for each channel, or None; names
        activation          function: (name, number...), or ("prelu",) with the tensor "weight"
        add subtract multiply divide concat
        slice               first (channel)
        max_pool average_pool          kernel stride padding ceil_mode; counts_padding
        global_average global_max mean_of_channels softmax_of_channels softmax_of_pixels
        resize              factor mode align_corners cubic
        pixel_shuffle pixel_unshuffle  factor
        layer_norm instance_norm       epsilon; tensors "weight" and "bias", or none
        erf sqrt reciprocal pad        that exist until they are recognised as parts of others
    """

    def __init__(self, kind, inputs, shape, scale, node, order, **options):
        self.kind, self.inputs, self.shape, self.scale = kind, list(inputs), tuple(shape), scale
        self.node, self.order, self.options, self.tensors = node, order, options, {}
        self.path = ""  # of the layer: what its tensors are called

    def __getattr__(self, name):
        try:
            return self.__dict__["options"][name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def channels(self):
        return self.shape[2]

    @property
    def pixels(self):
        return self.shape[:2]

    def becomes(self, kind, inputs, **options):
        """A step in this one's place with the same result."""
        return Step(kind, inputs, self.shape, self.scale, self.node, self.order, **options)


class Steps:
    """The steps that lead to the output, in their order, and who uses them."""

    def __init__(self, output):
        self.output = output
        self.refresh()

    def refresh(self):
        """Leaves out what nothing uses any more."""
        found, waiting = {id(self.output): self.output}, [self.output]
        while waiting:
            for step in waiting.pop().inputs:
                if id(step) not in found:
                    found[id(step)] = step
                    waiting.append(step)
        self.all = sorted(found.values(), key=lambda step: step.order)
        self.users = {id(step): [] for step in self.all}
        for step in self.all:
            for used in step.inputs:
                self.users[id(used)].append(step)

    def uses(self, step):
        """How often: the network's output is a use."""
        return len(self.users.get(id(step), ())) + (step is self.output)

    def replace(self, old, new):
        """Lets everybody who used one step use another. refresh() has to follow."""
        for user in self.users.pop(id(old)):
            user.inputs = [new if step is old else step for step in user.inputs]
            self.users.setdefault(id(new), []).append(user)
        self.users.setdefault(id(new), [])
        self.drop(old)
        for used in new.inputs:
            if new not in self.users.setdefault(id(used), []):
                self.users[id(used)] += [new] * new.inputs.count(used)
        if self.output is old:
            self.output = new


    def drop(self, step):
        """Forgets a step that nothing uses any more as a user of its inputs."""
        for used in step.inputs:
            if step in self.users.get(id(used), ()):
                self.users[id(used)].remove(step)


LIMITS = {"kernel": 63, "stride": 31, "padding": 31, "dilation": 31}  # of the library's layers
MAX_CHANNELS = 65535


def check_limits(node, channels, groups, **sizes):
    for name, value in sizes.items():
        if not (name == "padding") <= value + (name == "padding") <= LIMITS[name] + (name == "padding"):
            raise BadModel(f"{node} has a {name} of {value}, expected {LIMITS[name]} at most")
    if max(channels) > MAX_CHANNELS:
        raise BadModel(f"{node} has {max(channels)} channels, expected {MAX_CHANNELS} at most")
    if groups > 254 and groups != channels[0]:
        raise BadModel(f"{node} has {groups} groups, expected {alternatives(['254 at most', channels[0]])}")


def check_size(node, shape):
    if min(shape) < 1 or math.prod(shape) >= 1 << 40:
        raise BadModel(f"{node} makes a map of {joined((shape[2], *shape[:2]))}, expected at least one pixel")


def divided_scale(scale: Optional[Fraction], stride):
    return None if scale is None else scale / stride


def composed(first, then):
    """(gain, shift) of two such functions of a channel, one after the other; None is a gain of 1, a shift of 0."""
    (gain, shift), (factor, term) = first, then
    if factor is not None:
        shift = None if shift is None else [a * b for a, b in zip(shift, factor)]
        gain = factor if gain is None else [a * b for a, b in zip(gain, factor)]
    if term is not None:
        shift = term if shift is None else [a + b for a, b in zip(shift, term)]
    return gain, shift
