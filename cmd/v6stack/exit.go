package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit statuses of the program.
const (
	exitOK      = 0
	exitFailure = 1 // the work was begun and failed
	exitUsage   = 2 // bad usage or configuration: nothing was begun
	exitRefused = 3 // of the child of "demo" alone: the system refuses the kernel's part
)

// A usageError is an error of whoever called the program: a bad flag, argument
// or configuration. Its message names the flag, the value and what is allowed.
type usageError struct{ err error }

// usagef returns a [usageError] with a formatted message.
func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

func (e usageError) Error() string { return e.err.Error() }

func (e usageError) Unwrap() error { return e.err }

// exitStatus returns the exit status that err stands for.
func exitStatus(err error) int {
	var usage usageError
	var refused *refusedError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &refused):
		return exitRefused
	}
	return exitFailure
}

// flagError turns an error of the flag parser into a usage error. The parser
// names the flag and the value; an unknown flag's message lists the known ones.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		return usagef("%w; %s knows %s", err, cmd.CommandPath(), strings.Join(flagNames(cmd), ", "))
	}
	return usageError{err}
}

// flagNames returns the flags that cmd takes, with their dashes.
func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, "--"+f.Name)
		}
	})
	return names
}
