package jack

import gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

// offloads are what a device does for gVisor.
type offloads struct {
	capabilities gstack.LinkEndpointCapabilities
	gso          gstack.SupportedGSO
	gsoMaxSize   uint32
}

// offloadsOf returns those of a device with that endpoint.
func offloadsOf(endpoint gstack.LinkEndpoint) *offloads {
	o := &offloads{capabilities: endpoint.Capabilities()}
	if e, ok := endpoint.(gstack.GSOEndpoint); ok {
		o.gso, o.gsoMaxSize = e.SupportedGSO(), e.GSOMaxSize()
	}
	return o
}
