"""Sample inputs, one `.npy` file for each tensor, for `ortolan infer ADDRESS MODEL --input NAME=FILE.npy`."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["write_inputs"]

MAGIKA_SIDE = 1024
"""Bytes that magika looks at, at either end of a file."""
MAGIKA_BLOCK = 4096
MAGIKA_PADDING = 256
VAD_RATE_HZ = 16_000
VAD_SAMPLES = 576
"""One window of 512 samples behind the last 64 of the window before it."""


def write_inputs(folder: Path) -> list[Path]:
    """Writes every sample as `folder/MODEL/TENSOR.npy`; same bytes every time."""
    paths = []
    for model, tensors in samples().items():
        for tensor, array in tensors.items():
            path = folder / model / f"{tensor}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, array)
            paths.append(path)
    return paths


def samples() -> dict[str, dict[str, NDArray[np.generic]]]:
    line = text_line()
    return {
        "magika": {"bytes": magika_features(Path(__file__).read_bytes())},
        "digits": {"X": SEVEN.reshape(1, 64)},
        "simple": {
            "INPUT0": np.arange(16, dtype=np.int32).reshape(1, 16),
            "INPUT1": np.ones((1, 16), np.int32),
        },
        "silero_vad": {
            "input": np.random.default_rng(0).normal(0, 0.01, (1, VAD_SAMPLES)).astype(np.float32),
            "state": np.zeros((2, 1, 128), np.float32),
            "sr": np.array(VAD_RATE_HZ, np.int64),
        },
        "ppocr_det": {"x": line},
        "ppocr_cls": {"x": line[:, :, 8:56, :192]},
        "ppocr_rec": {"x": line[:, :, 8:56, :]},
    }


def magika_features(content: bytes) -> NDArray[np.int32]:
    """INT32[1,2048]: the first and the last 1,024 bytes without the white space around them; 256 pads."""
    start = content[:MAGIKA_BLOCK].lstrip()[:MAGIKA_SIDE]
    end = content[-MAGIKA_BLOCK:].rstrip()[-MAGIKA_SIDE:]
    features = np.full(2 * MAGIKA_SIDE, MAGIKA_PADDING, np.int32)
    features[: len(start)] = np.frombuffer(start, np.uint8)
    features[2 * MAGIKA_SIDE - len(end) :] = np.frombuffer(end, np.uint8)
    return features.reshape(1, -1)


def text_line() -> NDArray[np.float32]:
    """FP32[1,3,64,320] in -1..1: the word ORTOLAN, black on white."""
    rows = [[pixel == "#" for pixel in row] for row in WORD]
    ink = np.array(rows, dtype=np.float32).repeat(5, axis=0).repeat(5, axis=1)
    page = np.ones((64, 320), np.float32)
    top, left = (64 - ink.shape[0]) // 2, (320 - ink.shape[1]) // 2
    page[top : top + ink.shape[0], left : left + ink.shape[1]] -= 2 * ink
    return np.broadcast_to(page, (1, 3, 64, 320)).copy()


WORD = (
    ".###..####..#####..###..#......###..#...#",
    "#...#.#...#...#...#...#.#.....#...#.##..#",
    "#...#.#...#...#...#...#.#.....#...#.#.#.#",
    "#...#.####....#...#...#.#.....#####.#..##",
    "#...#.#.#.....#...#...#.#.....#...#.#...#",
    "#...#.#..#....#...#...#.#.....#...#.#...#",
    ".###..#...#...#....###..#####.#...#.#...#",
)

# A seven that somebody wrote: sample 7 of scikit-learn's digits.
SEVEN = np.array(
    [
        [0, 0, 7, 8, 13, 16, 15, 1],
        [0, 0, 7, 7, 4, 11, 12, 0],
        [0, 0, 0, 0, 8, 13, 1, 0],
        [0, 4, 8, 8, 15, 15, 6, 0],
        [0, 2, 11, 15, 15, 4, 0, 0],
        [0, 0, 0, 16, 5, 0, 0, 0],
        [0, 0, 9, 15, 1, 0, 0, 0],
        [0, 0, 13, 5, 0, 0, 0, 0],
    ],
    np.float32,
)
