// Package rules holds the tests of what every package of the module obeys: who
// may import whom, and that exported names are documented.
package rules
