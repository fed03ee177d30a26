package edge

import (
	"context"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/order/internal/customer"
	"quittance/services/order/internal/customers"
	"quittance/services/order/internal/order"
)

// Customers implements CustomerService.
type Customers struct {
	orderv1.UnimplementedCustomerServiceServer
	Customers *customers.Customers
}

var _ orderv1.CustomerServiceServer = (*Customers)(nil)

// GetCustomer implements CustomerService.
func (s *Customers) GetCustomer(ctx context.Context, req *orderv1.GetCustomerRequest) (*orderv1.CustomerAccount, error) {
	customerID, merchant := req.GetCustomerId(), rpc.MerchantID(ctx)
	if customerID == "" {
		by, err := credential(req)
		if err != nil {
			return nil, err
		}
		customerID = by.ID(merchant)
	}
	doc, err := s.Customers.For(merchant).Get(ctx, customerID)
	if err != nil {
		return nil, missing(err, "customer")
	}
	return doc.Body.View(), nil
}

// SetPasswordState implements CustomerService.
func (s *Customers) SetPasswordState(ctx context.Context, req *orderv1.SetPasswordStateRequest) (*orderv1.CustomerAccount, error) {
	doc, err := s.Customers.For(rpc.MerchantID(ctx)).Update(ctx, req.GetCustomerId(), func(c *customer.Customer, _ *docstore.Change) error {
		if c.PasswordSet == req.GetIsPasswordSet() {
			return docstore.ErrUnchanged
		}
		c.PasswordSet = req.GetIsPasswordSet()
		return nil
	})
	if err != nil {
		return nil, missing(err, "customer")
	}
	return doc.Body.View(), nil
}

// AssignUser implements OrderService. Customer and order are two documents: a
// crash between them leaves a customer without an order, whom the repeat finds
// as the new one that they are.
func (s *Orders) AssignUser(ctx context.Context, req *orderv1.AssignUserRequest) (*orderv1.AssignUserResponse, error) {
	merchant := rpc.MerchantID(ctx)
	by, err := credential(req)
	if err != nil {
		return nil, err
	}
	if err := s.assignable(ctx, merchant, req.GetOrderId(), by.ID(merchant)); err != nil {
		return nil, err
	}
	c, err := s.Customers.Ensure(ctx, merchant, by, req.GetOrderId())
	if err != nil {
		return nil, err
	}
	if _, err := s.Orders.For(merchant).Update(ctx, req.GetOrderId(), func(o *order.Order, _ *docstore.Change) error {
		changed, err := o.Assign(c.ID)
		if err != nil {
			return fault.Conflict("%v", err)
		}
		if !changed {
			return docstore.ErrUnchanged
		}
		return nil
	}); err != nil {
		return nil, missing(err, "order %q", req.GetOrderId())
	}
	return &orderv1.AssignUserResponse{
		OrderId: req.GetOrderId(), CustomerId: c.ID, IsNewUser: c.Order == req.GetOrderId(), IsPasswordSet: c.PasswordSet,
	}, nil
}

// assignable refuses an order that isn't there or is another customer's, before
// a customer is made for it.
func (s *Orders) assignable(ctx context.Context, merchant, orderID, customerID string) error {
	doc, err := s.Orders.For(merchant).Get(ctx, orderID)
	if err != nil {
		return missing(err, "order %q", orderID)
	}
	if _, err := doc.Body.Assign(customerID); err != nil {
		return fault.Conflict("%v", err)
	}
	return nil
}

// credential reads an e-mail address or a phone number.
func credential(req interface {
	GetEmail() string
	GetPhone() string
},
) (customer.Credential, error) {
	switch {
	case req.GetEmail() != "":
		by, err := customer.ByEmail(req.GetEmail())
		if err != nil {
			return by, fault.Invalid("email", "%v", err)
		}
		return by, nil
	case req.GetPhone() != "":
		by, err := customer.ByPhone(req.GetPhone())
		if err != nil {
			return by, fault.Invalid("phone", "%v", err)
		}
		return by, nil
	}
	return customer.Credential{}, fault.Invalid("credential", "must be an e-mail address or a phone number")
}
