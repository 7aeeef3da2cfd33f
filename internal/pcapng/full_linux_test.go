package pcapng_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/v6stack/v6stack/internal/pcapng"
)

// A reader who does not read costs packets, not time, and does not keep the
// writer from closing.
func TestNobodyReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	w, err := pcapng.Create(path, "wire")
	if err != nil {
		t.Fatal(err)
	}
	packet := make([]byte, 1<<16)
	for range 300 {
		w.WritePacket(0, pcapng.Inbound, packet)
	}
	if n := w.Dropped(0); n < 100 || n > 200 {
		t.Errorf("%d of 300 packets dropped, want those beyond 8 MiB", n)
	}
	if err := w.Close(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Close: %v, want a deadline exceeded", err)
	}
}

// A full disk is an error in the end, and nothing before.
func TestFullDisk(t *testing.T) {
	w, err := pcapng.Create("/dev/full", "wire")
	if err == nil {
		w.WritePacket(0, pcapng.Inbound, []byte("x"))
		err = w.Close()
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("error %v, want no space left", err)
	}
}
