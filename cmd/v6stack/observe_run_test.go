package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"
)

// Status can ask both kinds of run, from "ready" to the end; a path that is
// taken ends them before they begin.
func TestRunIsObserved(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, observe *observeFlags, stdout *readiness) (run func(context.Context) error)
		want    []string
	}{
		{"one link", oneLink, []string{"tun", "fd00:6::2/64", "Nothing was dropped."}},
		{"a file", twoHousesApart, []string{"left", "right", "no rule, between zones"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(shortFolder(t), "v6stack.sock")
			var flags observeFlags
			cmd := &cobra.Command{Use: "run"}
			flags.register(cmd)
			if err := cmd.ParseFlags([]string{"--control=" + path}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stdout, ended := &readiness{ready: make(chan struct{})}, make(chan error, 1)
			run := test.prepare(t, &flags, stdout)
			go func() { ended <- run(ctx) }()
			select {
			case <-stdout.ready:
			case err := <-ended:
				t.Fatalf("ended before it was ready: %v", err)
			case <-time.After(patience):
				t.Fatal("not ready")
			}
			got := executed(t.Context(), "status", "--control="+path)
			for _, want := range test.want {
				if got.status != exitOK || !strings.Contains(got.stdout, want) {
					t.Errorf("%+v: want %q", got, want)
				}
			}
			second := test.prepare(t, &flags, &readiness{ready: make(chan struct{})})
			err := second(ctx)
			if exitStatus(err) != exitFailure || !strings.Contains(err.Error(), path) {
				t.Errorf("the second: error %v, want one that names %s", err, path)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(path); err == nil {
				t.Error("the socket is there after the end")
			}
		})
	}
}

// oneLink prepares what "run" does without a file, on a link in memory.
func oneLink(t *testing.T, observe *observeFlags, stdout *readiness) func(context.Context) error {
	t.Helper()
	flags := runFlags{observe: *observe}
	set := new(cobra.Command).Flags()
	flags.register(set)
	if err := set.Parse([]string{"--addr=fd00:6::2/64"}); err != nil {
		t.Fatal(err)
	}
	cfg, err := flags.config(set)
	if err != nil {
		t.Fatal(err)
	}
	link, _ := pipe.New("", "", 1500)
	return func(ctx context.Context) error { return runOn(ctx, link, &flags, cfg, stdout) }
}

// twoHousesApart prepares what "run --config" does, on a street.
func twoHousesApart(t *testing.T, observe *observeFlags, stdout *readiness) func(context.Context) error {
	t.Helper()
	r := newRouterRun(t, twoHouses+noChargen)
	r.observe, r.stdout = observe, stdout
	return r.run
}
