#!/bin/sh
# Writes docs/BENCHMARKS.md: our endpoint beside gVisor's own reassembly, and
# the engine alone beside gopacket's ip6defrag, each pair in one run.
set -eu
go=${GO:-go}
count=${COUNT:-10}
time=${BENCHTIME:-200ms}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

"$go" test -run '^$' -bench 'Reassembly' -benchtime "$time" -count "$count" ./linkep >"$out/linkep"
"$go" test -run '^$' -bench '^BenchmarkGather$' -benchtime "$time" -count "$count" ./defrag >"$out/defrag"

{
	cat <<'HEAD'
# Benchmarks

`make bench` writes this page. Each pair was measured in one run, with the same packets; the figures are medians, and
only the ratios mean something: the machine is shared. Sizes are those of a fragment's payload.

## From PacketBuffer to the UDP socket, beside gVisor's own reassembly

HEAD
	"$go" run ./internal/benchtable ns/fragment <"$out/linkep"
	printf '\nAllocations a fragment:\n\n'
	"$go" run ./internal/benchtable allocs/fragment <"$out/linkep"
	cat <<'MIDDLE'

gVisor's buffers set the floor of the first table. Between a link endpoint and a socket's Read gVisor clones the whole
chain of views five times, and its receive path costs a few microseconds a datagram, however it was put together.

## The engine alone, beside gopacket's ip6defrag

Making the buffers is not counted on either side.

MIDDLE
	"$go" run ./internal/benchtable ns/fragment <"$out/defrag"
	printf '\n%s, %s, %s times %s each\n' "$("$go" version)" "$(grep '^cpu:' "$out/linkep")" "$count" "$time"
} >docs/BENCHMARKS.md
cat docs/BENCHMARKS.md
