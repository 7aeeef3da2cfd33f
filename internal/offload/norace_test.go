//go:build !race

package offload_test

const raceDetector = false
