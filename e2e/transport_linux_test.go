package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/v6stack/v6stack/internal/wire"
)

var echoService = netip.AddrPortFrom(stackAddr, echoPort)

// TestUDP sends datagrams from a socket to the echo service.
func TestUDP(t *testing.T) {
	eachLink(t, func(t *testing.T, cfg nodeConfig) {
		n := startNode(t, cfg)
		host := openHost(t)
		for _, size := range sizes(cfg.mtu) {
			echoDatagram(t, host, size)
		}
		n.checkClean(t, fragmented(cfg.mtu))
	})
}

// echoDatagram sends a datagram of size octets and waits for its echo.
func echoDatagram(t *testing.T, host host, size int) {
	t.Helper()
	payload := wire.Payload(size)
	persist(t, fmt.Sprintf("UDP echo of %d octets", size), func(deadline time.Time) error {
		if _, err := host.WriteToUDPAddrPort(payload, echoService); err != nil {
			return err
		}
		echo, err := host.next(deadline)
		if err != nil {
			return err
		}
		return same(echo, payload)
	})
}

// TestTCP sends a quarter of a megabyte over each of four connections at once.
func TestTCP(t *testing.T) {
	eachLink(t, func(t *testing.T, cfg nodeConfig) {
		startNode(t, cfg)
		var connections sync.WaitGroup
		for range 4 {
			connections.Go(func() {
				if err := echoStream(within(t), 1<<18); err != nil {
					t.Error(err)
				}
			})
		}
		connections.Wait()
	})
}

// echoStream sends size octets to the echo service and reads them back. When
// ctx ends it gives up.
func echoStream(ctx context.Context, size int) error {
	return echoStreamAt(ctx, echoService, size)
}

// echoStreamAt does so with the service at another address.
func echoStreamAt(ctx context.Context, service netip.AddrPort, size int) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp6", service.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	sent := wire.Payload(size)
	written := make(chan error, 1)
	go func() {
		_, err := conn.Write(sent)
		if err == nil {
			err = conn.(*net.TCPConn).CloseWrite()
		}
		written <- err
	}()
	received, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	if err := <-written; err != nil {
		return err
	}
	return same(received, sent)
}
