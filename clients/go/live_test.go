package ortolan_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ortolan.example/ortolan"
	"ortolan.example/ortolan/inferencepb"
	"ortolan.example/ortolan/ortolanpb"
)

func TestInferWithStubs(t *testing.T) {
	stub := inferencepb.NewGRPCInferenceServiceClient(connect(t).Conn())
	for _, vector := range loadVectors(t).Infer {
		t.Run(vector.Name, func(t *testing.T) {
			request := rawRequest(vector.Model, vector.Version, vector.Inputs)
			response, err := stub.ModelInfer(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			expectOutputs(t, vector.Outputs, tensorsOf(response))
		})
	}
}

func tensorsOf(response *inferencepb.ModelInferResponse) []ortolan.Tensor {
	tensors := []ortolan.Tensor{}
	for index, it := range response.Outputs {
		raw := response.RawOutputContents[index]
		tensor := ortolan.Tensor{Name: it.Name, Datatype: ortolan.Datatype(it.Datatype), Shape: it.Shape, Raw: raw}
		tensors = append(tensors, tensor)
	}
	return tensors
}

func TestInfer(t *testing.T) {
	client := connect(t)
	for _, vector := range loadVectors(t).Infer {
		t.Run(vector.Name, func(t *testing.T) {
			inputs := typed(t, vector.Inputs)
			answer, err := client.Infer(t.Context(), vector.Model, inputs, ortolan.Version(vector.Version))
			if err != nil {
				t.Fatal(err)
			}
			if answer.Model != vector.Model || answer.Version != "1" {
				t.Errorf("%s/%s answered", answer.Model, answer.Version)
			}
			expectOutputs(t, vector.Outputs, answer.Outputs)
		})
	}
}

func TestOneOutputOfTwo(t *testing.T) {
	ones := make([]int32, 16)
	for index := range ones {
		ones[index] = 1
	}
	inputs := []ortolan.Tensor{
		ortolan.NewTensor("INPUT0", []int64{1, 16}, ones), ortolan.NewTensor("INPUT1", []int64{1, 16}, ones),
	}
	answer, err := connect(t).Infer(t.Context(), "simple", inputs, ortolan.Outputs("OUTPUT1"))
	if err != nil {
		t.Fatal(err)
	}
	if values, err := ortolan.Output[int32](answer, "OUTPUT1"); err != nil || len(values) != 16 || values[3] != 0 {
		t.Errorf("%v, %v", values, err)
	}
	if _, err := ortolan.Output[int32](answer, "OUTPUT0"); !errors.Is(err, ortolan.ErrNotFound) {
		t.Errorf("OUTPUT0: %v", err)
	}
	if _, err := ortolan.Output[float32](answer, "OUTPUT1"); !errors.Is(err, ortolan.ErrInvalidInput) {
		t.Errorf("OUTPUT1 as FP32: %v", err)
	}
}

func TestFailures(t *testing.T) {
	client := connect(t)
	stub := inferencepb.NewGRPCInferenceServiceClient(client.Conn())
	kinds := map[string]error{
		"INVALID_ARGUMENT": ortolan.ErrInvalidInput, "NOT_FOUND": ortolan.ErrNotFound, "UNAVAILABLE": ortolan.ErrUnavailable,
	}
	for _, vector := range loadVectors(t).Failures {
		t.Run(vector.Name, func(t *testing.T) {
			var err error
			switch vector.RPC {
			case "ModelInfer": // by the stub, for the client would not send what it can tell is wrong
				_, err = stub.ModelInfer(t.Context(), rawRequest(vector.Model, vector.Version, vector.Inputs))
			case "ModelMetadata":
				_, err = client.Metadata(t.Context(), vector.Model, vector.Version)
			case "ModelReady":
				_, err = client.ModelReady(t.Context(), vector.Model, vector.Version)
			case "GetAssignment":
				_, err = client.Assignment(t.Context(), vector.Model, vector.Version)
			default:
				t.Fatalf("no call %s here", vector.RPC)
			}
			expectStatus(t, err, vector.Code, vector.Text)
			if vector.RPC == "ModelInfer" {
				inputs := []ortolan.Tensor{}
				for _, it := range vector.Inputs {
					inputs = append(inputs, ortolan.Tensor{it.Name, ortolan.Datatype(it.Datatype), it.Shape, it.Raw})
				}
				_, err = client.Infer(t.Context(), vector.Model, inputs, ortolan.Version(vector.Version))
			}
			if !errors.Is(err, kinds[vector.Code]) {
				t.Errorf("%v is not %v", err, kinds[vector.Code])
			}
		})
	}
}

func expectStatus(t *testing.T, err error, code, text string) {
	t.Helper()
	var wanted codes.Code
	if parse := wanted.UnmarshalJSON([]byte(`"` + code + `"`)); parse != nil {
		t.Fatal(parse)
	}
	if found := status.Convert(err); found.Code() != wanted || !strings.Contains(found.Message(), text) {
		t.Errorf("%v came, not %s with %q", err, code, text)
	}
}

func TestHealth(t *testing.T) {
	client := connect(t)
	for _, vector := range loadVectors(t).Health {
		came, err := client.Health(t.Context(), vector.Service)
		switch {
		case vector.Code != "":
			expectStatus(t, err, vector.Code, "")
		case err != nil || came.String() != vector.Status:
			t.Errorf("%q: %v, %v", vector.Service, came, err)
		}
	}
}

func TestReady(t *testing.T) {
	client := connect(t)
	for _, vector := range loadVectors(t).Ready {
		if came, err := client.ModelReady(t.Context(), vector.Model, ""); err != nil || came != vector.Ready {
			t.Errorf("%s: %v, %v", vector.Model, came, err)
		}
	}
	if came, err := client.ServerReady(t.Context()); err != nil || !came {
		t.Errorf("the server: %v, %v", came, err)
	}
}

func TestMetadata(t *testing.T) {
	client := connect(t)
	for _, vector := range loadVectors(t).Metadata {
		came, err := client.Metadata(t.Context(), vector.Model, "")
		if err != nil {
			t.Fatal(err)
		}
		expectOutputs(t, vector.Inputs, declared(came.Inputs))
		expectOutputs(t, vector.Outputs, declared(came.Outputs))
	}
}

func declared(tensors []*inferencepb.ModelMetadataResponse_TensorMetadata) []ortolan.Tensor {
	made := []ortolan.Tensor{}
	for _, it := range tensors {
		made = append(made, ortolan.Tensor{Name: it.Name, Datatype: ortolan.Datatype(it.Datatype), Shape: it.Shape})
	}
	return made
}

func TestAssignments(t *testing.T) {
	client := connect(t)
	for _, vector := range loadVectors(t).Assignments {
		rows, err := client.Assignments(t.Context(), vector.Model)
		if err != nil || len(rows) != 1 {
			t.Fatalf("%v, %v", rows, err)
		}
		expectAssignment(t, vector, rows[0])
		whole, err := client.Assignment(t.Context(), vector.Model, vector.Version)
		if err != nil || whole.GetVerdict().GetState().String() != vector.Verdict {
			t.Errorf("%v, %v", whole, err)
		}
	}
}

func expectAssignment(t *testing.T, wanted assignment, came *ortolanpb.AssignmentSummary) {
	t.Helper()
	got := assignment{
		came.Model, came.Version, came.State, came.Verdict.String(), came.ServingProvider, came.ServingRung, came.Nodes,
	}
	if !maps.Equal(got.Nodes, wanted.Nodes) {
		t.Errorf("nodes %v, not %v", got.Nodes, wanted.Nodes)
	}
	got.Nodes, wanted.Nodes = nil, nil
	if a, b := got, wanted; a.Model != b.Model || a.Version != b.Version || a.State != b.State || a.Verdict != b.Verdict ||
		a.ServingProvider != b.ServingProvider || a.ServingRung != b.ServingRung {
		t.Errorf("%v, not %v", got, wanted)
	}
}

func TestWatch(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var states []string
	var last error
	for came, err := range connect(t).Watch(ctx, "echo_fp32") {
		if err == nil {
			states = append(states, came.State)
			cancel()
		}
		last = err
	}
	if len(states) != 1 || states[0] != "READY" || !errors.Is(last, context.Canceled) {
		t.Errorf("%v, then %v", states, last)
	}
}

func TestServerAndProviders(t *testing.T) {
	client := connect(t)
	if server, err := client.Server(t.Context()); err != nil || server.OnnxruntimeVersion == "" {
		t.Errorf("%v, %v", server, err)
	}
	providers, err := client.Providers(t.Context(), "cpu")
	if err != nil || len(providers) != 1 || providers[0].Availability != ortolanpb.Provider_AVAILABLE {
		t.Errorf("%v, %v", providers, err)
	}
}

func TestAMessageThatIsTooLarge(t *testing.T) {
	client := connect(t, ortolan.WithMaxMessageBytes(32))
	_, err := client.Infer(t.Context(), "echo_int64", row(1))
	if !errors.Is(err, ortolan.ErrMessageTooLarge) || !errors.Is(err, ortolan.ErrOverloaded) {
		t.Errorf("%v", err)
	}
}
