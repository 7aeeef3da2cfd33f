// Package pcapng writes what passes on a few interfaces into a pcapng file,
// out of the packets' way: a packet is copied into a queue of bounded size,
// and a goroutine writes the queue down. What finds the queue full, because
// the disk or the reader of a pipe is slow, is left out of the file and
// counted; the file says how many packets that were, for each interface.
package pcapng
