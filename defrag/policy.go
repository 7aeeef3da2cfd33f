package defrag

import "fmt"

// A Policy says what happens where fragments disagree: where the RFCs leave a
// choice, where they changed their mind, and where Linux differs from them.
// The zero value is [RFC8200].
//
//	policy   exact duplicate  other overlap  second end, data past the end  after a discard
//	RFC8200  ignored          discard        discard                        forgotten
//	RFC5722  discard          discard        discard                        discarded until the timeout
//	Linux    ignored, also    discard        newcomer dropped               forgotten
//	         if held in parts
type Policy uint8

const (
	// RFC8200 follows RFC 8200 section 4.5 and is the default.
	RFC8200 Policy = iota
	// RFC5722 follows RFC 5722 section 4 to the letter: a duplicate is an
	// overlap, and the rest of a discarded datagram is discarded, too.
	RFC5722
	// Linux does what nf_defrag_ipv6 does, packet by packet, less the
	// accidents that docs/BEHAVIOUR.md lists.
	Linux
)

var policyNames = [...]string{RFC8200: "rfc8200", RFC5722: "rfc5722", Linux: "linux"}

// String returns the policy's name as [ParsePolicy] reads it.
func (p Policy) String() string {
	if int(p) < len(policyNames) {
		return policyNames[p]
	}
	return fmt.Sprintf("Policy(%d)", uint8(p))
}

// ParsePolicy returns the policy of that name: rfc8200, rfc5722 or linux.
func ParsePolicy(name string) (Policy, error) {
	for p, n := range policyNames {
		if n == name {
			return Policy(p), nil
		}
	}
	return 0, fmt.Errorf("overlap policy %q: want rfc8200, rfc5722 or linux", name)
}
