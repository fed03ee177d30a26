package edge

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/order/internal/customer"
	"quittance/services/order/internal/order"
	"quittance/services/order/internal/orders"
)

// pageOfOrders is how many of a customer's orders are read together.
const pageOfOrders = 100

// EraseCustomer implements OrderService. All orders are looked at before the first
// is changed; if one changes meanwhile so that it may not be erased, or the call
// ends, the repeat goes on with what is left.
func (s *Orders) EraseCustomer(ctx context.Context, req *orderv1.EraseCustomerRequest) (*orderv1.EraseCustomerResponse, error) {
	merchant := rpc.MerchantID(ctx)
	found, account, err := s.whose(ctx, merchant, req)
	if err != nil {
		return nil, err
	}
	ids := slices.Sorted(maps.Keys(found))
	for _, orderID := range ids {
		if o := found[orderID]; !o.Erased() {
			if err := o.MayErase(); err != nil {
				return nil, fault.Conflict("%v", err)
			}
		}
	}
	for _, orderID := range ids {
		_, err := s.Orders.For(merchant).Update(ctx, orderID, func(o *order.Order, ch *docstore.Change) error { return s.Orders.Erase(ch, o) })
		if errors.Is(err, order.ErrState) {
			return nil, fault.Conflict("%v", err)
		}
		if err != nil {
			return nil, missing(err, "order %q", orderID)
		}
	}
	return &orderv1.EraseCustomerResponse{OrderIds: ids}, s.Orders.DropAccount(ctx, merchant, account)
}

// whose finds the orders that a request means, and the customer account; a
// fault.KindNotFound if there is neither.
func (s *Orders) whose(ctx context.Context, merchant string, req *orderv1.EraseCustomerRequest) (map[string]*order.Order, string, error) {
	found := map[string]*order.Order{}
	if orderID := req.GetOrderId(); orderID != "" {
		doc, err := s.Orders.For(merchant).Get(ctx, orderID)
		if err != nil {
			return nil, "", missing(err, "order %q", orderID)
		}
		found[orderID] = &doc.Body
		return found, "", nil
	}
	account := req.GetCustomerId()
	if account == "" {
		by, err := eraseBy(req)
		if err != nil {
			return nil, "", err
		}
		account = by.ID(merchant)
	}
	if email := req.GetEmail(); email != "" {
		if err := s.collect(ctx, merchant, orders.ByEmail, strings.ToLower(email), found); err != nil {
			return nil, "", err
		}
	}
	if err := s.collect(ctx, merchant, orders.ByCustomer, account, found); err != nil {
		return nil, "", err
	}
	if len(found) == 0 {
		if _, err := s.Customers.For(merchant).Get(ctx, account); err != nil {
			return nil, "", missing(err, "order or customer")
		}
	}
	return found, account, nil
}

func eraseBy(req *orderv1.EraseCustomerRequest) (customer.Credential, error) {
	if req.GetEmail() == "" && req.GetPhone() == "" {
		return customer.Credential{}, fault.Invalid("by", "must be an order, a customer, an e-mail address or a phone number")
	}
	return credential(req)
}

// collect adds the merchant's orders with a value of an index.
func (s *Orders) collect(ctx context.Context, merchant, index, value string, found map[string]*order.Order) error {
	for d, err := range s.Orders.For(merchant).All(ctx, docstore.Query{Index: index, Equal: value, Limit: pageOfOrders}) {
		if err != nil {
			return err
		}
		found[d.ID] = &d.Body
	}
	return nil
}
