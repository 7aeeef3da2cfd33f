// Package sandbox runs the current executable again in a fresh network
// namespace, where it may make TUN devices, addresses and routes without
// touching the machine's own, and without privilege where the system lets
// users have namespaces.
//
// The parent asks [Available], then starts [Command]; the child, which finds
// out by [Inside], calls [Setup] first thing:
//
//	parent                         child, root of its own network
//	Available() ─ nil              Inside() ─ true
//	Command(ctx, args…).Run() ───► Setup(): lo up, private /run
//
// There is no sandbox on platforms other than Linux: Available says so.
package sandbox

// marker is the environment variable by which a child knows what it is. Its
// value names the mount namespace of the parent, so that a stray variable in
// somebody's environment makes nobody believe to be in a sandbox.
const marker = "V6STACK_SANDBOX"
