//go:build race

package defrag

// raceDetector is whether the race detector is on, which allocates and drops
// pooled objects at random.
const raceDetector = true
