"""What a model.toml may say, and what is said of one that is wrong."""

import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from ortolan_server.errors import InvalidConfig
from ortolan_server.repository import (
    Batching,
    ChainRung,
    Limits,
    Lock,
    ModelToml,
    Require,
    VersionPolicy,
    load_model_toml,
    model_toml_json_schema,
)

WHOLE = """
required = false

[[chain]]
provider = "tensorrt"
fp16 = true
workspace = "4GiB"

[[chain]]
provider = "cuda"

[[chain]]
provider = "cpu"
threads = 2

[require]
provider = ["tensorrt", "cuda"]
node_share = 0.95
forbid_on_cpu = ["Conv", "MatMul"]
otherwise = "degrade"

[batching]
max_size = 16
max_delay_ms = 1.5
preferred_sizes = [4, 8]

[limits]
queue = 16
queue_size = "1MiB"
concurrency = 2

[versions]
specific = [1, 3]
"""


def load(text: str | bytes, folder: Path) -> ModelToml:
    path = folder / "model.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_model_toml(path)


def refusal(text: str | bytes, folder: Path) -> list[str]:
    """The lines of the error, without the path each begins with."""
    with pytest.raises(InvalidConfig) as raised:
        load(text, folder)
    source = f"{folder / 'model.toml'}: "
    lines = str(raised.value).splitlines()
    assert all(line.startswith(source) for line in lines)
    return [line.removeprefix(source) for line in lines]


def test_every_key(tmp_path: Path) -> None:
    config = load(WHOLE, tmp_path)
    assert config.required is False
    assert [(rung.provider, dict(rung.options)) for rung in config.chain] == [
        ("tensorrt", {"fp16": True, "workspace": "4GiB"}),
        ("cuda", {}),
        ("cpu", {"threads": 2}),
    ]
    assert config.require == Require(
        provider=("tensorrt", "cuda"), node_share=0.95, forbid_on_cpu=("Conv", "MatMul"), otherwise="degrade"
    )
    assert config.batching == Batching(max_size=16, max_delay_ms=1.5, preferred_sizes=(4, 8))
    assert config.limits == Limits(queue=16, queue_size=1 << 20, concurrency=2)
    assert config.versions == VersionPolicy(specific=(1, 3))


@pytest.mark.parametrize("text", ["\n", "# nothing\n", "[limits]\n"])
def test_a_file_that_says_nothing_is_the_default(tmp_path: Path, text: str) -> None:
    config = load(text, tmp_path)
    assert config == ModelToml()
    assert [(rung.provider, dict(rung.options)) for rung in config.chain] == [("cpu", {})]
    assert config.require is None
    assert config.required is True
    assert (config.limits.queue, config.limits.queue_size, config.limits.concurrency) == (256, 1 << 28, 1)
    assert config.batching is None
    assert config.versions == VersionPolicy(latest=1)


def test_what_require_leaves_out_stays_strict(tmp_path: Path) -> None:
    config = load('chain = [{provider = "cuda"}, {provider = "cpu"}]\n[require]\n', tmp_path)
    assert config.require == Require(provider=("cuda",), node_share=0.5, forbid_on_cpu=(), otherwise="fail")
    assert ModelToml(require=Require()).require == Require(provider=("cpu",))


@pytest.mark.parametrize("written", ['"cpu"', '["cpu"]'])
def test_one_provider_needs_no_list(tmp_path: Path, written: str) -> None:
    require = load(f"[require]\nprovider = {written}", tmp_path).require
    assert require is not None
    assert require.provider == ("cpu",)


def test_whole_numbers_are_shares(tmp_path: Path) -> None:
    require = load("[require]\nnode_share = 1", tmp_path).require
    assert require is not None
    assert require.node_share == 1.0


def test_a_file_cannot_be_changed_once_it_is_read() -> None:
    config = ModelToml()
    with pytest.raises(ValidationError, match="frozen"):
        config.required = False
    with pytest.raises(TypeError):
        config.chain[0].options["threads"] = 2  # type: ignore[index]


def test_a_rung_made_from_parts_is_the_rung_in_a_file(tmp_path: Path) -> None:
    rung = ChainRung.of("cuda", {"device_id": 1})
    assert load('[[chain]]\nprovider = "cuda"\ndevice_id = 1', tmp_path).chain == (rung,)


