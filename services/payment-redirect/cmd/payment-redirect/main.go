// Command payment-redirect runs the payment-redirect service in a process of its own. Settings are
// QUITTANCE_… variables: see program.Config and the service's Config.
package main

import (
	"quittance/pkg/program"
	paymentredirect "quittance/services/payment-redirect"
)

func main() { program.Main(paymentredirect.Name, paymentredirect.Build) }
