//go:build !race

package defrag

const raceDetector = false
