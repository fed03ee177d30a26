package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"quittance/pkg/event"
	"quittance/pkg/testkit"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// shopkeeper is a merchant's own receiver, which may be gone.
type shopkeeper struct {
	mu   sync.Mutex
	gone bool
	got  map[string][]string // types by order id
}

func (s *shopkeeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	var body struct {
		Type string
		Data struct{ Order struct{ ID string } }
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || json.Unmarshal(raw, &body) != nil || s.gone {
		w.WriteHeader(http.StatusGone)
		return
	}
	s.got[body.Data.Order.ID] = append(s.got[body.Data.Order.ID], body.Type)
}

func (s *shopkeeper) set(gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = gone
}

// TestS20GoneAndBack: an endpoint says 410 and is disabled; the merchant is told
// at its other endpoint and by mail; what happens meanwhile is kept and comes
// once the endpoint is resumed, in sequence.
func TestS20GoneAndBack(t *testing.T) {
	w := start(t, setup{})
	keeper := &shopkeeper{gone: true, got: map[string][]string{}}
	receiver := httptest.NewServer(keeper)
	defer receiver.Close()
	told := "notices-" + w.email
	if _, err := w.notifications.PutEndpoint(t.Context(), &notificationv1.PutEndpointRequest{Endpoint: &notificationv1.Endpoint{
		Id: "keeper", Url: receiver.URL, NotifyEmail: told,
	}}); err != nil {
		t.Fatal(err)
	}
	o := w.order(item("notepad", 1))
	testkit.Eventually(t, patience, func() error {
		list, err := w.notifications.ListEndpoints(t.Context(), &notificationv1.ListEndpointsRequest{})
		if err != nil {
			return err
		}
		for _, e := range list.GetEndpoints() {
			if e.GetId() == "keeper" && e.GetHealth().GetDisabledBy() == "gone" {
				return nil
			}
		}
		return fmt.Errorf("not disabled: %v", list)
	})
	w.pay(o, client.Pay{Method: standalone.DemoAccount})
	w.awaitDelivered(o.GetId())
	testkit.Eventually(t, patience, func() error {
		mails, err := w.sandbox.Mails(t.Context(), told)
		if err != nil || len(mails) != 1 || !strings.Contains(mails[0].Text, "keeper") {
			return fmt.Errorf("mails %v, %w", mails, err)
		}
		hooks, err := w.sandbox.Webhooks(t.Context(), standalone.DemoEndpoint)
		if err != nil || !slices.ContainsFunc(hooks, func(h client.Webhook) bool { return h.Accepted && h.Type == event.EndpointDisabled }) {
			return fmt.Errorf("the other endpoint was not told: %w", err)
		}
		return nil
	})
	keeper.set(false)
	if _, err := w.notifications.ResumeEndpoint(t.Context(), &notificationv1.ResumeEndpointRequest{EndpointId: "keeper"}); err != nil {
		t.Fatal(err)
	}
	want := []string{event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered}
	testkit.Eventually(t, patience, func() error {
		keeper.mu.Lock()
		defer keeper.mu.Unlock()
		if got := keeper.got[o.GetId()]; !slices.Equal(got, want) {
			return fmt.Errorf("got %v, want %v", got, want)
		}
		return nil
	})
}
