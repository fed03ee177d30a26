package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sandbox/client"
)

// TestP10SlowAndOversizedClients: two hundred clients dawdle with the headers of
// a request, as many are connected to the gRPC port and silent, as many began a
// form that they don't go on with, some follow a page and don't read. An order
// meanwhile goes its way; the dawdlers are sent off; and what is too large is
// refused, by every API, as such.
func TestP10SlowAndOversizedClients(t *testing.T) {
	const crowd = 200
	w := start(t, setup{})
	web := strings.TrimPrefix(w.public, "http://")
	watched := w.order(item("notepad", 1))
	idle := func(addr, opening string) net.Conn {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := conn.Write([]byte(opening)); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	var dawdlers []net.Conn
	for range crowd {
		dawdlers = append(dawdlers, idle(web, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "))
		idle(w.at.Order, "PRI")
		idle(web, "POST "+pathOf(t, watched.GetPayUrl())+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 5000\r\n\r\nmethod=")
	}
	for range 20 {
		idle(web, "GET "+pathOf(t, orderPage(watched))+"/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
	}

	o := w.order(item("notepad", 1))
	w.pay(o, client.Pay{})
	w.awaitDelivered(o.GetId())
	w.awaitWebhooks(o.GetId(), event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered)

	var wg sync.WaitGroup
	for _, conn := range dawdlers {
		wg.Go(func() {
			if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Error(err)
			}
			if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("a client that never ends its headers is still there")
			}
		})
	}
	wg.Wait()

	giant := strings.Repeat("x", 5<<20)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := w.orders.CreateOrder(ctx, &orderv1.CreateOrderRequest{IdempotencyKey: id.New("key"), Reference: giant}, grpc.MaxCallSendMsgSize(len(giant)+1000))
	if fault.KindOf(err) != fault.KindExhausted {
		t.Errorf("an order of 5 MB: %.200v", err)
	}
	if err := w.importKeys("notepad", giant); fault.KindOf(err) != fault.KindExhausted {
		t.Errorf("a licence of 5 MB: %.200v", err)
	}
	items := make([]*orderv1.OrderItem, 2000)
	for i := range items {
		items[i] = item(fmt.Sprintf("p%d", i), 1)
	}
	_, err = w.orders.CreateOrder(ctx, &orderv1.CreateOrderRequest{IdempotencyKey: id.New("key"), Currency: "EUR", Items: items, Customer: &orderv1.Customer{Email: w.email}})
	if fault.KindOf(err) != fault.KindInvalid || len(fault.FieldsOf(err)) == 0 || !strings.HasPrefix(fault.FieldsOf(err)[0].Path, "items") {
		t.Errorf("an order of 2000 lines: %.200v", err)
	}
	w.await(watched.GetId(), "left alone", func(o *orderv1.Order) bool { return o.GetPaymentState() == unpaid && len(o.GetOperations()) == 0 })
}
