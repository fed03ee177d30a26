// Command notification runs the notification service in a process of its own. Settings are
// QUITTANCE_… variables: see program.Config and the service's Config.
package main

import (
	"quittance/pkg/program"
	"quittance/services/notification"
)

func main() { program.Main(notification.Name, notification.Build) }
