// Command v6stack runs gVisor's network stack behind TUN devices, with IPv6
// reassembly ahead of it, and shows and tests what that does. See
// "v6stack help".
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(execute(context.Background(), os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}
