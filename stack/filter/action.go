package filter

import "fmt"

// An Action is what becomes of a packet. The zero value is [Deny].
type Action uint8

const (
	// Deny drops the packet silently.
	Deny Action = iota
	// Allow lets the packet pass.
	Allow
	// Reject drops the packet and tells its source.
	Reject

	numActions
)

var actionNames = [numActions]string{Deny: "deny", Allow: "allow", Reject: "reject"}

// String returns the action's name as configurations and tables show it.
func (a Action) String() string {
	if a < numActions {
		return actionNames[a]
	}
	return fmt.Sprintf("Action(%d)", uint8(a))
}

// MarshalText returns the action's name; it is an error if a is none.
func (a Action) MarshalText() ([]byte, error) {
	if a >= numActions {
		return nil, fmt.Errorf("action %d, want allow, deny or reject", uint8(a))
	}
	return []byte(actionNames[a]), nil
}

// UnmarshalText sets the action of that name.
func (a *Action) UnmarshalText(text []byte) error {
	for i, name := range actionNames {
		if name == string(text) {
			*a = Action(i)
			return nil
		}
	}
	return fmt.Errorf("action %q, want allow, deny or reject", text)
}
