// Package e2e holds the stories of the system as tests on real parts, one file
// per story. It has no code of its own.
package e2e
