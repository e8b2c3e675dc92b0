"""Bad requests: repository calls, provider reflection, health, server reflection, channelz."""

from google.protobuf.message import Message
from grpc_channelz.v1 import channelz_pb2
from grpc_health.v1 import health_pb2

from ortolan.inference import inference_pb2 as pb
from ortolan.v1 import provider_reflection_pb2 as ours
from tests.conformance.sending import BadRequest, Send, call, plan
from tests.conformance.wire import REFLECTION

__all__ = ["MAX_LOAD_BYTES", "TABLE"]

INVALID, UNIMPLEMENTED, NOT_FOUND = "INVALID_ARGUMENT", "UNIMPLEMENTED", "NOT_FOUND"
PRECONDITION, OVER = "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED"
MODEL = "1/model.onnx"
MAX_LOAD_BYTES = 1000


def _load(model: str, *, repository: str = "", **parameters: str) -> Send:
    return call("RepositoryModelLoad", _with_texts(pb.RepositoryModelLoadRequest, model, repository, parameters))


def _unload(model: str, *, repository: str = "", **parameters: str) -> Send:
    return call("RepositoryModelUnload", _with_texts(pb.RepositoryModelUnloadRequest, model, repository, parameters))


def _files(files: dict[str, bytes], *, model: str = "sent", config: str | None = "") -> Send:
    message = pb.RepositoryModelLoadRequest(model_name=model)
    if config is not None:
        message.parameters["config"].string_param = config
    for path, content in files.items():
        message.parameters[f"file:{path}"].bytes_param = content
    return call("RepositoryModelLoad", message)


def _with_texts(
    kind: type[pb.RepositoryModelLoadRequest] | type[pb.RepositoryModelUnloadRequest],
    model: str,
    repository: str,
    parameters: dict[str, str],
) -> Message:
    message = kind(model_name=model, repository_name=repository)
    for key, text in parameters.items():
        message.parameters[key].string_param = text
    return message


def _ours(method: str, message: Message) -> Send:
    return call(f"{REFLECTION}/{method}", message)


def _plan(*rungs: ours.Rung, model: str = "simple", version: str = "") -> Send:
    return plan(ours.PlanAssignmentRequest(model=model, version=version, chain=rungs))


def _cpu(**options: str) -> ours.Rung:
    return ours.Rung(provider="cpu", options=options)


