package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// A ping is one echo request of the demonstration and what became of it.
type ping struct {
	number         int
	payload, reply []byte
	err            error
	took           time.Duration
	sights         []sight
}

// fault returns what is wrong with the reply, or nothing.
func (p *ping) fault() string {
	switch {
	case p.err != nil:
		return p.err.Error()
	case len(p.reply) != len(p.payload):
		return fmt.Sprintf("%s bytes came back, not %s", grouped(len(p.reply)), grouped(len(p.payload)))
	}
	for i := range p.payload {
		if p.reply[i] != p.payload[i] {
			return fmt.Sprintf("byte %s is %#02x, not %#02x", grouped(i), p.reply[i], p.payload[i])
		}
	}
	return ""
}

// A colour is the escape sequence that turns it on.
type colour string

const (
	plain  colour = ""
	bold   colour = "\x1b[1m"
	dim    colour = "\x1b[2m"
	red    colour = "\x1b[1;31m"
	green  colour = "\x1b[1;32m"
	yellow colour = "\x1b[33m"
	cyan   colour = "\x1b[36m"
)

// A painter draws the demonstration for people, in colour on a terminal unless
// NO_COLOR is set. It is for one goroutine.
type painter struct {
	w        io.Writer
	coloured bool
	err      error // first error of writing
}

// newPainter returns a painter that draws on w.
func newPainter(w io.Writer) *painter {
	file, ok := w.(*os.File)
	terminal := ok && characterDevice(file)
	return &painter{w: w, coloured: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// printf writes text in a colour.
func (p *painter) printf(c colour, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if p.coloured && c != plain {
		lines := strings.Trim(text, "\n")
		text = strings.Replace(text, lines, string(c)+lines+"\x1b[0m", 1)
	}
	if _, err := io.WriteString(p.w, text); err != nil && p.err == nil {
		p.err = err
	}
}

// headline says what is to be seen, and where.
func (p *painter) headline(s *stage) {
	p.printf(bold, "v6stack demo: %s\n\n", s.title)
	p.printf(plain, "  %s (%s) ── %s ── v6stack ── gVisor's stack (%s)\n\n", s.host, demoHost.Addr(), s.link, demoStack.Addr())
	p.printf(dim, "  A ping of %s bytes does not fit in a packet of %s, so the sender cuts it into\n", grouped(demoPayload), grouped(demoMTU))
	p.printf(dim, "  fragments. Only the first has the ICMPv6 header in it: a filter that looks for\n")
	p.printf(dim, "  one is blind to the rest. v6stack puts them together before anything looks.\n")
}

// ping draws one ping: the first in full, and all in a line each.
func (p *painter) ping(g *ping, s *stage) {
	if g.number == 1 {
		p.scene(g, s)
		p.printf(plain, "\n")
	}
	if fault := g.fault(); fault != "" {
		p.printf(red, "ping %d: FAILED: %s\n", g.number, fault)
		return
	}
	p.printf(plain, "ping %d: %d fragments in, %d datagram up, %d fragments out, %s: ",
		g.number, g.count(sightIn), g.count(sightDatagram), g.count(sightOut), millis(g.took))
	p.printf(green, "%s bytes came back, each as it was sent\n", grouped(len(g.reply)))
}

// scene draws everything that was seen of a ping.
func (p *painter) scene(g *ping, s *stage) {
	total := 0
	for _, seen := range g.sights {
		total = max(total, seen.offset+seen.length)
	}
	var last sightKind = 255
	number := 0
	for _, seen := range g.sights {
		if seen.kind != last {
			p.printf(bold, "\n%s\n", caption(seen.kind, s))
			last, number = seen.kind, 0
		}
		number++
		p.sight(&seen, number, total)
	}
	if g.err == nil {
		p.printf(bold, "\n✔ %s has the reply\n", s.host)
		p.printf(dim, "  %11s  ", millis(g.took))
		p.printf(plain, "%s bytes of payload, to be compared with what was sent\n", grouped(len(g.reply)))
	}
	if len(g.sights) > 0 {
		p.printf(dim, "\n  offset and length in bytes of the ICMPv6 message (8 of header, %s of payload);\n  M=1: more fragments follow. Times are since the ping was sent.\n", grouped(demoPayload))
	}
}

// caption says what kind of sights follows.
func caption(kind sightKind, s *stage) string {
	switch kind {
	case sightIn:
		return fmt.Sprintf("▶ %s sends an echo request, in fragments", s.host)
	case sightDatagram:
		return "● v6stack hands it to gVisor, in one piece"
	}
	return "◀ gVisor's stack sends the echo reply, in fragments"
}

// sight draws one sight as a line: when, what, and which part of the whole.
func (p *painter) sight(seen *sight, number, total int) {
	p.printf(dim, "  %11s  ", millis(seen.at))
	switch seen.kind {
	case sightDatagram:
		p.printf(green, "datagram    %s  length %5d       %s\n", strings.Repeat(" ", 12), seen.length, bar(0, seen.length, total))
	default:
		c, more := cyan, 0
		if seen.kind == sightOut {
			c = yellow
		}
		if seen.more {
			more = 1
		}
		p.printf(c, "fragment %2d  offset %5d  length %5d  M=%d  %s\n", number, seen.offset, seen.length, more, bar(seen.offset, seen.length, total))
	}
}

// barWidth is the width of a bar in characters.
const barWidth = 24

// bar draws the part of a whole that length octets at offset are.
func bar(offset, length, total int) string {
	if total == 0 {
		return ""
	}
	from := offset * barWidth / total
	to := max((offset+length)*barWidth/total, from+1)
	return strings.Repeat("·", from) + strings.Repeat("█", to-from) + strings.Repeat("·", max(barWidth-to, 0))
}

// verdict draws the end.
func (p *painter) verdict(good int) {
	if good == demoPings {
		p.printf(green, "\n%d of %d pings came back, byte for byte.\n", good, demoPings)
		return
	}
	p.printf(red, "\n%d of %d pings came back, byte for byte.\n", good, demoPings)
}

// count returns how many sights are of a kind.
func (g *ping) count(kind sightKind) int {
	n := 0
	for _, seen := range g.sights {
		if seen.kind == kind {
			n++
		}
	}
	return n
}

// millis returns d in milliseconds, as people read it.
func millis(d time.Duration) string {
	return fmt.Sprintf("%.3f ms", float64(d)/float64(time.Millisecond))
}

// grouped returns n with its thousands apart.
func grouped(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}