def test_another_chain_keeps_the_rest(tmp_path: Path) -> None:
    config = load(WHOLE, tmp_path)
    chain = (ChainRung.of("cuda"), ChainRung.of("tensorrt"))
    only_told = Lock(drift="warn")
    assert config.on_chain(chain) == config.model_copy(update={"chain": chain, "lock": only_told})
    cpu_only = (ChainRung.of("cpu"),)
    assert config.require is not None
    require = config.require.model_copy(update={"provider": ("cpu",)})
    assert config.on_chain(cpu_only) == config.model_copy(
        update={"chain": cpu_only, "require": require, "lock": only_told}
    )


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "requires = 1",
            [
                (
                    "requires: unknown key; did you mean 'require'? "
                    "allowed: batching, chain, failover, file, input, limits, lock, numeric, output, require, "
                    "required, trust_inputs, versions, warmup"
                )
            ],
        ),
        (
            "[require]\nnode_shar = 1",
            [
                (
                    "require.node_shar: unknown key; did you mean 'node_share'? "
                    "allowed: forbid_on_cpu, node_share, otherwise, provider"
                )
            ],
        ),
        ("[limits]\nqueue = 0", ["limits.queue: must be greater than or equal to 1, not 0"]),
        ("[limits]\nqueue = true", ["limits.queue: must be a valid integer, not true"]),
        ("[limits]\nqueue = 1.0", ["limits.queue: must be a valid integer, not 1.0"]),
        ('[limits]\nqueue = "8"', ['limits.queue: must be a valid integer, not "8"']),
        ("limits = 3", ["limits: must be a table, not 3"]),
        ("required = 1", ["required: must be true or false, not 1"]),
        ("required = 1979-05-27", ['required: must be true or false, not "1979-05-27"']),
        ("[chain]\nprovider = 'cpu'", ["chain: must be a list of tables: write [[chain]], not [chain]"]),
        ("[warmup]\nruns = 2", ["warmup: must be a list of tables: write [[warmup]], not [warmup]"]),
        (
            "[[warmup]]\ninputs.x = { dat = 1 }",
            ["warmup[1].inputs.x.dat: unknown key; did you mean 'data'? allowed: data, file, shape"],
        ),
        ("chain = []", ["chain: must have at least one rung; leave it out for the default, cpu"]),
        ("chain = ['cpu']", ['chain[1]: must be a table, not "cpu"']),
        ("chain = 'cpu'", ['chain: must be a list, not "cpu"']),
        ("[[chain]]\nprovider = 'cpu'\n[[chain]]\nthreads = 2", ["chain[2].provider: is missing"]),
        ("[[chain]]\nprovider = 3", ["chain[1].provider: must be a text in quotes, not 3"]),
        ("[[chain]]\nprovider = ''", ['chain[1].provider: must not be empty, not ""']),
        ("[require]\nprovider = 'cuda'", ["require.provider: 'cuda' is not in the chain; allowed: cpu"]),
        (
            "chain = [{provider = 'tensorrt'}]\n[require]\nprovider = 'tensort'",
            ["require.provider: 'tensort' is not in the chain; did you mean 'tensorrt'? allowed: tensorrt"],
        ),
        (
            "[require]\nprovider = []",
            ["require.provider: must name at least one provider; leave it out for that of the first rung"],
        ),
        ("[require]\nprovider = [1]", ["require.provider[1]: must be a text in quotes, not 1"]),
        ("[require]\nnode_share = 95", ["require.node_share: must be less than or equal to 1, not 95"]),
        ("[require]\nnode_share = nan", ["require.node_share: must be a finite number, not NaN"]),
        ("[require]\nnode_share = true", ["require.node_share: must be a valid number, not true"]),
        ("[require]\nforbid_on_cpu = 'Conv'", ['require.forbid_on_cpu: must be a list, not "Conv"']),
        (
            "[require]\nforbid_on_cpu = ['Conv', 'matmul']",
            ["require.forbid_on_cpu: no operator type 'matmul'; did you mean 'MatMul'?"],
        ),
        ("[require]\notherwise = 'warn'", ["require.otherwise: must be 'fail' or 'degrade', not \"warn\""]),
        ("[versions]\n", ["versions: must have exactly one of latest, all and specific, not none of them"]),
        (
            "[versions]\nlatest = 1\nall = true",
            ["versions: must have exactly one of latest, all and specific, not latest and all"],
        ),
        ("[versions]\nlatest = 0", ["versions.latest: must be greater than or equal to 1, not 0"]),
        ("[versions]\nspecific = 1", ["versions.specific: must be a list, not 1"]),
        ("[versions]\nspecific = [1, 0]", ["versions.specific[2]: must be greater than or equal to 1, not 0"]),
        # What a later version may have is an error until then: it would be accepted and not done.
        (
            "[cluster]\nmax_size = 8",
            [
                (
                    "cluster: unknown key; allowed: batching, chain, failover, file, input, limits, lock, numeric, "
                    "output, require, required, trust_inputs, versions, warmup"
                )
            ],
        ),
        ("[batching]\nmax_size = 0", ["batching.max_size: must be greater than or equal to 1, not 0"]),
        ("[batching]\nmax_delay_ms = -1", ["batching.max_delay_ms: must be greater than or equal to 0, not -1"]),
        ("[batching]\nmax_delay_ms = '2ms'", ['batching.max_delay_ms: must be a valid number, not "2ms"']),
        ("[batching]\npreferred_sizes = 4", ["batching.preferred_sizes: must be a list, not 4"]),
        (
            "[batching]\npreferred_sizes = [4, 0]",
            ["batching.preferred_sizes[2]: must be greater than or equal to 1, not 0"],
        ),
        (
            "[batching]\nmax_size = 8\npreferred_sizes = [4, 16]",
            ["batching.preferred_sizes: 16 is more than max_size, which is 8"],
        ),
        ("[limits]\nqueue_size = 0", ["limits.queue_size: must be greater than or equal to 1, not 0"]),
        (
            "[limits]\nqueue_size = '1 apple'",
            [
                (
                    "limits.queue_size: must be a size: a whole number of bytes, or a number with B, KB, MB, GB, KiB, "
                    "MiB or GiB, not '1 apple'"
                )
            ],
        ),
        (
            "required = 1\n[limits]\nqueue = 0\n",
            [
                "required: must be true or false, not 1",
                "limits.queue: must be greater than or equal to 1, not 0",
            ],
        ),
    ],
)
def test_a_wrong_file_says_where_and_what_is_allowed(tmp_path: Path, text: str, lines: list[str]) -> None:
    assert refusal(text, tmp_path) == lines


