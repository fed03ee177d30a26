// Command order runs the order service in a process of its own. Settings are
// QUITTANCE_… variables: see program.Config and the service's Config.
package main

import (
	"quittance/pkg/program"
	"quittance/services/order"
)

func main() { program.Main(order.Name, order.Build) }
