package notification_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"quittance/pkg/fault"
	"quittance/pkg/reference"
	"quittance/pkg/rpc"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// orders is an order service that knows what happened.
type orders struct {
	orderv1.UnimplementedReferenceServiceServer
	mu     sync.Mutex
	events []*orderv1.PublicEvent
	down   bool
	asked  []string // by order id; "" for a page
	// now are the orders as they are, mails what merchants want of mails to
	// customers, accounts where they are paid by hand.
	now      map[string]*orderv1.Order
	mails    *orderv1.CustomerMails
	accounts map[string]*orderv1.ProviderAccount
}

func serveOrders(t *testing.T, w *world) *orders {
	t.Helper()
	o := &orders{now: map[string]*orderv1.Order{}, accounts: map[string]*orderv1.ProviderAccount{}}
	server := grpc.NewServer()
	orderv1.RegisterReferenceServiceServer(server, o)
	listener, dial := rpc.InProcess()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:order", grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	w.conn = conn
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return o
}

// GetOrderForService reads an order as it is now.
func (o *orders) GetOrderForService(_ context.Context, req *orderv1.GetOrderForServiceRequest) (*orderv1.Order, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down {
		return nil, fault.ToStatus(fault.Unavailable("down")).Err()
	}
	if order := o.now[req.GetOrderId()]; order != nil {
		return order, nil
	}
	return nil, fault.ToStatus(fault.NotFound("order")).Err()
}

// GetReference knows every merchant, and the accounts that there are.
func (o *orders) GetReference(_ context.Context, req *orderv1.GetReferenceRequest) (*orderv1.Reference, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if a := o.accounts[req.GetId()]; a != nil && req.GetKind() == reference.KindAccount {
		return &orderv1.Reference{Kind: req.GetKind(), Id: req.GetId(), Version: 1, Item: &orderv1.Reference_Account{
			Account: &orderv1.SealedAccount{Account: a},
		}}, nil
	}
	if req.GetKind() != reference.KindMerchant {
		return nil, fault.ToStatus(fault.NotFound("reference")).Err()
	}
	return &orderv1.Reference{Kind: req.GetKind(), Id: req.GetId(), Version: 1, Item: &orderv1.Reference_Merchant{
		Merchant: &orderv1.Merchant{Id: req.GetId(), Name: req.GetId(), MailFrom: "shop@" + req.GetId() + ".example", CustomerMails: o.mails},
	}}, nil
}

func (o *orders) set(down bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.down = down
}

// ListEventsForService pages by event; its cursor is how many were listed.
func (o *orders) ListEventsForService(_ context.Context, req *orderv1.ListEventsForServiceRequest) (*orderv1.ListEventsResponse, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = append(o.asked, req.GetOrderId())
	if o.down {
		return nil, fault.ToStatus(fault.Unavailable("down")).Err()
	}
	if req.GetOrderId() == "" {
		from := 0
		if req.GetCursor() != "" {
			n, err := strconv.Atoi(req.GetCursor())
			if err != nil {
				return nil, err
			}
			from = n
		}
		to := min(from+3, len(o.events))
		return &orderv1.ListEventsResponse{Events: o.events[from:to], Cursor: fmt.Sprint(to), More: to < len(o.events)}, nil
	}
	out := &orderv1.ListEventsResponse{}
	for _, e := range o.events {
		if e.GetOrderId() == req.GetOrderId() {
			out.Events = append(out.Events, e)
		}
	}
	if len(out.Events) == 0 {
		return nil, fault.ToStatus(fault.NotFound("order")).Err()
	}
	return out, nil
}

// Receivers.

func fine(got, http.Header) int { return http.StatusOK }

func slow(d time.Duration) receiver {
	return func(got, http.Header) int {
		<-time.After(d)
		return http.StatusOK
	}
}

func silent(got, http.Header) int { return 0 }

// failing fails the first n requests about each order.
func failing(n int) receiver {
	var mu sync.Mutex
	failed := map[string]int{}
	return func(g got, _ http.Header) int {
		mu.Lock()
		defer mu.Unlock()
		if failed[g.Order] < n {
			failed[g.Order]++
			return http.StatusInternalServerError
		}
		return http.StatusOK
	}
}
