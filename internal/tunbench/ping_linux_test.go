package tunbench

import (
	"context"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
)

// pings are how the real ping is called, besides for the size.
var pings = []struct{ load, arguments string }{
	{"flood", "-f -c 300"},            // one after the other, more if late
	{"burst", "-l 20 -i 0.01 -c 200"}, // 20 at once, then 100 a second
	{"inflight", "-f -l 20 -c 300"},   // 20 under way all the time
}

// BenchmarkPing has the real ping send 65,000 octets, 45 fragments, each time;
// an operation is a run of ping.
func BenchmarkPing(b *testing.B) {
	if _, err := exec.LookPath("ping"); err != nil {
		b.Fatalf("%v: install it (Debian: apt-get install iputils-ping)", err)
	}
	ours := func(b *testing.B, endpoint gstack.LinkEndpoint) { startStack(b, endpoint) }
	theirs := func(b *testing.B, endpoint gstack.LinkEndpoint) { startNetstack(b, endpoint) }
	for _, ping := range pings {
		b.Run("load="+ping.load, func(b *testing.B) {
			for _, subject := range []struct {
				device device
				start  func(*testing.B, gstack.LinkEndpoint)
			}{{fdBased, theirs}, {plain, ours}, {offload, ours}} {
				b.Run("device="+subject.device.name, func(b *testing.B) {
					subject.start(b, subject.device.open(b))
					measurePing(b, ping.arguments)
				})
			}
		})
	}
}

// measurePing reports how much of what ping sends is lost, and how many packets
// the interface dropped for want of room in its queue.
func measurePing(b *testing.B, arguments string) {
	arguments = "-6 -n -q -s 65000 -W 1 " + arguments + " " + stackPrefix.Addr().String()
	var sent, received int
	before := hostLink(b).Attrs().Statistics.TxDropped
	for b.Loop() {
		s, r := runPing(b, strings.Fields(arguments))
		sent, received = sent+s, received+r
	}
	drops := hostLink(b).Attrs().Statistics.TxDropped - before
	b.ReportMetric(100*float64(sent-received)/float64(sent), "loss-%")
	b.ReportMetric(float64(drops)/float64(b.N), "drops")
}

var pingStatistics = regexp.MustCompile(`(\d+) packets transmitted, (\d+) received`)

// runPing runs ping once and returns how many requests it sent and how many
// replies it received. It is no error of ping's to receive none.
func runPing(b *testing.B, arguments []string) (sent, received int) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	output, err := exec.CommandContext(ctx, "ping", arguments...).CombinedOutput()
	found := pingStatistics.FindSubmatch(output)
	if found == nil {
		b.Fatalf("ping %s: %v: %s", strings.Join(arguments, " "), err, output)
	}
	sent, _ = strconv.Atoi(string(found[1]))
	received, _ = strconv.Atoi(string(found[2]))
	if sent == 0 {
		b.Fatalf("ping %s: %s", strings.Join(arguments, " "), output)
	}
	return sent, received
}
