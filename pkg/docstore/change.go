package docstore

import (
	"bytes"
	"fmt"

	"quittance/pkg/event"
)

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

// Rewrite replaces what the events carry that the document has announced so far,
// in the same write: what is to be forgotten must not stay in the history. All
// else of them stays as it is, and none is sent again by it. It reports whether
// that changed any.
func (ch *Change) Rewrite(data func(event.Event) ([]byte, error)) (bool, error) {
	changed := false
	for i := range ch.had {
		e := &ch.had[i].Event
		next, err := data(*e)
		if err != nil {
			return false, fmt.Errorf("rewrite event %s: %w", e.ID, err)
		}
		if !bytes.Equal(next, e.Data) {
			e.Data, changed = next, true
		}
	}
	return changed, nil
}

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
