package offload

import (
	"errors"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Sizes is what a packet comes to on the wire once it is cut.
type Sizes struct {
	Count   int // of packets, at least 1
	Largest int // octets of the largest
	Octets  int // octets of all
}

// SizesOf returns what pkt, borrowed, comes to by its GSOOptions.
func SizesOf(pkt *gstack.PacketBuffer) Sizes {
	if !forLink(pkt.GSOOptions) {
		return Sizes{Count: 1, Largest: pkt.Size(), Octets: pkt.Size()}
	}
	o := octetsOfPacket(pkt)
	return jobOf(pkt.GSOOptions, &o).sizes(&o)
}

// Sizes returns what packet, borrowed, comes to. A malformed one counts as one.
func (j Job) Sizes(packet *buffer.Buffer) Sizes {
	o := octetsOf(packet)
	return j.sizes(&o)
}

// Count returns how many packets packet, borrowed, is on the wire, at least 1.
func (j Job) Count(packet *buffer.Buffer) int { return j.Sizes(packet).Count }

// Largest returns the octets of the largest of them.
func (j Job) Largest(packet *buffer.Buffer) int { return j.Sizes(packet).Largest }

// Octets returns the octets of all of them.
func (j Job) Octets(packet *buffer.Buffer) int { return j.Sizes(packet).Octets }

func (j Job) sizes(o *octets) Sizes {
	headers, count, err := j.cut(o)
	if err != nil || count == 1 {
		return Sizes{Count: 1, Largest: o.limit, Octets: o.limit}
	}
	return Sizes{Count: count, Largest: headers + j.MSS, Octets: o.limit + (count-1)*headers}
}

var (
	errMSS        = errors.New("offload: no MSS to cut a packet by, want at least 1")
	errOutside    = errors.New("offload: the transport header lies outside of the packet")
	errDataOffset = errors.New("offload: the TCP data offset is below 5 words")
)

// cut returns the length of the headers that each segment has, and how many
// segments there are.
func (j Job) cut(o *octets) (headers, count int, err error) {
	if j.Kind == None {
		return 0, 1, nil
	}
	if j.MSS < 1 {
		return 0, 0, errMSS
	}
	length, err := j.transportLength(o)
	if err != nil {
		return 0, 0, err
	}
	headers = j.Start + length
	payload := o.limit - headers
	return headers, max(1, (payload+j.MSS-1)/j.MSS), nil
}

// transportLength returns the length of the transport header, which lies in the
// packet.
func (j Job) transportLength(o *octets) (int, error) {
	if j.Start < 0 {
		return 0, errOutside
	}
	if j.Kind == UDP {
		if j.Start+header.UDPMinimumSize > o.limit {
			return 0, errOutside
		}
		return header.UDPMinimumSize, nil
	}
	tcp := header.TCP(o.at(j.Start, header.TCPMinimumSize))
	if tcp == nil {
		return 0, errOutside
	}
	length := int(tcp.DataOffset())
	switch {
	case length < header.TCPMinimumSize:
		return 0, errDataOffset
	case j.Start+length > o.limit:
		return 0, errOutside
	}
	return length, nil
}
