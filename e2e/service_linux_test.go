package e2e

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
)

// A listener opens the sockets of an echo service: a stack or a zone.
type listener interface {
	Listen(network, address string) (net.Listener, error)
	ListenPacket(network, address string) (net.PacketConn, error)
}

// serveEcho serves TCP and UDP echo at l, until the test ends. A cleanup
// registered later, such as that of a stack, runs before it is awaited.
func serveEcho(t *testing.T, l listener) {
	t.Helper()
	serveEchoAt(t, l, echoService)
}

// serveEchoAt does so at another address.
func serveEchoAt(t *testing.T, l listener, address netip.AddrPort) {
	t.Helper()
	streams, err := l.Listen("tcp6", address.String())
	if err != nil {
		t.Fatal(err)
	}
	datagrams, err := l.ListenPacket("udp6", address.String())
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { echoDatagrams(datagrams) })
	serving.Go(func() { echoStreams(streams, &serving) })
	t.Cleanup(func() {
		streams.Close()
		datagrams.Close()
		ended := make(chan struct{})
		go func() { serving.Wait(); close(ended) }()
		await(t, "end of the echo services", ended)
	})
}

func echoDatagrams(socket net.PacketConn) {
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := socket.ReadFrom(buffer)
		if err != nil {
			return
		}
		// A write fails while the link goes down under it.
		socket.WriteTo(buffer[:n], from)
	}
}

func echoStreams(l net.Listener, serving *sync.WaitGroup) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		serving.Go(func() {
			defer conn.Close()
			io.Copy(conn, conn)
		})
	}
}
