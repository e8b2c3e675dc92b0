package ortolan

import (
	"context"
	"io"
	"iter"

	"ortolan.example/ortolan/inferencepb"
)

// Stream makes one inference for each of the items over one stream, which has one deadline as a whole. Answers come in the
// order of the items.
//
// An item that the server refuses gives an [*ItemError] in its place, and the stream goes on; every other error is the last
// thing that comes. What is wrong with an item before it is sent ends the stream too, after the answers to those before it.
//
// Items are drawn by a goroutine of its own as fast as the connection takes them. Leaving the loop early cancels what is under
// way.
func (c *Client) Stream(
	ctx context.Context, model string, items iter.Seq[[]Tensor], options ...InferOption,
) iter.Seq2[*Answer, error] {
	return func(yield func(*Answer, error) bool) {
		ctx, cancel := c.withDeadline(ctx)
		defer cancel()
		stream, err := c.inference.ModelStreamInfer(ctx)
		if err != nil {
			yield(nil, asError(err, model))
			return
		}
		refused := make(chan error, 1)
		go func() {
			refused <- send(stream, model, items, options)
			_ = stream.CloseSend() // never fails
		}()
		for index := 0; ; index++ {
			message, err := stream.Recv()
			if err == io.EOF {
				yieldRefused(yield, refused)
				return
			}
			if err != nil {
				yield(nil, asError(err, model))
				return
			}
			if text := message.ErrorMessage; text != "" {
				if !yield(nil, &ItemError{Index: index, Model: model, Message: text}) {
					return
				}
				continue
			}
			answer, err := answerOf(message.InferResponse, model)
			if !yield(answer, err) || err != nil {
				return
			}
		}
	}
}

// send sends each item, until one cannot be sent: that is the error. What ends the stream itself is said by its Recv.
func send(stream inferencepb.GRPCInferenceService_ModelStreamInferClient, model string, items iter.Seq[[]Tensor],
	options []InferOption,
) error {
	for inputs := range items {
		request, err := inferRequest(model, inputs, options)
		if err != nil {
			return err
		}
		if stream.Send(request) != nil {
			return nil
		}
	}
	return nil
}

// yieldRefused gives the error of an item that was not sent, if that is why the stream has ended.
func yieldRefused(yield func(*Answer, error) bool, refused <-chan error) {
	select {
	case err := <-refused: // is there before the end of what is sent, which comes before the end of the answers
		if err != nil {
			yield(nil, err)
		}
	default: // the server ended it by itself
	}
}
