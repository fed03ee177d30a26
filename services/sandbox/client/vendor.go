package client

import (
	"context"
	"net/http"
	"net/url"

	"quittance/services/sandbox/internal/vendor"
)

// Simulated vendors; FlexPay's payments are sales, with methods of their own.
const (
	FlexPay    = "flexpay"
	KontoCloud = "kontocloud"
	Resurs     = "resurs"
)

// What the control API of these vendors speaks of.
type (
	// Payment is a line of a vendor's book, Payments all of them with sums per currency.
	Payment  = vendor.Payment
	Payments = vendor.List
	// Action is what somebody does about a payment, Order an order to do it, Report the outcome.
	Action = vendor.Action
	Order  = vendor.Order
	Report = vendor.Report
	// CallbackOrder has callbacks sent.
	CallbackOrder = vendor.CallbackOrder
)

// Actions.
const (
	Accept = vendor.Accept
	Reject = vendor.Reject
	Refund = vendor.Refund
	// TakenBack is a refund that the customer's bank makes.
	TakenBack = vendor.ChargeBack
)

// PutVendorShop registers a shop with a vendor, or changes its settings.
func (c *Client) PutVendorShop(ctx context.Context, name, shop string, settings map[string]string) error {
	return c.do(ctx, http.MethodPut, "/"+name+"/shops/"+url.PathEscape(shop), vendor.Shop{ID: shop, Settings: settings})
}

// Payments returns a vendor's payments, newest first.
func (c *Client) Payments(ctx context.Context, name string) (Payments, error) {
	return call[Payments](ctx, c, http.MethodGet, "/"+name+"/payments", nil)
}

// Payment returns the latest payment of a reference (the payment attempt's), or ErrNoSale.
func (c *Client) Payment(ctx context.Context, name, reference string) (Payment, error) {
	list, err := call[Payments](ctx, c, http.MethodGet, "/"+name+"/payments?"+url.Values{"reference": {reference}}.Encode(), nil)
	if err == nil && len(list.Payments) == 0 {
		err = ErrNoSale
	}
	if err != nil {
		return Payment{}, err
	}
	return list.Payments[0], nil
}

// SetVendorFault sets what goes wrong with the payment of a reference, or with all that have no faults of their own if reference
// is empty. The payment need not exist yet.
func (c *Client) SetVendorFault(ctx context.Context, name, reference string, faults Faults) error {
	path := "/" + name + "/faults"
	if reference != "" {
		path += "/" + url.PathEscape(reference)
	}
	return c.do(ctx, http.MethodPut, path, faults)
}

// Unleash has a vendor's faults drawn from a seed for a part of the payments that have none of their own, FlexPay's too.
func (c *Client) Unleash(ctx context.Context, name string, seed uint64, percent int) error {
	return c.do(ctx, http.MethodPut, "/"+name+"/chaos", vendor.Chaos{Seed: seed, Percent: percent})
}

// DrawFaults fills in the fault menu with faults drawn from a seed, for a part of the names: for Pay.Fields. The same seed and name
// always draw the same.
func DrawFaults(seed uint64, percent int, name string) map[string]string {
	return vendor.Chaos{Seed: seed, Percent: percent}.Draw(name).Fields()
}

// Act has somebody act on a payment, and the shop told about it once.
func (c *Client) Act(ctx context.Context, name string, order Order) (Report, error) {
	return call[Report](ctx, c, http.MethodPost, "/"+name+"/actions", order)
}

// Callbacks has callbacks sent again, or forged ones, any number of times at once.
func (c *Client) Callbacks(ctx context.Context, name string, order CallbackOrder) (Report, error) {
	return call[Report](ctx, c, http.MethodPost, "/"+name+"/callbacks", order)
}
