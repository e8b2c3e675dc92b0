package ortolan

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The kinds of errors: one for each thing that a caller can do about it. Ask with errors.Is.
var (
	// ErrInvalidInput: what was sent does not fit the model, or cannot be carried at all.
	ErrInvalidInput = errors.New("invalid input")
	// ErrNotFound: no such model, version or service.
	ErrNotFound = errors.New("not found")
	// ErrUnavailable: no server there, or a known model that does not serve now; the text says which.
	ErrUnavailable = errors.New("unavailable")
	// ErrOverloaded: the server refuses more work: try again later.
	ErrOverloaded = errors.New("overloaded")
	// ErrMessageTooLarge: over a limit on messages: trying again does not help. It is also ErrOverloaded.
	ErrMessageTooLarge = errors.New("message too large")
	// ErrDeadlineExceeded: no answer in time. It is also context.DeadlineExceeded.
	ErrDeadlineExceeded = errors.New("deadline exceeded")
	// ErrCancelled: the call was cancelled, here or there. It is also context.Canceled.
	ErrCancelled = errors.New("cancelled")
	// ErrNotAllowed: switched off by the operator, or not permitted to this caller: without a token, too.
	ErrNotAllowed = errors.New("not allowed")
	// ErrNotSupported: the server does not know this call.
	ErrNotSupported = errors.New("not supported")
	// ErrServer: it failed on the server's side.
	ErrServer = errors.New("server error")
	// ErrBadAnswer: the answer breaks the protocol.
	ErrBadAnswer = errors.New("bad answer")
	// ErrItem: one item of a stream failed; the stream goes on. It is an [*ItemError].
	ErrItem = errors.New("item failed")
)

var kinds = map[codes.Code][]error{
	codes.Canceled:          {ErrCancelled, context.Canceled},
	codes.InvalidArgument:   {ErrInvalidInput},
	codes.OutOfRange:        {ErrInvalidInput},
	codes.DeadlineExceeded:  {ErrDeadlineExceeded, context.DeadlineExceeded},
	codes.NotFound:          {ErrNotFound},
	codes.PermissionDenied:  {ErrNotAllowed},
	codes.Unauthenticated:   {ErrNotAllowed},
	codes.ResourceExhausted: {ErrOverloaded},
	codes.Unimplemented:     {ErrNotSupported},
	codes.Unavailable:       {ErrUnavailable},
}

// Error is a status of gRPC (status.FromError and status.Code read it) of one or more of the kinds above.
type Error struct {
	// Model is the one that was called; empty where the call was about none.
	Model  string
	status *status.Status
	kinds  []error
}

// asError is the counterpart of an error of gRPC.
func asError(err error, model string) error {
	found := status.Convert(err)
	kinds := kinds[found.Code()]
	switch {
	case kinds == nil:
		kinds = []error{ErrServer}
	case found.Code() == codes.ResourceExhausted && strings.Contains(found.Message(), "larger than max"):
		kinds = []error{ErrMessageTooLarge, ErrOverloaded}
		found = withLimit(found)
	}
	return &Error{Model: model, status: found, kinds: kinds}
}

// withLimit adds which setting to raise, where the text does not say it: gRPC's own, on the server's side.
func withLimit(found *status.Status) *status.Status {
	if !strings.HasPrefix(found.Message(), "SERVER:") {
		return found
	}
	return status.New(found.Code(), found.Message()+"; the server's limit is set by ortolan serve --max-message-size")
}

func newError(kind error, code codes.Code, model, format string, arguments ...any) error {
	return &Error{Model: model, status: status.Newf(code, format, arguments...), kinds: []error{kind}}
}

func (e *Error) Error() string {
	return fmt.Sprintf("ortolan: %s: %s", e.kinds[0], e.status.Message())
}

// GRPCStatus is the status, the server's words in it.
func (e *Error) GRPCStatus() *status.Status {
	return e.status
}

// Unwrap gives the kinds to errors.Is.
func (e *Error) Unwrap() []error {
	return e.kinds
}

// ItemError is the failure of one item of a stream, which comes as text alone.
type ItemError struct {
	// Index is the item's place in the stream, from 0.
	Index   int
	Model   string
	Message string
}

func (e *ItemError) Error() string {
	return fmt.Sprintf("ortolan: item %d: %s", e.Index, e.Message)
}

// Unwrap gives the kind to errors.Is.
func (e *ItemError) Unwrap() error {
	return ErrItem
}
