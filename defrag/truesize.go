package defrag

import (
	"unsafe"

	"gvisor.dev/gvisor/pkg/buffer"
)

// Truesize is what the heap holds, not what a packet says: a fragment of 8
// octets in a chunk of 64 KiB costs 64 KiB. All figures are octets.

const (
	// viewOverhead is the size of a View and of its chunk's header, as the
	// allocator rounds them (48 and 32).
	viewOverhead = 80
	// minChunk and maxChunk are the smallest and largest chunk that gVisor
	// pools; those between are the powers of two.
	minChunk = 64
	maxChunk = buffer.MaxChunkSize

	fragmentSize = int(unsafe.Sizeof(fragment{}))
	bitmapsSize  = int(unsafe.Sizeof(bitmaps{}))
)

// truesize returns the memory that b pins. A chunk that others share counts in
// full: it lives as long as b does.
func truesize(b *buffer.Buffer) int {
	size := 0
	views := b.AsViewList()
	for v := views.Front(); v != nil; v = v.Next() {
		size += v.Capacity() + viewOverhead
	}
	return size
}

// chunkSize returns the size of the chunk that gVisor takes for n octets,
// n ≤ maxChunk.
func chunkSize(n int) int {
	size := minChunk
	for size < n {
		size *= 2
	}
	return size
}
