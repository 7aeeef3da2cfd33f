// Package e2e holds the whole-system tests: the Linux kernel on one side of a
// TUN, v6stack on the other. There is nothing in it to import.
//
// go test runs the package twice. The outer process builds cmd/v6stack and
// starts itself again in a sandbox, a fresh network namespace (and a user
// namespace, unless it is root); the inner one runs the tests there, with the
// sandbox's kernel as the host that v6stack talks to:
//
//	          sandbox (or a namespace named in it)      the test, or cmd/v6stack
//	ping, sockets, raw packets ─ kernel ─ fd00:6::1 │ TUN │ fd00:6::2 ─ linkep, gVisor
//
// A router is tested between stations, each of them a kernel in a namespace of
// its own; captures at their TUNs tell whether what enters is what leaves:
//
//	namespace             the test, or cmd/v6stack                 namespace
//	sockets ─ kernel │ TUN │ 2001:db8:a::ff  2001:db8:b::ff │ TUN │ kernel ─ sockets
//
// Where there can be no sandbox the tests are skipped, and TestSandbox says
// why; with CI=true in the environment it fails instead.
package e2e
