// Command verification runs the verification service in a process of its own. Settings are
// QUITTANCE_… variables: see program.Config and the service's Config.
package main

import (
	"quittance/pkg/program"
	"quittance/services/verification"
)

func main() { program.Main(verification.Name, verification.Build) }
