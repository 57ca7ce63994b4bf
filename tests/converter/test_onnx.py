#!/usr/bin/env python3
"""Tests of weights/convert.py's ONNX half with the standard library alone: python3 tests/converter/test_onnx.py -v

The models are written byte by byte (onnx_writer.py). What the headers compute is checked by compiling them elsewhere;
here, their text is. Where PyTorch is installed, models of its exporter are converted, too.
"""
import importlib.util
import math
import os
import pathlib
import re
import struct
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))

import onnx_writer as onnx  # noqa: E402
from onnx_writer import conv, field, info, ints, message, model, node, number, tensor, varint  # noqa: E402

SPEC = importlib.util.spec_from_file_location("test_convert", HERE / "test_convert.py")
samples = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(samples)
convert, run, read_mirw = samples.convert, samples.run, samples.read_mirw
package = convert.onnx_graph()


def weights(name, out, inputs, k=3, bias=True):
    """The tensors of a convolution."""
    return [tensor(f"{name}.weight", (out, inputs, k, k))] + [tensor(f"{name}.bias", (out,))] * bias


def layer(source, target, name, k=3, bias=True, **attributes):
    """A node for them, with a padding that keeps the size."""
    return conv(source, target, f"{name}.weight", f"/{name}/Conv", f"{name}.bias" if bias else None,
                **{"pads": [k // 2] * 4, **attributes})


A, B = weights("a", 16, 3), weights("b", 3, 16)  # most networks here: a, something, b
AB = [*A, *B]


def between(*nodes, tensors=(), opset=17, last="m", **options):
    """A network with these nodes between two convolutions: from "h", of 16 channels, to "m"."""
    return model([layer("x", "h", "a"), *nodes, layer(last, "y", "b")], [*AB, *tensors], opset=opset, **options)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.source, self.target, self.header = (
            self.folder / name for name in ("model.onnx", "out.mirw", "my_network.hpp"))

    def run_on(self, data, *options):
        self.source.write_bytes(data)
        return run(self.source, self.target, "--header", self.header, *options)

    def convert(self, data, *options):
        """(the header's text, {name: (dtype, shape, bytes)}, stdout)"""
        code, out, err = self.run_on(data, *options)
        self.assertEqual((code, err), (0, ""))
        text = self.header.read_text()
        self.check_header(text)
        _, tensors, meta = read_mirw(self.target.read_bytes())
        self.assertEqual(meta["source"], "model.onnx")
        visited = re.findall(r'visit\(\w+, "([^"]*)"\)', text)
        layers = list(dict.fromkeys(re.sub(r"\.(weight|bias)$", "", name) for name in tensors))
        self.assertEqual(layers, visited)
        return text, tensors, out

    def check_header(self, text):
        """What holds for every header."""
        self.assertTrue(text.isascii() and text.endswith("};\n"))
        for line in text.splitlines():
            self.assertTrue(len(line) <= 120 or "n" * 40 in line, line)
        members = re.findall(r"^  mirnet::\w+<T> (\w+)(?:\{.*)?;?$", text, re.M)
        self.assertEqual(len(members), len(set(members)))
        body = text[text.index("void forward"):]
        self.assertEqual(body.count("{"), body.count("}") - 1)  # that of the struct
        declared = re.findall(r"(?:auto (?:const )?|ArenaMap<T> )(\w+)(?: = |\()", body)
        self.assertEqual(len(declared), len(set(declared)))
        self.assertFalse(set(declared) & set(members))

    def forward(self, data, *options):
        """The lines of forward(), without comments; broken lines are one."""
        text, _, _ = self.convert(data, *options)
        body = text[text.index("void forward"):].split("{\n", 1)[1].split("\n  }\n")[0]
        return [re.sub(r"\s+", " ", re.sub(r" +//.*", "", line)).strip()
                for line in re.sub(r"\n {8,}", " ", body).splitlines()]

    def refused(self, data, *fragments, code=4, options=()):
        for path in (self.target, self.header):
            path.unlink(missing_ok=True)
        found, out, err = self.run_on(data, *options)
        self.assertEqual((found, out), (code, ""), err)
        self.assertEqual(err.count("\n"), 1)
        self.assertTrue(err.isascii())
        for fragment in fragments:
            self.assertIn(fragment, err)
        self.assertEqual([path for path in self.folder.iterdir() if path != self.source], [])


class Layers(Case):
    """What each operator becomes."""

    def middle(self, *nodes, **options):
        """The lines between those of the two convolutions."""
        lines = self.forward(between(*nodes, **options))
        self.assertIn('a(context.at("a"), x', lines[0])
        self.assertIn('b.forward(context.at("b"), ', lines[-1])
        return lines

    def test_a_network(self):
        text, tensors, out = self.convert(model(
            [layer("x", "h", "a"), node("Relu", "h", "r"), layer("r", "s", "b"), node("Add", "x s", "y")], AB))
        self.assertEqual(text.splitlines()[3:], [
            "#pragma once", "", "#include <mirnet/mirnet.hpp>", "", "template <class T>",
            "struct MyNetwork : mirnet::NetworkBase<MyNetwork<T>, T> {",
            "  mirnet::Conv2d<T> a{3, 16, 3, {.bias = true}};", "  mirnet::Conv2d<T> b{16, 3, 3, {.bias = true}};", "",
            "  constexpr void layers(auto&& visit) {", '    visit(a, "a");', '    visit(b, "b");', "  }", "",
            "  constexpr void forward(mirnet::Context<T>& context, mirnet::View<T const> x, mirnet::View<T> y) const {",
            '    auto const features = a(context.at("a"), x, mirnet::relu);  // H x W x 16',
            '    b.forward(context.at("b"), features, y, {.residual = x});   // H x W x 3', "  }", "};"])
        self.assertEqual(list(tensors), ["a.weight", "a.bias", "b.weight", "b.bias"])
        self.assertEqual(tensors["a.weight"][:2], ("f32", (16, 3, 3, 3)))
        self.assertIn("parameters  883 in 4 tensors", out)

    def test_activations(self):
        for op, attributes, expected in (
                ("Relu", {}, "mirnet::relu"), ("LeakyRelu", {"alpha": 0.25}, "mirnet::leaky_relu(0.25)"),
                ("LeakyRelu", {}, "mirnet::leaky_relu(0.01)"),
                ("Sigmoid", {}, "mirnet::Function::sigmoid"), ("Tanh", {}, "mirnet::Function::tanh"),
                ("HardSwish", {}, "mirnet::Function::hard_swish"),
                ("HardSigmoid", {"alpha": 1 / 6}, "mirnet::Function::hard_sigmoid")):
            lines = self.middle(node(op, "h", "m", **attributes))
            self.assertEqual(lines[0], f'auto const features = a(context.at("a"), x, {expected});')

    def test_gelu_of_opset_20(self):
        for form, expected in ((None, "gelu"), ("none", "gelu"), ("tanh", "gelu_tanh")):
            lines = self.middle(node("Gelu", "h", "m", **({"approximate": form} if form else {})), opset=20)
            self.assertIn(f"mirnet::Function::{expected})", lines[0])

    def test_clip(self):
        for low, high, expected in (("-", "-", None), ("zero", "-", "mirnet::relu"), ("zero", "six", "clamp(0.0, 6.0)"),
                                    ("-", "six", "clamp(-3.402823e+38, 6.0)")):
            lines = self.middle(node("Clip", f"h {low} {high}", "m"), tensors=[number("zero", 0.0), number("six", 6.0)])
            self.assertIn(expected or "x);", lines[0])

    def test_hard_sigmoid_of_other_slopes(self):
        text, tensors, _ = self.convert(between(node("HardSigmoid", "h", "m", alpha=0.25, beta=0.5)))
        self.assertIn("x, mirnet::clamp(0.0, 1.0))", text)
        self.assertEqual(floats(tensors["a.bias"]), [value / 4 + 0.5 for value in given("a.bias", (16,))])

    def test_prelu(self):
        for shape, kind in (((1,), "PRelu<T> slopes;"), ((16, 1, 1), "ChannelPRelu<T> slopes{16};")):
            data = between(node("PRelu", "h slopes.weight", "m"), tensors=[tensor("slopes.weight", shape)])
            text, tensors, _ = self.convert(data)
            self.assertIn(kind, text)
            self.assertIn("x, slopes)", text)
            self.assertEqual(tensors["slopes.weight"][1], (math.prod(shape),))

    def test_activation_apart(self):
        """What is needed before its activation, too."""
        lines = self.middle(node("Relu", "h", "r"), node("Add", "h r", "m"))
        self.assertEqual(lines[1:4], ["mirnet::ArenaMap<T> features2(context.arena, {x.height(), x.width(), 16});",
                                      'activate(context.at("relu"), mirnet::relu, features, features2);',
                                      'add(context.at("add"), features, features2, features);'])

    def test_activation_behind_a_sum(self):
        lines = self.middle(layer("h", "g", "c"), node("Add", "g h", "s"), node("Relu", "s", "m"),
                            tensors=weights("c", 16, 16))
        self.assertEqual(lines[1:3], ['features = c(context.at("c"), features, {.residual = features});',
                                      'activate(context.at("relu"), mirnet::relu, features);'])

    def test_options_of_convolutions(self):
        for attributes, shape, options in (
                ({"strides": [2, 2]}, (16, 16, 3, 3), ".stride = 2"),
                ({"dilations": [2, 2], "pads": [2] * 4}, (16, 16, 3, 3), ".dilation = 2"),
                ({"group": 16}, (16, 1, 3, 3), ".groups = 16"), ({"group": 4}, (16, 4, 3, 3), ".groups = 4"),
                ({"pads": [1] * 4}, (16, 16, 3, 3), None)):
            up = [] if "strides" not in attributes else [node("Resize", "u - scales", "m",
                                                              coordinate_transformation_mode="asymmetric",
                                                              nearest_mode="floor")]
            data = between(conv("h", "u" if up else "m", "c.weight", **{"pads": [1] * 4, **attributes}), *up,
                           tensors=[tensor("c.weight", shape), tensor("scales", (4,), [1.0, 1.0, 2.0, 2.0])])
            text, _, _ = self.convert(data)
            self.assertIn(f"Conv2d<T> c{{16, 16, 3{f', {{{options}}}' if options else ''}}};", text)

    def test_automatic_padding(self):
        for auto, k, expected in (("SAME_UPPER", 3, "c{16, 16, 3}"), ("SAME_LOWER", 5, "c{16, 16, 5}"),
                                  ("VALID", 1, "c{16, 16, 1}"), ("SAME_UPPER", 2, "c{16, 16, 3}")):
            text, _, _ = self.convert(between(node("Conv", "h c.weight", "m", auto_pad=auto),
                                              tensors=weights("c", 16, 16, k, bias=False)))
            self.assertIn(expected, text)

    def test_kernels_that_are_not_square(self):
        """Zeros around the weights make a square of them."""
        data = between(conv("h", "m", "c.weight", pads=[0, 1, 0, 1]), tensors=[tensor("c.weight", (16, 16, 1, 3))])
        text, tensors, _ = self.convert(data)
        self.assertIn("c{16, 16, 3}", text)
        values, old = floats(tensors["c.weight"]), given("c.weight", (16, 16, 1, 3))
        for at in range(256):
            self.assertEqual(values[9 * at:9 * at + 9], [0] * 3 + old[3 * at:3 * at + 3] + [0] * 3)

    def test_padding_before_a_convolution(self):
        for mode, expected in (("constant", ""), ("reflect", "reflect"), ("edge", "replicate")):
            data = between(node("Pad", "h pads", "p", mode=mode), layer("p", "m", "c", 5, False, pads=[0] * 4),
                           tensors=[*weights("c", 16, 16, 5, False), ints("pads", 0, 0, 2, 2, 0, 0, 2, 2)])
            options = f", {{.padding_mode = mirnet::PaddingMode::{expected}}}" if expected else ""
            self.assertIn(f"c{{16, 16, 5{options}}};", self.convert(data)[0])
        self.forward(between(node("Pad", "h pads", "m"), tensors=[ints("pads", *[0] * 8)]))

    def test_transposed_convolution(self):
        data = model([layer("x", "h", "a", strides=[2, 2]),
                      node("ConvTranspose", "h t.weight t.bias", "y", strides=[2, 2], group=2, pads=[1] * 4)],
                     [*A, tensor("t.weight", (16, 4, 4, 4)), tensor("t.bias", (8,))])
        text, tensors, _ = self.convert(data)
        self.assertIn("ConvTranspose2d<T> t{16, 8, 4, {.stride = 2, .padding = 1, .groups = 2, .bias = true}};", text)
        self.assertIn("output_channels = 8, pad_multiple = 2;", text)
        self.assertIn("// H/2 x W/2 x 16", text)
        self.assertEqual(read_mirw(self.target.read_bytes())[2]["transposed"], "t.weight")

    def test_linear(self):
        last = [node("Transpose", "h", "t", perm=[0, 2, 3, 1]), node("Transpose", "l", "m", perm=[0, 3, 1, 2])]
        data = between(last[0], node("MatMul", "t matrix", "p", "/up/MatMul"), node("Add", "up.bias p", "l"), last[1],
                       tensors=[tensor("matrix", (16, 16)), tensor("up.bias", (16,))])
        text, tensors, _ = self.convert(data)
        self.assertIn("Linear<T> up{16, 16, {.bias = true}};", text)
        matrix = given("matrix", (16, 16))
        self.assertEqual(floats(tensors["up.weight"]), [matrix[16 * i + o] for o in range(16) for i in range(16)])
        self.assertEqual(floats(tensors["up.bias"]), given("up.bias", (16,)))

    def test_linear_of_a_vector(self):
        data = between(node("GlobalAveragePool", "h", "g"), node("Flatten", "g", "f"),
                       node("Gemm", "f fc.weight fc.bias", "l", transB=1), node("Sigmoid", "l", "s"),
                       node("Reshape", "s shape", "v"), node("Mul", "h v", "m"),
                       tensors=[tensor("fc.weight", (16, 16)), tensor("fc.bias", (16,)), ints("shape", 1, 16, 1, 1)])
        self.assertEqual(self.forward(data)[1:4], [
            'auto vector = global_average(context.at("globalaveragepool"), features);',
            'vector = fc(context.at("fc"), vector, mirnet::Function::sigmoid);',
            'multiply(context.at("mul"), features, vector, features);'])

    def test_pools(self):
        for op, attributes, call in (
                ("MaxPool", {}, "max_pool(context.at(\"p\"), features, 2)"),
                ("MaxPool", {"kernel_shape": [3, 3], "pads": [1] * 4},
                 "max_pool(context.at(\"p\"), features, 3, {.stride = 2, .padding = 1})"),
                ("MaxPool", {"ceil_mode": 1}, "max_pool(context.at(\"p\"), features, 2, {.ceil_mode = true})"),
                ("AveragePool", {}, "average_pool(context.at(\"p\"), features, 2)"),
                ("AveragePool", {"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1},
                 "average_pool(context.at(\"p\"), features, 3, {.stride = 2, .padding = 1})"),
                ("AveragePool", {"kernel_shape": [3, 3], "pads": [1] * 4},
                 "average_pool(context.at(\"p\"), features, 3, {.stride = 2, .padding = 1, .count_include_pad = false})")):
            data = between(node(op, "h", "p", "P", **{"kernel_shape": [2, 2], "strides": [2, 2], **attributes}),
                           node("ConvTranspose", "p t.weight", "m", strides=[2, 2]),
                           tensors=[tensor("t.weight", (16, 16, 2, 2))])
            self.assertIn(f"= {call};", self.forward(data)[1])

    def test_padding_before_an_average(self):
        """As PyTorch exports padding that counts."""
        data = between(node("Pad", "h pads", "q"), node("AveragePool", "q", "m", kernel_shape=[3, 3]),
                       tensors=[ints("pads", 0, 0, 1, 1, 0, 0, 1, 1)])
        self.assertIn("features, 3, {.stride = 1, .padding = 1});", self.forward(data)[1])

    def test_pools_of_everything(self):
        whole = [node("MaxPool", "h", "g", kernel_shape=[8, 8], strides=[8, 8]), node("GlobalMaxPool", "h", "g"),
                 node("ReduceMax", "h", "g", axes=[2, 3])]
        means = [node("AveragePool", "h", "g", kernel_shape=[8, 8]), node("GlobalAveragePool", "h", "g"),
                 node("ReduceMean", "h", "g", axes=[-1, 2])]
        for pools, name in ((whole, "global_max"), (means, "global_average")):
            for pool in pools:
                self.assertIn(f"= {name}(", self.forward(between(pool, node("Mul", "g h", "m")))[1])
        data = between(node("ReduceMean", "h axes", "g"), node("Mul", "g h", "m"), opset=18,
                       tensors=[ints("axes", 2, 3)])
        self.assertIn("= global_average(", self.forward(data)[1])

    def test_resizing(self):
        for mode, attributes, expected in (
                ("nearest", {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}, "2)"),
                ("nearest", {}, "2)"), ("linear", {}, "2, {.mode = mirnet::Interpolation::bilinear})"),
                ("linear", {"coordinate_transformation_mode": "align_corners"},
                 "2, {.mode = mirnet::Interpolation::bilinear, .align_corners = true})"),
                ("cubic", {"cubic_coeff_a": -0.5},
                 "2, {.mode = mirnet::Interpolation::bicubic, .cubic = -0.5})")):
            data = model([layer("x", "h", "a"), node("Resize", "h - scales", "m", mode=mode, **attributes),
                          layer("m", "y", "b")], [*AB, tensor("scales", (4,), [1.0, 1.0, 2.0, 2.0])])
            self.assertIn(f", features, {expected};", self.forward(data)[1])
            self.assertIn("scale = 2;", self.header.read_text())

    def test_resizing_to_a_size(self):
        nodes = [layer("x", "h", "a", strides=[2, 2]), node("Shape", "x", "all"), node("Slice", "all two four", "hw"),
                 node("Shape", "h", "small"), node("Slice", "small zero two", "nc"), node("Concat", "nc hw", "size", axis=0),
                 node("Resize", "h - - size", "m", mode="linear"), layer("m", "y", "b")]
        lines = self.forward(model(nodes, [*AB, ints("zero", 0), ints("two", 2), ints("four", 4)]))
        self.assertIn("features, 2, {.mode = mirnet::Interpolation::bilinear}", lines[1])

    def test_resizing_by_a_third(self):
        nodes = [layer("x", "h", "a"), node("Resize", "h - - down", "d", mode="linear"), layer("d", "e", "c"),
                 node("Resize", "e - - up", "m", mode="linear"), layer("m", "y", "b")]
        data = model(nodes, [*AB, *weights("c", 16, 16), ints("down", 1, 16, 2, 3), ints("up", 1, 16, 6, 9)],
                     inputs=[info("x", (1, 3, 6, 9))])
        text, _, _ = self.convert(data)
        self.assertIn("(context.arena, {x.height() / 3, x.width() / 3, 16});", text)
        self.assertIn("pad_multiple = 3;", text)

    def test_shuffles(self):
        six = [node("Reshape", "h six", "s"), node("Transpose", "s", "t", perm=[0, 1, 4, 2, 5, 3]),
               node("Reshape", "t four", "m")]
        manual = [ints("six", 1, 4, 2, 2, 8, 8), ints("four", 1, 4, 16, 16)]
        for nodes, tensors in (([node("DepthToSpace", "h", "m", blocksize=2, mode="CRD")], []), (six, manual)):
            data = model([layer("x", "h", "a"), *nodes, layer("m", "y", "c")], [*A, *weights("c", 3, 4), *tensors])
            self.assertRegex(self.forward(data)[1], r"= pixel_shuffle\(context.at\(\"\w+\"\), features, 2\);")

    def test_unshuffle(self):
        nodes = [node("Reshape", "x six", "s"), node("Transpose", "s", "t", perm=[0, 1, 3, 5, 2, 4]),
                 node("Reshape", "t four", "u"), layer("u", "v", "c"),
                 node("DepthToSpace", "v", "y", blocksize=2, mode="CRD")]
        lines = self.forward(model(nodes, [*weights("c", 12, 12), ints("six", 1, 3, 4, 2, 4, 2), ints("four", 1, 12, 4, 4)]))
        self.assertIn("pixel_unshuffle(", lines[0])
        self.assertEqual(lines[2], 'pixel_shuffle(context.at("shuffle"), features, y, 2);')

    def test_transposes_that_cancel(self):
        lines = self.middle(node("Transpose", "h", "t", perm=[0, 2, 3, 1]), node("Relu", "t", "r"),
                            node("Transpose", "r", "m", perm=[0, 3, 1, 2]))
        self.assertEqual(len(lines), 2)

    def test_softmax(self):
        self.assertEqual(self.middle(node("Softmax", "h", "m", axis=1))[1],
                         'softmax_of_channels(context.at("softmax"), features);')
        shapes = [ints("flat", 1, 16, -1), ints("map", 1, 16, 8, 8)]
        nodes = [node("Reshape", "h flat", "f"), node("Softmax", "f", "s", axis=2), node("Reshape", "s map", "m")]
        for opset in (12, 17):
            self.assertEqual(self.middle(*nodes, tensors=shapes, opset=opset)[1],
                             'softmax_of_pixels(context.at("softmax"), features);')
        self.assertIn("softmax_of_channels", "".join(self.middle(
            node("Transpose", "h", "t", perm=[0, 2, 3, 1]), node("Softmax", "t", "s", axis=3),
            node("Transpose", "s", "m", perm=[0, 3, 1, 2]), opset=11)))

    def test_elementwise(self):
        """Sums, differences, products, of maps, vectors and one channel."""
        c = [*weights("c", 16, 16), *weights("d", 1, 16)]
        for op, call in (("Mul", "multiply"), ("Sub", "subtract")):
            lines = self.forward(between(layer("h", "g", "c"), node(op, "h g" if op == "Mul" else "g h", "m"), tensors=c))
            self.assertIn(f"{call}(context.at(\"{op.lower()}\"), features", lines[2])
        lines = self.forward(between(layer("h", "g", "d"), node("Mul", "g h", "m"), tensors=c))
        self.assertEqual(lines[2], 'multiply(context.at("mul"), features, features2, features);')

    def test_difference_from_a_vector(self):
        text, tensors, _ = self.convert(between(node("GlobalAveragePool", "h", "g"), node("Sub", "g h", "m")))
        self.assertIn("subtract(context.at(\"sub\"), features, vector, features);", text)
        self.assertEqual(floats(tensors["b.weight"]), [-value for value in given("b.weight", (3, 16, 3, 3))])

    def test_parts_of_channels(self):
        for op, parts in (("whole lines", (16, 16)), ("others", (10, 22))):
            data = model([layer("x", "h", "c"), node("Split", "h sizes", "s t", axis=1), layer("s", "u", "d"),
                          layer("t", "v", "e"), node("Add", "u v", "y")],
                         [*weights("c", 32, 3), *weights("d", 3, parts[0]), *weights("e", 3, parts[1]),
                          ints("sizes", *parts)])
            text, _, _ = self.convert(data)
            self.assertEqual("channel_slice(features.view(), 0, 16)" in text, op == "whole lines")
            self.assertEqual("copy_channels(" in text, op == "others")

    def test_gate(self):
        data = model([layer("x", "h", "c"), node("Split", "h", "s t", axis=1, split=[16, 16]), node("Mul", "s t", "m"),
                      layer("m", "y", "b")], [*weights("c", 32, 3), *B], opset=11)
        self.assertEqual(self.forward(data)[0], 'auto const features = c(context.at("c"), x, mirnet::simple_gate);')

    def test_every_second_pixel(self):
        data = between(node("Slice", "h zero eight two steps", "e"), node("Slice", "e zero eight three steps", "f"),
                       node("ConvTranspose", "f t.weight", "m", strides=[2, 2]),
                       tensors=[tensor("t.weight", (16, 16, 2, 2)), ints("zero", 0), ints("eight", 8), ints("two", 2),
                                ints("three", 3), ints("steps", 2)])
        self.assertIn(', features, 1, {.stride = 2});', self.forward(data)[1])

    def test_concatenation_without_a_copy(self):
        data = between(layer("h", "g", "c"), node("Concat", "h g", "j", axis=1), layer("j", "m", "d"),
                       tensors=[*weights("c", 16, 16), *weights("d", 16, 32)])
        self.assertEqual(self.forward(data)[:4], [
            "mirnet::ArenaMap<T> joined(context.arena, {x.height(), x.width(), 32});",
            'a.forward(context.at("a"), x, channel_slice(joined.view(), 0, 16));',
            'c.forward(context.at("c"), channel_slice(joined.view(), 0, 16), channel_slice(joined.view(), 16, 16));',
            'auto const features = d(context.at("d"), joined);'])

    def test_concatenation(self):
        data = between(node("Concat", "x h x", "j", axis=1), layer("j", "m", "d"), tensors=weights("d", 16, 22))
        self.assertEqual(self.forward(data)[1], 'features = concat(context.at("concat"), {x, features, x});')

    def test_concatenation_of_neighbours(self):
        """Two parts of a map that lie side by side are a part of it."""
        data = model([layer("x", "h", "c"), node("Split", "h", "s t u", axis=1), node("Concat", "s t", "j", axis=1),
                      layer("j", "v", "d"), layer("u", "w", "e"), node("Add", "v w", "y")],
                     [*weights("c", 48, 3), *weights("d", 3, 32), *weights("e", 3, 16)], opset=12)
        text, _, _ = self.convert(data)
        self.assertIn("channel_slice(features.view(), 0, 32)", text)
        self.assertNotIn("concat", text)

    def test_shared_layers(self):
        nodes = [layer("x", "h", "a"), layer("h", "i", "c"), node("Relu", "i", "j"), layer("j", "k", "c"),
                 layer("k", "y", "b")]
        text, tensors, _ = self.convert(model(nodes, [*AB, *weights("c", 16, 16)]))
        self.assertEqual((text.count("Conv2d<T> c{"), text.count("c(context")), (1, 2))
        self.assertEqual(len(tensors), 6)

    def test_equal_weights_of_other_names(self):
        same = [0.5] * 2304
        nodes = [layer("x", "h", "a"), layer("h", "i", "c", bias=False), layer("i", "k", "d", bias=False),
                 layer("k", "y", "b")]
        _, tensors, _ = self.convert(model(nodes, [*AB, tensor("c.weight", (16, 16, 3, 3), same),
                                                   tensor("d.weight", (16, 16, 3, 3), same)]))
        self.assertNotIn("d.weight", tensors)

    def test_dtypes(self):
        for kind in (onnx.HALF, onnx.DOUBLE, onnx.BFLOAT16):
            c = [tensor("c.weight", (16, 16, 3, 3), [(i % 13 - 6) / 4 for i in range(2304)], kind)]
            _, tensors, _ = self.convert(between(layer("h", "m", "c", bias=False), tensors=c))
            self.assertEqual(floats(tensors["c.weight"]), [(i % 13 - 6) / 4 for i in range(2304)])

    def test_options(self):
        for options, dtype in ((("--dtype", "f16"), "f16"), (("--dtype", "bf16", "--task", "denoise"), "bf16")):
            _, tensors, out = self.convert(between(node("Relu", "h", "m")), *options)
            self.assertEqual(tensors["a.weight"][0], dtype)
        self.convert(between(node("Relu", "h", "m")), "--layout", "packed", "--meta", "licence=MIT")
        self.assertEqual(read_mirw(self.target.read_bytes())[2]["licence"], "MIT")

    def test_sizes_that_are_joined_again(self):
        text, _, _ = self.convert(model(
            [layer("x", "h", "a", strides=[2, 2]), layer("h", "i", "c", strides=[2, 2]),
             node("Resize", "i - scales", "m", mode="linear"), layer("m", "y", "b")],
            [*AB, *weights("c", 16, 16), tensor("scales", (4,), [1.0, 1.0, 4.0, 4.0])]))
        self.assertIn("static constexpr mirnet::Index pad_multiple = 4;", text)


def given(name, shape):
    """The values of a tensor as `tensor` makes them."""
    raw = tensor(name, shape)[-4 * math.prod(shape):]
    return list(struct.unpack(f"<{math.prod(shape)}f", raw))


def floats(entry):
    return list(struct.unpack(f"<{len(entry[2]) // 4}f", entry[2]))


class Folding(Case):
    def assert_close(self, found, expected):
        self.assertEqual(len(found), len(expected))
        for a, b in zip(found, expected):
            self.assertAlmostEqual(a, b, delta=1e-6 * max(1, abs(b)))

    def norm(self, name="n", count=16):
        return [tensor(f"{name}.gain", (count,)), tensor(f"{name}.shift", (count,)), tensor(f"{name}.mean", (count,)),
                tensor(f"{name}.var", (count,), [0.5 + i / 8 for i in range(count)])]

    def norm_as_function(self, name="n", count=16, epsilon=1e-5):
        gain = [g / math.sqrt(0.5 + i / 8 + epsilon) for i, g in enumerate(given(f"{name}.gain", (count,)))]
        return gain, [s - m * g for s, m, g in zip(given(f"{name}.shift", (count,)), given(f"{name}.mean", (count,)), gain)]

    BATCH_NORM = "n.gain n.shift n.mean n.var"

    def test_batch_norm_behind_a_convolution(self):
        data = between(node("BatchNormalization", f"h {self.BATCH_NORM}", "n", "/n/BatchNormalization", epsilon=1e-5),
                       node("Relu", "n", "m"), tensors=self.norm())
        text, tensors, out = self.convert(data)
        gain, shift = self.norm_as_function()
        old = given("a.weight", (16, 3, 3, 3))
        self.assert_close(floats(tensors["a.weight"]), [value * gain[i // 27] for i, value in enumerate(old)])
        self.assert_close(floats(tensors["a.bias"]),
                          [b * g + s for b, g, s in zip(given("a.bias", (16,)), gain, shift)])
        self.assertIn("folded      the BatchNormalization node '/n/BatchNormalization' into the Conv node '/a/Conv'", out)
        self.assertIn("x, mirnet::relu)", text)

    def test_batch_norm_behind_a_transposed_convolution(self):
        nodes = [layer("x", "h", "a", strides=[2, 2]),
                 node("ConvTranspose", "h t.weight", "u", strides=[2, 2], group=2),
                 node("BatchNormalization", f"u {self.BATCH_NORM}", "y")]
        _, tensors, _ = self.convert(model(nodes, [*A, tensor("t.weight", (16, 4, 2, 2)), *self.norm(count=8)]))
        gain, shift = self.norm_as_function(count=8)
        old = given("t.weight", (16, 4, 2, 2))
        self.assert_close(floats(tensors["t.weight"]),
                          [value * gain[i // 128 * 4 + i // 4 % 4] for i, value in enumerate(old)])
        self.assert_close(floats(tensors["t.bias"]), shift)

    def test_batch_norm_before_a_convolution(self):
        """Without padding the convolution behind it does it."""
        data = model([layer("x", "h", "a"), node("Relu", "h", "r"),
                      node("BatchNormalization", f"r {self.BATCH_NORM}", "n"), layer("n", "y", "c", 1)],
                     [*A, *weights("c", 3, 16, 1), *self.norm()])
        _, tensors, _ = self.convert(data)
        gain, shift = self.norm_as_function()
        old = given("c.weight", (3, 16, 1, 1))
        self.assert_close(floats(tensors["c.weight"]), [value * gain[i % 16] for i, value in enumerate(old)])
        self.assert_close(floats(tensors["c.bias"]), [
            b + sum(old[16 * o + i] * shift[i] for i in range(16)) for o, b in enumerate(given("c.bias", (3,)))])

    def test_batch_norm_that_nothing_can_do(self):
        """Zeros around its result are not zeros around its input."""
        data = between(node("Relu", "h", "r"), node("BatchNormalization", f"r {self.BATCH_NORM}", "m", "/n/BN"),
                       tensors=self.norm())
        text, tensors, _ = self.convert(data)
        gain, shift = self.norm_as_function()
        self.assertIn("multiply(context.at(\"n\"), features, n_gain, features);", text)
        self.assertIn("add(context.at(\"n\"), features, n_shift, features);", text)
        self.assertEqual(tensors["n.gain"][1], (1, 16, 1, 1))
        self.assert_close(floats(tensors["n.gain"]), gain)
        self.assert_close(floats(tensors["n.shift"]), shift)

    def test_factor_before_a_convolution(self):
        """A factor alone passes zero padding, also of groups."""
        data = between(node("Relu", "h", "r"), node("Mul", "r f", "s"),
                       conv("s", "m", "c.weight", pads=[1] * 4, group=4),
                       tensors=[tensor("c.weight", (16, 4, 3, 3)), tensor("f", (1, 16, 1, 1))])
        _, tensors, _ = self.convert(data)
        factor, old = given("f", (16,)), given("c.weight", (16, 4, 3, 3))
        self.assert_close(floats(tensors["c.weight"]),
                          [value * factor[i // 36 // 4 * 4 + i // 9 % 4] for i, value in enumerate(old)])

    def test_factors_and_shifts(self):
        nodes = [node("Mul", "h two", "i"), node("Sub", "i one", "j"), node("Div", "j two", "k"), node("Neg", "k", "m")]
        _, tensors, _ = self.convert(between(*nodes, tensors=[number("two", 2.0), number("one", 1.0)]))
        self.assert_close(floats(tensors["a.weight"]), [-value for value in given("a.weight", (16, 3, 3, 3))])
        self.assert_close(floats(tensors["a.bias"]), [-value + 0.5 for value in given("a.bias", (16,))])

    def test_scaled_residual(self):
        """EDSR's 0.1, NAFNet's beta."""
        nodes = [layer("h", "g", "c"), node("Mul", "beta g", "s"), node("Add", "h s", "m")]
        data = between(*nodes, tensors=[*weights("c", 16, 16), tensor("beta", (1, 16, 1, 1))])
        lines = self.forward(data)  # in another map, as the convolution reads the map that it adds
        self.assertEqual(lines[1], 'features = c(context.at("c"), features, {.residual = features});')
        beta = given("beta", (16,))
        _, tensors, _ = read_mirw(self.target.read_bytes())
        self.assert_close(floats(tensors["c.bias"]), [b * f for b, f in zip(given("c.bias", (16,)), beta)])

    def test_mean_of_the_image(self):
        data = model([node("Sub", "x mean", "z"), layer("z", "h", "a"), layer("h", "i", "b"), node("Add", "i mean", "y")],
                     [*AB, tensor("mean", (1, 3, 1, 1))])
        text, tensors, _ = self.convert(data)
        self.assertIn("static constexpr mirnet::Index input_channels = 3;", text)
        self.assertIn('add(context.at("sub"), x, mean);', text)
        self.assert_close(floats(tensors["mean"]), [-value for value in given("mean", (3,))])
        self.assert_close(floats(tensors["b.bias"]), [a + b for a, b in zip(given("b.bias", (3,)), given("mean", (3,)))])

    def test_identities_and_shapes(self):
        nodes = [node("Identity", "h", "i"), node("Dropout", "i ratio", "d"), node("Shape", "x", "s"),
                 node("Gather", "s two", "height"), node("Unsqueeze", "height axis", "list"), node("Cast", "list", "f", to=1),
                 node("Mul", "f half", "g"), node("Floor", "g", "fl"), node("Cast", "fl", "n", to=7),
                 node("Add", "n n", "back"), node("Concat", "head back tail", "shape", axis=0),
                 node("Reshape", "d shape", "m")]
        lines = self.forward(between(*nodes, tensors=[
            number("ratio", 0.5), tensor("two", (), [2], onnx.INT64), ints("axis", 0), number("half", 0.5),
            ints("head", 1, 16), ints("tail", 8)]))
        self.assertEqual(len(lines), 2)

    def norm_nodes(self, axes, divide=True):
        keep = {"axes": axes, "keepdims": 1}
        return [node("ReduceMean", "h", "mean", **keep), node("Sub", "h mean", "d"), node("Pow", "d two", "q"),
                node("ReduceMean", "q", "v", **keep), node("Add", "v eps", "w"), node("Sqrt", "w", "r"),
                *([node("Div", "d r", "z")] if divide else [node("Reciprocal", "r", "i"), node("Mul", "i d", "z")])]

    def test_layer_norm_in_parts(self):
        tensors = [number("two", 2.0), number("eps", 1e-6), tensor("n.weight", (16, 1, 1)), tensor("n.bias", (16, 1, 1))]
        ends = [node("Mul", "n.weight z", "s", "/n/Mul"), node("Add", "s n.bias", "m", "/n/Add")]
        for divide in (True, False):
            text, values, _ = self.convert(between(*self.norm_nodes([1], divide), *ends, tensors=tensors))
            self.assertIn("LayerNorm<T> n{16, {.eps = 1e-06}};", text)
            self.assertIn('n.forward(context.at("n"), features, features);', text)
            self.assert_close(floats(values["n.weight"]), given("n.weight", (16,)))
            self.assert_close(floats(values["n.bias"]), given("n.bias", (16,)))

    def test_instance_norm_in_parts(self):
        nodes = self.norm_nodes([2, 3])
        text, values, _ = self.convert(between(*nodes, last="z", tensors=[number("two", 2.0), number("eps", 1e-5)]))
        self.assertIn("InstanceNorm2d<T> div{16, {.affine = false}};", text)
        self.assertNotIn('visit(div', text)
        self.assertEqual(len(values), 4)

    def test_norms(self):
        affine = [tensor("n.weight", (16,)), tensor("n.bias", (16,))]
        text, _, _ = self.convert(between(node("InstanceNormalization", "h n.weight n.bias", "m"), tensors=affine))
        self.assertIn("InstanceNorm2d<T> n{16, {.affine = true}};", text)
        nodes = [node("Transpose", "h", "t", perm=[0, 2, 3, 1]),
                 node("LayerNormalization", "t n.weight n.bias", "u", axis=-1, epsilon=1e-6),
                 node("Transpose", "u", "m", perm=[0, 3, 1, 2])]
        text, _, _ = self.convert(between(*nodes, tensors=affine))
        self.assertIn("LayerNorm<T> n{16, {.eps = 1e-06}};", text)

    def test_norm_whose_parts_are_used(self):
        nodes = self.norm_nodes([1])
        self.refused(between(*nodes, node("Add", "z r", "m"), tensors=[number("two", 2.0), number("eps", 1e-6)]),
                     "node 'mean': the library has it only as a part of a layer norm")

    def test_gelu_in_parts(self):
        root, half, one = number("root", math.sqrt(2)), number("half", 0.5), number("one", 1.0)
        erf = [node("Div", "h root", "d"), node("Erf", "d", "e"), node("Add", "e one", "f")]
        for ends in ([node("Mul", "h f", "g"), node("Mul", "g half", "m")],
                     [node("Mul", "h half", "g"), node("Mul", "g f", "m")],
                     [node("Mul", "f half", "g"), node("Mul", "g h", "m")]):
            text, tensors, _ = self.convert(between(*erf, *ends, tensors=[root, half, one]))
            self.assertIn("x, mirnet::Function::gelu)", text)
            self.assertEqual(floats(tensors["a.bias"]), given("a.bias", (16,)))

    def test_gelu_with_a_factor(self):
        erf = [node("Div", "h root", "d"), node("Erf", "d", "e"), node("Add", "e one", "f"), node("Mul", "h f", "m")]
        text, tensors, _ = self.convert(between(*erf, tensors=[number("root", math.sqrt(2)), number("one", 1.0)]))
        self.assertIn("x, mirnet::Function::gelu)", text)
        self.assert_close(floats(tensors["b.weight"]), [2 * value for value in given("b.weight", (3, 16, 3, 3))])

    def test_gelu_with_tanh_in_parts(self):
        nodes = [node("Pow", "h three", "p"), node("Mul", "p c", "q"), node("Add", "h q", "r"), node("Mul", "r k", "s"),
                 node("Tanh", "s", "t"), node("Add", "t one", "u"), node("Mul", "h half", "v"), node("Mul", "v u", "m")]
        text, _, _ = self.convert(between(*nodes, tensors=[
            number("three", 3.0), number("c", 0.044715), number("k", math.sqrt(2 / math.pi)), number("one", 1.0),
            number("half", 0.5)]))
        self.assertIn("x, mirnet::Function::gelu_tanh)", text)

    def test_erf_alone(self):
        self.refused(between(node("Erf", "h", "m")), "the Erf node 'm': the library has it only as a part of a GELU")

    def test_gated_activations(self):
        clip = [node("Add", "h three", "t"), node("Clip", "t zero six", "c")]
        for nodes, name in (
                ([node("Sigmoid", "h", "s"), node("Mul", "h s", "m")], "silu"),
                ([node("HardSigmoid", "h", "s", alpha=1 / 6), node("Mul", "s h", "m")], "hard_swish"),
                ([*clip, node("Mul", "h c", "p"), node("Div", "p six", "m")], "hard_swish"),
                ([*clip, node("Div", "c six", "d"), node("Mul", "h d", "m")], "hard_swish"),
                ([*clip, node("Div", "c six", "m")], "hard_sigmoid")):
            text, _, _ = self.convert(between(*nodes, tensors=[number("three", 3.0), number("zero", 0.0),
                                                               number("six", 6.0)]))
            self.assertIn(f"x, mirnet::Function::{name})", text)

    def test_sums(self):
        data = model([layer("x", "h", "a"), node("Relu", "h", "r"), layer("r", "s", "b"), node("Sub", "x s", "y")], AB)
        self.assertIn("{.subtract_from = x}", self.forward(data)[1])
        nodes = [layer("h", "g", "c"), node("Relu", "g", "r"), node("Sum", "h r", "m")]
        lines = self.forward(between(*nodes, tensors=weights("c", 16, 16)))
        self.assertIn("{.activation = mirnet::relu, .residual = features}", lines[1])

    def test_sum_in_a_joined_map(self):
        """A convolution adds maps of its output's pitch alone."""
        nodes = [layer("h", "g", "c"), node("Concat", "h g", "j", axis=1), layer("j", "k", "d"), node("Add", "k h", "m")]
        lines = self.forward(between(*nodes, tensors=[*weights("c", 16, 16), *weights("d", 16, 32)]))
        self.assertIn('add(context.at("d"), features, channel_slice(joined.view(), 0, 16), features);', lines)


class Memory(Case):
    """Maps that are not needed any more."""

    def test_one_map_follows_another(self):
        names = "cdef"
        nodes = [layer("h" if at == 0 else names[at - 1], name, name) for at, name in enumerate(names)]
        lines = self.forward(between(*nodes, last="f", tensors=sum((weights(name, 16, 16) for name in names), [])))
        self.assertEqual(lines[0], 'auto features = a(context.at("a"), x);')
        for name, line in zip(names, lines[1:]):
            self.assertEqual(line, f'features = {name}(context.at("{name}"), features);')

    def test_release(self):
        nodes = [layer("h", "p", "c"), layer("p", "q", "d"), node("Add", "q h", "r"), layer("r", "m", "e")]
        lines = self.forward(between(*nodes, tensors=sum((weights(name, 16, 16) for name in "cde"), [])))
        self.assertEqual(lines[1:5], [
            'auto features2 = c(context.at("c"), features);',
            'd.forward(context.at("d"), features2, features, {.residual = features});', "features2.release();",
            'features = e(context.at("e"), features);'])

    def test_skip(self):
        count = 20
        nodes = [layer("h" if at == 0 else f"l{at - 1}", f"l{at}", f"c{at}") for at in range(count)]
        lines = self.forward(between(*nodes, node("Add", f"h l{count - 1}", "m"), tensors=sum(
            (weights(f"c{at}", 16, 16) for at in range(count)), [])))
        self.assertEqual(lines[0], 'auto const skip = a(context.at("a"), x);')
        self.assertEqual(lines[count], f'c{count - 1}.forward(context.at("c{count - 1}"), features, skip, '
                                       "{.residual = skip});")


class Names(Case):
    def test_scopes(self):
        """Names that PyTorch's exporter lost are in those of the nodes."""
        nodes = [conv("x", "h", "onnx::Conv_1", "/enc/enc.0/enc.0.1/conv/Conv", pads=[1] * 4),
                 conv("h", "i", "57", "/enc/enc.0/enc.0.1/conv/Conv_1", pads=[1] * 4),
                 conv("i", "y", "onnx::Conv_2", "Conv_7", pads=[1] * 4)]
        text, tensors, _ = self.convert(model(nodes, [tensor("onnx::Conv_1", (16, 3, 3, 3)),
                                                      tensor("57", (16, 16, 3, 3)), tensor("onnx::Conv_2", (3, 16, 3, 3))]))
        self.assertEqual(list(tensors), ["enc.0.1.conv.weight", "enc.0.1.conv_2.weight", "conv_7.weight"])
        self.assertIn('enc_0_1_conv(context.at("enc.0.1.conv"), x)', text)

    def test_words_of_c(self):
        names = ["class", "x", "T", "0", "forward", "concat", "operator.new", "_Under", "features"]
        nodes, tensors = [], []
        for at, name in enumerate(names):
            source, target = "image" if at == 0 else f"t{at}", f"t{at + 1}"
            nodes.append(conv(source, target, f"{name}.weight", pads=[1] * 4))
            tensors.append(tensor(f"{name}.weight", (3, 3, 3, 3), [at / 8] * 81))
        text, _, _ = self.convert(model([*nodes, node("Relu", f"t{len(names)}", "y")], tensors,
                                        inputs=[info("image", (1, 3, 8, 8))]))
        members = re.findall(r"Conv2d<T> (\w+)", text)
        self.assertEqual(members, ["class_", "x_", "T_", "layer_0", "forward_", "concat_", "operator_new", "Under",
                                   "features"])
        self.assertIn("auto features2 = class_(", text)

    def test_member_of_the_struct_s_name(self):
        data = model([conv("x", "y", "MyNetwork.weight", pads=[1] * 4)], [tensor("MyNetwork.weight", (3, 3, 3, 3))])
        self.assertIn("Conv2d<T> MyNetwork_2{3, 3, 3};", self.convert(data)[0])

    def test_hostile_names(self):
        evil = '"); } /* \\\n#include </etc/passwd>\n// ??/ \U0001f600 \x00 %s ' + "n" * 500
        nodes = [node("Conv", ["x", evil], "h", f"/{evil}/Conv", pads=[1] * 4), node("Relu", "h", ["i"], evil),
                 conv("i", "j", "w.weight", evil, pads=[1] * 4), node("Add", "j x", "k", evil),
                 node("Relu", "k", "y", evil)]
        self.source = self.folder / 'model "\\.onnx'
        code, _, err = self.run_on(model(nodes, [tensor(evil, (16, 3, 3, 3)), tensor("w.weight", (3, 16, 3, 3))],
                                         extra=message((2, evil))))
        self.assertEqual((code, err), (0, ""))
        text = self.header.read_text()
        self.check_header(text)
        for found in ("passwd>", "/*", "\\", "??/", "%s"):
            self.assertNotIn(found, text)
        for name in read_mirw(self.target.read_bytes())[1]:
            self.assertRegex(name, r"\A[A-Za-z0-9._]{1,120}\Z")

    def test_hostile_names_in_sentences(self):
        evil = "\x1b[2J\n" + "n" * 1000
        self.refused(between(node("Unknown", "h", "m", evil)), "the Unknown node '\\x1b[2J\\n")
        self.refused(between(node(evil, "h", "m", evil)), "the library has no such layer")

    def test_name_of_the_struct(self):
        for file, name in (("my_network.hpp", "MyNetwork"), ("net.hpp", "Net"), ("x2.h.hpp", "X2"), ("4x.hpp", "Network4x"),
                           ("NAFNet-32.hpp", "NAFNet32"), ("t.hpp", "TNetwork"), ("scalar.hpp", "ScalarNetwork"),
                           ("\u00e4.hpp", "Network")):
            self.header = self.folder / file
            self.assertIn(f"struct {name} : mirnet::NetworkBase<{name}<T>, T> {{",
                          self.convert(between(node("Relu", "h", "m")))[0])


class Refusals(Case):
    def test_operators(self):
        self.refused(between(node("Mish", "h", "m", "/act/Mish")), "the Mish node '/act/Mish': the library has no such layer")
        self.refused(between(node("Mish", "h", "m")), "the Mish node 'm'")
        self.refused(between(node("Relu", "h", "m", domain="com.microsoft")), "domain 'com.microsoft'")
        self.refused(between(node("NonZero", "c", "m"), tensors=[number("c", 1.0)]), "NonZero", "computed beforehand")

    def test_opsets(self):
        for opset in (9, 10, 21, 1 << 40):
            self.refused(between(node("Relu", "h", "m"), opset=opset), f"its opset is {opset}, expected 11 to 20")
        for opset in (11, 20):
            self.convert(between(node("Relu", "h", "m"), opset=opset))
        self.refused(model([], opset=0), "its opset is not stated")

    def test_inputs_and_outputs(self):
        nodes, two = [layer("x", "h", "a"), layer("h", "y", "b")], [info("x", (1, 3, 8, 8)), info("z", (1, 3, 8, 8))]
        self.refused(model(nodes, AB, inputs=two), "2 inputs and 1 outputs, expected one of each")
        self.refused(model(nodes, AB, outputs=two), "1 inputs and 2 outputs")
        self.refused(model(nodes, AB, inputs=[]), "0 inputs")
        for shape, sentence in (
                ((1, 3, "height", 8), "the height of the input 'x' is not fixed: export the model with an input of a fixed"),
                ((1, 3, 8, None), "the width of the input 'x' is not fixed"), ((1, "c", 8, 8), "the number of channels"),
                ((2, 3, 8, 8), "a batch of 2, expected 1"), ((3, 8, 8), "3 dimensions"), ((1, 3, 0, 8), "height"),
                ((1, 3, 1 << 40, 8), "1 to 65535"), ((1,) * 65, "65 dimensions")):
            self.refused(model(nodes, AB, inputs=[info("x", shape)]), sentence)
        self.refused(model(nodes, AB, inputs=[info("x", (1, 3, 8, 8), onnx.INT64)]), "i64, expected floating-point")
        self.convert(model(nodes, AB, inputs=[info("x", ("batch", 3, 8, 8))]))
        # Files of old exporters name the initializers among the inputs.
        self.convert(model(nodes, AB, inputs=[info("x", (1, 3, 8, 8)), info("a.weight", (16, 3, 3, 3))]))

    def test_graphs(self):
        self.refused(model([node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")]),
                     "the Add node 'a' depends on its own result: the graph has a cycle")
        self.refused(model([node("Relu", "y", "y")]), "the graph has a cycle")
        self.refused(model([node("Relu", "nothing", "y")]), "'nothing' is neither a tensor nor the output of a node")
        self.refused(model([node("Relu", "x", "y"), node("Tanh", "x", "y")]), "its output 'y' has the name of another")
        self.refused(model([node("Relu", "x", "x")]), "its output 'x' has the name of another")
        self.refused(model([node("Relu", "x", "z")]), "the output 'y' does not depend on the input")
        self.refused(model([node("Relu", "c", "y")], [number("c", 1.0)]), "nor can it be computed beforehand")
        self.refused(model([node("Identity", "c", "y")], [number("c", 1.0)]), "does not depend on the input")
        self.refused(model([node("Relu", "x", "y")]), "the network has no weights")
        self.refused(model([layer("x", "y", "a")], [*A, *A]), "it has the tensor 'a.weight' twice")
        self.refused(model([layer("x", "h", "a")], A, outputs=[info("x", (1, 3, 8, 8))]), "no weights")

    def test_order_of_nodes(self):
        """Any order is read; what leads nowhere is not."""
        data = model([layer("h", "y", "b"), node("Unknown", "h", "z"), layer("x", "h", "a")], AB)
        self.assertEqual(len(self.forward(data)), 2)

    def test_parts_of_a_model(self):
        nodes = [layer("x", "h", "a"), layer("h", "y", "b")]
        self.refused(model(nodes, AB, extra=field(20, b"")), "information for training")
        self.refused(model(nodes, AB, extra=field(25, message((1, "f")))), "defines functions")
        self.refused(model(nodes, AB, graph_extra=field(15, b"")), "sparse tensors")
        branch = onnx.Raw(message((1, "then_branch"), (6, b""), (20, 5)))
        self.refused(between(node("If", "h", "m", then_branch=branch)), "the If node 'm' has a graph of its own")
        for kind in (9, 10, 11, 13, 0, 99):
            odd = onnx.Raw(message((1, "odd"), (20, kind)))
            self.refused(between(node("Relu", "h", "m", odd=odd)), "'odd' of the Relu node 'm' is of a kind")
        reference = onnx.Raw(message((1, "alpha"), (2, 0.5), (20, 1), (21, "outer")))
        self.refused(between(node("LeakyRelu", "h", "m", alpha=reference)), "of a kind that is not supported")
        twice = onnx.Raw(message((1, "alpha"), (2, 0.5), (20, 1)))
        self.refused(between(node("LeakyRelu", "h", "m", alpha=twice, beta=twice)), "the attribute 'alpha' twice")

    def test_tensors(self):
        def with_tensor(raw):
            return between(conv("h", "m", "c.weight", pads=[1] * 4), tensors=[raw])

        shape, good = (16, 16, 3, 3), tensor("c.weight", (16, 16, 3, 3))
        self.convert(with_tensor(good))
        self.refused(with_tensor(good + field(13, message((1, "location"), (2, "/etc/passwd")))), "another file (external")
        self.refused(with_tensor(good + field(14, 1)), "lies in another file")
        self.refused(with_tensor(good + field(3, b"")), "in segments")
        self.refused(with_tensor(good[:-4]), "field 9 has 9216 bytes, 9212 are left")
        head = message(*((1, size) for size in shape), (8, "c.weight"))
        for kind in (0, 8, 14, 17, 99):
            self.refused(with_tensor(head + message((2, kind), (9, bytes(9216)))), f"the data type {kind}")
        self.refused(with_tensor(head + message((2, 1), (9, bytes(9215)))), "9215 bytes, expected 9216 for 16x16x3x3 of f32")
        self.refused(with_tensor(head + message((2, 1), (4, bytes(400)))), "has 100 values, expected 2304")
        self.refused(with_tensor(head + message((2, 1))), "has 0 values, expected 2304")
        self.refused(with_tensor(head + message((2, 1), (4, bytes(9218)))), "cut off")
        self.refused(with_tensor(head + message((2, 7), (7, varint(1) * 2304))), "i64, expected floating-point")
        self.refused(with_tensor(head + message((2, 10), (5, varint(1 << 16) * 2304))), "not 16 bits")
        self.refused(with_tensor(head + message((2, 6), (5, varint(1 << 40) * 2304))), "a value that is not i32")
        self.refused(with_tensor(message(*((1, 1 << 40) for _ in range(4)), (2, 1), (8, "c.weight"), (9, b""))),
                     "expected dimensions of 0 to")
        self.refused(with_tensor(message(*((1, 1) for _ in range(65)), (2, 1), (8, "c.weight"))), "more than 64 numbers")
        nan = tensor("c.weight", shape, [math.nan] * 2304)
        self.refused(with_tensor(nan), "a weight of the Conv node 'm' is NaN or infinite")
        huge = tensor("c.weight", shape, [1e300] * 2304, onnx.DOUBLE)
        self.refused(with_tensor(huge), "too large for f32")
        self.refused(with_tensor(tensor("c.weight", (16, 16))), "its weights are 16x16, expected four dimensions")
        self.refused(with_tensor(tensor("c.weight", (16, 8, 3, 3))), "16 channels, its weights are 16x8x3x3 in 1 groups")
        self.refused(with_tensor(tensor("c.weight", (0, 16, 3, 3))), "four dimensions")

    def test_values_in_fields(self):
        """The forms in which values may be stored."""
        count, head = 2304, message(*((1, size) for size in (16, 16, 3, 3)), (8, "c.weight"))
        ones = [1.0] * count
        for kind, number_of, raw in (
                (1, 4, struct.pack(f"<{count}f", *ones)), (11, 10, struct.pack(f"<{count}d", *ones)),
                (10, 5, varint(0x3C00) * count), (16, 5, varint(0x3F80) * count)):
            data = between(conv("h", "m", "c.weight", pads=[1] * 4), tensors=[head + message((2, kind), (number_of, raw))])
            self.assertEqual(floats(self.convert(data)[1]["c.weight"]), ones)
        apart = b"".join(field(4, 1.0) for _ in range(count))
        data = between(conv("h", "m", "c.weight", pads=[1] * 4), tensors=[head + message((2, 1)) + apart])
        self.assertEqual(floats(self.convert(data)[1]["c.weight"]), ones)

    def test_layers_that_the_library_has_not(self):
        c = weights("c", 16, 16, bias=False)
        for nodes, sentence in (
                ([conv("h", "m", "c.weight", pads=[1] * 4, strides=[1, 2])], "differ between height and width"),
                ([conv("h", "m", "c.weight", kernel_shape=[5, 5])], "kernel_shape is [5, 5], its weights are 16x16x3x3"),
                ([conv("h", "m", "c.weight", pads=[1, 1])], "two dimensions"),
                ([conv("h", "m", "c.weight", pads=[-1] * 4)], "padding below 0"),
                ([conv("h", "m", "c.weight", pads=[40] * 4)], "padding of 40, expected 31 at most"),
                ([conv("h", "m", "c.weight", pads=[1] * 4, auto_pad="ODD")], "auto_pad is 'ODD'"),
                ([node("Conv", "h h", "m")], "its weights depends on the input"),
                ([node("Conv", "h", "m")], "it has 1 inputs, expected 2 to 3"),
                ([node("Conv", "h -", "m")], "its weights are missing"),
                ([node("Relu", "h h", "m")], "it has 2 inputs, expected 1"),
                ([node("MaxPool", "h", "m i", kernel_shape=[3, 3], pads=[1] * 4)], "its second output"),
                ([node("MaxPool", "h", "m", kernel_shape=[3])], "two dimensions"),
                ([node("AveragePool", "h", "m", kernel_shape=[3, 3], pads=[2] * 4)], "more than half of the kernel"),
                ([node("Resize", "h - scales", "m", mode="linear", coordinate_transformation_mode="asymmetric")],
                 "is none that the library has"),
                ([node("Resize", "h - scales", "m", antialias=1)], "antialias"),
                ([node("Resize", "h", "m")], "either scales or sizes"),
                ([node("DepthToSpace", "h", "m", blocksize=2)], "its mode is 'DCR', expected CRD"),
                ([node("DepthToSpace", "h", "m", blocksize=3, mode="CRD")], "its blocksize is 3, of 16 channels"),
                ([node("SpaceToDepth", "h", "m", blocksize=2)], "order of channels"),
                ([node("Transpose", "h", "m", perm=[0, 2, 3, 1])], "the Conv node '/b/Conv': its input of 1x8x8x16 is arranged"),
                ([node("Transpose", "h", "m", perm=[0, 1])], "perm is '[0, 1]', expected an order of 4 axes"),
                ([node("Reshape", "h odd", "m")], "does not fit"),
                ([node("Softmax", "h", "m", axis=2)], "neither all channels nor all pixels"),
                ([node("ReduceMean", "h", "m", axes=[2])], "not over all pixels"),
                ([node("ReduceMean", "h", "m", axes=[7])], "axis is 7, expected -4 to 3"),
                ([node("ReduceMean", "h", "m", axes=[1, -3])], "different ones"),
                ([node("Concat", "h x", "m", axis=2)], "does not join channels"),
                ([node("Concat", "h scales", "m", axis=1)], "one of its inputs is a constant"),
                ([node("Pad", "h odd", "m")], "it has 2 pads, expected 8"),
                ([node("Pad", "h pads", "p"), node("Relu", "p", "m")], "only as a part of a convolution"),
                ([node("Add", "h full", "m")], "no number for each channel of 1x16x8x8"),
                ([node("Add", "h five", "m")], "makes more dimensions"),
                ([node("Div", "h nothing", "m")], "it divides by 0"),
                ([node("MatMul", "h h", "m")], "depends on the input, expected a constant"),
                ([node("LeakyRelu", "h", "m", alpha="odd")], "the attribute alpha is not of the kind float"),
                ([node("Clip", "h six nothing", "m")], "clips to 6 to 0"),
                ([node("Slice", "h odd odd odd odd", "m")], "axis is 5, expected -4 to 3"),
                ([node("Pow", "h six", "m")], "its exponent is 6"),
                ([node("Cast", "h", "m", to=7)], "not floating-point numbers"),
                ([node("BatchNormalization", "h odd odd odd odd", "m")], "i64, expected floating-point"),
                ([node("Dropout", "h six yes", "m")], "training mode"),
                ([node("Split", "h odd", "m p", axis=1)], "it splits 16 into [3, 5]")):
            self.refused(between(*nodes, tensors=[
                *c, tensor("scales", (4,), [1.0, 1.0, 2.0, 2.0]), ints("odd", 3, 5), ints("pads", 0, 0, 1, 1, 0, 0, 1, 1),
                tensor("full", (16, 8, 8)), tensor("five", (2, 1, 16, 1, 1)), number("nothing", 0.0), number("six", 6.0),
                tensor("yes", (), [1], onnx.BOOL)]), sentence)

    def test_sizes(self):
        self.refused(model([layer("x", "h", "a", pads=[0] * 4), layer("h", "y", "b")], AB),
                     "its output has 6x6 pixels for an input of 8x8")
        self.refused(model([layer("x", "h", "a", strides=[2, 2]), layer("h", "y", "b")], AB), "4x4 pixels")
        odd = model([layer("x", "h", "a", strides=[2, 2]), node("Resize", "h - scales", "m"), layer("m", "y", "b")],
                    [*AB, tensor("scales", (4,), [1.0, 1.0, 2.0, 2.0])], inputs=[info("x", (1, 3, 7, 8))])
        self.refused(odd, "have to be multiples of 2: export it with such an input")
        self.refused(model([layer("x", "h", "a"), node("GlobalAveragePool", "h", "g"), layer("g", "y", "b")], AB),
                     "1x1 pixels")
        self.refused(model([layer("x", "h", "a"), node("Flatten", "h", "y")], AB), "the network's output has 2 dimensions")

    def test_constants_that_grow(self):
        """A few bytes must not become gigabytes."""
        double = [node("Concat", "c c", "c0", axis=0)] + [
            node("Concat", f"c{i} c{i}", f"c{i + 1}", axis=0) for i in range(60)]
        self.refused(between(*double, node("Add", "h c60", "m"), tensors=[tensor("c", (16,))]), "far larger than the file")
        for op in ("ConstantOfShape", "Expand", "Tile"):
            inputs = "size" if op == "ConstantOfShape" else "c size"
            self.refused(between(node(op, inputs, "big"), node("Add", "h big", "m"),
                                 tensors=[ints("size", 1 << 40), tensor("c", (1,))]), "far larger than the file")
        self.refused(between(node("Range", "zero end one", "big"), node("Add", "h big", "m"),
                             tensors=[number("zero", 0.0), number("end", 1e15), number("one", 1.0)]), "far larger")
        powers = [node("Pow", "n n", "p0")] + [node("Pow", f"p{i} n", f"p{i + 1}") for i in range(40)]
        self.refused(between(*powers, node("Reshape", "h p40", "m"), tensors=[ints("n", 60)]), "does not fit into i64")


class Wire(Case):
    """Bytes that are no protobuf, or no ONNX."""

    def test_truncation(self):
        data = between(node("Relu", "h", "m"))
        for size in [*range(0, 60), *range(60, len(data), 97)]:
            self.source.write_bytes(data[:size])
            code, out, err = run(self.source, self.target, "--header", self.header)
            self.assertEqual((code, out, err.count("\n")), (4, "", 1), size)

    def test_wire_format(self):
        for data, sentence in (
                (b"", "it has no graph"), (b"PK\x03\x04" + bytes(100), "not protobuf"), (b"\x80" * 20, "more than 64 bits"),
                (b"\x3a\xff\xff\xff\xff\x7f", "bytes, 0 are left"), (b"\x3b\x3c", "wire type 3"), (b"\x02\x00", "field 0"),
                (message((7, 1), (8, message((2, 17)))), "wire type 0, expected 2"), (b"\x3a\x00", "opset is not stated"),
                (message((7, message((1, message((4, b"\xff\xfe"))))), (8, message((2, 17)))), "not UTF-8")):
            self.refused(data, sentence)

    def test_unknown_fields(self):
        self.convert(between(node("Relu", "h", "m"), extra=field(99, "?") + field(98, 1.0) + field(97, 5),
                             graph_extra=field(13, b"anything")))

    def test_counts(self):
        many = field(1, b"") * ((1 << 16) + 1)
        self.refused(model([], graph_extra=many), "65537 nodes, expected 65536 at most")
        self.refused(field(99, 1) * ((1 << 16) + 1), "more than 65536 fields")

    def test_deep_graphs(self):
        """A chain of nodes far longer than Python's stack is deep."""
        chain = [node("Relu", "h" if at == 0 else f"r{at - 1}", f"r{at}") for at in range(3000)]
        self.convert(between(*chain, last="r2999"))


class Files(Case):
    DATA = between(node("Relu", "h", "m"))

    def test_usage(self):
        self.source.write_bytes(self.DATA)
        code, _, err = run(self.source, self.target)
        self.assertEqual(code, 2)
        self.assertIn("an ONNX model becomes weights and a header, and --header says where", err)
        for options in (("--network", "generic"), ("--channels", "3,3"), ("--numbers", "1"), ("--transposed", "a"),
                        ("--drop", "a"), ("--epsilon", "1"), ("--unshuffle", "2")):
            self.refused(self.DATA, f"{options[0]} is for checkpoints, not for ONNX models", code=2, options=options)
        self.refused(self.DATA, "--meta 'Odd' is not KEY=VALUE", code=2, options=("--meta", "Odd"))
        code, _, _ = run("--inspect", self.target, "--header", self.header)
        self.assertEqual(code, 2)

    def test_checkpoint_with_a_header(self):
        self.refused(samples.own_safetensors(samples.own_model()), "not protobuf")

    def test_paths_that_are_one(self):
        self.header = self.target
        self.refused(self.DATA, "the weights and the header would be one file", code=2)
        self.header = self.source
        self.refused(self.DATA, "the output would overwrite it", code=2)

    def test_neither_file_if_one_fails(self):
        old = b"what was there"
        self.target.write_bytes(old)
        self.header.mkdir()
        code, _, err = self.run_on(self.DATA)
        self.assertEqual(code, 8)
        self.assertIn("my_network.hpp: cannot be written: not a regular file", err)
        self.assertEqual(self.target.read_bytes(), old)
        self.header.rmdir()
        self.header = self.folder / "missing" / "my_network.hpp"
        code, _, err = self.run_on(self.DATA)
        self.assertEqual((code, self.target.read_bytes()), (8, old))
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["model.onnx", "out.mirw"])

    def test_the_same_bytes_each_time(self):
        self.convert(self.DATA)
        before = self.target.read_bytes(), self.header.read_bytes()
        self.convert(self.DATA)
        self.assertEqual((self.target.read_bytes(), self.header.read_bytes()), before)

    def test_packed_layers(self):
        linear = [node("Transpose", "h", "t", perm=[0, 2, 3, 1]), node("MatMul", "t matrix", "p"),
                  node("Transpose", "p", "m", perm=[0, 3, 1, 2])]
        self.refused(between(*linear, tensors=[tensor("matrix", (16, 16))]), "cannot be stored packed",
                     options=("--layout", "packed"))

    def test_as_a_program(self):
        """The package is found beside the script, from any folder; also where both are installed."""
        self.source.write_bytes(self.DATA)
        done = samples.subprocess.run(
            [sys.executable, "-B", os.environ.get("MIRNET_CONVERT", samples.SCRIPT), self.source, self.target, "--header", self.header], cwd=self.folder,
            capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("struct MyNetwork", done.stdout)


try:
    import torch
except ImportError:
    torch = None


@unittest.skipUnless(torch and hasattr(torch, "onnx"), "PyTorch is not installed")
class PyTorch(Case):
    def export(self, network, channels=3, size=32, opset=17):
        import warnings
        path = self.folder / "exported.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(network.eval(), torch.rand(1, channels, size, size), str(path), opset_version=opset)
        data = path.read_bytes()
        path.unlink()
        return data

    def test_modules(self):
        from torch import nn
        body = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.GELU(), nn.Conv2d(16, 32, 3, 2, 1),
                             nn.SiLU(), nn.InstanceNorm2d(32, affine=True), nn.ConvTranspose2d(32, 16, 2, 2), nn.PReLU(16),
                             nn.Conv2d(16, 16, 5, padding=2, padding_mode="reflect", groups=16), nn.Hardswish(),
                             nn.Conv2d(16, 12, 1), nn.PixelShuffle(2), nn.AvgPool2d(2))
        nn.init.uniform_(body[5].weight)  # it would be left out if it changed nothing
        for opset in (11, 13, 17):
            text, tensors, _ = self.convert(self.export(body, opset=opset))
            self.assertEqual(len(self.lines(text)), 8)  # the activations are the convolutions'
            self.assertEqual([name for name in tensors if name.endswith("weight")],
                             [f"{at}.weight" for at in (0, 3, 5, 6, 7, 8, 10)])
            for part in ("Function::gelu)", "Function::silu)", "Function::hard_swish", "PaddingMode::reflect",
                         "InstanceNorm2d<T> layer_5{32, {.affine = true}};", "ChannelPRelu<T> layer_7{16};",
                         "pixel_shuffle(", "average_pool("):
                self.assertIn(part, text)

    def lines(self, text):
        return [line for line in text[text.index("void forward"):].splitlines() if "context.at" in line]

    def test_batch_norm_is_that_of_pytorch(self):
        from torch import nn
        network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1))
        network[1].running_var.uniform_(0.5, 2)
        network[1].running_mean.normal_()
        _, tensors, _ = self.convert(self.export(network))
        fused = torch.nn.utils.fuse_conv_bn_eval(network[0].eval(), network[1].eval())
        for name, expected in (("0.weight", fused.weight), ("0.bias", fused.bias)):
            for a, b in zip(floats(tensors[name]), expected.flatten().tolist()):
                self.assertAlmostEqual(a, b, places=5)


if __name__ == "__main__":
    unittest.main()
