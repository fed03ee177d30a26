package notification

import "quittance/pkg/mail"

// Settings are those of a process of its own: the service's and the mail
// relay's.
type Settings struct {
	Notification Config
	SMTP         mail.Config `envPrefix:"SMTP_"`
}
