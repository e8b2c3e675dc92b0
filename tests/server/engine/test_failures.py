import pytest

from ortolan_backends import errors as backend_errors
from ortolan_backends.errors import (
    DeviceFailure,
    InvalidInput,
    OutOfMemory,
    RunCancelled,
    RunFailed,
    RunHung,
)
from ortolan_server.engine.failures import answer_to
from ortolan_server.errors import (
    CallCancelled,
    DeadlineExpired,
    InferenceFailed,
    InternalError,
    InvalidRequest,
    ModelNotReady,
    OrtolanError,
    Overloaded,
)

ANSWERS: dict[type[RunFailed], type[OrtolanError]] = {
    RunFailed: InferenceFailed,
    InvalidInput: InvalidRequest,
    OutOfMemory: Overloaded,
    RunCancelled: InferenceFailed,
    DeviceFailure: ModelNotReady,
    RunHung: ModelNotReady,
}


def test_table_has_every_failure_of_a_run() -> None:
    known = {
        error for error in vars(backend_errors).values() if isinstance(error, type) and issubclass(error, RunFailed)
    }
    assert known == ANSWERS.keys()


@pytest.mark.parametrize(("error", "answer"), ANSWERS.items())
def test_failure_of_a_run(error: type[RunFailed], answer: type[OrtolanError]) -> None:
    answered = answer_to(error("Conv_3 is at fault"), None)
    assert type(answered) is answer
    assert "Conv_3 is at fault" in str(answered)


@pytest.mark.parametrize("cause", [CallCancelled("left"), DeadlineExpired("late")])
def test_stopped_run_is_answered_with_its_cause(cause: OrtolanError) -> None:
    assert answer_to(RunCancelled("terminate flag"), cause) is cause
    assert isinstance(answer_to(OutOfMemory("full"), cause), Overloaded)


@pytest.mark.parametrize("error", [KeyError("secret"), MemoryError(), ValueError("secret")])
def test_what_nobody_expects_says_nothing(error: Exception) -> None:
    answered = answer_to(error, None)
    assert type(answered) is InternalError
    assert str(answered) == "internal error"
