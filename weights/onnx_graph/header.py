"""Writes a network as a person would: a struct with its layers, and forward() with one line for each step."""
import math
import os
import re
from fractions import Fraction

from convert import BadModel, Failure, USAGE, joined

from .layers import RESERVED, Layers, constants_of, identifier, label, layer_of, number, options_text, scope, short, unique
from .plan import Plan

WIDTH = 120  # columns
CALLED = {"pixel_shuffle": "shuffle", "pixel_unshuffle": "unshuffle"}  # in profiles, however the graph has it
IDLE = 16  # steps that pass a map by make it a skip connection


def class_name(path):
    """MyNetwork of my_network.hpp."""
    stem = os.path.basename(path).partition(".")[0]
    name = "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", stem))
    if not name or name[0].isdigit():
        name = "Network" + name
    if len(name) > 100:
        raise Failure(USAGE, f"--header: a class of the name {name[:40]}... is too long")
    return name + "Network" if name in RESERVED else name


def printable(text):
    """A name from outside, as a comment has it: without what could end or continue the comment."""
    return re.sub(r"[^A-Za-z0-9 ._+()=-]", "?", text)[:60]


def wrapped(line, indent):
    """A statement in lines of at most WIDTH columns, broken behind commas: the outermost ones that fit."""
    lines, column = [], indent
    while column + len(line) > WIDTH:
        openings, places = [], []
        for at, letter in enumerate(line[:WIDTH - column]):
            if letter in "({":
                openings.append(at + 1)
            elif letter in ")}" and openings:
                openings.pop()
            elif letter == "," and line[at + 1] == " " and openings:
                places.append((len(openings), -at, openings[-1]))
        if not places:
            break
        _, at, opening = min(places)
        lines.append(" " * column + line[:1 - at])
        line = line[2 - at:]
        column = column + opening
    return [*lines, " " * column + line]


def aligned(lines):
    """Puts the comments of lines that follow each other below one another, where the lines leave room for it."""
    result, group = [], []

    def flush():
        width = max((len(code) for code, _ in group), default=0)
        result.extend(f"{code:{width}}  // {comment}" for code, comment in group)
        group.clear()

    for line in lines:
        code, slashes, comment = line.partition("  // ")
        longest = max((len(other) for other, _ in [*group, (code, comment)]))
        if not slashes or any(longest + len(f"  // {other}") > WIDTH for _, other in [*group, (code, comment)]):
            flush()
        if slashes:
            group.append((code, comment))
        else:
            result.append(line)
    flush()
    return result


class Variable:
    def __init__(self, name):
        self.name, self.uses = name, 0
        self.is_changed = False  # takes other maps, or none, later


class Line:
    """A statement of forward(); `declares` is the variable whose declaration it begins with."""

    def __init__(self, text, comment="", declares=None):
        self.text, self.comment, self.declares = text, comment, declares

    def __str__(self):
        text = self.text
        if self.declares is not None:
            text = f"auto {'' if self.declares.is_changed else 'const '}{self.declares.name} = {text}"
        return text + (f"  // {self.comment}" if self.comment else "")


