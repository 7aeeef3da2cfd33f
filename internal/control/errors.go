package control

import "errors"

// ErrInUse is the error of [Listen] where somebody answers at the path.
var ErrInUse = errors.New("another program answers there")
