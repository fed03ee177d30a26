// Command callback-ingest runs the callback-ingest service in a process of its own. Settings are
// QUITTANCE_… variables: see program.Config and the service's Config.
package main

import (
	"quittance/pkg/program"
	callbackingest "quittance/services/callback-ingest"
)

func main() { program.Main(callbackingest.Name, callbackingest.Build) }
