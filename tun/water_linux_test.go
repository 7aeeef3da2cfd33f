package tun_test

import (
	"testing"

	"github.com/v6stack/v6stack/tun"
)

// water hands the kernel one packet a call: a large segment is cut first.
func TestWaterCutsLargeSegments(t *testing.T) {
	needSandbox(t)
	device := open(t, tun.Config{Backend: tun.Water})
	before := linkOf(t, device).Attrs().Statistics
	if n, err := pipeWrite(device.Endpoint(), pipeSegment(pipeOctets(14400), true), pipeLarge(1440)); n != 1 || err != nil {
		t.Fatalf("got %d, %v, want 1", n, err)
	}
	after := linkOf(t, device).Attrs().Statistics
	if packets, octets := after.RxPackets-before.RxPackets, after.RxBytes-before.RxBytes; packets != 10 || octets != 10*1500 {
		t.Errorf("the kernel got %d packets of %d octets together, want 10 of 15000", packets, octets)
	}
	malformed := pipeSegment(pipeOctets(14400), true)
	malformed[52] = 0 // The TCP data offset.
	if n, err := pipeWrite(device.Endpoint(), malformed, pipeLarge(1440)); n != 0 || err == nil {
		t.Errorf("got %d, %v of a malformed one, want a refusal", n, err)
	}
}
