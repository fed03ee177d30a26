package upkeep

import (
	"context"
	"errors"
	"time"

	"quittance/pkg/docstore"
	"quittance/services/delivery/internal/delivery"
)

const (
	// every is the pause between audits.
	every = 10 * time.Minute
	// grace is how long a licence must have been held before it is looked at: much
	// longer than the way from there to its delivery takes, and than clocks differ.
	grace = 2 * time.Minute
	// maxWaiting is how many licences may wait for another look before the audit
	// goes no further.
	maxWaiting = 5000
)

// audit looks once at every licence that has come into a unit's hands since the
// last time, and again at those on which there was nothing to say. What a
// process that died left behind is released.
func (u *Upkeep) audit(ctx context.Context, c *Chore) error {
	waiting, err := u.lookAgain(ctx, c.Waiting)
	if err != nil {
		return err
	}
	c.Waiting = waiting
	c.Next = u.base.Now().Add(every)
	to := delivery.TimeKey(u.base.Now().Add(-grace))
	from, after := c.At, ""
	for len(c.Waiting) < maxWaiting {
		docs, next, err := u.licenses.HeldBefore(ctx, from, to, after, page)
		if err != nil {
			return err
		}
		for _, doc := range docs {
			settled, err := u.deliveries.Audit(ctx, doc)
			if err != nil {
				return err
			}
			if !settled {
				c.Waiting = append(c.Waiting, doc.ID)
			}
			c.At = doc.Body.HeldSince()
		}
		if next == "" {
			return nil
		}
		if !left(ctx) {
			c.Next = u.base.Now()
			return nil
		}
		after = next
	}
	return nil
}

// lookAgain returns those of the licences that must be looked at once more.
func (u *Upkeep) lookAgain(ctx context.Context, ids []string) ([]string, error) {
	var waiting []string
	seen := map[string]bool{}
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		doc, err := u.licenses.Get(ctx, id)
		if errors.Is(err, docstore.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		settled, err := u.deliveries.Audit(ctx, doc)
		if err != nil {
			return nil, err
		}
		if !settled {
			waiting = append(waiting, id)
		}
	}
	return waiting, nil
}
