import math

import numpy as np
import pytest

from ortolan_server.engine.call import Array, InferenceCall
from ortolan_server.engine.joining import NotSplittable, join, size_bytes, split


def call(**feeds: Array) -> InferenceCall:
    return InferenceCall(feeds, ("y",), math.inf)


def test_inputs_are_joined_by_name() -> None:
    joined = join([call(a=np.ones((1, 2)), b=np.zeros(1)), call(b=np.full(2, 7.0), a=np.full((2, 2), 3.0))])
    assert joined["a"].tolist() == [[1, 1], [3, 3], [3, 3]]
    assert joined["b"].tolist() == [0, 7, 7]


def test_texts_are_joined() -> None:
    texts = [np.array([["a"]], object), np.array([["b"], ["c"]], object)]
    assert join([call(t=text) for text in texts])["t"].tolist() == [["a"], ["b"], ["c"]]


def test_outputs_are_split_as_views() -> None:
    y, z = np.arange(12.0).reshape(6, 2), np.arange(6)
    parts = split([y, z], ("y", "z"), [2, 0, 1, 3])
    assert [[array.tolist() for array in part] for part in parts] == [
        [y[0:2].tolist(), [0, 1]],
        [[], []],
        [y[2:3].tolist(), [2]],
        [y[3:6].tolist(), [3, 4, 5]],
    ]
    assert all(array.base is not None and np.shares_memory(array, y) for array, _ in parts if array.size)


@pytest.mark.parametrize("y", [np.zeros((1, 2)), np.zeros((4, 2)), np.float32(3.0)])
def test_outputs_of_other_sizes_are_refused(y: Array) -> None:
    with pytest.raises(NotSplittable, match=r"output 'y' has shape \[.*\] for 3 rows"):
        split([np.zeros(3), np.asarray(y)], ("x", "y"), [1, 2])


def test_texts_count_in_the_size() -> None:
    assert size_bytes(call(x=np.zeros((3, 4), np.float32), y=np.zeros(2, np.int64))) == 64
    assert size_bytes(call(t=np.array(["a" * 1000], object))) >= 1000
