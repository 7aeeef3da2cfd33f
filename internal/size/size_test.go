package size_test

import (
	"math"
	"testing"

	"github.com/v6stack/v6stack/internal/size"
)

func TestParseAndFormat(t *testing.T) {
	for _, test := range []struct {
		text   string
		octets uint64
		format string
	}{
		{"0", 0, "0"},
		{"1025", 1025, "1025"},
		{"1024", 1 << 10, "1KiB"},
		{"3072 KiB", 3 << 20, "3MiB"},
		{"4GiB", 4 << 30, "4GiB"},
		{"18446744073709551615", math.MaxUint64, "18446744073709551615"},
	} {
		octets, err := size.Parse(test.text)
		if err != nil || octets != test.octets || size.Format(octets) != test.format {
			t.Errorf("%q is %d, %s, error %v; want %d, %s", test.text, octets, size.Format(octets), err, test.octets, test.format)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5KiB", "1MB", "17179869184GiB", "18446744073709551616"} {
		if octets, err := size.Parse(text); err == nil || octets != 0 {
			t.Errorf("%q is taken for %d", text, octets)
		}
	}
}
