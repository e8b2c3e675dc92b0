"""External data stays in the model's folder, wherever in the model it is named."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ortolan_server.errors import LoadFailed
from ortolan_server.repository import check_external_data

Name = Callable[[onnx.ModelProto, TensorProto], None]


def external(location: str, name: str = "w") -> TensorProto:
    """A FLOAT[2] whose data is in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def with_initializer(model: onnx.ModelProto, location: str) -> onnx.ModelProto:
    model.graph.initializer.append(external(location))
    return model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "models/digits/1"
    (path / "sub").mkdir(parents=True)
    for name in ("weights.bin", "sub/weights.bin", "..weights", "a b.bin"):
        (path / name).write_bytes(np.ones(2, np.float32).tobytes())
    (tmp_path / "secret.bin").write_bytes(b"12345678")
    return path


@pytest.mark.parametrize(
    "location", ["weights.bin", "./weights.bin", "sub/weights.bin", "sub//weights.bin", "..weights", "a b.bin"]
)
def test_plain_files_in_the_folder_are_fine(model: onnx.ModelProto, folder: Path, location: str) -> None:
    check_external_data(with_initializer(model, location), folder)


def test_onnx_runtime_reads_what_is_allowed(model: onnx.ModelProto, folder: Path) -> None:
    """The rule is no stricter than the models that onnx itself writes."""
    ort = pytest.importorskip("onnxruntime")
    onnx.save(model, folder / "model.onnx", save_as_external_data=True, location="data.bin", size_threshold=0)
    check_external_data(onnx.load(folder / "model.onnx", load_external_data=False), folder)
    (y,) = ort.InferenceSession(folder / "model.onnx").run(None, {"x": np.zeros(2, np.float32)})
    assert y.tolist() == [1, 1]


def test_a_model_without_external_data(model: onnx.ModelProto, folder: Path) -> None:
    check_external_data(model, folder)


@pytest.mark.parametrize(
    ("location", "fault"),
    [
        ("/etc/passwd", "is an absolute path"),
        ("//etc/passwd", "is an absolute path"),
        ("C:\\weights.bin", "is an absolute path"),
        ("C:weights.bin", "is an absolute path"),
        ("\\\\host\\share\\weights.bin", "is an absolute path"),
        ("../../../secret.bin", "has '..'"),
        ("sub/../weights.bin", "has '..'"),
        ("..\\weights.bin", "has '..'"),
        ("..", "has '..'"),
        ("", "is no path"),
        ("weights.bin\0", "is no path"),
        ("weights\n.bin", "is no path"),
        (".", "is not a plain file"),
        ("sub", "is not a plain file"),
        ("missing.bin", "cannot be read: No such file"),
        ("weights.bin/x", "cannot be read: Not a directory"),
        ("a" * 300, "cannot be read: File name too long"),
    ],
)
def test_bad_locations(model: onnx.ModelProto, folder: Path, location: str, fault: str) -> None:
    with pytest.raises(LoadFailed) as raised:
        check_external_data(with_initializer(model, location), folder)
    assert str(raised.value).startswith(f"external data of tensor 'w': {location!r} {fault}")


@pytest.mark.parametrize("location", ["*/_ORT_MEM_ADDR_/*", "*/_ORT_NATIVE_ENDIAN_MEM_ADDR_/*"])
def test_addresses_in_memory_are_refused_even_where_such_a_file_exists(
    model: onnx.ModelProto, folder: Path, location: str
) -> None:
    (folder / location).parent.mkdir(parents=True)
    (folder / location).write_bytes(b"12345678")
    with pytest.raises(LoadFailed, match="is a memory address"):
        check_external_data(with_initializer(model, location), folder)


def test_links_within_the_folder_are_fine(model: onnx.ModelProto, folder: Path) -> None:
    (folder / "link.bin").symlink_to("sub/weights.bin")
    (folder / "linked").symlink_to("sub")
    check_external_data(with_initializer(model, "link.bin"), folder)
    check_external_data(with_initializer(model, "linked/weights.bin"), folder)


