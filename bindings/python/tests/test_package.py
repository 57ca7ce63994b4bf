"""What the package has: models, plans, profiles, and that annotations and docstrings go with it."""
import ast
import copy
import inspect
import pathlib
import pickle
import typing

import numpy as np
import pytest

import mirnet
from mirnet import _mirnet
from pictures import noisy

PACKAGE = pathlib.Path(mirnet.__file__).parent


def test_models(model):
    assert (model.network, model.task, model.views) == ("MIRNet", "denoise", 1)
    assert model.isa in mirnet.instruction_sets() and model.precision in ("fp32", "bf16")
    assert model.parameters == 663615
    fp32, bf16 = (mirnet.Model.load(precision=precision).bytes for precision in ("fp32", "bf16"))
    assert 4 * model.parameters <= fp32 < 6 * model.parameters and bf16 < fp32
    assert "MIRNet to denoise" in repr(model)


def test_weights_from_files_and_memory(model, image):
    expected = model.run(image)
    content = mirnet.WEIGHTS.read_bytes()
    for source in mirnet.WEIGHTS, str(mirnet.WEIGHTS), content, bytearray(content), memoryview(content):
        assert np.array_equal(mirnet.Model.load(source).run(image), expected)


def test_each_instruction_set():
    assert mirnet.instruction_sets() and type(mirnet.instruction_sets()) is tuple
    image = noisy(40, 50, 3, np.float32)
    results = [mirnet.Model.load(isa=isa, precision="fp32").run(image) for isa in mirnet.instruction_sets()]
    assert all(np.abs(result - results[0]).max() < 1e-5 for result in results)


def test_plans(model):
    plan = model.plan(1000, 1600, 4, "uint16", threads=2)
    assert (plan.height, plan.width, plan.channels, plan.dtype, plan.threads) == (1000, 1600, 4, np.uint16, 2)
    assert max(plan.tile) <= 768 and plan.tiles[0] >= 2 and plan.tiles[1] >= 3
    assert 1000 * 1600 * 100_000 < plan.macs < 1000 * 1600 * 300_000
    whole = model.plan(1000, 1600, tile="off", threads=2)
    assert whole.tiles == (1, 1) and whole.tile == (1000, 1600) and whole.memory > plan.memory > 10_000_000
    assert model.plan(1000, 1600, tile=256).tiles > plan.tiles
    assert "1000 x 1600 x 4 uint16" in repr(plan)
    assert model.plan(40, 50, dtype=">u2").dtype.isnative


def test_plans_outlive_what_they_were_made_from(image):
    expected = mirnet.denoise(image)
    plan = mirnet.Model.load().plan(*image.shape)
    assert np.array_equal(plan.run(image), expected) and np.array_equal(plan.run(image), expected)


def test_profiles(model):
    nodes = mirnet.profile(64, 64, runs=2, threads=1)
    assert len(nodes) > 20 and isinstance(nodes, list)
    keys = ["name", "operation", "kernel", "input_height", "input_width", "input_channels", "output_height",
            "output_width", "output_channels", "macs", "bytes", "seconds"]
    for node in nodes:
        assert list(node) == keys
        assert all(type(node[key]) is str and node[key] for key in keys[:3])
        assert all(type(node[key]) is int and node[key] > 0 for key in keys[3:9] + ["bytes"])
        assert type(node["macs"]) is int and node["macs"] >= 0
        assert type(node["seconds"]) is float and node["seconds"] >= 0
    assert sum(node["seconds"] for node in nodes) > 0
    assert sum(node["macs"] for node in nodes) == model.plan(64, 64).macs
    assert [node["name"] for node in model.plan(64, 64).profile(1)] == [node["name"] for node in nodes]
    assert [node["name"] for node in mirnet.profile(64, 64, model=model, runs=1)] == [node["name"] for node in nodes]


