package ortolan

import (
	"context"

	"google.golang.org/grpc/codes"

	"ortolan.example/ortolan/inferencepb"
)

// Answer is what came of one inference.
type Answer struct {
	Model   string
	Version string
	// Outputs are in the order in which the server gave them.
	Outputs []Tensor
}

// Tensor is the output of that name. It fails with [ErrNotFound] where there is none.
func (a *Answer) Tensor(name string) (Tensor, error) {
	for _, output := range a.Outputs {
		if output.Name == name {
			return output, nil
		}
	}
	return Tensor{}, newError(ErrNotFound, codes.NotFound, a.Model, "the answer has no output %q", name)
}

// Output are the elements of an output, row-major; [Answer.Tensor] has its shape. It fails with [ErrNotFound] where there is
// no such output, and with [ErrInvalidInput] where its elements are of another type.
func Output[T Element](answer *Answer, name string) ([]T, error) {
	tensor, err := answer.Tensor(name)
	if err != nil {
		return nil, err
	}
	values, err := Values[T](tensor)
	if err != nil {
		return nil, newError(ErrInvalidInput, codes.InvalidArgument, answer.Model, "%s", err)
	}
	return values, nil
}

// InferOption says more about an inference than its model and inputs.
type InferOption func(*inferencepb.ModelInferRequest)

// Version asks for a version of the model, instead of the one that serves by default.
func Version(version string) InferOption {
	return func(request *inferencepb.ModelInferRequest) { request.ModelVersion = version }
}

// Outputs asks for those outputs, instead of all.
func Outputs(names ...string) InferOption {
	return func(request *inferencepb.ModelInferRequest) {
		for _, name := range names {
			output := &inferencepb.ModelInferRequest_InferRequestedOutputTensor{Name: name}
			request.Outputs = append(request.Outputs, output)
		}
	}
}

// Infer makes one inference. It fails with [ErrInvalidInput], before anything is sent, where an input's elements do not fill
// its shape.
func (c *Client) Infer(ctx context.Context, model string, inputs []Tensor, options ...InferOption) (*Answer, error) {
	request, err := inferRequest(model, inputs, options)
	if err != nil {
		return nil, err
	}
	response, err := call(ctx, c, c.inference.ModelInfer, request, model)
	if err != nil {
		return nil, err
	}
	return answerOf(response, model)
}

func inferRequest(model string, inputs []Tensor, options []InferOption) (*inferencepb.ModelInferRequest, error) {
	request := &inferencepb.ModelInferRequest{ModelName: model}
	for _, input := range inputs {
		if err := input.check(); err != nil {
			return nil, newError(ErrInvalidInput, codes.InvalidArgument, model, "input %q: %s", input.Name, err)
		}
		request.Inputs = append(request.Inputs, &inferencepb.ModelInferRequest_InferInputTensor{
			Name:     input.Name,
			Datatype: string(input.Datatype),
			Shape:    input.Shape,
		})
		request.RawInputContents = append(request.RawInputContents, input.Raw)
	}
	for _, option := range options {
		option(request)
	}
	return request, nil
}

func answerOf(response *inferencepb.ModelInferResponse, model string) (*Answer, error) {
	bad := func(format string, arguments ...any) error {
		return newError(ErrBadAnswer, codes.Internal, model, format, arguments...)
	}
	outputs, raws := response.GetOutputs(), response.GetRawOutputContents()
	if len(outputs) != len(raws) {
		return nil, bad("%d outputs came with %d raw contents", len(outputs), len(raws))
	}
	answer := &Answer{Model: response.GetModelName(), Version: response.GetModelVersion()}
	for index, output := range outputs {
		tensor := Tensor{output.Name, Datatype(output.Datatype), output.Shape, raws[index]}
		if err := tensor.check(); err != nil {
			return nil, bad("output %q: %s", tensor.Name, err)
		}
		answer.Outputs = append(answer.Outputs, tensor)
	}
	return answer, nil
}
