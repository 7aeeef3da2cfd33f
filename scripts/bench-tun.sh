#!/bin/sh
# Measures TUN devices beside each other, see internal/tunbench, and prints
# tables and, last, a line of ratios of Gbit/s:
#
#     fdbased_up, fdbased_down        ours with offloads over gVisor's fdbased
#     wireguard_up, wireguard_down    the same over wireguard's device
#     plain_up, plain_down            ours without offloads over fdbased
#
# up is from the kernel to gVisor. Everything is measured again in each of many
# short rounds, all devices in turn; the medians count.
set -eu
go=${GO:-go}
rounds=${ROUNDS:-7}
time=${BENCHTIME:-200ms}

if ! command -v ping >/dev/null; then
	echo 'ping is missing: install it (Debian, Ubuntu: apt-get install iputils-ping; Fedora: dnf install iputils; Alpine: apk add iputils)' >&2
	exit 1
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

"$go" test -c -o "$out/tunbench.test" ./internal/tunbench

# bench runs the benchmarks that match $1 for the time $2.
bench() {
	"$out/tunbench.test" -test.run '^$' -test.bench "$1" -test.benchtime "$2" >"$out/round" 2>&1 || {
		cat "$out/round" >&2
		exit 1
	}
	cat "$out/round" >>"$out/rounds"
}

round=0
while [ "$round" -lt "$rounds" ]; do
	round=$((round + 1))
	bench '^Benchmark(TCP|UDP|Fragments)$' "$time"
done
bench '^BenchmarkPing$' 1x
bench '^BenchmarkPing$' 1x

# medians prints, for each benchmark and metric, the median.
medians() {
	awk '/^Benchmark/ {
		sub(/^Benchmark/, "", $1)
		sub(/-[0-9]+$/, "", $1)
		for (i = 3; i < NF; i += 2) print $1 "/" $(i + 1), $i
	}' "$out/rounds" | sort -k1,1 -k2,2g | awk '
	function flush() { if (n) print name, (value[int((n + 1) / 2)] + value[int(n / 2) + 1]) / 2 }
	$1 != name { flush(); name = $1; n = 0 }
	{ value[++n] = $2 }
	END { flush() }'
}

medians >"$out/medians"
summary="$("$go" version), $(grep -m1 '^cpu:' "$out/rounds"), Linux $(uname -r), medians of $rounds rounds of $time each, ping of 2 runs"
awk -v summary="$summary" '
{ median[$1] = $2 }
function of(name) {
	if (!(name in median)) {
		print "no figure for " name >"/dev/stderr"
		failed = 1
		exit 1
	}
	return median[name]
}
function tcp(device, direction, metric) { return of("TCP/dir=" direction "/device=" device "/" metric) }
function udp(device, direction) { return of("UDP/dir=" direction "/device=" device "/packets/s") / 1000 }
function speed(device) {
	printf "| %s | %.2f | %.2f | %.2f | %.2f | %.0f | %.0f |\n", device, \
		tcp(device, "up", "Gbit/s"), tcp(device, "down", "Gbit/s"), \
		tcp(device, "up", "cpu-s/GB"), tcp(device, "down", "cpu-s/GB"), \
		udp(device, "up"), udp(device, "down")
}
function fragments(octets, direction,    name) {
	name = "Fragments/octets=" octets "/dir=" direction "/device="
	printf "| %d octets %s | %.1f | %.1f | %.2f |\n", octets, direction, \
		of(name "plain/ns/op") / 1000, of(name "offload/ns/op") / 1000, \
		of(name "offload/ns/op") / of(name "plain/ns/op")
}
function ping(load, what,    name) {
	name = "Ping/load=" load "/device="
	printf "| %s | %.1f | %.1f | %.1f |\n", what, \
		of(name "fdbased/loss-%"), of(name "plain/loss-%"), of(name "offload/loss-%")
}
function ratio(above, below, direction) {
	return tcp(above, direction, "Gbit/s") / tcp(below, direction, "Gbit/s")
}
END {
	if (failed) exit 1
	print "| device | TCP up, Gbit/s | down | CPU up, s/GB | down | UDP of 64 octets up, 1,000 packets/s | down |"
	print "|---|---:|---:|---:|---:|---:|---:|"
	speed("water"); speed("fdbased"); speed("wireguard"); speed("plain"); speed("offload")
	print "\n| datagram in fragments | plain, µs | offload, µs | offload/plain |\n|---|---:|---:|---:|"
	fragments(8000, "up"); fragments(8000, "down"); fragments(60000, "up"); fragments(60000, "down")
	print "\n| ping -6 -s 65000 | fdbased, loss in % | plain | offload |\n|---|---:|---:|---:|"
	ping("flood", "-f -c 300"); ping("burst", "-l 20 -i 0.01 -c 200"); ping("inflight", "-f -l 20 -c 300")
	printf "\n%s\n\n", summary
	printf "ratios: fdbased_up=%.2f fdbased_down=%.2f wireguard_up=%.2f wireguard_down=%.2f plain_up=%.2f plain_down=%.2f\n", \
		ratio("offload", "fdbased", "up"), ratio("offload", "fdbased", "down"), \
		ratio("offload", "wireguard", "up"), ratio("offload", "wireguard", "down"), \
		ratio("plain", "fdbased", "up"), ratio("plain", "fdbased", "down")
}' "$out/medians"
