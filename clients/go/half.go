package ortolan

import "math"

// Float16 is the bit pattern of an IEEE 754 number of 16 bits, which Go has no type for: an element of FP16.
type Float16 uint16

// BFloat16 is the upper half of a float32: an element of BF16.
type BFloat16 uint16

// NewFloat16 is the number that is nearest to value, the even one of two; beyond 65504 it is infinite.
func NewFloat16(value float32) Float16 {
	bits := math.Float32bits(value)
	sign := Float16(bits >> 16 & 0x8000)
	magnitude := bits &^ (1 << 31)
	switch {
	case magnitude > 0x7F800000: // not a number: what fits of its payload, and a bit that keeps it one
		return sign | 0x7E00 | Float16(magnitude>>13&0x3FF)
	case magnitude >= 0x47800000: // 65536 and more
		return sign | 0x7C00
	case magnitude >= 0x38800000: // normal: the exponent's bias goes from 127 to 15
		return sign | Float16(roundToEven(magnitude-112<<23, 13))
	case magnitude < 0x33000000: // under half of the smallest
		return sign
	default:
		exponent := magnitude >> 23
		return sign | Float16(roundToEven(magnitude&0x7FFFFF|0x800000, 126-exponent))
	}
}

// Float32 is the same number.
func (f Float16) Float32() float32 {
	sign := uint32(f&0x8000) << 16
	exponent, fraction := uint32(f>>10&0x1F), uint32(f&0x3FF)
	switch exponent {
	case 0:
		value := float32(fraction) / (1 << 24)
		return math.Float32frombits(sign | math.Float32bits(value))
	case 0x1F:
		return math.Float32frombits(sign | 0x7F800000 | fraction<<13)
	default:
		return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
	}
}

// NewBFloat16 is the number that is nearest to value, the even one of two.
func NewBFloat16(value float32) BFloat16 {
	bits := math.Float32bits(value)
	if math.IsNaN(float64(value)) {
		return BFloat16(bits>>16) | 0x40
	}
	return BFloat16(roundToEven(bits, 16))
}

// Float32 is the same number.
func (f BFloat16) Float32() float32 {
	return math.Float32frombits(uint32(f) << 16)
}

// roundToEven is bits / 2^places, of two that are as near the even one.
func roundToEven(bits, places uint32) uint32 {
	half := uint32(1)<<(places-1) - 1
	return (bits + half + bits>>places&1) >> places
}
