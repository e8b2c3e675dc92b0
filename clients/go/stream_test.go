package ortolan_test

import (
	"errors"
	"iter"
	"strings"
	"testing"

	"ortolan.example/ortolan"
)

func TestStreams(t *testing.T) {
	client := connect(t)
	for _, vector := range loadVectors(t).Streams {
		t.Run(vector.Name, func(t *testing.T) {
			items := func(yield func([]ortolan.Tensor) bool) {
				for _, item := range vector.Items {
					if !yield(typed(t, item.Inputs)) {
						return
					}
				}
			}
			came := 0
			for answer, err := range client.Stream(t.Context(), vector.Model, items) {
				if came == len(vector.Items) {
					t.Fatalf("more came: %v, %v", answer, err)
				}
				item := vector.Items[came]
				var failed *ortolan.ItemError
				switch {
				case item.Error == "" && err == nil:
					expectOutputs(t, item.Outputs, answer.Outputs)
				case item.Error == "" || !errors.As(err, &failed):
					t.Fatalf("item %d: %v", came, err)
				case failed.Index != came || !strings.Contains(failed.Message, item.Error) || !errors.Is(err, ortolan.ErrItem):
					t.Errorf("item %d: %v, not %q", came, failed, item.Error)
				}
				came++
			}
			if came != len(vector.Items) {
				t.Errorf("%d answers came for %d items", came, len(vector.Items))
			}
		})
	}
}

func row(value int64) []ortolan.Tensor {
	return []ortolan.Tensor{ortolan.NewTensor("x", []int64{1, 3}, []int64{value, value, value})}
}

func TestAStreamEndsAtAnItemThatCannotBeSent(t *testing.T) {
	items := func(yield func([]ortolan.Tensor) bool) {
		wrong := []ortolan.Tensor{ortolan.NewTensor("x", []int64{1, 3}, []int64{1})}
		_ = yield(row(1)) && yield(wrong) && yield(row(2))
	}
	var answers int
	var last error
	for _, err := range connect(t).Stream(t.Context(), "echo_int64", items) {
		if err == nil {
			answers++
		}
		last = err
	}
	if answers != 1 || !errors.Is(last, ortolan.ErrInvalidInput) {
		t.Errorf("%d answers, then %v", answers, last)
	}
}

func TestAStreamIsLeftEarly(t *testing.T) {
	client := connect(t)
	ended := make(chan struct{})
	endless := func(yield func([]ortolan.Tensor) bool) {
		defer close(ended)
		for value := int64(0); yield(row(value)); value++ {
		}
	}
	next, stop := iter.Pull2(client.Stream(t.Context(), "echo_int64", endless))
	for range 3 {
		if _, err, _ := next(); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	<-ended // or the test never ends
}
