package oracle

import (
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/netfilter"
	"golang.org/x/sys/unix"
)

const (
	logGroup = 6
	// messageSize is room for the longest packet that NFLOG shows, and for what
	// it says of it.
	messageSize = CaptureLimit + 4096
	// deadline bounds each wait for the kernel; it is no measure of time, only
	// keeps a broken set-up from hanging.
	deadline = 60 * time.Second
)

// Names of linux/netfilter/nfnetlink_log.h.
const (
	messageConfig = 1

	attributePayload = 9

	configCommand = 1
	configMode    = 2
	configQueue   = 5

	commandBind    = 1
	modeWithPacket = 2
)

// A packetLog receives what nft's log statement hands to a group.
type packetLog struct {
	conn *netfilter.Conn
	// queue holds packets that came with one read and are not yet asked for.
	queue [][]byte
}

// openPacketLog binds to the group in the network namespace of descriptor ns.
func openPacketLog(ns int) (*packetLog, error) {
	conn, err := netfilter.Dial(&netlink.Config{NetNS: ns, MessageBufferSize: messageSize})
	if err != nil {
		return nil, fmt.Errorf("dial NFLOG: %w", err)
	}
	l := &packetLog{conn: conn}
	if err := l.bind(); err != nil {
		conn.Close()
		return nil, err
	}
	return l, nil
}

// bind asks for whole packets, each by itself and at once.
func (l *packetLog) bind() error {
	if err := l.conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		return fmt.Errorf("set NFLOG deadline: %w", err)
	}
	// The range's length is the most that NFLOG offers.
	mode := []byte{0, 0, 0xff, 0xff, modeWithPacket, 0}
	for _, a := range []netfilter.Attribute{
		{Type: configCommand, Data: []byte{commandBind}},
		{Type: configMode, Data: mode},
		{Type: configQueue, Data: netfilter.Uint32Bytes(1)},
	} {
		request, err := netfilter.MarshalNetlink(netfilter.Header{
			Flags:       netlink.Request | netlink.Acknowledge,
			SubsystemID: netfilter.NFSubsysULOG,
			MessageType: messageConfig,
			Family:      unix.AF_UNSPEC,
			ResourceID:  logGroup,
		}, []netfilter.Attribute{a})
		if err != nil {
			return fmt.Errorf("marshal NFLOG request: %w", err)
		}
		if _, err := l.conn.Query(request); err != nil {
			return fmt.Errorf("configure NFLOG: %w", err)
		}
	}
	return nil
}

// next returns the next packet logged, which the caller owns.
func (l *packetLog) next() ([]byte, error) {
	for len(l.queue) == 0 {
		if err := l.receive(); err != nil {
			return nil, err
		}
	}
	packet := l.queue[0]
	l.queue = l.queue[1:]
	return packet, nil
}

func (l *packetLog) receive() error {
	if err := l.conn.SetReadDeadline(time.Now().Add(deadline)); err != nil {
		return fmt.Errorf("set NFLOG deadline: %w", err)
	}
	messages, err := l.conn.Receive()
	if err != nil {
		return fmt.Errorf("receive from NFLOG: %w", err)
	}
	for _, m := range messages {
		if m.Header.Type == netlink.Done {
			continue
		}
		_, attributes, err := netfilter.UnmarshalNetlink(m)
		if err != nil {
			return fmt.Errorf("parse NFLOG message: %w", err)
		}
		for _, a := range attributes {
			if a.Type == attributePayload {
				l.queue = append(l.queue, append([]byte(nil), a.Data...))
			}
		}
	}
	return nil
}

func (l *packetLog) close() { l.conn.Close() }
