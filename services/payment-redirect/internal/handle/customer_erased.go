package handle

import "context"

// Erase erases what there is of a merchant's order's customer. What users have
// saved is found by their attempts, so it goes before these forget the users. It
// names the attempts, about which there may be parked events.
func (h *Handlers) Erase(ctx context.Context, merchant, order string) ([]string, error) {
	list, err := h.Attempts.OfOrder(ctx, merchant, order)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, a := range list {
		if err := h.Saved.Erase(ctx, a); err != nil {
			return nil, err
		}
		if err := h.Attempts.Erase(ctx, a); err != nil {
			return nil, err
		}
		keys = append(keys, a.ID)
	}
	if err := h.Sessions.Erase(ctx, merchant, order); err != nil {
		return nil, err
	}
	return keys, h.Fulfillments.Erase(ctx, merchant, order)
}
