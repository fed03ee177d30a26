package orders

import (
	"context"
	"errors"

	"quittance/pkg/docstore"
	"quittance/pkg/event"
	"quittance/pkg/personal"
	"quittance/services/order/internal/order"
)

// Erase erases the customer's personal data from an order and from all that it
// has announced, and tells the services that have some; once more, if it is
// erased already. order.ErrState while the order needs it.
func (os *Orders) Erase(ch *docstore.Change, o *order.Order) error {
	list, err := o.Erase(os.erasers, os.Now())
	if err != nil {
		return err
	}
	if _, err := ch.Rewrite(personal.Erased); err != nil {
		return err
	}
	if len(list) == 0 {
		ch.Resend(ch.Latest(event.CustomerErased))
	}
	return os.Announce(ch, o, list)
}

// clean erases what this service has of an erased order's customer beside the
// order.
func (os *Orders) clean(ctx context.Context, o *order.Order) error {
	if err := os.base.EraseParked(ctx, o.ID); err != nil {
		return err
	}
	return os.DropAccount(ctx, o.Merchant, o.Erasure.Account)
}

// DropAccount deletes a customer of whom there is no order any more. One who gets
// an order at the same moment is made again with the next.
func (os *Orders) DropAccount(ctx context.Context, merchant, account string) error {
	if account == "" {
		return nil
	}
	mine, _, err := os.For(merchant).Find(ctx, docstore.Query{Index: ByCustomer, Equal: account, Limit: 1})
	if err != nil || len(mine) > 0 {
		return err
	}
	doc, err := os.Accounts.For(merchant).Get(ctx, account)
	if errors.Is(err, docstore.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = os.Accounts.Delete(ctx, account, doc.Version) // if it has just changed, somebody is there
	return err
}
