"""Models that are made here: one trained with scikit-learn, one put together by hand."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import onnx
from onnx import TensorProto, helper

__all__ = ["RECIPES", "build", "is_current"]

OPSET = 17
IR_VERSION = 8


def simple() -> onnx.ModelProto:
    """Sum and difference of two INT32[1,16]: the model that Triton's own client examples talk to."""
    shape = (1, 16)
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT32, shape) for name in ("INPUT0", "INPUT1")]
    outputs = [helper.make_tensor_value_info(name, TensorProto.INT32, shape) for name in ("OUTPUT0", "OUTPUT1")]
    nodes = [
        helper.make_node("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"], name="sum"),
        helper.make_node("Sub", ["INPUT0", "INPUT1"], ["OUTPUT1"], name="difference"),
    ]
    graph = helper.make_graph(nodes, "simple", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def digits() -> onnx.ModelProto:
    """Handwritten digits: FP32[N,64] grey values 0..16 → INT64[N] label, FP32[N,10] probabilities."""
    # Heavy to import, so only when there is something to train.
    import skl2onnx  # noqa: PLC0415
    from sklearn.datasets import load_digits  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    features, labels = load_digits(return_X_y=True)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, random_state=0))
    classifier.fit(features, labels)
    model: onnx.ModelProto = skl2onnx.convert_sklearn(
        classifier,
        "digits",
        [("X", skl2onnx.common.data_types.FloatTensorType([None, 64]))],
        options={"zipmap": False},  # a map per row cannot travel over the Open Inference Protocol
        target_opset={"": OPSET, "ai.onnx.ml": 3},
    )
    return model


RECIPES: dict[str, Callable[[], onnx.ModelProto]] = {"digits": digits, "simple": simple}


def build(name: str, path: Path) -> None:
    """Makes the model and writes it to `path`, marked with the recipe it was made by."""
    model = RECIPES[name]()
    helper.set_model_props(model, {"recipe": fingerprint()})
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


def is_current(path: Path) -> bool:
    """Was `path` made by the recipes as they stand now?"""
    if not path.is_file():
        return False
    try:
        properties = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    except Exception:  # noqa: BLE001 - cut short or not a model at all: protobuf has its own error for each
        return False
    return properties.get("recipe") == fingerprint()


def fingerprint() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
