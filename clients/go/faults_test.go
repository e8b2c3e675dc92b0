package ortolan_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"ortolan.example/ortolan"
	"ortolan.example/ortolan/inferencepb"
)

// faulty is a server that does what a live one does only on a bad day.
type faulty struct {
	inferencepb.UnimplementedGRPCInferenceServiceServer
	calls atomic.Int32
	token atomic.Value
	infer func(call int32) (*inferencepb.ModelInferResponse, error)
}

func (f *faulty) ModelInfer(
	ctx context.Context, _ *inferencepb.ModelInferRequest,
) (*inferencepb.ModelInferResponse, error) {
	headers, _ := metadata.FromIncomingContext(ctx)
	f.token.Store(strings.Join(headers.Get("authorization"), " and "))
	return f.infer(f.calls.Add(1))
}

// serve gives the address of that server, which lives as long as the test.
func serve(t *testing.T, server *faulty) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := grpc.NewServer(grpc.MaxRecvMsgSize(1 << 30))
	inferencepb.RegisterGRPCInferenceServiceServer(host, server)
	go host.Serve(listener)
	t.Cleanup(host.Stop)
	return listener.Addr().String()
}

func failing(code codes.Code, times int32) *faulty {
	return &faulty{infer: func(call int32) (*inferencepb.ModelInferResponse, error) {
		if call <= times {
			return nil, status.Error(code, "not now")
		}
		return &inferencepb.ModelInferResponse{ModelName: "model"}, nil
	}}
}

func TestACallIsTriedAgain(t *testing.T) {
	server := failing(codes.Unavailable, 3)
	large := ortolan.NewTensor("x", []int64{1 << 20}, make([]uint8, 1<<20)) // more than gRPC keeps by itself
	_, err := newClient(t, serve(t, server)).Infer(t.Context(), "model", []ortolan.Tensor{large})
	if err != nil || server.calls.Load() != 4 {
		t.Errorf("%v after %d calls", err, server.calls.Load())
	}
}

func TestTryingEnds(t *testing.T) {
	server := failing(codes.Unavailable, 100)
	_, err := newClient(t, serve(t, server)).Infer(t.Context(), "model", nil)
	if !errors.Is(err, ortolan.ErrUnavailable) || server.calls.Load() != 4 {
		t.Errorf("%v after %d calls", err, server.calls.Load())
	}
}

func TestWhatWouldFailAgainIsNotTriedAgain(t *testing.T) {
	for code, kind := range map[codes.Code]error{
		codes.Internal: ortolan.ErrServer, codes.ResourceExhausted: ortolan.ErrOverloaded,
		codes.PermissionDenied: ortolan.ErrNotAllowed, codes.Unauthenticated: ortolan.ErrNotAllowed,
	} {
		server := failing(code, 1)
		_, err := newClient(t, serve(t, server)).Infer(t.Context(), "model", nil)
		if !errors.Is(err, kind) || status.Code(err) != code || server.calls.Load() != 1 {
			t.Errorf("%v after %d calls", err, server.calls.Load())
		}
		if errors.Is(err, ortolan.ErrMessageTooLarge) {
			t.Errorf("%v is not about the size of a message", err)
		}
	}
}

func TestTheLimitThatTheServersGRPCDoesNotName(t *testing.T) {
	server := &faulty{infer: func(int32) (*inferencepb.ModelInferResponse, error) {
		return nil, status.Error(codes.ResourceExhausted, "SERVER: Received message larger than max (9 vs. 8)")
	}}
	_, err := newClient(t, serve(t, server)).Infer(t.Context(), "model", nil)
	if !errors.Is(err, ortolan.ErrMessageTooLarge) || !strings.HasSuffix(err.Error(), "ortolan serve --max-message-size") {
		t.Error(err)
	}
}

func TestACallThatTheServerDoesNotKnow(t *testing.T) {
	_, err := newClient(t, serve(t, failing(codes.OK, 0))).Assignments(t.Context(), "")
	if !errors.Is(err, ortolan.ErrNotSupported) {
		t.Error(err)
	}
}

func TestNoServerThere(t *testing.T) {
	_, err := newClient(t, "127.0.0.1:1").Metadata(t.Context(), "model", "")
	var found *ortolan.Error
	if !errors.Is(err, ortolan.ErrUnavailable) || !errors.As(err, &found) || found.Model != "model" {
		t.Error(err)
	}
}

func TestAnAnswerThatBreaksTheProtocol(t *testing.T) {
	fp32 := []*inferencepb.ModelInferResponse_InferOutputTensor{{Name: "y", Datatype: "FP32", Shape: []int64{2}}}
	for text, answer := range map[string]*inferencepb.ModelInferResponse{
		"1 outputs came with 0 raw contents":         {Outputs: fp32},
		`output "y": FP32 [2] takes 8 bytes, 3 came`: {Outputs: fp32, RawOutputContents: [][]byte{{1, 2, 3}}},
	} {
		server := &faulty{infer: func(int32) (*inferencepb.ModelInferResponse, error) { return answer, nil }}
		_, err := newClient(t, serve(t, server)).Infer(t.Context(), "model", nil)
		if !errors.Is(err, ortolan.ErrBadAnswer) || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, not %q", err, text)
		}
	}
}

func TestTheTokenGoesWithEveryCall(t *testing.T) {
	server := failing(codes.OK, 0)
	client := newClient(t, serve(t, server), ortolan.WithToken("s3cret"))
	if _, err := client.Infer(t.Context(), "model", nil); err != nil || server.token.Load() != "Bearer s3cret" {
		t.Errorf("%v, %v", server.token.Load(), err)
	}
}

func TestWhatIsNoToken(t *testing.T) {
	wrong := []string{"", "s3cret\n", "two words", "schlüssel"}
	taken := slices.DeleteFunc(wrong, func(token string) bool {
		_, err := ortolan.New("127.0.0.1:1", ortolan.WithToken(token))
		return err != nil && !strings.Contains(err.Error(), "s3cret")
	})
	if len(taken) != 0 {
		t.Errorf("taken: %q", taken)
	}
}
