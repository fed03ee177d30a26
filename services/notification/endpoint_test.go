package notification_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/event"
	"quittance/pkg/fault"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
)

func contains(raw []byte, s string) bool { return bytes.Contains(raw, []byte(s)) }

func TestSecretIsShownOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		e := &notificationv1.Endpoint{Id: "main", Url: "https://main.example/in"}
		secret := w.put(e).GetSecret()
		if !strings.HasPrefix(secret, "whsec_") {
			t.Fatalf("secret %q", secret)
		}
		e.Url = "https://main.example/elsewhere"
		if out := w.put(e); out.GetSecret() != "" || out.GetUrl() != e.GetUrl() {
			t.Errorf("second answer %v", out)
		}
		resp, err := w.api.ListEndpoints(w.as("acme"), &notificationv1.ListEndpointsRequest{})
		if err != nil || len(resp.GetEndpoints()) != 1 || resp.GetEndpoints()[0].GetSecret() != "" {
			t.Errorf("listed %v, %v", resp, err)
		}
		store, err := w.engine.Open(t.Context(), docstore.StoreSpec{Name: "endpoints"})
		if err != nil {
			t.Fatal(err)
		}
		page, err := store.Find(t.Context(), docstore.Query{AllTenants: true, Limit: 10})
		if err != nil || len(page.Records) != 1 {
			t.Fatal(page, err)
		}
		if contains(page.Records[0].Body, strings.TrimPrefix(secret, "whsec_")) {
			t.Error("the secret is stored in the clear")
		}
	})
}

func TestP10EndpointsThatAreNotAccepted(t *testing.T) {
	inWorld(t, func(w *world) {
		ok := func() *notificationv1.Endpoint {
			return &notificationv1.Endpoint{Id: "main", Url: "https://shop.example/in"}
		}
		for field, spoil := range map[string]func(*notificationv1.Endpoint){
			"endpoint.id":             func(e *notificationv1.Endpoint) { e.Id = "Main" },
			"endpoint.url":            func(e *notificationv1.Endpoint) { e.Url = "http://shop.example/in" },
			"endpoint.event_types[1]": func(e *notificationv1.Endpoint) { e.EventTypes = []string{event.OrderCreated, "order.*"} },
			"endpoint.event_types[2]": func(e *notificationv1.Endpoint) {
				e.EventTypes = []string{event.OrderCreated, event.OrderExpired, event.OrderCreated}
			},
			"endpoint.event_types":     func(e *notificationv1.Endpoint) { e.EventTypes = append(e.EventTypes, make([]string, 1000)...) },
			"endpoint.event_types[0]":  func(e *notificationv1.Endpoint) { e.EventTypes = []string{event.PaymentVerified} },
			"endpoint.url (private)":   func(e *notificationv1.Endpoint) { e.Url = "https://10.0.0.1/in" },
			"endpoint.url (password)":  func(e *notificationv1.Endpoint) { e.Url = "https://u:p@shop.example/in" },
			"endpoint.url (fragment)":  func(e *notificationv1.Endpoint) { e.Url = "https://shop.example/in#x" },
			"endpoint.url (too long)":  func(e *notificationv1.Endpoint) { e.Url = "https://shop.example/" + strings.Repeat("x", 2000) },
			"endpoint.url (localhost)": func(e *notificationv1.Endpoint) { e.Url = "https://localhost/" },
		} {
			e := ok()
			spoil(e)
			_, err := w.api.PutEndpoint(w.as("acme"), &notificationv1.PutEndpointRequest{Endpoint: e})
			want, _, _ := strings.Cut(field, " ")
			found := false
			for _, f := range fault.FieldsOf(err) {
				found = found || f.Path == want
			}
			if fault.KindOf(err) != fault.KindInvalid || !found {
				t.Errorf("%s: %v", field, err)
			}
		}
		if _, err := w.api.PutEndpoint(w.as("acme"), &notificationv1.PutEndpointRequest{}); fault.KindOf(err) != fault.KindInvalid {
			t.Errorf("no endpoint: %v", err)
		}
		for i := range 50 {
			w.put(&notificationv1.Endpoint{Id: fmt.Sprint("e", i), Url: "https://shop.example/in"})
		}
		if _, err := w.api.PutEndpoint(w.as("acme"), &notificationv1.PutEndpointRequest{Endpoint: ok()}); fault.KindOf(err) != fault.KindExhausted {
			t.Errorf("one too many: %v", err)
		}
	})
}

