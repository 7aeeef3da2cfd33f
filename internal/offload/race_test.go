//go:build race

package offload_test

// raceDetector is whether the race detector is on, which allocates and drops
// pooled objects at random.
const raceDetector = true
