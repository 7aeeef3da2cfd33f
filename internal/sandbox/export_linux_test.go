package sandbox

const Marker = marker

var (
	ExplainNamespaces = explainNamespaces
	ExplainDevice     = explainDevice
)
