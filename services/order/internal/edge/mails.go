package edge

import (
	"fmt"
	"time"

	"quittance/pkg/fault"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/order/internal/order"
)

// Limits of reminders.
const (
	maxReminders = 5
	remindApart  = time.Hour
	remindAtLast = order.ExpireAfter - 24*time.Hour
)

// usualReminders are those of merchants that have none of their own.
var usualReminders = []time.Duration{3 * 24 * time.Hour, 10 * 24 * time.Hour}

// remindersOf are the times at which a merchant's customers are reminded.
func remindersOf(m *orderv1.CustomerMails) []time.Duration {
	if len(m.GetReminders()) == 0 {
		return usualReminders
	}
	var out []time.Duration
	for _, r := range m.GetReminders() {
		out = append(out, r.AsDuration())
	}
	return out
}

// validateMails checks which mails customers get, and when they are reminded.
func validateMails(v *fault.Validation, field string, m *orderv1.CustomerMails) {
	kinds := orderv1.MailKind_name
	v.Check(len(m.GetOff()) < len(kinds), field+".off", "must have at most %d entries", len(kinds)-1)
	for i, kind := range m.GetOff() {
		_, known := kinds[int32(kind)]
		v.Check(known && kind != orderv1.MailKind_MAIL_KIND_UNSPECIFIED, fmt.Sprintf("%s.off[%d]", field, i), "is not a kind of mail")
	}
	v.Check(len(m.GetReminders()) <= maxReminders, field+".reminders", "must have at most %d entries", maxReminders)
	var before time.Duration
	for i, r := range m.GetReminders() {
		at := r.AsDuration()
		v.Check(r.IsValid() && at-before >= remindApart && at <= remindAtLast, fmt.Sprintf("%s.reminders[%d]", field, i),
			"must be at least an hour after the one before, and at most 89 days")
		before = at
	}
}
