// Package control lets a running v6stack be asked how it is: a server on a
// unix socket answers with a [Snapshot], and a client asks it.
//
// The protocol is HTTP, GET /status, answered in JSON, so that curl's
// --unix-socket does as a client. Only the user who runs the server may
// connect (mode 0600); nothing can be changed through the socket.
package control
