package tun

// What other platforms make of their settings, for tests.
var (
	ExplainWater = explainWater
	CheckUtun    = checkUtun
	TapNetwork   = tapNetwork
	CheckMTU     = checkMTU
)