def test_profiles_that_are_refused(model):
    with pytest.raises(TypeError, match="model is of the type str; expected mirnet.Model, or None"):
        mirnet.profile(64, 64, model="denoise.mirw")
    other = "fp32" if model.precision == "bf16" else "bf16"
    with pytest.raises(ValueError, match=f"precision is '{other}'; expected 'auto' or that of model"):
        mirnet.profile(64, 64, other, model=model)
    with pytest.raises(ValueError, match="precision is 'fast'; expected"):
        mirnet.profile(64, 64, "fast", model=model)


def test_models_and_plans_are_not_pickled_or_copied(model):
    for thing in model, model.plan(40, 50):
        for function in pickle.dumps, copy.copy, copy.deepcopy:
            with pytest.raises(TypeError, match=f"a mirnet.{type(thing).__name__} cannot be pickled or copied"):
                function(thing)


def public_functions():
    for name in mirnet.__all__:
        thing = getattr(mirnet, name)
        if inspect.isfunction(thing):
            yield name, thing
        elif inspect.isclass(thing) and not issubclass(thing, Exception):
            for member, value in vars(thing).items():
                value = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
                if inspect.isfunction(value) and not member.startswith("_"):
                    yield f"{name}.{member}", value


def test_everything_has_a_docstring_and_annotations():
    names = []
    for name, function in public_functions():
        names.append(name)
        signature = inspect.signature(function)
        assert inspect.getdoc(function), name
        assert signature.return_annotation is not signature.empty, name
        for parameter in list(signature.parameters.values())[1 if "." in name else 0:]:
            assert parameter.annotation is not parameter.empty, (name, parameter)
            if name != "Model.run":  # which refers to others
                assert parameter.name in inspect.getdoc(function), (name, parameter)
        hints = typing.get_type_hints(function)
        assert "return" in hints, name
    assert {"denoise", "profile", "instruction_sets", "Model.load", "Model.plan", "Model.run", "Model.views",
            "Plan.run", "Plan.profile", "Plan.macs"} <= set(names)
    assert mirnet.__doc__ and mirnet.Model.__doc__ and mirnet.Plan.__doc__
    assert (PACKAGE / "py.typed").exists()


def test_signatures():
    assert str(inspect.signature(mirnet.denoise)).startswith("(array: ")
    positional = [name for name, parameter in inspect.signature(mirnet.denoise).parameters.items()
                  if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    assert positional == ["array", "strength", "precision", "threads", "progress"]
    defaults = {name: parameter.default for name, parameter in inspect.signature(mirnet.denoise).parameters.items()}
    assert (defaults["strength"], defaults["precision"], defaults["threads"], defaults["progress"]) == (
        1.0, "auto", None, None)


def test_the_stub_has_what_the_extension_module_has():
    stub = ast.parse((PACKAGE / "_mirnet.pyi").read_text(encoding="utf-8"))
    names = {}  # of the module, and of its classes
    for node in stub.body:
        if isinstance(node, ast.AnnAssign):
            names[node.target.id] = None
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names[node.name] = node
    assert {name for name in vars(_mirnet) if not name.startswith("_")} == set(names)
    for name, node in names.items():
        if not isinstance(node, ast.ClassDef) or issubclass(getattr(_mirnet, name), Exception):
            continue
        members = {member.name: member for member in node.body if isinstance(member, ast.FunctionDef)}
        there = vars(getattr(_mirnet, name))
        assert {member for member in there if not member.startswith("_")} == set(members) - {"__init__"}
        for member, function in members.items():
            if isinstance(there[member], property):
                assert [decorator.id for decorator in function.decorator_list] == ["property"], member
            else:  # pybind11 writes the signature into the docstring
                for argument in function.args.args[1:]:
                    assert f"{argument.arg}: " in there[member].__doc__, (member, argument.arg)


def test_the_weights_are_in_the_package():
    assert mirnet.WEIGHTS.parent == PACKAGE and mirnet.WEIGHTS.stat().st_size > 1_000_000


def test_version():
    assert mirnet.__version__ == _mirnet.version and mirnet.__version__.count(".") == 2
