package config_test

import (
	"strings"
	"testing"

	"github.com/socialvibes/vibemesh/internal/config"
	"pgregory.net/rapid"
)

func TestBytes(t *testing.T) {
	for text, want := range map[string]config.Bytes{
		"0": 0, "65536": 65536, "1B": 1, "64MiB": 64 << 20, "64 MiB": 64 << 20, "  64MiB  ": 64 << 20, "1KiB": 1024, "1GiB": 1 << 30, "2TiB": 2 << 40,
		"1kB": 1000, "1KB": 1000, "10MB": 10_000_000, "10GB": 10_000_000_000, "1TB": 1_000_000_000_000, "1.5GiB": 3 << 29, "0.5B": 0, "1e3": 1000,
		"8388607TiB": 8388607 << 40,
	} {
		got := config.Bytes(-7)
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q is %d, error %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", " ", "MiB", "64mib", "64M", "64MiBs", "64 Mi B", "-1", "-1MiB", "NaN", "Inf", "+InfGiB", "8388608TiB", "9223372036854775808", "1e400", "1,5GiB", "0x", "half",
	} {
		got := config.Bytes(-7)
		err := got.UnmarshalText([]byte(text))
		if err == nil || !strings.Contains(err.Error(), "write it like 64MiB, 10GB or 65536") || got != -7 {
			t.Errorf("%q is %d, error %v; want an error that says how to write it, and no change", text, got, err)
		}
	}
}

// No text makes a negative size.
func TestBytesAreNeverNegative(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[+-]?[0-9]{0,25}(\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?( ?([kKMGT]i?)?B)?`)).Draw(t, "text")
		var b config.Bytes
		if err := b.UnmarshalText([]byte(text)); err == nil && b < 0 {
			t.Fatalf("%q is %d", text, b)
		}
	})
}