@pytest.mark.parametrize("target", ["../../../secret.bin", "/etc/passwd", "../2/weights.bin", "../1-other/weights.bin"])
def test_links_that_leave_the_folder(model: onnx.ModelProto, folder: Path, target: str) -> None:
    for other in ("2", "1-other"):
        (folder.parent / other).mkdir()
        (folder.parent / other / "weights.bin").write_bytes(b"12345678")
    (folder / "link.bin").symlink_to(target)
    with pytest.raises(LoadFailed, match="'link.bin' is a link that leaves the model's folder"):
        check_external_data(with_initializer(model, "link.bin"), folder)


def test_a_linked_folder_that_leaves(model: onnx.ModelProto, folder: Path, tmp_path: Path) -> None:
    (folder / "up").symlink_to(tmp_path)
    with pytest.raises(LoadFailed, match="is a link that leaves"):
        check_external_data(with_initializer(model, "up/secret.bin"), folder)


def test_a_loop_of_links(model: onnx.ModelProto, folder: Path) -> None:
    (folder / "loop.bin").symlink_to("loop.bin")
    with pytest.raises(LoadFailed, match="cannot be read"):
        check_external_data(with_initializer(model, "loop.bin"), folder)


def test_hard_links(model: onnx.ModelProto, folder: Path, tmp_path: Path) -> None:
    os.link(tmp_path / "secret.bin", folder / "hard.bin")
    (folder / "link.bin").symlink_to("hard.bin")
    for location in ("hard.bin", "link.bin"):
        with pytest.raises(LoadFailed, match="has hard links"):
            check_external_data(with_initializer(model, location), folder)


def test_a_pipe(model: onnx.ModelProto, folder: Path) -> None:
    os.mkfifo(folder / "pipe.bin")
    with pytest.raises(LoadFailed, match="is not a plain file"):
        check_external_data(with_initializer(model, "pipe.bin"), folder)


def test_a_mount_of_kubernetes(model: onnx.ModelProto, tmp_path: Path) -> None:
    """Every file is a link through `..data` to a hidden folder beside it."""
    (tmp_path / "..2024_01_02").mkdir()
    (tmp_path / "..2024_01_02/weights.bin").write_bytes(b"12345678")
    (tmp_path / "..data").symlink_to("..2024_01_02")
    (tmp_path / "weights.bin").symlink_to("..data/weights.bin")
    check_external_data(with_initializer(model, "weights.bin"), tmp_path)