REPOSITORY = (
    BadRequest(
        "index of a named repository",
        call("RepositoryIndex", pb.RepositoryIndexRequest(repository_name="r")),
        UNIMPLEMENTED,
        "one repository",
    ),
    BadRequest("load from a named repository", _load("simple", repository="r"), UNIMPLEMENTED, "one repository"),
    BadRequest("load nothing", _load(""), INVALID, "model_name is empty"),
    BadRequest("load an unknown model", _load("nobody"), NOT_FOUND, "no model 'nobody' in the repository"),
    BadRequest("load from the folder above", _load("../models"), NOT_FOUND, "no model '../models'"),
    BadRequest("load the folder itself", _load("."), NOT_FOUND, r"no model '\.'"),
    BadRequest("load the root of the disk", _load("/"), NOT_FOUND, "no model '/'"),
    BadRequest("load a model's version", _load("simple/1"), NOT_FOUND, "no model 'simple/1'"),
    BadRequest("load a name with a NUL", _load("simple\0"), NOT_FOUND, r"no model 'simple\\x00'"),
    BadRequest("load a name too long for a file", _load("m" * 5000), NOT_FOUND, "^no model 'm{1000,}…$"),
    BadRequest("load with an unknown parameter", _load("simple", now="yes"), UNIMPLEMENTED, r"load parameters \(now\)"),
    BadRequest("load with a configuration that is cut short", _load("simple", config='{"a": '), INVALID, "is not JSON"),
    BadRequest("load with a configuration of nonsense", _load("simple", config="a"), INVALID, "nor TOML"),
    BadRequest(
        "load with an unknown key",
        _load("simple", config="wings = 2"),
        INVALID,
        "config of the request: wings: unknown",
    ),
    BadRequest(
        "load with an unknown option",
        _load("simple", config='[[chain]]\nprovider = "cpu"\nwings = 2'),
        "FAILED_PRECONDITION",
        "config of the request: .*no option wings",
    ),
    BadRequest(
        "load another platform", _load("simple", config='{"platform": "pytorch_libtorch"}'), INVALID, "platform: "
    ),
    BadRequest("load an unknown model by a configuration", _load("nobody", config=""), NOT_FOUND, "no model 'nobody'"),
    BadRequest("load a file without a configuration", _files({MODEL: b"x"}, config=None), INVALID, "needs .* 'config'"),
    BadRequest("load a file as text", _load("sent", **{"config": "", "file:" + MODEL: "x"}), INVALID, "wanted bytes_p"),
    BadRequest(
        "load a file above", _files({"../../model.onnx": b"x"}), INVALID, r"file '\.\./\.\./model.onnx': has '\.\.'"
    ),
    BadRequest("load a file far above", _files({"1/../../../x.onnx": b"x"}), INVALID, r"has '\.\.'"),
    BadRequest("load a file of the root", _files({"/etc/cron.d/x": b"x"}), INVALID, "is an absolute path"),
    BadRequest("load a file of a drive", _files({"C:\\model.onnx": b"x"}), INVALID, "is an absolute path"),
    BadRequest("load a file behind a backslash", _files({"1\\model.onnx": b"x"}), INVALID, "has a backslash"),
    BadRequest("load a file with a NUL", _files({"1/model.onnx\0": b"x"}), INVALID, "is no path"),
    BadRequest("load a hidden file", _files({".bashrc": b"x"}), INVALID, "begins with a dot"),
    BadRequest("load a file without a name", _files({"": b"x"}), INVALID, "file '': is no path"),
    BadRequest("load a model.toml as a file", _files({"model.toml": b"x"}), INVALID, "is the parameter config"),
    BadRequest("load a file in a file", _files({MODEL: b"x", MODEL + "/x": b"x"}), INVALID, "folder of another file"),
    BadRequest(
        "load files that are no model", _files({"1/x.onnx": b"x"}), PRECONDITION, "files of the request: has nei"
    ),
    BadRequest("load a file of nothing", _files({MODEL: b""}), PRECONDITION, "version 1: model.onnx is empty"),
    BadRequest("load a file of text", _files({MODEL: b"no model"}), PRECONDITION, "not a readable ONNX model"),
    BadRequest("load a file that is too large", _files({MODEL: bytes(MAX_LOAD_BYTES + 1)}), OVER, "--max-load-size"),
    BadRequest("load files as the model above", _files({MODEL: b"x"}, model="../up"), INVALID, "cannot have '/'"),
    BadRequest("load files as a hidden model", _files({MODEL: b"x"}, model=".hidden"), INVALID, "begins with no dot"),
    BadRequest("load files as a contract", _files({MODEL: b"x"}, model="m#contract"), INVALID, "cannot have '#'"),
    BadRequest(
        "load a broken model",
        _load("broken"),
        "FAILED_PRECONDITION",
        "'broken': version 1: .*not a readable ONNX model",
    ),
    BadRequest("unload nothing", _unload(""), INVALID, "model_name is empty"),
    BadRequest("unload an unknown model", _unload("nobody"), NOT_FOUND, "no model 'nobody'"),
    BadRequest(
        "unload with an unknown parameter", _unload("simple", now="yes"), UNIMPLEMENTED, r"unload parameters \(now\)"
    ),
)

