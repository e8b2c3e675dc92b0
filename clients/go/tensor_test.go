package ortolan_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"ortolan.example/ortolan"
)

func TestValuesAreWhatATensorWasMadeOf(t *testing.T) {
	expectValues(t, ortolan.Bool, "\x00\x01\x01", []bool{false, true, true})
	expectValues(t, ortolan.Uint8, "\x00\x80\xff", []uint8{0, 128, 255})
	expectValues(t, ortolan.Uint16, "\x34\x12", []uint16{0x1234})
	expectValues(t, ortolan.Uint32, "\x78\x56\x34\x12", []uint32{0x12345678})
	expectValues(t, ortolan.Uint64, "\x08\x07\x06\x05\x04\x03\x02\x01", []uint64{0x0102030405060708})
	expectValues(t, ortolan.Int8, "\x80\xff", []int8{-128, -1})
	expectValues(t, ortolan.Int16, "\xff\xff\x00\x80", []int16{-1, -32768})
	expectValues(t, ortolan.Int32, "\xfe\xff\xff\xff", []int32{-2})
	expectValues(t, ortolan.Int64, "\xfe\xff\xff\xff\xff\xff\xff\xff", []int64{-2})
	expectValues(t, ortolan.FP16, "\x00\x3c", []ortolan.Float16{ortolan.NewFloat16(1)})
	expectValues(t, ortolan.FP32, "\x00\x00\xc0\xbf", []float32{-1.5})
	expectValues(t, ortolan.FP64, "\x00\x00\x00\x00\x00\x00\xf8\xbf", []float64{-1.5})
	expectValues(t, ortolan.BF16, "\x80\x3f", []ortolan.BFloat16{ortolan.NewBFloat16(1)})
	expectValues(t, ortolan.Bytes, "\x00\x00\x00\x00\x02\x00\x00\x00\xc3\xa4", []string{"", "ä"})
	expectValues(t, ortolan.FP32, "", []float32{})
	expectValues(t, ortolan.Bytes, "", []string{})
}

func expectValues[T interface {
	ortolan.Element
	comparable
}](t *testing.T, datatype ortolan.Datatype, raw string, values []T) {
	t.Helper()
	tensor := ortolan.NewTensor("x", []int64{int64(len(values))}, values)
	if tensor.Datatype != datatype || string(tensor.Raw) != raw {
		t.Errorf("%s %x, not %s %x", tensor.Datatype, tensor.Raw, datatype, raw)
	}
	if came, err := ortolan.Values[T](tensor); err != nil || !slices.Equal(came, values) {
		t.Errorf("%s: %v, %v", datatype, came, err)
	}
}

func TestBytesThatAreNoText(t *testing.T) {
	tensor := ortolan.NewTensor("x", []int64{2}, [][]byte{{0xff, 0xfe}, nil})
	came, err := ortolan.Values[[]byte](tensor)
	if err != nil || len(came) != 2 || string(came[0]) != "\xff\xfe" || len(came[1]) != 0 {
		t.Errorf("%x, %v", came, err)
	}
}

func TestATensorThatDoesNotFitItself(t *testing.T) {
	client := newClient(t, "127.0.0.1:1") // where nothing is ever sent
	for _, it := range []struct {
		tensor ortolan.Tensor
		text   string
	}{
		{ortolan.NewTensor("x", []int64{2, 3}, []float32{1}), `input "x": FP32 [2 3] takes 24 bytes, 4 came`},
		{ortolan.NewTensor("x", nil, []string{"a", "b"}), "BYTES [] takes 1 elements, 2 came"},
		{ortolan.NewTensor("x", []int64{-1}, []float32{}), "[-1] has a negative dimension"},
		{ortolan.NewTensor("x", []int64{1 << 62, 4}, []bool{}), "more elements than can be counted"},
		{ortolan.NewTensor("x", []int64{1 << 61}, []int64{}), "more bytes than can be counted"},
		{ortolan.Tensor{Name: "x", Datatype: "FP8"}, `"FP8" is no datatype`},
		{ortolan.Tensor{Name: "x", Datatype: ortolan.Bytes, Raw: []byte("\x02\x00\x00\x00a")}, "element 0 of BYTES is cut off"},
		{ortolan.Tensor{Name: "x", Datatype: ortolan.Bytes, Raw: []byte("\x02")}, "element 0 of BYTES is cut off"},
	} {
		_, err := client.Infer(t.Context(), "model", []ortolan.Tensor{it.tensor})
		if !errors.Is(err, ortolan.ErrInvalidInput) || !strings.Contains(err.Error(), it.text) {
			t.Errorf("%v, not %q", err, it.text)
		}
	}
}

func TestValuesOfAnotherType(t *testing.T) {
	_, err := ortolan.Values[int32](ortolan.NewTensor("x", []int64{1}, []float32{1}))
	if err == nil || err.Error() != `tensor "x" is FP32, not INT32` {
		t.Error(err)
	}
}

func TestEveryFloat16IsAFloat32(t *testing.T) {
	for bits := range 1 << 16 {
		half := ortolan.Float16(bits)
		value := half.Float32()
		if back := ortolan.NewFloat16(value); back != half && !math.IsNaN(float64(value)) {
			t.Fatalf("%#04x is %v, which is %#04x", bits, value, back)
		}
		if isNaN := bits&0x7C00 == 0x7C00 && bits&0x3FF != 0; isNaN != math.IsNaN(float64(value)) {
			t.Fatalf("%#04x is %v", bits, value)
		}
		brain := ortolan.BFloat16(bits)
		if back := ortolan.NewBFloat16(brain.Float32()); back != brain && !math.IsNaN(float64(brain.Float32())) {
			t.Fatalf("%#04x is %v, which is %#04x", bits, brain.Float32(), back)
		}
	}
}

func TestTheNearestFloat16(t *testing.T) {
	for value, wanted := range map[float32]ortolan.Float16{
		1: 0x3C00, -2: 0xC000, 65504: 0x7BFF, 65519: 0x7BFF, 65520: 0x7C00, 1e9: 0x7C00,
		1 + 1.0/2048: 0x3C00, 1 + 3.0/2048: 0x3C02, // halfway: the even one
		5.9604645e-8: 0x0001, 2.9802322e-8: 0x0000, 2.9802326e-8: 0x0001, 6.1035156e-5: 0x0400, 6.1e-5: 0x03FF,
		1e-30: 0,
	} {
		if came := ortolan.NewFloat16(value); came != wanted {
			t.Errorf("%v is %#04x, not %#04x", value, came, wanted)
		}
	}
	if nan := ortolan.NewFloat16(float32(math.NaN())); !math.IsNaN(float64(nan.Float32())) {
		t.Errorf("not a number is %#04x", nan)
	}
	if came := ortolan.NewBFloat16(1 + 1.0/256); came != 0x3F80 {
		t.Errorf("halfway is %#04x", came)
	}
	if nan := ortolan.NewBFloat16(math.Float32frombits(0x7F800001)); !math.IsNaN(float64(nan.Float32())) {
		t.Errorf("not a number is %#04x", nan)
	}
}
