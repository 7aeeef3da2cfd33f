// Package netns runs a function inside another network namespace.
//
// A network namespace is a property of a thread. What the function opens
// there (a TUN device, a netlink socket) stays in that namespace for good and
// may be used from anywhere afterwards.
package netns
