package control

import (
	"encoding/json"
	"net/http"
	"time"
)

// Where the server answers, and what asks for the flows, too.
const (
	statusPath = "/status"
	flowsQuery = "flows"
)

// NewHandler returns what answers on a control socket: GET /status with a
// [Snapshot] of source, and with /status?flows with the flows in it. now tells
// the time; nil means the system's.
func NewHandler(source Source, who Identity, now func() time.Time) http.Handler {
	if now == nil {
		now = time.Now
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+statusPath, func(w http.ResponseWriter, r *http.Request) {
		stats := source.Stats()
		snapshot := NewSnapshot(stats, who, now())
		if r.URL.Query().Has(flowsQuery) {
			snapshot.Flows = NewFlows(source.Flows(), stats)
		}
		w.Header().Set("Content-Type", "application/json")
		// A client that is gone does not want to know.
		_ = json.NewEncoder(w).Encode(snapshot)
	})
	return mux
}
