//go:build !race

package linkep_test

const raceDetector = false