def test_operators_of_other_domains_may_be_forbidden(tmp_path: Path) -> None:
    require = load("[require]\nforbid_on_cpu = ['FusedMatMul', 'MyOwn']", tmp_path).require
    assert require is not None
    assert require.forbid_on_cpu == ("FusedMatMul", "MyOwn")


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("required = maybe", "is not TOML: .*line 1, column 12"),
        ("\n[limits]\n[limits]", "is not TOML: .*line 3"),
        (b"\xff", "is not UTF-8 text: byte 0 is 0xff"),
        ("a = " + "9" * 5000, "is not TOML"),
        ("a = " + "[" * 100_000, "is not TOML"),
        ("", "is empty: it has 0 bytes; without the file the model is served by the defaults"),
        ("#" * (2**20 + 1), "has more than 1048576 bytes"),
    ],
)
def test_what_is_no_toml(tmp_path: Path, text: str | bytes, pattern: str) -> None:
    (tmp_path / "model.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InvalidConfig, match=pattern):
        load_model_toml(tmp_path / "model.toml")


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in (".", "pipe", "gone.toml"):
        with pytest.raises(InvalidConfig, match="is not a file"):
            load_model_toml(tmp_path / name)


def test_long_values_are_cut(tmp_path: Path) -> None:
    (line,) = refusal(f"required = '{'x' * 10_000}'", tmp_path)
    assert len(line) < 200


def test_json_schema_describes_the_file() -> None:
    schema = model_toml_json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert set(schema["properties"]) == {
        "batching",
        "chain",
        "failover",
        "file",
        "input",
        "limits",
        "lock",
        "numeric",
        "output",
        "require",
        "required",
        "trust_inputs",
        "versions",
        "warmup",
    }
    tables = schema["$defs"]
    text, several = tables["Require"]["properties"]["provider"]["anyOf"]
    assert (text["type"], several["type"], several["minItems"]) == ("string", "array", 1)
    assert tables["VersionPolicy"]["oneOf"] == [{"required": [key]} for key in ("latest", "all", "specific")]
    assert "null" not in json.dumps(schema), "TOML has no null"
    assert all(table["additionalProperties"] is (name == "ChainRung") for name, table in tables.items())
    for table in (schema, *tables.values()):
        for name, field in table["properties"].items():
            assert field.get("description"), f"{name} has no description"
