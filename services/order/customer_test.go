package order_test

import (
	"sync"
	"testing"

	"quittance/pkg/fault"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

func byEmail(order, address string) *orderv1.AssignUserRequest {
	return &orderv1.AssignUserRequest{OrderId: order, Credential: &orderv1.AssignUserRequest_Email{Email: address}}
}

// TestS17AssignUser: found by address or number or made, new once, the same on
// every repeat, and nobody else's.
func TestS17AssignUser(t *testing.T) {
	w := newWorld(t)
	key := w.key("acme")
	orders, _ := w.sells(key)
	customers := orderv1.NewCustomerServiceClient(w.dial(key))
	ctx := t.Context()
	create := func(key string) string {
		t.Helper()
		o, err := orders.CreateOrder(ctx, good(key))
		if err != nil {
			t.Fatal(err)
		}
		return o.GetId()
	}
	first, second, third := create("1"), create("2"), create("3")

	var wg sync.WaitGroup
	answers := make([]*orderv1.AssignUserResponse, 8)
	for i := range answers { // at once, and repeated: one customer, and one answer
		wg.Go(func() {
			var err error
			if answers[i], err = orders.AssignUser(ctx, byEmail(first, "Ada@Example.com")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	made := answers[0]
	for _, a := range answers {
		if !a.GetIsNewUser() || a.GetIsPasswordSet() || a.GetOrderId() != first || a.GetCustomerId() != made.GetCustomerId() {
			t.Fatalf("%v", a)
		}
	}
	if _, err := customers.SetPasswordState(ctx, &orderv1.SetPasswordStateRequest{CustomerId: made.GetCustomerId(), IsPasswordSet: true}); err != nil {
		t.Fatal(err)
	}
	again, err := orders.AssignUser(ctx, byEmail(second, "ada@example.com"))
	if err != nil || again.GetCustomerId() != made.GetCustomerId() || again.GetIsNewUser() || !again.GetIsPasswordSet() {
		t.Fatal(again, err)
	}
	byPhone, err := orders.AssignUser(ctx, &orderv1.AssignUserRequest{
		OrderId: third, Credential: &orderv1.AssignUserRequest_Phone{Phone: "0047 12 34 56 78"},
	})
	if err != nil || !byPhone.GetIsNewUser() || byPhone.GetCustomerId() == made.GetCustomerId() {
		t.Fatal(byPhone, err)
	}
	for _, req := range []*orderv1.GetCustomerRequest{
		{By: &orderv1.GetCustomerRequest_CustomerId{CustomerId: byPhone.GetCustomerId()}},
		{By: &orderv1.GetCustomerRequest_Phone{Phone: "+4712345678"}},
	} {
		if c, err := customers.GetCustomer(ctx, req); err != nil || c.GetId() != byPhone.GetCustomerId() || c.GetPhone() != "+4712345678" || c.GetEmail() != "" {
			t.Fatal(c, err)
		}
	}
	if o, err := orders.GetOrder(ctx, &orderv1.GetOrderRequest{OrderId: second}); err != nil || o.GetCustomerId() != made.GetCustomerId() {
		t.Fatal(o, err)
	}

	if _, err := orders.AssignUser(ctx, byEmail(first, "eve@example.com")); fault.KindOf(err) != fault.KindConflict {
		t.Errorf("an order changes its customer: %v", err)
	}
	none := &orderv1.GetCustomerRequest{By: &orderv1.GetCustomerRequest_Email{Email: "eve@example.com"}}
	if c, err := customers.GetCustomer(ctx, none); fault.KindOf(err) != fault.KindNotFound {
		t.Errorf("a refused assignment made %v, %v", c, err)
	}
	for field, req := range map[string]*orderv1.AssignUserRequest{
		"credential": {OrderId: first}, "email": byEmail(first, "nobody"),
		"phone": {OrderId: first, Credential: &orderv1.AssignUserRequest_Phone{Phone: "12345"}},
	} {
		if _, err := orders.AssignUser(ctx, req); len(fields(err)) != 1 || fields(err)[0] != field {
			t.Errorf("%s: %v", field, err)
		}
	}

	// P8: another merchant's customers and orders don't exist.
	zeta := w.dial(w.key("zeta"))
	strangers, other := orderv1.NewOrderServiceClient(zeta), orderv1.NewCustomerServiceClient(zeta)
	_, denied := strangers.AssignUser(ctx, byEmail(first, "ada@example.com"))
	_, hidden := other.GetCustomer(ctx, &orderv1.GetCustomerRequest{By: &orderv1.GetCustomerRequest_Email{Email: "ada@example.com"}})
	_, unseen := other.GetCustomer(ctx, &orderv1.GetCustomerRequest{By: &orderv1.GetCustomerRequest_CustomerId{CustomerId: made.GetCustomerId()}})
	_, fixed := other.SetPasswordState(ctx, &orderv1.SetPasswordStateRequest{CustomerId: made.GetCustomerId()})
	for name, err := range map[string]error{"assign": denied, "look up": hidden, "read": unseen, "change": fixed} {
		if fault.KindOf(err) != fault.KindNotFound {
			t.Errorf("another merchant may %s: %v", name, err)
		}
	}
}