func TestP8OthersSeeNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", fine)
		w.emit("ord_1", event.OrderCreated)
		w.pass(3 * time.Second)
		rival := w.as("rival")
		eps, err := w.api.ListEndpoints(rival, &notificationv1.ListEndpointsRequest{})
		if err != nil || len(eps.GetEndpoints()) != 0 {
			t.Errorf("endpoints %v, %v", eps, err)
		}
		for _, order := range []string{"", "ord_1"} {
			list, err := w.api.ListDeliveries(rival, &notificationv1.ListDeliveriesRequest{OrderId: order})
			if err != nil || len(list.GetWebhooks()) != 0 {
				t.Errorf("deliveries of %q: %v, %v", order, list, err)
			}
		}
		_, err = w.api.Replay(rival, &notificationv1.ReplayRequest{EndpointId: "main", OrderId: "ord_1"})
		if fault.KindOf(err) != fault.KindNotFound {
			t.Errorf("replay to another's endpoint: %v", err)
		}
		if _, err := w.api.PutEndpoint(rival, &notificationv1.PutEndpointRequest{Endpoint: &notificationv1.Endpoint{Id: "main", Url: "https://rival.example"}}); err != nil {
			t.Fatal(err)
		}
		if _, err = w.api.Replay(rival, &notificationv1.ReplayRequest{EndpointId: "main", OrderId: "ord_1"}); fault.KindOf(err) != fault.KindNotFound {
			t.Errorf("replay of another's order: %v", err)
		}
		w.expect("main", "ord_1", 1)
	})
}

func TestEventsBeforeTheEndpointAreNotSent(t *testing.T) {
	inWorld(t, func(w *world) {
		early := w.happen("acme", "ord_1", event.OrderCreated)
		w.happen("acme", "ord_old", event.OrderCreated)
		w.pass(time.Minute)
		w.endpoint("main", fine)
		w.bring(early)
		w.pass(10 * time.Minute)
		w.expect("main", "ord_1")
		w.emit("ord_1", event.PaymentSucceeded)
		w.pass(5 * time.Second)
		w.expect("main", "ord_1", 2)
		w.expect("main", "ord_old")
		if got := w.version("ord_old"); got != 0 {
			t.Error("there is a queue for an order that is older than the endpoint")
		}

		// The merchant may ask for them.
		resp, err := w.api.Replay(w.as("acme"), &notificationv1.ReplayRequest{EndpointId: "main", OrderId: "ord_old"})
		if err != nil || resp.GetWebhooks() != 1 {
			t.Fatal(resp, err)
		}
		w.pass(time.Second)
		w.expect("main", "ord_old", 1)
	})
}

func TestGoneEndpointIsDisabledAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		gone := atomic.Bool{}
		gone.Store(true)
		w.endpoint("main", func(got, http.Header) int {
			if gone.Load() {
				return http.StatusGone
			}
			return http.StatusOK
		})
		w.endpoint("other", fine)
		w.emit("ord_1", event.OrderCreated)
		w.emit("ord_1", event.PaymentSucceeded)
		w.emit("ord_2", event.OrderCreated)
		w.pass(2 * time.Hour)
		w.expect("main", "ord_1", 1)
		w.expect("main", "ord_2")
		w.expect("other", "ord_1", 1, 2)
		list, err := w.api.ListEndpoints(w.as("acme"), &notificationv1.ListEndpointsRequest{})
		if err != nil || !list.GetEndpoints()[0].GetDisabled() || list.GetEndpoints()[1].GetDisabled() {
			t.Errorf("endpoints %v, %v", list, err)
		}
		if _, err := w.api.Replay(w.as("acme"), &notificationv1.ReplayRequest{EndpointId: "main", OrderId: "ord_1"}); fault.KindOf(err) != fault.KindConflict {
			t.Errorf("replay to a disabled endpoint: %v", err)
		}

		// Enabled again, it gets what was kept, in sequence.
		gone.Store(false)
		w.put(&notificationv1.Endpoint{Id: "main", Url: "https://main.example/in"})
		w.pass(time.Minute)
		w.expect("main", "ord_1", 1, 1, 2)
		w.expect("main", "ord_2", 1)
	})
}

