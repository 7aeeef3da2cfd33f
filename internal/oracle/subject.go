package oracle

import (
	"bytes"
	"fmt"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"

	"github.com/v6stack/v6stack/defrag"
)

// A Subject is an engine of package defrag to compare. It is not for use by
// several goroutines at once.
type Subject struct {
	engine *defrag.Engine
	// zone of the sequence that runs, and how it is configured.
	zone   defrag.Zone
	config defrag.ZoneConfig
}

// NewSubject returns an engine of that policy, which the caller closes.
func NewSubject(policy defrag.Policy) (*Subject, error) {
	const plenty = 1 << 30
	config := defrag.ZoneConfig{Policy: policy, High: plenty, Timeout: time.Hour}
	engine, err := defrag.New(defrag.Config{Zone: config, Total: plenty})
	if err != nil {
		return nil, err
	}
	return &Subject{engine: engine, config: config}, nil
}

// Close throws away what the engine holds.
func (s *Subject) Close() { s.engine.Close() }

// Run feeds the sequence in, into a zone of its own, and returns what came out
// upon each packet, nil for nothing.
func (s *Subject) Run(sequence *Sequence) ([][]byte, error) {
	s.zone++
	config := s.config
	if sequence.High != 0 {
		config.High = uint64(sequence.High)
	}
	if err := s.engine.SetZone(s.zone, config); err != nil {
		return nil, fmt.Errorf("zone of the sequence: %w", err)
	}
	defer s.engine.RemoveZone(s.zone)
	outputs := make([][]byte, len(sequence.Packets))
	for i, p := range sequence.Packets {
		out, err := s.gather(p)
		if err != nil {
			return nil, fmt.Errorf("packet %d: %w", i, err)
		}
		outputs[i] = out
	}
	return outputs, nil
}

// gather feeds one packet in and returns what came out. What the engine says
// of it must agree with what it left of it.
func (s *Subject) gather(packet []byte) ([]byte, error) {
	b := buffer.MakeWithData(packet)
	defer b.Release()
	verdict := s.engine.Gather(&b, &defrag.Metadata{Zone: s.zone}, nil)
	switch {
	case verdict == defrag.Held && b.Size() != 0:
		return nil, fmt.Errorf("%v, but %d octets are left", verdict, b.Size())
	case verdict == defrag.Passed && !bytes.Equal(packet, b.Flatten()):
		return nil, fmt.Errorf("%v, but it was changed", verdict)
	case verdict == defrag.Held || verdict.IsDrop():
		return nil, nil
	}
	return b.Flatten(), nil
}
