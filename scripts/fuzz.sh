#!/bin/sh
# Runs every fuzz target of the module for a number of executions: the first
# argument. One at a time: go test takes one target a run.
set -eu
executions=$1
go=${GO:-go}
found=0
for package in $("$go" list ./...); do
	for target in $("$go" test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		found=$((found + 1))
		echo "fuzz $package $target"
		"$go" test -run '^$' -fuzz "^$target\$" -fuzztime "${executions}x" -fuzzminimizetime 100x -parallel 2 "$package"
	done
done
if [ "$found" -eq 0 ]; then
	echo 'no fuzz target found' >&2
	exit 1
fi