def test_the_folder_itself_may_be_a_link(model: onnx.ModelProto, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mounted").symlink_to(folder)
    check_external_data(with_initializer(model, "weights.bin"), tmp_path / "mounted")


def test_a_relative_folder(model: onnx.ModelProto, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    check_external_data(with_initializer(model, "weights.bin"), Path())


@pytest.mark.parametrize("locations", [(), ("weights.bin", "/etc/passwd")])
def test_exactly_one_location(model: onnx.ModelProto, folder: Path, locations: tuple[str, ...]) -> None:
    tensor = external("x")
    del tensor.external_data[:]
    for location in locations:
        tensor.external_data.add(key="location", value=location)
    model.graph.initializer.append(tensor)
    with pytest.raises(LoadFailed, match=f"has {len(locations)} locations, must have one"):
        check_external_data(model, folder)


def test_the_second_tensor_is_looked_at_too(model: onnx.ModelProto, folder: Path) -> None:
    model.graph.initializer.extend([external("weights.bin", "a"), external("weights.bin", "b"), external("/x", "c")])
    with pytest.raises(LoadFailed, match="tensor 'c'"):
        check_external_data(model, folder)


def sparse(tensor: TensorProto) -> onnx.SparseTensorProto:
    return onnx.SparseTensorProto(values=tensor, dims=[2])


def node(attribute: onnx.AttributeProto) -> onnx.NodeProto:
    made = onnx.NodeProto(op_type="Custom", name="n")
    made.attribute.append(attribute)
    return made


def graph(tensor: TensorProto) -> onnx.GraphProto:
    return onnx.GraphProto(initializer=[tensor])


PLACES: dict[str, Name] = {
    "sparse values": lambda model, tensor: model.graph.sparse_initializer.append(sparse(tensor)),
    "sparse indices": lambda model, tensor: model.graph.sparse_initializer.append(
        onnx.SparseTensorProto(indices=tensor)
    ),
    "attribute": lambda model, tensor: model.graph.node.append(node(onnx.AttributeProto(t=tensor))),
    "attribute list": lambda model, tensor: model.graph.node.append(node(onnx.AttributeProto(tensors=[tensor]))),
    "sparse attribute": lambda model, tensor: model.graph.node.append(
        node(onnx.AttributeProto(sparse_tensor=sparse(tensor)))
    ),
    "sparse attribute list": lambda model, tensor: model.graph.node.append(
        node(onnx.AttributeProto(sparse_tensors=[sparse(tensor)]))
    ),
    "subgraph": lambda model, tensor: model.graph.node.append(node(onnx.AttributeProto(g=graph(tensor)))),
    "subgraph list": lambda model, tensor: model.graph.node.append(node(onnx.AttributeProto(graphs=[graph(tensor)]))),
    "subgraph of a subgraph": lambda model, tensor: model.graph.node.append(
        node(onnx.AttributeProto(g=onnx.GraphProto(node=[node(onnx.AttributeProto(g=graph(tensor)))])))
    ),
    "function": lambda model, tensor: model.functions.append(
        onnx.FunctionProto(name="f", node=[node(onnx.AttributeProto(t=tensor))])
    ),
    "default of a function's attribute": lambda model, tensor: model.functions.append(
        onnx.FunctionProto(name="f", attribute_proto=[onnx.AttributeProto(t=tensor)])
    ),
    "training": lambda model, tensor: model.training_info.append(onnx.TrainingInfoProto(initialization=graph(tensor))),
}


@pytest.mark.parametrize("place", PLACES)
def test_every_place_that_holds_a_tensor(model: onnx.ModelProto, folder: Path, place: str) -> None:
    PLACES[place](model, external("/etc/passwd"))
    with pytest.raises(LoadFailed, match="tensor 'w'.*'/etc/passwd' is an absolute path"):
        check_external_data(model, folder)


def test_a_tensor_without_a_name_is_found_by_its_node(model: onnx.ModelProto, folder: Path) -> None:
    constant = helper.make_node("Constant", [], ["c"], name="half")
    constant.attribute.add(name="value", type=onnx.AttributeProto.TENSOR, t=external("/x", name=""))
    model.graph.node.append(constant)
    with pytest.raises(LoadFailed, match=r"tensor without a name of node 'half' \(Constant\): '/x'"):
        check_external_data(model, folder)


@pytest.mark.parametrize(
    ("extent", "fault"),
    [
        ({"length": "8"}, ""),
        ({"offset": "4", "length": "4"}, ""),
        ({"length": "9"}, "has 8 bytes, and the tensor is 9 bytes at offset 0; was it cut short?"),
        ({"offset": "8", "length": "8"}, "has 8 bytes, and the tensor is 8 bytes at offset 8; was it cut short?"),
        ({"offset": "9"}, "has 8 bytes, and the tensor is 0 bytes at offset 9; was it cut short?"),
        ({"offset": "-8"}, "has the offset '-8'; it must be a number of bytes"),
        ({"length": "9" * 30}, f"has the length '{'9' * 18}'; it must be a number of bytes"),
    ],
)
def test_data_that_was_cut_short(model: onnx.ModelProto, folder: Path, extent: dict[str, str], fault: str) -> None:
    with_initializer(model, "weights.bin")
    for key, value in extent.items():
        model.graph.initializer[-1].external_data.add(key=key, value=value)
    if not fault:
        check_external_data(model, folder)
        return
    with pytest.raises(LoadFailed) as raised:
        check_external_data(model, folder)
    assert str(raised.value) == f"external data of tensor 'w': 'weights.bin' {fault}"


def test_each_tensor_of_a_file_is_held_against_its_size(model: onnx.ModelProto, folder: Path) -> None:
    for name, offset in (("first", "0"), ("second", "8")):
        model.graph.initializer.append(external("weights.bin", name))
        model.graph.initializer[-1].external_data.add(key="offset", value=offset)
        model.graph.initializer[-1].external_data.add(key="length", value="8")
    with pytest.raises(LoadFailed, match="tensor 'second'"):
        check_external_data(model, folder)
