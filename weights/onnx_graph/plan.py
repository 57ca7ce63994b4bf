"""Which map of a network lies where: found out here, so that nothing has to be at run time.

Every step's result goes to a place: a map of its own, the place of an operand that is not needed any more, a part of a
map that joins several, or the network's output. A place is taken at the first step that writes to it, and given back
behind the last that reads it.
"""
from .steps import CONVOLUTIONS, NORMS

LINE = 16  # channels: a layer reads and writes slices of whole lines of a map

# What reads only maps whose pixels follow each other without other channels between.
READS_WHOLE_MAPS = ("global_average", "global_max", "instance_norm", "softmax_of_pixels")
# What cannot write into a given map.
MAKES_ITS_MAP = ("global_average", "global_max", "slice", "softmax_of_channels", "softmax_of_pixels", "input")


class Place:
    """`shape` and `scale` as of a step; `parts` says that several steps write to it, each its channels."""

    def __init__(self, shape, scale, is_output=False, parts=False):
        self.shape, self.scale, self.is_output, self.parts = shape, scale, is_output, parts
        self.first, self.last, self.touched = None, None, []


class Plan:
    def __init__(self, steps):
        self.steps = [step for step in steps.all if step.kind != "input"]
        self.output, self.users = steps.output, steps.users
        self.at = {id(step): index for index, step in enumerate(self.steps)}
        self.view = {}  # id(step): (step, first channel) whose channels it is, without a copy
        self.place = {}  # id(step): (Place, first channel, or None for all of it)
        self.in_place = set()  # ids of steps that write over an operand
        self.find_views()
        self.find_joints()
        self.find_places()
        self.find_lifetimes()

    def source(self, step):
        """(step, first channel): whose map a step's result is a part of."""
        first = 0
        while id(step) in self.view:
            step, start = self.view[id(step)]
            first += start
        return step, first

    def find_views(self):
        for step in self.steps:
            if step.kind != "slice" or step is self.output:
                continue
            base, first = self.source(step.inputs[0])
            first += step.first
            if is_lines(first, step.channels, base.channels) and not self.read_whole(step):
                self.view[id(step)] = base, first

    def pitch(self, step):
        """Elements from one pixel to the next of the map that a step's result is in."""
        base, _ = self.source(step)
        channels = base.channels if base.kind == "input" else self.place[id(base)][0].shape[2]
        return -(-channels // LINE)

    def adds_apart(self, step):
        """Whether a convolution cannot add a map itself, as that lies in another arrangement than the result."""
        return step.kind in CONVOLUTIONS and len(step.inputs) > 1 and self.pitch(step) != self.pitch(step.inputs[1])

    def read_whole(self, step):
        return any(user.kind in READS_WHOLE_MAPS for user in self.users[id(step)])

    def find_joints(self):
        """Concatenations that need no copy: those whose inputs can be written where they belong."""
        joints = [step for step in self.steps if step.kind == "concat"]
        for step in sorted(joints, key=lambda step: (-len(step.inputs), step.order)):
            first, starts = 0, []
            for part in step.inputs:
                starts.append(first)
                first += part.channels
            if id(step) in self.view or not all(
                    is_lines(start, part.channels, step.channels) for start, part in zip(starts, step.inputs)):
                continue
            placed = [self.can_be_placed(part) and step.inputs.count(part) == 1 for part in step.inputs]
            if not any(placed) or self.read_whole(step):
                continue
            for other in joints:  # the first inputs of this one
                count = len(other.inputs)
                if (other is not step and other.inputs == step.inputs[:count] and all(placed[:count])
                        and other is not self.output and id(other) not in self.place
                        and other.channels % LINE == 0 and not self.read_whole(other)):
                    self.view[id(other)] = step, 0
            for part, start, fits in zip(step.inputs, starts, placed):
                if fits:
                    self.place[id(part)] = step, start
            self.place.setdefault(id(step), None)

    def can_be_placed(self, step):
        return (step.kind not in MAKES_ITS_MAP and id(step) not in self.place and id(step) not in self.view
                and step is not self.output and not self.read_whole(step))

    def is_joint(self, step):
        """Whether it is a concatenation whose parts are written where they belong, at least some of them."""
        return step.kind == "concat" and any(self.part_of(part) is step for part in step.inputs)

    def part_of(self, step):
        return self.joint.get(id(step), (None, 0))[0]

    def find_places(self):
        """From the last step to the first: a step that may write over an operand gives it its own place."""
        self.joint = {key: value for key, value in self.place.items() if value is not None}
        self.place = {}
        self.last_use = {}
        for index, step in enumerate(self.steps):
            for used in step.inputs:
                base, _ = self.source(used)
                self.last_use[id(base)] = index
        self.last_use[id(self.output)] = len(self.steps)
        for index in reversed(range(len(self.steps))):
            step = self.steps[index]
            if id(step) in self.view:
                continue
            if id(step) not in self.place:
                self.place[id(step)] = self.new_place(step)
            if self.is_joint(step):
                self.place[id(step)][0].parts = True
                continue
            for operand in self.overwritable(step):
                if (not self.reads_beside(step, operand) and operand.kind != "input" and id(operand) not in self.view and id(operand) not in self.place
                        and id(operand) not in self.joint and self.last_use[id(operand)] == index
                        and operand.shape == step.shape and not (operand.kind in MAKES_ITS_MAP and (
                            self.place[id(step)][0].is_output or self.place[id(step)][1] is not None))
                        and not (self.place[id(step)][1] is not None and self.read_whole(operand))):
                    self.place[id(operand)] = self.place[id(step)]
                    self.in_place.add(id(step))
                    break

    def reads_beside(self, step, operand):
        """Whether a step reads other elements of an operand than the one that it is about to write."""
        read = step.inputs[:1] if step.kind in CONVOLUTIONS else [used for used in step.inputs if used is not operand]
        return any(self.source(used)[0] is operand for used in read)

    def new_place(self, step):
        if step is self.output:
            return Place(step.shape, step.scale, is_output=True), None
        if id(step) in self.joint:
            whole, start = self.joint[id(step)]
            place, first = self.place[id(whole)]
            return place, start + (first or 0)
        return Place(step.shape, step.scale), None

    def overwritable(self, step):
        """Operands over which a step may write its result, from the best on."""
        if step.kind in ("conv", "linear"):
            yield from step.inputs[1:]  # the map that is added
        elif step.kind in ("affine", "activation", "softmax_of_channels", "softmax_of_pixels", *NORMS):
            yield step.inputs[0]
        elif step.kind in ("add", "multiply", "subtract"):
            yield from step.inputs

    def find_lifetimes(self):
        for index, step in enumerate(self.steps):
            if id(step) in self.view:
                continue
            self.touch(step, index)
            for used in step.inputs:
                base, _ = self.source(used)
                if base.kind != "input":
                    self.touch(base, index)
        for place, _ in self.place.values():
            if place.is_output:
                place.last = len(self.steps)

    def touch(self, step, index):
        place, _ = self.place[id(step)]
        place.first = index if place.first is None else min(place.first, index)
        place.last = index if place.last is None else max(place.last, index)
        place.touched.append(index)


def is_lines(first, count, channels):
    """Whether layers take these channels of a map as they are."""
    return first % LINE == 0 and (count % LINE == 0 or first + count == channels)