class Forward:
    """The body of forward()."""

    def __init__(self, name, steps, image):
        self.plan, self.image, self.layers = Plan(steps), image, Layers(name)
        self.lines, self.variable, self.free, self.labels = [], {}, [], {}
        self.layer, self.constants = {}, {}
        for step in self.plan.steps:  # members first: local names must differ from theirs
            self.name_layers(step)
        self.taken = set(self.layers.members)
        for index, step in enumerate(self.plan.steps):
            if id(step) not in self.plan.view:
                self.write(index, step)

    def name_layers(self, step):
        if step.kind == "affine":
            self.constants[id(step)] = constants_of(self.layers, step)
        self.layer[id(step)] = layer_of(self.layers, step)
        activation = getattr(step, "activation", None)
        if activation is not None:
            self.layer[id(activation)] = layer_of(self.layers, activation)

    # Names.

    def context(self, step):
        layer = self.layer.get(id(step))
        if layer is not None:
            name = layer.path
        else:
            name = scope(step.node) or CALLED.get(step.kind) or label(step.node)
            used = self.labels.setdefault(name, [])
            used.append(step)
            if len(used) > 1:
                name = f"{name}_{len(used)}"
        return f'context.at("{name}")'

    def role(self, place):
        if place.parts:
            return "joined"
        if place.scale is None and place.shape[:2] == (1, 1):
            return "vector"
        touched = sorted(set(place.touched))
        return "skip" if any(b - a > IDLE for a, b in zip(touched, touched[1:])) else "features"

    def new_variable(self, place, dying):
        """(variable, whether it is declared): that of a map that ends here, one that is free, or a new one."""
        role = self.role(place)
        for other in dying:
            variable = self.variable[id(other)]
            if variable.role == role:
                variable.is_changed = True
                return variable, False
        for variable in self.free:
            if variable.role == role:
                self.free.remove(variable)
                variable.is_changed = True
                return variable, False
        variable = Variable(unique(identifier(role), self.taken, ""))
        variable.role = role
        self.taken.add(variable.name)
        return variable, True

    def of(self, step):
        """How an operand is written."""
        base, first = self.plan.source(step)
        if base.kind == "input":
            return "x" if base.channels == step.channels else f"channel_slice(x, {first}, {step.channels})"
        place, start = self.plan.place[id(base)]
        return self.part(place, first + (start or 0), step.channels)

    def part(self, place, first, count):
        whole = "y" if place.is_output else self.variable[id(place)].name
        if (first, count) == (0, place.shape[2]):
            return whole
        return f"channel_slice({whole}{'' if place.is_output else '.view()'}, {first}, {count})"

    # Sizes, for any size of the image.

    def size(self, place, axis, name):
        exact = place.scale is not None and place.scale * self.image[axis] == place.shape[axis]
        if not exact:
            if place.shape[:2] == (1, 1):
                return "1"
            return None
        numerator, denominator = place.scale.numerator, place.scale.denominator
        if len(name) == 1:  # in a comment
            return (str(numerator) if numerator > 1 else "") + name + (f"/{denominator}" if denominator > 1 else "")
        return (f"{numerator} * " if numerator > 1 else "") + name + (f" / {denominator}" if denominator > 1 else "")

    def shape(self, place):
        sizes = [self.size(place, axis, f"x.{name}()") for axis, name in enumerate(("height", "width"))]
        if None in sizes:
            raise BadModel(f"a map of {joined(place.shape)} has no fixed proportion to the image of "
                           f"{joined(self.image)}: export the model with an image whose sides are powers of 2")
        return f"{{{', '.join(sizes)}, {place.shape[2]}}}"

    def comment(self, step):
        """The shape of a step or place."""
        sizes = [self.size(step, axis, name) for axis, name in enumerate("HW")]
        if None in sizes:
            sizes = [str(size) for size in step.shape[:2]]
        return " x ".join([*sizes, str(step.shape[2])])

    # Statements.

    def write(self, index, step):
        place, first = self.plan.place[id(step)]
        is_new = not place.is_output and id(place) not in self.variable
        operands = {id(self.plan.place[id(base)][0]): self.plan.place[id(base)][0]
                    for base in (self.plan.source(used)[0] for used in step.inputs) if base.kind != "input"}
        dying = [other for other in operands.values()
                 if other is not place and other.last == index and not other.is_output]
        comment = self.comment(step)
        if self.plan.is_joint(step):
            self.join(step, place, first or 0)
        elif is_new and not place.parts and self.makes_its_map(step):
            text, rest = self.call(step, None)
            variable, is_declared = self.new_variable(place, dying)
            self.variable[id(place)] = variable
            self.add(text, comment, variable, is_declared)
            for text in rest(variable.name):
                self.add(text)
            dying = [other for other in dying if self.variable[id(other)] is not variable]
        else:
            if is_new:
                variable, is_declared = self.new_variable(place, [])
                self.variable[id(place)] = variable
                if is_declared:
                    self.add(f"mirnet::ArenaMap<T> {variable.name}(context.arena, {self.shape(place)});")
                else:
                    self.add(f"{variable.name} = mirnet::ArenaMap<T>(context.arena, {self.shape(place)});")
            target = self.part(place, first or 0, step.channels)
            text, rest = self.call(step, target)
            for at, line in enumerate([*([text] if text else []), *rest(target)]):
                self.add(line, comment if at == 0 else "")
        if index + 1 < len(self.plan.steps):
            for other in dying:
                variable = self.variable[id(other)]
                variable.is_changed = True
                self.free.append(variable)
                self.add(f"{variable.name}.release();")

    def add(self, text, comment="", variable=None, is_declared=False):
        if variable is not None and not is_declared:
            text = f"{variable.name} = {text}"
        self.lines.append(Line(text, comment, variable if is_declared else None))

    def join(self, step, place, first):
        """Copies the inputs that could not be written where they belong."""
        for part in step.inputs:
            if self.plan.part_of(part) is not step:
                target = self.part(place, first, part.channels)
                self.add(f"concat({self.context(step)}, {{{self.of(part)}}}, {target});", self.comment(part))
            first += part.channels

    def makes_its_map(self, step):
        """Whether there is a call that returns the result."""
        return step.kind != "activation" and not (step.kind == "resize" and not self.has_exact_factor(step))

    def has_exact_factor(self, step):
        """Whether height * factor is exact for any height."""
        return Fraction(step.factor) == step.exact

    def activation(self, step):
        if step is None:
            return ""
        name, *numbers = step.function
        if name == "prelu":
            return self.layer[id(step)].member
        if name in ("relu", "simple_gate"):
            return f"mirnet::{name}"
        if name in ("leaky_relu", "clamp"):
            return f"mirnet::{name}({', '.join(map(short, numbers))})"
        return f"mirnet::Function::{name}"

    def call(self, step, target):
        """(a statement, a function that makes more of them of the name of the result). Without a target, the statement
        is an expression that returns the result.
        """
        inputs = [self.of(used) for used in step.inputs]
        output = [target] if target else []
        none = lambda name: []
        kind = step.kind
        if kind in ("conv", "linear", "transposed", "layer_norm", "instance_norm"):
            rest = none
            if self.plan.adds_apart(step):
                kind, other = ("subtract" if step.subtracts else "add"), inputs.pop()
                rest = lambda name: [statement(kind, self.context(step), *((other, name) if step.subtracts else (
                    name, other)), name)]
            return self.layer_call(step, inputs, target), rest
        if kind == "activation":
            function = self.activation(step)
            return statement("activate", self.context(step), function, *inputs,
                             *(output if id(step) not in self.plan.in_place else [])), none
        if kind in ("add", "subtract", "multiply"):
            return statement(kind, self.context(step), *inputs, *output), none
        if kind == "affine":
            return self.affine_calls(step, inputs[0], target)
        if kind in ("softmax_of_channels", "softmax_of_pixels"):
            where = self.context(step)
            rest = lambda name: [statement(kind, where, name)]
            if id(step) in self.plan.in_place:
                return None, rest
            if target:
                return statement("concat", where, f"{{{inputs[0]}}}", target), rest
            return statement("copy_channels", where, inputs[0], 0, step.channels), rest
        if kind == "concat":
            return statement("concat", self.context(step), f"{{{', '.join(inputs)}}}", *output), none
        if kind == "slice":
            whole = [self.context(step), inputs[0], step.first, step.channels]
            if not target:
                return statement("copy_channels", *whole), none
            copy = statement("copy_channels", *whole)[:-1]
            return statement("concat", self.context(step), f"{{{copy}}}", target), none
        if kind in ("max_pool", "average_pool"):
            options = options_text(
                stride=None if step.stride == step.kernel else step.stride, padding=step.padding or None,
                ceil_mode="true" if step.ceil_mode else None,
                count_include_pad="false" if kind == "average_pool" and not step.counts_padding else None)
            return statement(kind, self.context(step), *inputs, step.kernel, *with_options(options, output)), none
        if kind in ("global_average", "global_max"):
            return statement(kind, self.context(step), *inputs), none
        if kind in ("pixel_shuffle", "pixel_unshuffle"):
            return statement(kind, self.context(step), *inputs, *output, step.factor), none
        if kind == "resize":
            options = options_text(
                mode=None if step.mode == "nearest" else f"mirnet::Interpolation::{step.mode}",
                align_corners="true" if step.align_corners else None,
                cubic=None if step.mode != "bicubic" or step.cubic == -0.75 else number(step.cubic))
            factor = [] if target else [f"{step.factor:g}" if step.factor == int(step.factor) else number(step.factor)]
            return statement("resize", self.context(step), *inputs, *factor, *with_options(options, output)), none
        raise AssertionError(kind)

    def layer_call(self, step, inputs, target):
        member, activation = self.layer[id(step)].member, self.activation(getattr(step, "activation", None))
        options = [activation] if activation else []
        if len(inputs) > 1:
            options = [options_text(activation=activation or None, **{
                "subtract_from" if step.subtracts else "residual": inputs[1]})]
        elif target and activation and step.kind != "transposed":
            options = [options_text(activation=activation)]
        if target:
            return statement(f"{member}.forward", self.context(step), inputs[0], target, *options)
        return statement(member, self.context(step), inputs[0], *options)

    def affine_calls(self, step, source, target):
        gain, shift = self.constants[id(step)]
        where = self.context(step)
        output = [target] if target else []
        if gain is None:
            return statement("add", where, source, shift.member, *output), lambda name: []
        more = [] if shift is None else [shift.member]
        return statement("multiply", where, source, gain.member, *output), lambda name: [
            statement("add", where, name, member, name) for member in more]


