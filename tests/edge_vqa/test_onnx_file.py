"""Reading and cutting .onnx files without the onnx package, against the onnx package."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_vqa.errors import ModelError
from edge_vqa.onnx_file import Malformed, cut, field, fields, read_metadata, varint

onnx = pytest.importorskip("onnx", reason="needs the package that others write such files with (pip install onnx)")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime (pip install onnxruntime)")
helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT


@pytest.mark.parametrize(
    "value, wanted", [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (300, "ac02"), (-1, "ffffffffffffffffff01")]
)
def test_integers_are_written_seven_bits_a_byte(value: int, wanted: str) -> None:
    assert varint(value).hex() == wanted


def test_fields_are_split_as_they_stand() -> None:
    message = bytes.fromhex("08960112036162631d01020304210102030405060708")
    found = [(number, content and bytes(content), raw.hex()) for number, content, raw in fields(memoryview(message))]
    assert found == [
        (1, None, "089601"), (2, b"abc", "1203616263"), (3, None, "1d01020304"), (4, None, "210102030405060708"),
    ]  # fmt: skip
    assert field(1, 150) + field(2, "abc") == message[:8]


@pytest.mark.parametrize(
    "message",
    [
        "08", "0880", "08" + "80" * 10 + "01", "12", "1205616263", "12ffffffffffffffffff01", "1d010203", "2101", "0a",
        "0b", "0c", "0e", "0f", "0000", "ff" * 20,
    ],
)  # fmt: skip
def test_what_is_cut_off_or_makes_no_sense_is_noticed(message: str) -> None:
    with pytest.raises(Malformed):
        list(fields(memoryview(bytes.fromhex(message))))


def value(name: str) -> Any:
    return helper.make_tensor_value_info(name, FLOAT, ["n", 2])


def network(**changes: list) -> Any:
    """A graph: features = x + a; y = features * b + features * q; z = a node that nothing needs."""
    nodes = [
        helper.make_node("Add", ["x", "a"], ["features"]),
        helper.make_node("Mul", ["features", "b"], ["scaled"]),
        helper.make_node("Exp", ["x"], ["z"]),
        helper.make_node("Mul", ["features", "q"], ["met"]),
        helper.make_node("Add", ["scaled", "met"], ["y"]),
    ]
    constants = [helper.make_tensor(name, FLOAT, [2], [float(i), 2.0]) for i, name in enumerate(("a", "b", "unused"))]
    graph = helper.make_graph(
        changes.get("nodes", nodes), "graph", [value("x"), value("q")], changes.get("outputs", [value("y")]), constants,
        value_info=changes.get("infos", [value("features")]),
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    helper.set_model_props(model, {"other": "1", "edge_vqa": '{"tên": "é"}'})
    return model


def test_metadata_is_found_wherever_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "mô hình.onnx"
    data = network().SerializeToString()
    path.write_bytes(data)
    assert read_metadata(path) == '{"tên": "é"}'.encode()
    parts = [bytes(raw) for _, _, raw in fields(memoryview(data))]
    path.write_bytes(b"".join(reversed(parts)))
    assert read_metadata(path) == '{"tên": "é"}'.encode()


def test_a_file_without_metadata_or_without_anything_is_a_typed_error(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    model = network()
    del model.metadata_props[:]
    for content in (b"", model.SerializeToString(), b"no model at all", bytes(100), field(14, 7), field(14, b"\x12")):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="a.onnx"):
            read_metadata(path)
    with pytest.raises(ModelError, match="cannot be read"):
        read_metadata(tmp_path)


def test_the_parts_of_a_cut_model_compute_what_it_computes() -> None:
    model = network()
    halves = [onnx.load_from_string(half) for half in cut("a.onnx", model.SerializeToString(), "features", ["y"])]
    for half in halves:
        onnx.checker.check_model(half, full_check=True)
        assert half.metadata_props == model.metadata_props
        assert half.opset_import == model.opset_import
    names = [
        ([n.op_type for n in h.graph.node], [i.name for i in h.graph.input], [c.name for c in h.graph.initializer])
        for h in halves
    ]
    assert names == [(["Add"], ["x"], ["a"]), (["Mul", "Mul", "Add"], ["features", "q"], ["b"])]
    x, q = np.array([[1, 2], [3, 4]], np.float32), np.array([[5, 6], [7, 8]], np.float32)
    first, second = (onnxruntime.InferenceSession(half.SerializeToString()) for half in halves)
    features = first.run(None, {"x": x})[0]
    y = second.run(None, {"features": features, "q": q})[0]
    np.testing.assert_array_equal(y, (x + np.array([0, 2])) * (np.array([1, 2]) + q))


def test_what_cannot_be_cut_is_a_typed_error() -> None:
    nodes = list(network().graph.node)
    inner = helper.make_graph([helper.make_node("Exp", ["x"], ["w"])], "inner", [], [value("w")])
    nested = helper.make_node("If", ["a"], ["features"], then_branch=inner, else_branch=inner)
    for match, model in (
        ("not declared", network(infos=[])),
        ("nothing gives features", network(nodes=nodes[1:])),
        ("nothing gives scaled", network(nodes=[nodes[0], *nodes[2:]])),
        ("nothing gives y", network(outputs=[value("z")])),
        ("graph of its own", network(nodes=[nested, *nodes[1:]])),
    ):
        with pytest.raises(ModelError, match=f"^a.onnx: cannot be cut .*{match}"):
            cut("a.onnx", model.SerializeToString(), "features", ["y"])
    for data in (b"", field(7, b"") * 2, field(7, 1)):
        with pytest.raises(ModelError):
            cut("a.onnx", data, "features", ["y"])


def test_changed_bytes_are_a_typed_error_or_harmless(tmp_path: Path) -> None:
    rng = random.Random(3)
    data = network().SerializeToString()
    path = tmp_path / "a.onnx"
    for at in range(len(data)):
        for content in (data[:at], data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]):
            path.write_bytes(content)
            for read in (read_metadata, lambda p: cut(p, p.read_bytes(), "features", ["y"])):
                try:
                    read(path)
                except ModelError:
                    continue
