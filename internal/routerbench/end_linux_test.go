package routerbench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// runEnd is an end of a stream. It returns the status of the process.
func runEnd(role string) int {
	var order atomic.Int32
	order.Store(doCompare)
	go func() {
		var octet [1]byte
		for {
			if _, err := os.Stdin.Read(octet[:]); err != nil {
				os.Exit(0)
			}
			order.Store(int32(octet[0]))
		}
	}()
	conn, err := net.FileConn(os.NewFile(endSocket, "socket"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	socket := conn.(*net.TCPConn)
	// A reset leaves no socket behind that waits for the other end.
	socket.SetLinger(0)
	file := os.NewFile(endFile, "file")
	if role == sending {
		err = send(socket, file)
	} else {
		err = receive(socket, file, &order)
	}
	if !errors.Is(err, unix.ECONNRESET) { // The other end has ended first.
		fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
	}
	return 1
}

// send sends file on socket again and again, without a copy, as iperf3
// --zerocopy does.
func send(socket *net.TCPConn, file *os.File) (err error) {
	for err == nil {
		if _, err = file.Seek(0, io.SeekStart); err == nil {
			_, err = socket.ReadFrom(file)
		}
	}
	return err
}

var errOther = errors.New("not what was sent")

// receive takes chunks from socket and writes an octet to chunks for each. What
// it does not compare it skips, as iperf3 --skip-rx-copy does.
func receive(socket *net.TCPConn, chunks io.Writer, order *atomic.Int32) error {
	block, octets := newBlock(), make([]byte, chunk)
	for at := 0; ; at = (at + chunk) % len(block) {
		var err error
		if order.Load() == doSkip {
			err = skip(socket, octets)
		} else if _, err = io.ReadFull(socket, octets); err == nil && !repeats(octets, block, at) {
			err = errOther
		}
		if err != nil {
			return err
		}
		if _, err := chunks.Write(octets[:1]); err != nil {
			return err
		}
	}
}

// repeats reports whether octets are those of block from at on, repeated.
func repeats(octets, block []byte, at int) bool {
	n := min(len(octets), len(block)-at)
	return bytes.Equal(octets[:n], block[at:at+n]) && bytes.Equal(octets[n:], block[:len(octets)-n])
}

// skip has the kernel drop as much as octets could hold.
func skip(socket *net.TCPConn, octets []byte) error {
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		for len(octets) > 0 {
			n, _, err := unix.Recvfrom(int(fd), octets, unix.MSG_TRUNC)
			switch {
			case err == unix.EAGAIN:
				return false
			case err == unix.EINTR:
			case err == nil && n == 0:
				failed = io.ErrUnexpectedEOF
				return true
			case err != nil:
				failed = err
				return true
			default:
				octets = octets[n:]
			}
		}
		return true
	})
	return errors.Join(err, failed)
}

// newFile returns a file in memory that holds octets, until b ends.
func newFile(b *testing.B, octets []byte) *os.File {
	b.Helper()
	fd, err := unix.MemfdCreate("block", unix.MFD_CLOEXEC)
	if err != nil {
		b.Fatalf("make a file in memory: %v", err)
	}
	file := os.NewFile(uintptr(fd), "block")
	b.Cleanup(func() { file.Close() })
	if _, err := file.Write(octets); err != nil {
		b.Fatal(err)
	}
	return file
}