def statement(function, *arguments):
    return f"{function}({', '.join(map(str, arguments))});"


def with_options(options, output):
    """Options that are not given have to be written before an output."""
    return [options or "{}", *output] if output else [options] if options else []


def header_text(name, steps, image, facts):
    """(the text of the header, its Layers). `facts` are the lines of the comment on top."""
    last = steps.output
    pad_multiple = 1
    for step in steps.all:
        if step.scale is not None:
            pad_multiple = pad_multiple * step.scale.denominator // math.gcd(pad_multiple, step.scale.denominator)
    height, width, channels = image
    if height % pad_multiple or width % pad_multiple:
        raise BadModel(f"its input has {height}x{width} pixels, and the network halves maps so that these have to be "
                       f"multiples of {pad_multiple}: export it with such an input")
    scale = last.scale
    if scale is None or scale.denominator != 1 or last.shape[:2] != (scale * height, scale * width):
        raise BadModel(f"its output has {joined(last.shape[:2])} pixels for an input of {joined(image[:2])}, expected the "
                       "same or a whole multiple for inputs of any size")
    forward = Forward(name, steps, image)
    layers = forward.layers
    constants = []
    first = next((layer for layer in layers.all if layer.is_visited), None)
    if first is None:
        raise BadModel("the network has no weights")
    takes = re.match(r"Conv2d<T> \w+\{(\d+), \d+, \d+", first.declaration)
    if not takes or int(takes[1]) != channels or ".groups" in first.declaration:
        constants.append(("input_channels", channels))
    if last.channels != channels:
        constants.append(("output_channels", last.channels))
    if scale != 1:
        constants.append(("scale", scale.numerator))
    if pad_multiple != 1:
        constants.append(("pad_multiple", pad_multiple))
    text = [f"// {fact}" for fact in facts]
    text += ["#pragma once", "", "#include <mirnet/mirnet.hpp>", "", "template <class T>",
             f"struct {name} : mirnet::NetworkBase<{name}<T>, T> {{"]
    if constants:
        text += wrapped(f"static constexpr mirnet::Index {', '.join(f'{what} = {n}' for what, n in constants)};", 2)
        text.append("")
    for layer in layers.all:
        text += wrapped(f"mirnet::{layer.declaration};", 2)
    text += ["", "  constexpr void layers(auto&& visit) {"]
    for layer in layers.all:
        if layer.is_visited:
            text += wrapped(f'visit({layer.member}, "{layer.path}");', 4)
    text += ["  }", "", "  constexpr void forward(mirnet::Context<T>& context, mirnet::View<T const> x, "
             "mirnet::View<T> y) const {"]
    text += aligned([part for line in forward.lines for part in wrapped(str(line), 4)])
    return "\n".join([*text, "  }", "};", ""]), layers
