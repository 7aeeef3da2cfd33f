package oracle

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// A Live is the live kernel's nf_defrag_ipv6, in a network namespace of its
// own: a TUN takes packets in, and what comes out behind the defragmentation
// hook is logged and dropped. It is not for use by several goroutines at once.
type Live struct {
	namespace *namespace
	log       *packetLog
	// marks counts the marker packets sent.
	marks uint64
}

// OpenLive makes the namespace. It needs CAP_SYS_ADMIN and CAP_NET_ADMIN in
// the caller's user namespace, and /dev/net/tun.
func OpenLive() (*Live, error) {
	ns, err := openNamespace()
	if err != nil {
		return nil, err
	}
	if err := installRuleset(ns.net); err != nil {
		ns.close()
		return nil, err
	}
	log, err := openPacketLog(ns.net)
	if err != nil {
		ns.close()
		return nil, err
	}
	return &Live{namespace: ns, log: log}, nil
}

// Close removes the namespace and all in it.
func (l *Live) Close() {
	l.log.close()
	l.namespace.close()
}

// Run feeds the sequence in and returns what came out upon each packet, nil
// for nothing. What the kernel still holds of it afterwards is thrown away,
// so that each run of a sequence starts afresh.
func (l *Live) Run(s *Sequence) ([][]byte, error) {
	if s.High != 0 {
		if err := l.namespace.setHighThreshold(s.High); err != nil {
			return nil, err
		}
	}
	outputs := make([][]byte, len(s.Packets))
	for i, p := range s.Packets {
		out, err := l.send(p)
		if err != nil {
			return nil, fmt.Errorf("packet %d: %w", i, err)
		}
		outputs[i] = out
	}
	if s.High != 0 {
		if err := l.namespace.setHighThreshold(highThreshold); err != nil {
			return nil, err
		}
	}
	return outputs, l.forget(s)
}

// forget sends a fragment of wrong length for each datagram of the sequence,
// upon which the kernel throws away what it holds of that datagram.
func (l *Live) forget(s *Sequence) error {
	seen := make(map[datagramKey]bool)
	for _, p := range s.Packets {
		chain, ok := findFragmentHeader(p, true)
		if !ok || len(p) < chain.at+8 {
			continue
		}
		key := keyOf(p, chain.at)
		if seen[key] {
			continue
		}
		seen[key] = true
		killer := Packet{
			Source: key.source, Destination: key.destination, HopLimit: 64,
			Fragmented: true, Identification: key.identification,
			Offset: 1, More: true, NextHeader: protocolUDP, Payload: make([]byte, 9),
		}
		if _, err := l.send(killer.Bytes()); err != nil {
			return fmt.Errorf("forget a datagram: %w", err)
		}
	}
	return nil
}

// send writes one packet, and a marker behind it, and returns what came out
// before the marker did.
func (l *Live) send(packet []byte) ([]byte, error) {
	if err := l.write(packet); err != nil {
		return nil, err
	}
	l.marks++
	if err := l.write(marker(l.marks)); err != nil {
		return nil, err
	}
	var out []byte
	for {
		logged, err := l.log.next()
		if err != nil {
			return nil, err
		}
		if mark, ok := readMarker(logged); ok {
			if mark != l.marks {
				return nil, fmt.Errorf("marker %d came, want %d", mark, l.marks)
			}
			return out, nil
		}
		if out != nil {
			return nil, fmt.Errorf("a second packet came out: %x", logged)
		}
		out = logged
	}
}

func (l *Live) write(packet []byte) error {
	n, err := unix.Write(l.namespace.tun, packet)
	if err != nil {
		return fmt.Errorf("write %d octets to the TUN: %w", len(packet), err)
	}
	if n != len(packet) {
		return fmt.Errorf("the TUN took %d octets of %d", n, len(packet))
	}
	return nil
}

// markerSource is an address that no generated packet has.
var markerSource = address("fd6d:6172:6b65:72::1")

// marker returns an unfragmented packet that shows that the packets before it
// were dealt with.
func marker(count uint64) []byte {
	p := Packet{
		Source: markerSource, Destination: markerSource, HopLimit: 1,
		NextHeader: protocolNone, Payload: binary.BigEndian.AppendUint64(nil, count),
	}
	return p.Bytes()
}

// readMarker returns the count of a marker; ok is false if it is none.
func readMarker(packet []byte) (count uint64, ok bool) {
	if len(packet) != 48 || sourceOf(packet) != markerSource {
		return 0, false
	}
	return binary.BigEndian.Uint64(packet[40:]), true
}