// TestS20DisabledEndpointLosesNothing: events are kept while the endpoint is
// disabled, however many, and sent when it is enabled.
func TestS20DisabledEndpointLosesNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", failing(1))
		w.emit("ord_0", event.OrderCreated) // is backing off
		w.put(&notificationv1.Endpoint{Id: "main", Url: "https://main.example/in", Disabled: true})
		const n = 250
		for i := range n {
			w.emit(fmt.Sprintf("ord_%d", i+1), event.OrderCreated)
		}
		w.pass(time.Hour)
		if got := len(w.at("main")); got != 1 {
			t.Fatalf("a disabled endpoint got %d", got)
		}
		w.put(&notificationv1.Endpoint{Id: "main", Url: "https://main.example/in"})
		w.pass(30 * time.Second)
		for i := range n + 1 {
			w.expect("main", fmt.Sprintf("ord_%d", i), 1, 1)
		}
		w.emit("ord_1", event.OrderDelivered)
		w.expect("main", "ord_1", 1, 1, 2)
	})
}

func TestReplaySendsTheSameAgainInSequence(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", fine, event.OrderCreated, event.PaymentSucceeded, event.OrderDelivered)
		w.endpoint("other", fine)
		w.emit("ord_1", event.OrderCreated, event.PaymentFailed, event.PaymentSucceeded, event.OrderDelivered)
		w.expect("main", "ord_1", 1, 3, 4)
		resp, err := w.api.Replay(w.as("acme"), &notificationv1.ReplayRequest{EndpointId: "main", OrderId: "ord_1"})
		if err != nil || resp.GetWebhooks() != 3 {
			t.Fatal(resp, err)
		}
		w.pass(time.Second)
		w.expect("main", "ord_1", 1, 3, 4, 1, 3, 4)
		w.expect("other", "ord_1", 1, 2, 3, 4)
		sameIDs(t, w.at("main"))
		all := w.at("main")
		for i := range 3 {
			if all[i].Body != all[i+3].Body {
				t.Errorf("replayed body %s, first %s", all[i+3].Body, all[i].Body)
			}
		}
		for name, req := range map[string]*notificationv1.ReplayRequest{
			"no endpoint": {EndpointId: "none", OrderId: "ord_1"}, "no order": {EndpointId: "main", OrderId: "ord_9"},
		} {
			if _, err := w.api.Replay(w.as("acme"), req); fault.KindOf(err) != fault.KindNotFound {
				t.Errorf("%s: %v", name, err)
			}
		}
		w.orders.set(true)
		if _, err := w.api.Replay(w.as("acme"), &notificationv1.ReplayRequest{EndpointId: "main", OrderId: "ord_1"}); fault.KindOf(err) != fault.KindUnavailable {
			t.Errorf("order service down: %v", err)
		}
	})
}

func TestListDeliveriesIsNewestFirst(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("a", fine)
		w.endpoint("b", fine, event.PaymentSucceeded)
		want := []string{}
		for i := range 5 {
			order := fmt.Sprintf("ord_%d", i)
			w.emit(order, event.OrderCreated, event.PaymentSucceeded)
			w.pass(time.Second)
			want = append([]string{order + "/2", order + "/1"}, want...)
		}
		w.pass(3 * time.Second)
		perEndpoint := map[string][]string{}
		for _, d := range w.deliveries("") {
			perEndpoint[d.GetEndpointId()] = append(perEndpoint[d.GetEndpointId()], fmt.Sprintf("%s/%d", d.GetOrderId(), d.GetSequence()))
		}
		if got := fmt.Sprint(perEndpoint["a"]); got != fmt.Sprint(want) {
			t.Errorf("a: %s\nwant %v", got, want)
		}
		if got := fmt.Sprint(perEndpoint["b"]); got != "[ord_4/2 ord_3/2 ord_2/2 ord_1/2 ord_0/2]" {
			t.Errorf("b: %s", got)
		}
		var one []string
		for _, d := range w.deliveries("ord_3") {
			one = append(one, fmt.Sprintf("%d", d.GetSequence()))
		}
		if fmt.Sprint(one) != "[2 2 1]" {
			t.Errorf("one order: %v", one)
		}
		for _, req := range []*notificationv1.ListDeliveriesRequest{
			{PageToken: "x"}, {PageToken: "e30"}, {PageSize: 201}, {PageSize: -1},
		} {
			if _, err := w.api.ListDeliveries(w.as("acme"), req); fault.KindOf(err) != fault.KindInvalid {
				t.Errorf("%v: %v", req, err)
			}
		}
	})
}
