//go:build unix

package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Listen returns a listener on a unix socket at path that only this user may
// connect to. It removes the socket when it is closed. Between two that want the
// same path one wins.
//
//	at path there is               what becomes of it
//	nothing                        the socket is made
//	a socket where nobody answers  it is replaced
//	a socket where somebody does   ErrInUse
//	anything else                  an error
//
// An error names path.
func Listen(path string) (net.Listener, error) {
	l, err := listen(path)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	return l, nil
}

// listen makes the socket in a folder of its own, where its mode can be set
// before anybody can connect, and then puts it in its place.
func listen(path string) (_ *listener, err error) {
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	path = socketName(path)
	workshop, err := os.MkdirTemp(filepath.Dir(path), ".v6stack")
	if err != nil {
		return nil, cause(err)
	}
	defer os.RemoveAll(workshop)
	draft := filepath.Join(workshop, draftName)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: draft, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	made := &listener{UnixListener: l, path: path}
	if made.file, err = prepare(draft); err == nil {
		err = place(draft, path)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return made, nil
}

// prepare sets the mode of the socket and returns which file it is.
func prepare(draft string) (fs.FileInfo, error) {
	if err := os.Chmod(draft, 0o600); err != nil {
		return nil, err
	}
	return os.Lstat(draft)
}

// place moves the socket draft to path, where nobody may be. The lock keeps
// others who do the same from coming in between.
func place(draft, path string) error {
	unlock, err := lock(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer unlock()
	if err := checkStale(path); err != nil {
		return err
	}
	return cause(os.Rename(draft, path))
}

// lock waits until nobody else has locked folder, but not for ever: whoever may
// read it may lock it. The lock ends with the process if unlock does not end it.
func lock(folder string) (unlock func(), err error) {
	file, err := os.Open(folder)
	if err != nil {
		return nil, cause(err)
	}
	const pause = 10 * time.Millisecond
	for waited := time.Duration(0); waited < patience; waited += pause {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			break
		}
		time.Sleep(pause)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("lock its folder: %w", err)
	}
	return func() { file.Close() }, nil
}

// checkStale returns nil if path is a socket where nobody answers, or nothing.
func checkStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return cause(err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("exists and is no socket: want a path that is free")
	}
	connection, err := net.Dial("unix", path)
	switch {
	case err == nil:
		return errors.Join(ErrInUse, connection.Close())
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return explain(err)
}

// cause returns err without names of files that nobody has asked for.
func cause(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}

// A listener is the server's end of a control socket.
type listener struct {
	*net.UnixListener
	path string
	file fs.FileInfo // the socket that was made

	closing  sync.Once
	closeErr error // written once, in closing
}

// Addr returns where clients connect.
func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close removes the socket, unless another has taken its place, and ends the
// listener. While it is there somebody answers, so that nobody replaces it.
func (l *listener) Close() error {
	l.closing.Do(func() {
		if file, err := os.Lstat(l.path); err == nil && os.SameFile(file, l.file) {
			l.closeErr = os.Remove(l.path)
		}
		l.closeErr = errors.Join(l.closeErr, l.UnixListener.Close())
	})
	return l.closeErr
}
