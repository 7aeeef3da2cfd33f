// Package jack keeps a link in place while the TUN device behind it goes and
// comes: because it was deleted, its network namespace ended, or it is to have
// other addresses.
//
//	stack     endpoint ── what a stack attaches to; it stays
//	             │
//	jack      ┌─ Jack ─┐  looks after the device, opens it again
//	             │
//	tun       device      any one, or none: packets are refused then
//
// A [Jack] has one goroutine, which looks several times a second whether the
// device is still there, and once a second, while there is none, tries to open
// it again. [Jack.Close] stops it and waits for it.
package jack