ASSIGNMENTS = (
    BadRequest(
        "assignment of an unknown model",
        _ours("GetAssignment", ours.GetAssignmentRequest(model="nobody")),
        NOT_FOUND,
        "no model 'nobody'",
    ),
    BadRequest(
        "assignment of version abc",
        _ours("GetAssignment", ours.GetAssignmentRequest(model="simple", version="abc")),
        INVALID,
        "'abc' is not",
    ),
    BadRequest(
        "assignments of an unknown model",
        _ours("ListAssignments", ours.ListAssignmentsRequest(model="nobody")),
        NOT_FOUND,
        "no model 'nobody'",
    ),
    BadRequest(
        "watch an unknown model",
        _ours("WatchAssignments", ours.WatchAssignmentsRequest(model="nobody")),
        NOT_FOUND,
        "no model 'nobody'",
    ),
    BadRequest(
        "watch with garbage", call(f"{REFLECTION}/WatchAssignments", b"\xff\xff"), INVALID, "is not a ortolan.v1"
    ),
    BadRequest(
        "an unknown provider",
        _ours("ListProviders", ours.ListProvidersRequest(names=["tpu"])),
        INVALID,
        "no provider 'tpu'; known: coreml",
    ),
)

PLANS = (
    BadRequest("plan an unknown model", _plan(model="nobody"), NOT_FOUND, "no model 'nobody'"),
    BadRequest("plan an unknown version", _plan(version="9"), NOT_FOUND, "no version 9"),
    BadRequest(
        "plan on an unknown provider",
        _plan(ours.Rung(provider="tpu")),
        INVALID,
        "no provider 'tpu'; known: coreml",
    ),
    BadRequest("plan on a provider without a name", _plan(ours.Rung()), INVALID, r"chain\[1\] names no provider"),
    BadRequest("plan with an unknown option", _plan(_cpu(warp="9")), INVALID, "no option warp; it has"),
    BadRequest("plan with a value of another type", _plan(_cpu(threads="many")), INVALID, "threads.*integer"),
    BadRequest("plan with a value out of bounds", _plan(_cpu(threads="-5")), INVALID, "threads = -5 is refused"),
    BadRequest(
        "plan with as many threads as there are numbers",
        _plan(_cpu(threads="999999999")),
        INVALID,
        "threads = 999999999 is refused",
    ),
    BadRequest("plan with a value nested too deep", _plan(_cpu(threads="[" * 1000)), INVALID, r"threads = .*\[\[\[\["),
    BadRequest(
        "plan with a value nested deep", _plan(_cpu(threads="[" * 300 + "]" * 300)), INVALID, r"threads = .*\[\[\[\["
    ),
    BadRequest(
        "plan with a value of a megabyte", _plan(_cpu(threads="[" * 2**19)), INVALID, "a value of 524288 characters"
    ),
    BadRequest(
        "plan with a number of a thousand digits",
        _plan(_cpu(threads="0x" + "f" * 1000)),
        INVALID,
        "threads = .*integer",
    ),
    BadRequest("plan with a value of two lines", _plan(_cpu(threads='1\nprovider = "cuda"')), INVALID, "threads = "),
    BadRequest("plan on ten thousand rungs", _plan(*[_cpu()] * 10_000), INVALID, "10000 rungs; wanted at most 32"),
)

OTHERS = (
    BadRequest(
        "health of nobody",
        call("/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest(service="x")),
        NOT_FOUND,
        "",
    ),
    BadRequest("health with garbage", call("/grpc.health.v1.Health/Check", b"\xff\xff"), "INTERNAL", "deserializing"),
    BadRequest(
        "reflection with garbage",
        call("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", b"\xff\xff"),
        INVALID,
        "is not a grpc.reflection",
    ),
    BadRequest(
        "channelz of an unknown server",
        call("/grpc.channelz.v1.Channelz/GetServer", channelz_pb2.GetServerRequest(server_id=999)),
        NOT_FOUND,
        "999",
    ),
)

TABLE = REPOSITORY + ASSIGNMENTS + PLANS + OTHERS
