package ortolan_test

import (
	"context"
	"errors"
	"iter"
	"math"
	"testing"
	"time"

	"ortolan.example/ortolan"
)

func endlessRun() []ortolan.Tensor {
	return []ortolan.Tensor{ortolan.NewTensor("n", nil, []int64{math.MaxInt64})}
}

func TestACallWithoutADeadlineHasTheClients(t *testing.T) {
	client := connect(t, ortolan.WithTimeout(200*time.Millisecond))
	_, err := client.Infer(context.Background(), "countdown", endlessRun())
	if !errors.Is(err, ortolan.ErrDeadlineExceeded) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	for _, err = range client.Stream(context.Background(), "countdown", only(endlessRun())) {
	}
	if !errors.Is(err, ortolan.ErrDeadlineExceeded) {
		t.Errorf("the stream: %v", err)
	}
}

func TestACallKeepsItsOwnDeadline(t *testing.T) {
	client := connect(t, ortolan.WithTimeout(time.Nanosecond))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := client.Infer(ctx, "echo_int64", row(1)); err != nil {
		t.Error(err)
	}
}

func TestACallIsCancelled(t *testing.T) {
	client := connect(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer time.AfterFunc(100*time.Millisecond, cancel).Stop()
	if _, err := client.Infer(ctx, "countdown", endlessRun()); !errors.Is(err, ortolan.ErrCancelled) {
		t.Errorf("%v", err)
	}
}

func only(inputs []ortolan.Tensor) iter.Seq[[]ortolan.Tensor] {
	return func(yield func([]ortolan.Tensor) bool) { yield(inputs) }
}
