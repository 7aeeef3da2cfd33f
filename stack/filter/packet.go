package filter

// A Packet is what a filter looks at. [ParseBuffer] fills in all but the four
// numbers of where it comes from and goes to, which are the caller's to set: as
// [Config] numbers zones and links. It is a plain value.
type Packet struct {
	FromZone, FromLink, ToZone, ToLink uint32

	Source, Destination [16]byte
	// Protocol is that of the upper layer, behind all extension headers.
	Protocol uint8
	// SourcePort and DestinationPort are those of TCP and UDP, else 0.
	SourcePort, DestinationPort uint16
	// TCPFlags is the octet of TCP's control bits, CWR to FIN.
	TCPFlags uint8
	// ICMPType and ICMPCode are those of ICMPv6.
	ICMPType, ICMPCode uint8
	// Identifier is that of an ICMPv6 echo request or reply.
	Identifier uint16
	// Quote is the packet that an ICMPv6 error quotes.
	Quote Quote
	// Length of the packet in octets, without padding; that of all segments if
	// it stands for several.
	Length int
	// Segments is how many TCP segments the packet stands for, which a link has
	// merged or is to cut; 0 means 1. The first of them decides, and it leads to
	// the same flow as all of them would.
	Segments int
}

// A Quote is the packet that an ICMPv6 error is about. The zero value is none.
type Quote struct {
	Kind                        QuoteKind
	Source, Destination         [16]byte
	Protocol                    uint8
	SourcePort, DestinationPort uint16
	ICMPType                    uint8
	Identifier                  uint16
}

// A QuoteKind is how much a [Quote] tells.
type QuoteKind uint8

const (
	// NoQuote: the packet is no ICMPv6 error, or what it quotes cannot be read.
	NoQuote QuoteKind = iota
	// WholeQuote: every field is known.
	WholeQuote
	// FragmentQuote: the quoted packet is a fragment, not its datagram's first.
	// Only its addresses are known.
	FragmentQuote
)

// ICMPv6 types (RFC 4443).
const (
	firstInformational = 128 // all lower types are errors
	echoRequest        = 128
	echoReply          = 129
)

// isError reports whether the packet is an ICMPv6 error.
func (p *Packet) isError() bool {
	return p.Protocol == ICMPv6 && p.ICMPType < firstInformational
}

// opens reports whether the packet may be the first of a flow.
func (p *Packet) opens() bool {
	switch p.Protocol {
	case ICMPv6:
		return p.ICMPType == echoRequest
	case TCP:
		return p.firstSegment().opens()
	}
	return true
}

// firstSegment returns what the first segment means, and lastSegment what the
// last one does. Only that may have FIN; those between are like the first.
func (p *Packet) firstSegment() segment {
	if p.Segments > 1 {
		return segmentOf(p.TCPFlags &^ flagFIN)
	}
	return segmentOf(p.TCPFlags)
}

func (p *Packet) lastSegment() segment { return segmentOf(p.TCPFlags) }
