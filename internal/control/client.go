package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"
)

// Limits on a server that stalls or is none of ours.
const (
	patience  = 10 * time.Second
	maxAnswer = 256 << 20
)

// Ask returns a snapshot of the v6stack whose control socket is at path, with
// its flows if they are wanted. An error names path; it leaves nothing open.
func Ask(ctx context.Context, path string, flows bool) (Snapshot, error) {
	snapshot, err := ask(ctx, path, flows)
	if err != nil {
		return Snapshot{}, fmt.Errorf("control socket %s: %w", path, explain(err))
	}
	return snapshot, nil
}

func ask(ctx context.Context, path string, flows bool) (Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	url := "http://v6stack" + statusPath
	if flows {
		url += "?" + flowsQuery
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Snapshot{}, err
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", socketName(path))
		},
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return Snapshot{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return Snapshot{}, fmt.Errorf("answers %s: want a v6stack of this version", response.Status)
	}
	var snapshot Snapshot
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(&snapshot); err != nil {
		return Snapshot{}, fmt.Errorf("answers what is no snapshot: %w", err)
	}
	return snapshot, nil
}

// explain says what an error means for who asked.
func explain(err error) error {
	var op *net.OpError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("no v6stack runs there: %w", syscall.ENOENT)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no v6stack runs there any more: %w", syscall.ECONNREFUSED)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("only the user who runs v6stack may ask it: %w", syscall.EACCES)
	case errors.As(err, &op) && op.Op == "dial":
		return op.Err
	}
	return err
}
