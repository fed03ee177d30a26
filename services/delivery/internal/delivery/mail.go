package delivery

import (
	"errors"
	"fmt"
	"time"

	"quittance/pkg/id"
)

// ErrState is returned for what the delivery's state forbids.
var ErrState = errors.New("the delivery's state forbids it")

// Letter is a mail that is due, without its keys.
type Letter struct {
	Line int
	// Resend is which of the merchant's requests it answers, 0 the first mail.
	Resend int
}

// Letters lists the mails that are due, by line.
func (d *Delivery) Letters(now time.Time) []Letter {
	if !d.Closed.IsZero() || d.Erased {
		return nil
	}
	var out []Letter
	for i := range d.Lines {
		if l := &d.Lines[i]; l.Stage() == StageMail && !l.MailAt.After(now) {
			out = append(out, Letter{Line: i + 1, Resend: l.Resends})
		}
	}
	return out
}

// MessageID identifies a mail over all attempts to send it.
func (d *Delivery) MessageID(m Letter) string {
	return id.Derived("mail", d.ID, fmt.Sprint(m.Line), fmt.Sprint(m.Resend))
}

// Correct replaces the address that the mails go to, and sends them there if the
// order is paid.
func (d *Delivery) Correct(email string, now time.Time) error {
	if err := d.reachable(); err != nil {
		return err
	}
	d.Email = email
	if _, err := d.Resend(now); err != nil {
		return nil //nolint:nilerr // nothing to send now
	}
	for i := range d.Lines {
		if l := &d.Lines[i]; l.Stage() == StageMail {
			l.Problem, l.Stuck, l.MailTries = "", false, 0
		}
	}
	return nil
}

// Sent notes that a mail was handed over.
func (d *Delivery) Sent(m Letter, now time.Time) {
	l := d.line(m.Line)
	if l.Delivered.IsZero() {
		l.Delivered = now
	}
	l.Mailed = now
	l.Resent = max(l.Resent, m.Resend)
	l.MailTries = 0
	if l.Open == 0 { // else the problem is another
		l.Problem, l.Stuck = "", false
	}
}

// Failed notes that a mail was not handed over: refused for good, or not
// accepted for now. It is tried again in either case.
func (d *Delivery) Failed(m Letter, problem string, refused bool, now time.Time) {
	l := d.line(m.Line)
	l.MailTries++
	switch {
	case refused:
		l.MailAt, l.Problem, l.Stuck = now.Add(refusedAgain), problem, true
		return
	case !l.Stuck: // a refusal is not over because nobody could be asked
		l.Problem = problem
	}
	l.MailAt = now.Add(mailAgain.After(l.MailTries))
}

// Resend queues the mails of all delivered lines again, and ends the pauses of
// those that were not accepted yet. It reports whether that changed anything.
func (d *Delivery) Resend(now time.Time) (bool, error) {
	if err := d.reachable(); err != nil {
		return false, err
	}
	if !d.Closed.IsZero() {
		return false, fmt.Errorf("the order is no longer paid: %w", ErrState)
	}
	found, changed := false, false
	for i := range d.Lines {
		l := &d.Lines[i]
		switch l.Stage() {
		case StageAssign:
			continue
		case StageMail:
			if l.MailAt.After(now) {
				l.MailAt, changed = now, true
			}
		case StageDone:
			l.Resends++
			l.MailAt, changed = now, true
		}
		found = true
	}
	if !found {
		return false, fmt.Errorf("nothing to send yet, licences are still missing: %w", ErrState)
	}
	return changed, nil
}
