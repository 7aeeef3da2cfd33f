package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openTerminal returns both ends of a terminal: what is written to screen is
// read from watcher.
func openTerminal(t *testing.T) (watcher, screen *os.File) {
	t.Helper()
	watcher, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { watcher.Close() })
	number, err := unix.IoctlGetInt(int(watcher.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(watcher.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return watcher, screen
}

// On a terminal the answer is shown in place; JSON is not.
func TestStatusWatchTerminal(t *testing.T) {
	o := startObserved(t)
	for _, json := range []bool{false, true} {
		watcher, screen := openTerminal(t)
		shown := make(chan string)
		go func() {
			// A terminal that nobody has open reads as an error.
			text, _ := io.ReadAll(watcher)
			shown <- string(text)
		}()
		followed(t, &statusFlags{control: socketFlag{path: o.path}, json: json}, screen)
		screen.Close()
		text := <-shown
		pages := strings.Count(text, "\x1b[H")
		if strings.HasPrefix(text, "\x1b[2J\x1b[H") == json || !json && (pages < 2 || strings.Count(text, "\x1b[J") != pages) || json && pages != 0 {
			t.Errorf("JSON %v: %d pages:\n%q", json, pages, text)
		}
	}
}
