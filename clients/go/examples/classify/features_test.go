package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRowOfAShortFile(t *testing.T) {
	row := row([]byte("\n\t ab c\r\n"), []byte("\n\t ab c\r\n"))
	if len(row) != rowLength {
		t.Fatalf("%d values", len(row))
	}
	if start := row[:7]; !slices.Equal(start, []int32{'a', 'b', ' ', 'c', '\r', '\n', padding}) {
		t.Errorf("starts with %v", start)
	}
	if end := row[rowLength-8:]; !slices.Equal(end, []int32{padding, '\n', '\t', ' ', 'a', 'b', ' ', 'c'}) {
		t.Errorf("ends with %v", end)
	}
}

func TestFeaturesOfALongFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "long")
	content := strings.Repeat("a", block) + strings.Repeat("m", block) + strings.Repeat("z", block) + "\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	row, err := features(path)
	if err != nil {
		t.Fatal(err)
	}
	wanted := append(slices.Repeat([]int32{'a'}, side), slices.Repeat([]int32{'z'}, side)...)
	if !slices.Equal(row, wanted) {
		t.Errorf("is %v", row)
	}
}

func TestAFileThatIsTooShort(t *testing.T) {
	path := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(path, []byte("1234567"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := features(path); err == nil || !strings.Contains(err.Error(), "7 bytes: too few") {
		t.Errorf("the error is %v", err)
	}
}
