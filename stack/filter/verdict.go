package filter

import "fmt"

// A Basis is why a packet meets its [Action].
type Basis uint8

const (
	// ByDefault: no rule matched. It passes within a zone only.
	ByDefault Basis = iota
	// ByRule: the first rule that matched said so.
	ByRule
	// ByFlow: it belongs to a flow that is allowed.
	ByFlow
	// ByError: it is an ICMPv6 error about a flow that is allowed.
	ByError

	numBases
)

var basisNames = [numBases]string{
	ByDefault: "default",
	ByRule:    "rule",
	ByFlow:    "flow",
	ByError:   "error",
}

// String returns the basis's name.
func (b Basis) String() string {
	if b < numBases {
		return basisNames[b]
	}
	return fmt.Sprintf("Basis(%d)", uint8(b))
}

// NoRule is the index of no rule.
const NoRule = -1

// A Verdict is what becomes of one packet, and why. It is a plain value; the
// zero value denies.
type Verdict struct {
	Action Action
	Basis  Basis
	// Rule is the index, in [Config].Rules, of the rule that matched the packet
	// or opened its flow; NoRule if that was the default, and for ByError.
	Rule int
}
