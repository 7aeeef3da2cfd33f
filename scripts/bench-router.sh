#!/bin/sh
# Measures routing beside gVisor's own, in memory and between two network
# namespaces over TUN devices, and prints tables and, last, a line of ratios:
#
#     memory_plain      gVisor's time a packet over ours, without rules
#     memory_filter     the same with our stateful filter on, and 10,000 flows
#     memory_fragments  our time for six fragments of a datagram over that for
#                       six packets
#     tun_tcp           our TCP throughput over TUN devices over that of gVisor
#                       on two of its fdbased
#
# In memory, of the sizes measured the worse one counts. Everything is measured
# again in each of many short rounds, and the fastest one counts: whatever else
# the machine does only adds. Over TUN devices the medians count.
set -eu
go=${GO:-go}
rounds=${ROUNDS:-25}
time=${BENCHTIME:-50ms}
tun_rounds=${TUN_ROUNDS:-11}
tun_time=${TUN_BENCHTIME:-300ms}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

"$go" test -c -o "$out/stack.test" ./stack
"$go" test -c -o "$out/routerbench.test" ./internal/routerbench
round=0
while [ "$round" -lt "$tun_rounds" ]; do
	round=$((round + 1))
	"$out/routerbench.test" -test.run '^$' -test.bench '^BenchmarkTCP$' -test.benchtime "$tun_time" >"$out/round" 2>&1 || {
		cat "$out/round" >&2
		echo 'no figures of routers on TUN devices' >&2
		exit 1
	}
	cat "$out/round" >>"$out/tun"
done
round=0
while [ "$round" -lt "$rounds" ]; do
	round=$((round + 1))
	"$out/stack.test" -test.run '^$' -test.bench '^BenchmarkForward' -test.benchtime "$time"
done >"$out/rounds"

# least prints, for each benchmark, the least of a metric.
least() {
	awk -v metric="$1" '/^Benchmark/ {
		sub(/^Benchmark/, "", $1)
		sub(/-[0-9]+$/, "", $1)
		for (i = 3; i < NF; i += 2) if ($(i + 1) == metric) print $1, $i
	}' "$out/rounds" | sort -k1,1 -k2,2g | awk '$1 != last { print; last = $1 }'
}

least ns/packet >"$out/ns"
least allocs/packet >"$out/allocs"
printf '| forwarding in memory | ns/packet | allocs/packet |\n|---|---:|---:|\n'
join "$out/ns" "$out/allocs" | awk '{ printf "| %s | %.0f | %.2f |\n", $1, $2, $3 }'
printf '\n%s, %s, the fastest of %s rounds of %s each\n\n' "$("$go" version)" "$(grep -m1 '^cpu:' "$out/rounds")" "$rounds" "$time"

# median prints the median of a metric of a router on TUN devices.
median() {
	awk -v router="$1" -v metric="$2" '$1 ~ "^BenchmarkTCP/router=" router "(-[0-9]+)?$" {
		for (i = 3; i < NF; i += 2) if ($(i + 1) == metric) print $i
	}' "$out/tun" | sort -g | awk '{ value[NR] = $1 } END {
		if (NR) print (value[int((NR + 1) / 2)] + value[int(NR / 2) + 1]) / 2
	}'
}

printf '| TCP through a router, kernel to kernel | Gbit/s | CPU of the router, s/GB |\n|---|---:|---:|\n'
for router in gvisor plain v6stack; do
	printf '| %s | %.2f | %.2f |\n' "$router" "$(median "$router" Gbit/s)" "$(median "$router" cpu-s/GB)"
done
printf '\nLinux %s, medians of %s rounds of %s each\n\n' "$(uname -r)" "$tun_rounds" "$tun_time"

awk -v ours="$(median v6stack Gbit/s)" -v theirs="$(median gvisor Gbit/s)" '
{ ns[$1] = $2 }
function worse(a, b) { return a < b ? a : b }
function ratio(above, below) {
	if (ns[above] == 0 || ns[below] == 0) {
		print "no figures for " above " and " below >"/dev/stderr"
		failed = 1
		exit 1
	}
	return ns[above] / ns[below]
}
function beside(ours, octets) {
	return ratio("Forward/gvisor/octets=" octets, ours octets (ours ~ /Filtered/ ? "/flows=10000" : ""))
}
END {
	if (ours == 0 || theirs == 0) {
		print "no figures of routers on TUN devices" >"/dev/stderr"
		failed = 1
	}
	if (failed) exit 1
	plain = worse(beside("Forward/v6stack/octets=", 64), beside("Forward/v6stack/octets=", 1400))
	filter = worse(beside("ForwardFiltered/v6stack/octets=", 64), beside("ForwardFiltered/v6stack/octets=", 1400))
	fragments = ratio("ForwardFragments/v6stack/fragments=6", "ForwardFragments/v6stack/plain=6")
	printf "ratios: memory_plain=%.1f memory_filter=%.1f memory_fragments=%.1f tun_tcp=%.1f\n", plain, filter, fragments, ours / theirs
}' "$out/ns"
