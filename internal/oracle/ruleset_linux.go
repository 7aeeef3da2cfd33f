package oracle

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// installRuleset makes the table in the network namespace of descriptor ns:
//
//	chain log (prerouting, raw): iifname "oracle0" log group 6 snaplen 65535 drop
//	chain ct  (prerouting, 0):   ct state
//
// The second rule alone turns conntrack's defragmentation on, at priority
// -400. No packet gets to it, so that no connection is tracked and the local
// stack sees nothing.
func installRuleset(ns int) error {
	conn, err := nftables.New(nftables.WithNetNSFd(ns))
	if err != nil {
		return fmt.Errorf("dial nftables: %w", err)
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv6, Name: "oracle"})
	chain := func(name string, priority *nftables.ChainPriority, expressions ...expr.Any) {
		c := conn.AddChain(&nftables.Chain{
			Name: name, Table: table, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookPrerouting, Priority: priority,
		})
		conn.AddRule(&nftables.Rule{Table: table, Chain: c, Exprs: expressions})
	}
	device := make([]byte, unix.IFNAMSIZ)
	copy(device, tunName)
	chain("log", nftables.ChainPriorityRaw,
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: device},
		&expr.Log{Key: 1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_SNAPLEN, Group: logGroup, Snaplen: 65535},
		&expr.Verdict{Kind: expr.VerdictDrop})
	chain("ct", nftables.ChainPriorityFilter,
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(0)},
		&expr.Counter{})
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("install the nft table: %w", err)
	}
	return nil
}
