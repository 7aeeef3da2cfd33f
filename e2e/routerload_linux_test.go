package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// A load is numbered datagrams under way to an echo service and back, as many
// at a time as all queues hold.
type load struct {
	t       *testing.T
	socket  *net.UDPConn
	size    int
	stop    chan struct{}
	window  chan struct{} // holds one for each that is under way
	sender  sync.WaitGroup
	reader  sync.WaitGroup
	echoes  map[uint32]bool // the reader's
	echoing chan struct{}   // receives for an echo, if somebody waits
}

// startLoad sends datagrams of size octets by a connected socket, until finish.
func startLoad(t *testing.T, socket *net.UDPConn, size int) *load {
	l := &load{
		t:       t,
		socket:  socket,
		size:    size,
		stop:    make(chan struct{}),
		window:  make(chan struct{}, 16),
		echoes:  make(map[uint32]bool),
		echoing: make(chan struct{}),
	}
	socket.SetReadDeadline(time.Time{})
	l.sender.Go(l.send)
	l.reader.Go(l.receive)
	return l
}

// send sends whenever the window has room.
func (l *load) send() {
	for number := uint32(0); ; number++ {
		select {
		case <-l.stop:
			return
		case l.window <- struct{}{}:
		}
		if _, err := l.socket.Write(numbered(number, l.size)); err != nil {
			l.t.Errorf("send datagram %d: %v", number, err)
		}
	}
}

// receive receives echoes until the socket's deadline.
func (l *load) receive() {
	buffer := make([]byte, 1<<16)
	for {
		n, err := l.socket.Read(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err == nil {
			err = l.note(buffer[:n])
		}
		if err != nil {
			l.t.Errorf("after %d echoes: %v", len(l.echoes), err)
			continue
		}
		<-l.window
		select {
		case l.echoing <- struct{}{}:
		default:
		}
	}
}

// note notes an echo, which must be a new one and as it was sent.
func (l *load) note(echo []byte) error {
	if len(echo) < 4 {
		return fmt.Errorf("%d octets", len(echo))
	}
	number := binary.BigEndian.Uint32(echo)
	if l.echoes[number] {
		return fmt.Errorf("datagram %d comes twice", number)
	}
	l.echoes[number] = true
	return same(echo, numbered(number, l.size))
}

// await waits for that many echoes.
func (l *load) await(count int) {
	l.t.Helper()
	for range count {
		await(l.t, "an echo under load", l.echoing)
	}
}

// finish stops sending and waits for what is under way: all of it must come.
func (l *load) finish() {
	l.t.Helper()
	close(l.stop)
	l.sender.Wait()
	late := time.After(patience)
	for lost := cap(l.window); lost > 0; lost-- {
		select {
		case l.window <- struct{}{}:
			continue
		case <-late:
			l.t.Errorf("%d datagrams were lost", lost)
		}
		break
	}
	l.socket.SetReadDeadline(time.Unix(0, 1))
	l.reader.Wait()
	l.t.Logf("%d echoes of %d octets", len(l.echoes), l.size)
}
