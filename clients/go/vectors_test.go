package ortolan_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"testing"

	"ortolan.example/ortolan"
	"ortolan.example/ortolan/inferencepb"
)

// What the file of vectors has: see clients/README.md.
type vectors struct {
	Infer       []inference
	Failures    []failure
	Streams     []streamed
	Health      []struct{ Service, Status, Code string }
	Ready       []readiness
	Metadata    []inference
	Assignments []assignment
}

type inference struct {
	Name, Model, Version string
	Inputs, Outputs      []tensor
}

type failure struct {
	Name, RPC, Model, Version, Code, Text string
	Inputs                                []tensor
}

type streamed struct {
	Name, Model string
	Items       []struct {
		Inputs, Outputs []tensor
		Error           string
	}
}

type assignment struct {
	Model, Version, State, Verdict string
	ServingProvider                string `json:"serving_provider"`
	ServingRung                    int32  `json:"serving_rung"`
	Nodes                          map[string]int32
}

type readiness struct {
	Model string
	Ready bool
}

type tensor struct {
	Name, Datatype string
	Shape          []int64
	Raw            []byte // base64 in JSON
	Values         json.RawMessage
}

func loadVectors(t *testing.T) vectors {
	t.Helper()
	path := os.Getenv("ORTOLAN_VECTORS")
	if path == "" {
		t.Fatal("ORTOLAN_VECTORS names no file: `make test-clients` in the root of the repository sets it")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var loaded vectors
	if err := json.Unmarshal(text, &loaded); err != nil {
		t.Fatal(err)
	}
	return loaded
}

// connect is a client of the server that the vectors are for.
func connect(t *testing.T, options ...ortolan.Option) *ortolan.Client {
	t.Helper()
	address := os.Getenv("ORTOLAN_ADDRESS")
	if address == "" {
		t.Fatal("ORTOLAN_ADDRESS names no server: `make test-clients` in the root of the repository sets it")
	}
	return newClient(t, address, options...)
}

func newClient(t *testing.T, address string, options ...ortolan.Option) *ortolan.Client {
	t.Helper()
	client, err := ortolan.New(address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

// rawRequest is what the stubs send: the bytes of the vector as they are.
func rawRequest(model, version string, inputs []tensor) *inferencepb.ModelInferRequest {
	request := &inferencepb.ModelInferRequest{ModelName: model, ModelVersion: version}
	for _, it := range inputs {
		input := &inferencepb.ModelInferRequest_InferInputTensor{Name: it.Name, Datatype: it.Datatype, Shape: it.Shape}
		request.Inputs = append(request.Inputs, input)
		request.RawInputContents = append(request.RawInputContents, it.Raw)
	}
	return request
}

// typed are tensors that were made of the vector's values.
func typed(t *testing.T, inputs []tensor) []ortolan.Tensor {
	t.Helper()
	made := []ortolan.Tensor{}
	for _, it := range inputs {
		made = append(made, fromValues(t, it))
	}
	return made
}

func fromValues(t *testing.T, it tensor) ortolan.Tensor {
	t.Helper()
	switch ortolan.Datatype(it.Datatype) {
	case ortolan.Bool:
		return of[bool](t, it)
	case ortolan.Uint8:
		narrow := []uint8{} // which JSON would take for base64
		for _, value := range values[uint16](t, it) {
			narrow = append(narrow, uint8(value))
		}
		return ortolan.NewTensor(it.Name, it.Shape, narrow)
	case ortolan.Uint16:
		return of[uint16](t, it)
	case ortolan.Uint32:
		return of[uint32](t, it)
	case ortolan.Uint64:
		return parsed(t, it, func(text string) (uint64, error) { return strconv.ParseUint(text, 10, 64) })
	case ortolan.Int8:
		return of[int8](t, it)
	case ortolan.Int16:
		return of[int16](t, it)
	case ortolan.Int32:
		return of[int32](t, it)
	case ortolan.Int64:
		return parsed(t, it, func(text string) (int64, error) { return strconv.ParseInt(text, 10, 64) })
	case ortolan.FP32:
		return of[float32](t, it)
	case ortolan.FP64:
		return of[float64](t, it)
	case ortolan.Bytes:
		return of[string](t, it)
	default: // FP16 and BF16 have no values
		return ortolan.Tensor{Name: it.Name, Datatype: ortolan.Datatype(it.Datatype), Shape: it.Shape, Raw: it.Raw}
	}
}

func of[T ortolan.Element](t *testing.T, it tensor) ortolan.Tensor {
	t.Helper()
	return ortolan.NewTensor(it.Name, it.Shape, values[T](t, it))
}

func parsed[T int64 | uint64](t *testing.T, it tensor, parse func(string) (T, error)) ortolan.Tensor {
	t.Helper()
	numbers := []T{}
	for _, text := range values[string](t, it) {
		number, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, number)
	}
	return ortolan.NewTensor(it.Name, it.Shape, numbers)
}

func values[T any](t *testing.T, it tensor) []T {
	t.Helper()
	var found []T
	if err := json.Unmarshal(it.Values, &found); err != nil {
		t.Fatalf("values of %s: %v", it.Name, err)
	}
	return found
}

// expectOutputs holds what came against the vector: names, order, datatypes, shapes, bits.
func expectOutputs(t *testing.T, wanted []tensor, came []ortolan.Tensor) {
	t.Helper()
	if len(came) != len(wanted) {
		t.Fatalf("%d outputs came, not %d", len(came), len(wanted))
	}
	for index, it := range wanted {
		got := came[index]
		if got.Name != it.Name || string(got.Datatype) != it.Datatype || !slices.Equal(got.Shape, it.Shape) {
			t.Errorf("%s %s %v came, not %s %s %v", got.Name, got.Datatype, got.Shape, it.Name, it.Datatype, it.Shape)
		}
		if !bytes.Equal(got.Raw, it.Raw) {
			t.Errorf("%s: %x came, not %x", it.Name, got.Raw, it.Raw)
		}
	}
}
