package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// programPath returns where the program is that the outer process built.
func programPath(t *testing.T) string {
	t.Helper()
	path := os.Getenv(programVariable)
	if path == "" {
		missing(t, "the program: %s", os.Getenv(noProgramVariable))
	}
	if err := touchProgram(); err != nil {
		t.Fatal(err)
	}
	return path
}

// touchProgram looks at the sources of the program and its examples. The go
// command notes what a test looks at, and so runs this one anew when one of
// them has changed.
func touchProgram() error {
	for _, root := range []string{"../cmd", "../internal", "../examples"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// A program is a running v6stack.
type program struct {
	cmd    *exec.Cmd
	stderr record // complete when ended
	ended  chan struct{}
	err    error // of Wait; valid when ended
}

// A record is what a program has written so far.
type record struct {
	mu     sync.Mutex
	buffer bytes.Buffer // guarded by mu
}

// Write implements io.Writer.
func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buffer.Write(b)
}

// String returns all of it.
func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buffer.String()
}

// awaitNotices waits until the program has said so that many times on standard
// error.
func (p *program) awaitNotices(t *testing.T, notice string, count int) {
	t.Helper()
	for end := deadline(); strings.Count(p.stderr.String(), notice) < count; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%v has not said %q %d times; standard error:\n%s", p.cmd.Args, notice, count, p.stderr.String())
		}
	}
}

// startRun starts "v6stack run" and waits until it is ready. It ends with the
// test, if not before.
func startRun(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{
		cmd:   exec.Command(programPath(t), append([]string{"run"}, args...)...),
		ended: make(chan struct{}),
	}
	p.cmd.Stderr = &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.kill(t) })
	ready := make(chan string, 1)
	go func() {
		defer close(p.ended)
		lines := bufio.NewReader(stdout)
		line, _ := lines.ReadString('\n')
		ready <- line
		lines.WriteTo(&bytes.Buffer{})
		p.err = p.cmd.Wait()
	}()
	p.awaitReady(t, ready)
	return p
}

func (p *program) awaitReady(t *testing.T, line <-chan string) {
	t.Helper()
	select {
	case got := <-line:
		if got != "ready\n" {
			p.kill(t)
			t.Fatalf("%v printed %q: want ready; standard error:\n%s", p.cmd.Args, got, p.stderr.String())
		}
	case <-time.After(patience):
		t.Fatalf("%v is not ready within %v", p.cmd.Args, patience)
	}
}

// stop ends the program by a signal, which it must take for a good end.
func (p *program) stop(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatalf("send %v: %v", signal, err)
	}
	await(t, "end of the program by "+signal.String(), p.ended)
	if p.err != nil {
		t.Errorf("%v ended by %v: %v; standard error:\n%s", p.cmd.Args, signal, p.err, p.stderr.String())
	}
}

// kill ends the program if it runs.
func (p *program) kill(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("kill the program: %v", err)
	}
	await(t, "end of the killed program", p.ended)
}
