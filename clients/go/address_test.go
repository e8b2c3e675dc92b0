package ortolan_test

import (
	"slices"
	"strings"
	"testing"

	"ortolan.example/ortolan"
)

func TestAddresses(t *testing.T) {
	right := []string{
		"127.0.0.1:8001", "localhost:8001", "[::1]:8001", "unix:/run/ortolan.sock", "dns:///models:8001", "dns:models:8001",
		"mine://there/models", "passthrough:///models:8001",
	}
	for _, address := range right {
		if client, err := ortolan.New(address); err != nil {
			t.Errorf("%s: %v", address, err)
		} else {
			client.Close()
		}
	}
}

func TestWhatIsNoAddress(t *testing.T) {
	wrong := []string{
		"", "127.0.0.1", "models", ":8001", "models:", "models:http", "models:65536", "::1:8001", "http://models:8001",
		"models:8001,models:8011", "models:8001/v2",
	}
	taken := slices.DeleteFunc(wrong, func(address string) bool {
		_, err := ortolan.New(address)
		return err != nil && strings.Contains(err.Error(), "an address is HOST:PORT")
	})
	if len(taken) != 0 {
		t.Errorf("taken: %q", taken)
	}
}
