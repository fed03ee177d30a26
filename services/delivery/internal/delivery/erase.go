package delivery

import "fmt"

// Erase drops whom the order was delivered to. Which licences their units have
// stays. From then on nothing is mailed: whoever wanted a mail again is gone. It
// reports whether that changed anything.
func (d *Delivery) Erase() bool {
	changed := !d.Erased || d.Email+d.Customer+d.Locale != ""
	d.Erased, d.Email, d.Customer, d.Locale = true, "", "", ""
	for i := range d.Lines {
		if l := &d.Lines[i]; !l.Delivered.IsZero() && l.Resent < l.Resends {
			l.Resent, l.MailTries, changed = l.Resends, 0, true
			l.Problem, l.Stuck = "", false
		}
	}
	return changed
}

// reachable is ErrState if there is nobody any more to deliver to.
func (d *Delivery) reachable() error {
	if d.Erased {
		return fmt.Errorf("the order's customer was erased: %w", ErrState)
	}
	return nil
}
