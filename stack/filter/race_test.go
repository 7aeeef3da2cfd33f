//go:build race

package filter_test

// raceDetector is whether the race detector is on, which allocates.
const raceDetector = true
