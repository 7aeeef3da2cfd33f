package config_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/link/channel"

	"github.com/v6stack/v6stack/internal/config"
	"github.com/v6stack/v6stack/stack"
)

// assemble checks that a stack can be made of a configuration.
func assemble(t *testing.T, cfg *config.Config) {
	t.Helper()
	for i := range cfg.Stack.Links {
		endpoint := channel.New(1, uint32(cfg.TUNs[i].MTU), "")
		defer endpoint.Close()
		cfg.Stack.Links[i].Endpoint = endpoint
	}
	s, err := stack.New(cfg.Stack)
	if err != nil {
		t.Fatalf("the stack refuses what the configuration takes: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// FuzzParse checks that a file is either refused, at a place that there is, or
// makes a stack.
func FuzzParse(f *testing.F) {
	text, err := os.ReadFile(example)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add(left + right + "[[route]]\nto = \"::/0\"\nlink = \"right\"\n")
	f.Add(left + "[[rule]]\nprotocol = 17\nsource_ports = [\"1-2\"]\naction = \"deny\"\n")
	f.Add("link = [{name = \"a\", addresses = [\"fe80::1/64\"]}]\n[zone.x]\n[[zone]]\n")
	f.Add("defrag.high = \"\"\"\nx\"\"\"\n\"a.b\".c = [[1], {d = 2}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := config.Parse("file", []byte(text))
		if err == nil {
			if len(cfg.Stack.Links)+len(cfg.Stack.Zones) < 10 {
				assemble(t, cfg)
			}
			return
		}
		var bad *config.Error
		if !errors.As(err, &bad) || len(bad.Problems) == 0 {
			t.Fatalf("error %v is none of a file", err)
		}
		lines := strings.Split(text, "\n")
		for _, p := range bad.Problems {
			if p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > len(lines[p.Line-1])+1 || p.Message == "" {
				t.Errorf("no such place: %+v", p)
			}
			if strings.Contains(p.Message, "\n") {
				t.Errorf("a message of several lines: %q", p.Message)
			}
		}
	})
}
