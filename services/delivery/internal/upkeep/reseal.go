package upkeep

import (
	"context"
	"time"
)

// reseal seals every licence anew that another than the primary key sealed, if
// that was not done for this primary key yet.
func (u *Upkeep) reseal(ctx context.Context, c *Chore) error {
	c.Next = time.Time{}
	primary := u.base.Keyring.Primary()
	if c.Key == primary {
		return nil
	}
	if c.Begun != primary {
		c.Begun, c.At = primary, ""
		for _, other := range u.others {
			if err := other.Reseal(ctx); err != nil {
				return err
			}
		}
	}
	for {
		next, err := u.licenses.ResealPage(ctx, c.At, page)
		if err != nil {
			return err
		}
		if next == "" {
			c.Key, c.At, c.Begun = primary, "", ""
			u.base.Log.InfoContext(ctx, "everything is sealed with the primary key: older keys are no longer needed here", "key", primary)
			return nil
		}
		c.At = next
		if !left(ctx) {
			c.Next = u.base.Now()
			return nil
		}
	}
}
