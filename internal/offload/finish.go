package offload

import (
	"encoding/binary"
	"errors"

	"gvisor.dev/gvisor/pkg/buffer"
)

var errField = errors.New("offload: the checksum field lies outside of the packet")

// Finish finishes the checksum of packet, which stays the caller's, if the job
// says that it is left to be finished. The field is written in place, or, where
// memory is shared, in a copy of the headers. The error says that the field lies
// outside of the packet; then nothing was changed.
func (j Job) Finish(packet *buffer.Buffer) error {
	if !j.Checksum {
		return nil
	}
	size := int(packet.Size())
	if j.Start < 0 || j.Offset < 0 || j.Start+j.Offset+2 > size {
		return errField
	}
	o := octetsOf(packet)
	var field [2]byte
	binary.BigEndian.PutUint16(field[:], j.complement(o.sum(j.Start, size)))
	write(packet, field[:], j.Start+j.Offset)
	return nil
}

// complement returns the checksum that makes up for sum. UDP keeps zero for "no
// checksum" (RFC 768).
func (j Job) complement(sum uint16) uint16 {
	if sum == 0xffff && (j.Kind == UDP || j.Kind == None && j.Offset == udpChecksumOffset) {
		return 0xffff
	}
	return ^sum
}

// smallChunk is the size in octets up to which it does not matter that a write
// to a shared chunk copies all of it.
const smallChunk = 512

// write replaces the octets of packet at position at, without touching memory
// that others share.
func write(packet *buffer.Buffer, octets []byte, at int) {
	views := packet.AsViewList()
	v, inView := views.Front(), at
	for inView >= v.Size() {
		inView -= v.Size()
		v = v.Next()
	}
	if v.Capacity() <= smallChunk && inView+len(octets) <= v.Size() {
		_, _ = v.WriteAt(octets, inView) // The octets fit.
		return
	}
	head := headOf(packet, at)
	_, _ = head.Write(octets) // A view grows as needed.
	rest := *packet
	rest.TrimFront(int64(at + len(octets)))
	*packet = buffer.MakeWithView(head)
	packet.Merge(&rest)
}

// headOf returns a copy of the first length octets of packet, the caller's, with
// room for a few more.
func headOf(packet *buffer.Buffer, length int) *buffer.View {
	const room = 2
	head := buffer.NewView(length + room)
	views := packet.AsViewList()
	for v := views.Front(); length > 0; v = v.Next() {
		here := v.AsSlice()
		here = here[:min(len(here), length)]
		_, _ = head.Write(here) // A view grows as needed.
		length -= len(here)
	}
	return head
}
