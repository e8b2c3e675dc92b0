package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// What the model looks at: the first and the last bytes of a file, without the white space around them.
const (
	side      = 1024
	rowLength = 2 * side
	block     = 4096 // within which they are looked for
	padding   = 256
	smallest  = 8 // bytes of a file that the model was trained to tell
	blanks    = " \t\n\v\f\r"
)

// features are the model's input for a file.
func features(path string) ([]int32, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < smallest {
		return nil, fmt.Errorf("%s has %d bytes: too few to tell", path, info.Size())
	}
	length := min(info.Size(), block)
	start, end := make([]byte, length), make([]byte, length)
	if _, err := file.ReadAt(start, 0); err != nil && err != io.EOF {
		return nil, err
	}
	if _, err := file.ReadAt(end, info.Size()-length); err != nil && err != io.EOF {
		return nil, err
	}
	return row(start, end), nil
}

// row is the bytes at the start from the left, and those at the end up to the right.
func row(start, end []byte) []int32 {
	start, end = bytes.TrimLeft(start, blanks), bytes.TrimRight(end, blanks)
	start, end = start[:min(side, len(start))], end[max(0, len(end)-side):]
	values := make([]int32, rowLength)
	for index := range values {
		values[index] = padding
	}
	for index, value := range start {
		values[index] = int32(value)
	}
	for index, value := range end {
		values[rowLength-len(end)+index] = int32(value)
	}
	return values
}
