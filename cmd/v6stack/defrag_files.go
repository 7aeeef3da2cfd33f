package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// standardStream is the path that means standard input or output.
const standardStream = "-"

// defragPaths are the files of the defrag command; errors may be "".
type defragPaths struct{ in, out, errors string }

// defragFiles are those files, opened.
type defragFiles struct {
	paths  defragPaths
	stdin  io.Reader
	stdout io.Writer

	in     io.Reader
	out    io.Writer
	errors io.Writer // nil if nobody wants them
	opened []*os.File
}

// openIn opens IN and refuses to write where we read.
func (f *defragFiles) openIn() error {
	f.in = f.stdin
	if f.paths.in != standardStream {
		file, err := os.Open(f.paths.in)
		if err != nil {
			return err // names the file
		}
		f.in = file
		f.opened = append(f.opened, file)
	}
	if f.paths.errors == standardStream {
		return usagef("--errors -: want a file")
	}
	in, out, answers := regular(f.in), f.regularOut(), regularAt(f.paths.errors)
	switch {
	case sameFile(in, out):
		return usagef("IN %s and OUT %s are the same file: want two", f.paths.in, f.paths.out)
	case sameFile(in, answers):
		return usagef("IN %s and --errors %s are the same file: want two", f.paths.in, f.paths.errors)
	case sameFile(out, answers), samePath(f.paths.out, f.paths.errors):
		return usagef("OUT %s and --errors %s are the same file: want two", f.paths.out, f.paths.errors)
	}
	return nil
}

// regularOut returns what OUT is, if it is a regular file that exists.
func (f *defragFiles) regularOut() os.FileInfo {
	if f.paths.out == standardStream {
		return regular(f.stdout)
	}
	return regularAt(f.paths.out)
}

// regular returns what file is, if it is a regular one.
func regular(file any) os.FileInfo {
	opened, ok := file.(*os.File)
	if !ok {
		return nil
	}
	info, err := opened.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return info
}

// regularAt returns what stands at path, if it is a regular file.
func regularAt(path string) os.FileInfo {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	return info
}

// sameFile reports whether a and b are one regular file.
func sameFile(a, b os.FileInfo) bool { return a != nil && b != nil && os.SameFile(a, b) }

// samePath reports whether a and b, which need not exist, name one file that
// is no device.
func samePath(a, b string) bool {
	if b == "" || filepath.Base(a) != filepath.Base(b) {
		return false
	}
	if info, err := os.Stat(a); err == nil && !info.Mode().IsRegular() {
		return false
	}
	inA, errA := os.Stat(filepath.Dir(a))
	inB, errB := os.Stat(filepath.Dir(b))
	return errA == nil && errB == nil && os.SameFile(inA, inB)
}

// create opens OUT and the file of ICMPv6 errors, and empties them once both
// are open.
func (f *defragFiles) create() error {
	read := len(f.opened)
	f.out = f.stdout
	if f.paths.out != standardStream {
		file, err := f.open(f.paths.out)
		if err != nil {
			return err
		}
		f.out = file
	}
	if f.paths.errors != "" {
		file, err := f.open(f.paths.errors)
		if err != nil {
			return err
		}
		f.errors = file
	}
	for _, file := range f.opened[read:] {
		if regular(file) == nil {
			continue
		}
		if err := file.Truncate(0); err != nil {
			return err
		}
	}
	return nil
}

// open opens a file to be written, as it is.
func (f *defragFiles) open(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o666)
	if err == nil {
		f.opened = append(f.opened, file)
	}
	return file, err
}

// reportTo returns where the report goes: to standard output unless OUT is.
func (f *defragFiles) reportTo(stdout, stderr io.Writer) io.Writer {
	if f.paths.out == standardStream || sameStream(f.out, stdout) {
		return stderr
	}
	return stdout
}

// sameStream reports whether a and b are one file of any kind but /dev/null,
// where nothing can mix.
func sameStream(a, b io.Writer) bool {
	fileA, okA := a.(*os.File)
	fileB, okB := b.(*os.File)
	if !okA || !okB {
		return false
	}
	infoA, errA := fileA.Stat()
	infoB, errB := fileB.Stat()
	if errA != nil || errB != nil || !os.SameFile(infoA, infoB) {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(infoA, null)
}

// close closes what was opened. The error is that of a file written to.
func (f *defragFiles) close() error {
	var errs []error
	for _, file := range f.opened {
		if err := file.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close: %w", err))
		}
	}
	return errors.Join(errs...)
}
