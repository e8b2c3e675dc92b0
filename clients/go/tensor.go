package ortolan

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Datatype is the protocol's name of a tensor's elements.
type Datatype string

// The datatypes of the protocol.
const (
	Bool   Datatype = "BOOL"
	Uint8  Datatype = "UINT8"
	Uint16 Datatype = "UINT16"
	Uint32 Datatype = "UINT32"
	Uint64 Datatype = "UINT64"
	Int8   Datatype = "INT8"
	Int16  Datatype = "INT16"
	Int32  Datatype = "INT32"
	Int64  Datatype = "INT64"
	FP16   Datatype = "FP16"
	FP32   Datatype = "FP32"
	FP64   Datatype = "FP64"
	BF16   Datatype = "BF16"
	Bytes  Datatype = "BYTES"
)

// 0: of an element of BYTES, which brings its length.
var elementBytes = map[Datatype]int64{
	Bool: 1, Uint8: 1, Uint16: 2, Uint32: 4, Uint64: 8, Int8: 1, Int16: 2, Int32: 4, Int64: 8,
	FP16: 2, FP32: 4, FP64: 8, BF16: 2, Bytes: 0,
}

// Before each element of BYTES.
const lengthBytes = 4

// Element is a Go type that a tensor can be made of. Both string and []byte are BYTES.
type Element interface {
	bool | uint8 | uint16 | uint32 | uint64 | int8 | int16 | int32 | int64 |
		Float16 | float32 | float64 | BFloat16 | string | []byte
}

// Tensor is an array with a name, as it travels.
type Tensor struct {
	Name     string
	Datatype Datatype
	// Shape has an entry for each dimension; a scalar has none.
	Shape []int64
	// Raw are the elements, row-major and little-endian, those of BYTES each behind its length as four bytes.
	Raw []byte
}

// NewTensor is a tensor of those elements, row-major. Its shape must have room for them all and no more, which [Client.Infer]
// checks before anything is sent. The elements are copied.
func NewTensor[T Element](name string, shape []int64, elements []T) Tensor {
	return Tensor{Name: name, Datatype: datatypeOf[T](), Shape: slices.Clone(shape), Raw: encode(elements)}
}

// Values are the elements of a tensor, row-major. It fails where they are of another type, or do not fill the shape.
func Values[T Element](tensor Tensor) ([]T, error) {
	if wanted := datatypeOf[T](); tensor.Datatype != wanted {
		return nil, fmt.Errorf("tensor %q is %s, not %s", tensor.Name, tensor.Datatype, wanted)
	}
	if err := tensor.check(); err != nil {
		return nil, fmt.Errorf("tensor %q: %w", tensor.Name, err)
	}
	return decode[T](tensor.Raw)
}

// check says where shape and bytes do not go together.
func (t Tensor) check() error {
	size, known := elementBytes[t.Datatype]
	if !known {
		return fmt.Errorf("%q is no datatype of the protocol", t.Datatype)
	}
	count, err := t.count()
	if err != nil {
		return err
	}
	came, unit := int64(len(t.Raw)), "bytes"
	if t.Datatype == Bytes {
		size, unit = 1, "elements"
		if came, err = countTexts(t.Raw); err != nil {
			return err
		}
	}
	if count > math.MaxInt64/size {
		return fmt.Errorf("%s %v has more bytes than can be counted", t.Datatype, t.Shape)
	}
	if came != count*size {
		return fmt.Errorf("%s %v takes %d %s, %d came", t.Datatype, t.Shape, count*size, unit, came)
	}
	return nil
}

// count is the number of elements that the shape has room for.
func (t Tensor) count() (int64, error) {
	count := int64(1)
	for _, length := range t.Shape {
		if length < 0 {
			return 0, fmt.Errorf("shape %v has a negative dimension", t.Shape)
		}
		if length > 0 && count > math.MaxInt64/length {
			return 0, fmt.Errorf("shape %v has more elements than can be counted", t.Shape)
		}
		count *= length
	}
	return count, nil
}

func datatypeOf[T Element]() Datatype {
	var zero T
	switch any(zero).(type) {
	case bool:
		return Bool
	case uint8:
		return Uint8
	case uint16:
		return Uint16
	case uint32:
		return Uint32
	case uint64:
		return Uint64
	case int8:
		return Int8
	case int16:
		return Int16
	case int32:
		return Int32
	case int64:
		return Int64
	case Float16:
		return FP16
	case float32:
		return FP32
	case float64:
		return FP64
	case BFloat16:
		return BF16
	default: // string and []byte
		return Bytes
	}
}

func encode[T Element](elements []T) []byte {
	switch elements := any(elements).(type) {
	case []string:
		return encodeTexts(elements)
	case [][]byte:
		return encodeTexts(elements)
	}
	raw, err := binary.Append(nil, binary.LittleEndian, elements)
	if err != nil {
		panic(err) // each Element but the texts has a fixed size
	}
	return raw
}

func encodeTexts[T string | []byte](texts []T) []byte {
	size := lengthBytes * len(texts)
	for _, text := range texts {
		size += len(text)
	}
	raw := make([]byte, 0, size)
	for _, text := range texts {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(len(text)))
		raw = append(raw, text...)
	}
	return raw
}

// decode reads bytes that were checked.
func decode[T Element](raw []byte) ([]T, error) {
	switch any([]T(nil)).(type) {
	case []string:
		return any(decodeTexts[string](raw)).([]T), nil
	case [][]byte:
		return any(decodeTexts[[]byte](raw)).([]T), nil
	}
	elements := make([]T, int64(len(raw))/elementBytes[datatypeOf[T]()])
	_, err := binary.Decode(raw, binary.LittleEndian, elements)
	return elements, err
}

func decodeTexts[T string | []byte](raw []byte) []T {
	texts := []T{}
	for len(raw) > 0 {
		end := lengthBytes + int(binary.LittleEndian.Uint32(raw))
		texts = append(texts, T(raw[lengthBytes:end]))
		raw = raw[end:]
	}
	return texts
}

// countTexts counts elements of BYTES. It fails where one is cut off.
func countTexts(raw []byte) (int64, error) {
	count := int64(0)
	for ; len(raw) > 0; count++ {
		if len(raw) < lengthBytes || uint64(len(raw)-lengthBytes) < uint64(binary.LittleEndian.Uint32(raw)) {
			return 0, fmt.Errorf("element %d of BYTES is cut off", count)
		}
		raw = raw[lengthBytes+int(binary.LittleEndian.Uint32(raw)):]
	}
	return count, nil
}
