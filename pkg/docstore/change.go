package docstore

import "quittance/pkg/event"

// Change is what an update does beside changing the body.
type Change struct {
	emit   []event.Event
	resend []string
	had    []Entry
}

// Emit announces events in the same write.
func (ch *Change) Emit(events ...event.Event) { ch.emit = append(ch.emit, events...) }

// Resend sends an earlier event of this document again, with the same id.
func (ch *Change) Resend(eventID string) { ch.resend = append(ch.resend, eventID) }

// Latest returns the id of the latest event of a type that the document has
// announced, empty if none.
func (ch *Change) Latest(typ string) string {
	for i := len(ch.had) - 1; i >= 0; i-- {
		if ch.had[i].Event.Type == typ {
			return ch.had[i].Event.ID
		}
	}
	return ""
}
