package routerbench

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"
)

// Ends of a stream are processes of their own, so that the router has its to
// itself, as routers have. They are this program with endVariable in their
// environment; the socket, and for the sender the file that it sends, are the
// first files behind the standard ones. They end with their standard input.
const (
	endVariable = "V6STACK_ROUTERBENCH_END"
	sending     = "sending"
	receiving   = "receiving"

	endSocket = 3
	endFile   = 4
)

// What a receiver is told to do with what it gets, in an octet.
const (
	doCompare = 'c' // with what was sent; at first, too
	doSkip    = 's'
)

// A stream is a connection on which the same block is sent again and again.
type stream struct {
	orders   io.Writer // the receiver's
	received *os.File  // an octet for each chunk
}

// newBlock returns what is sent. No two chunks of it are the same.
func newBlock() []byte {
	block := make([]byte, 4<<20-5)
	rand.NewChaCha8([32]byte{}).Read(block)
	return block
}

// startStream begins to send. It takes both sockets over, and ends with b.
func startStream(b *testing.B, from, to *net.TCPConn) *stream {
	b.Helper()
	received, chunks, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { received.Close() })
	s := &stream{received: received}
	s.orders = startEnd(b, receiving, to, chunks)
	chunks.Close()
	startEnd(b, sending, from, newFile(b, newBlock()))
	return s
}

// startEnd starts an end with its socket, which it takes over, and another file.
// It ends with b, if not before. What is returned is its standard input.
func startEnd(b *testing.B, role string, conn *net.TCPConn, file *os.File) io.Writer {
	b.Helper()
	defer conn.Close()
	socket, err := conn.File()
	if err != nil {
		b.Fatal(err)
	}
	defer socket.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), endVariable+"="+role)
	cmd.ExtraFiles = []*os.File{socket, file}
	cmd.Stderr = os.Stderr
	orders, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		orders.Close()
		cmd.Wait() // How it ends does not matter.
	})
	return orders
}

// order tells the receiver what to do.
func (s *stream) order(b *testing.B, what byte) {
	if _, err := s.orders.Write([]byte{what}); err != nil {
		b.Fatalf("the receiver has ended: %v", err)
	}
}

// await waits until another chunk has been received.
func (s *stream) await(b *testing.B) {
	s.received.SetReadDeadline(time.Now().Add(patience))
	var octet [1]byte
	if _, err := s.received.Read(octet[:]); err != nil {
		b.Fatalf("nothing is received: %v", err)
	}
}
