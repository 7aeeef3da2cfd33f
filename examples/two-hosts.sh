#!/bin/sh
# Makes two hosts, as network namespaces, for examples/router.toml to route
# between. "two-hosts.sh down" removes them.
set -eu

case "${1:-up}" in
up | down) ;;
*)
	echo "usage: $0 [up | down]" >&2
	exit 2
	;;
esac
if ! command -v ip >/dev/null; then
	echo "$0: ip is missing: install iproute2" >&2
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "$0: must run as root: sudo $0 ${1:-up}" >&2
	exit 1
fi

# exists NAMESPACE reports whether it is there.
exists() { ip netns list | grep -q "^$1\( \|\$\)"; }

if [ "${1:-up}" = down ]; then
	for host in hosta hostb; do
		if exists "$host"; then ip netns del "$host"; fi
	done
	echo 'hosta and hostb are gone.'
	exit
fi

for host in hosta hostb; do
	exists "$host" || ip netns add "$host"
	ip -n "$host" link set lo up
done

cat <<EOF
hosta and hostb are there. The router makes their interfaces and addresses:

  sudo go run ./cmd/v6stack run --config examples/router.toml

Once it says "ready", in another terminal:

  # Pings of one packet, and of 42 fragments each way.
  sudo ip netns exec hosta ping -c 3 2001:db8:b::1
  sudo ip netns exec hosta ping -c 3 -s 60000 2001:db8:b::1

  # What arrives is fragmented as what was sent: same sizes, same identification.
  sudo ip netns exec hostb tcpdump -ni right

  # UDP to port 8000 passes, whole or in fragments; to port 19 nothing does.
  sudo ip netns exec hostb socat -b 65000 UDP6-RECVFROM:8000,fork EXEC:cat &
  head -c 4000 /dev/zero | sudo ip netns exec hosta socat -b 65000 -t 1 - UDP6:[2001:db8:b::1]:8000 | wc -c

  # TCP, from hosta to hostb alone.
  sudo ip netns exec hostb socat TCP6-LISTEN:7,fork EXEC:cat &
  echo hello | sudo ip netns exec hosta socat -t 1 - TCP6:[2001:db8:b::1]:7

  # After a change of the file.
  sudo pkill -HUP -x v6stack

To clean up, end the router with Ctrl-C and the two socat, then

  sudo $0 down
EOF
