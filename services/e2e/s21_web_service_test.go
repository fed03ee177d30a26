package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"quittance/pkg/event"
	"quittance/pkg/testkit"
	"quittance/pkg/webhook"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// licenceServer is a merchant's web service. It checks signatures and answers a
// repeated key as it did the first time.
type licenceServer struct {
	t       *testing.T
	secret  string
	mu      sync.Mutex
	calls   int
	byKey   map[string][]string
	answers func(call int) int // status of the n-th call
}

func (s *licenceServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := webhook.Verify([]string{s.secret}, r.Header, body, time.Now()); err != nil {
		s.t.Error(err)
	}
	s.calls++
	var in struct {
		Data struct {
			Key   string `json:"idempotency_key"`
			Order string `json:"order_id"`
			Units []int  `json:"units"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &in); err != nil || in.Data.Key != r.Header.Get("Idempotency-Key") {
		s.t.Errorf("%v: %s", err, body)
	}
	if status := s.answers(s.calls); status != http.StatusOK {
		http.Error(w, "not now, or never", status)
		return
	}
	if s.byKey[in.Data.Key] == nil {
		for _, u := range in.Data.Units {
			s.byKey[in.Data.Key] = append(s.byKey[in.Data.Key], fmt.Sprintf("WEB-%s-%d", in.Data.Order, u))
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"licenses": s.byKey[in.Data.Key]})
}

// serve starts the web service of a product.
func (w *world) serve(t *testing.T, product string, answers func(call int) int) *licenceServer {
	t.Helper()
	s := &licenceServer{t: t, byKey: map[string][]string{}, answers: answers}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	var out *deliveryv1.PutWebServiceResponse
	testkit.Eventually(t, patience, func() (err error) { // the product may not be known there yet
		out, err = w.deliveries.PutWebService(t.Context(), &deliveryv1.PutWebServiceRequest{
			WebService: &deliveryv1.WebService{ProductId: product, Url: server.URL},
		})
		return err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret = out.GetSecret()
	return s
}

// TestS21WebService: the merchant's web service fails for now, then works: the
// order is delivered by itself. It refuses for good: the delivery has failed, who
// must act is named, and a retry delivers. With a pool behind it, that delivers.
func TestS21WebService(t *testing.T) {
	w := start(t, setup{})
	const service, pool = orderv1.DeliveryMethod_DELIVERY_METHOD_WEB_SERVICE, orderv1.DeliveryMethod_DELIVERY_METHOD_POOL
	flaky := w.sell(&orderv1.Product{DeliveryMethod: service})
	stern := w.sell(&orderv1.Product{DeliveryMethod: service})
	backed := w.sell(&orderv1.Product{DeliveryMethod: service, FallbackMethod: pool})
	w.fill(backed, "S21-FROM-THE-POOL")
	w.serve(t, flaky, func(call int) int {
		if call == 1 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	var mend sync.Map
	w.serve(t, stern, func(int) int {
		if _, mended := mend.Load("mended"); mended {
			return http.StatusOK
		}
		return http.StatusForbidden
	})
	w.serve(t, backed, func(int) int { return http.StatusBadRequest })

	first := w.prepaid(item(flaky, 2))
	second := w.prepaid(item(stern, 1), item("handbook", 1))
	third := w.prepaid(item(backed, 1))
	w.awaitDelivered(first.GetId())
	w.checkKeys(first.GetId(), fmt.Sprintf("WEB-%s-1", first.GetId()), fmt.Sprintf("WEB-%s-2", first.GetId()))
	w.awaitDelivered(third.GetId())
	w.checkKeys(third.GetId(), "S21-FROM-THE-POOL")

	o := w.awaitState(second.GetId(), orderv1.DeliveryState_DELIVERY_STATE_DELIVERY_FAILED, "the merchant must look after it")
	if l := o.GetLines()[0]; l.GetDeliveryState() != orderv1.DeliveryState_DELIVERY_STATE_DELIVERY_FAILED {
		t.Errorf("line %v", l)
	}
	stuck, err := w.deliveries.ListDeliveries(t.Context(), &deliveryv1.ListDeliveriesRequest{Stuck: true})
	if err != nil || len(stuck.GetDeliveries()) != 1 || !stuck.GetDeliveries()[0].GetFailed() {
		t.Errorf("stuck: %v, %v", stuck, err)
	}
	mend.Store("mended", true)
	if _, err := w.deliveries.RetryDelivery(t.Context(), &deliveryv1.RetryDeliveryRequest{OrderId: second.GetId()}); err != nil {
		t.Fatal(err)
	}
	w.awaitDelivered(second.GetId())
	w.checkKeys(second.GetId(), fmt.Sprintf("WEB-%s-1", second.GetId()))
	w.awaitWebhooks(first.GetId(), event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered)
}

// checkKeys: the first line has these keys, and one mail each carries them.
func (w *world) checkKeys(orderID string, want ...string) {
	w.t.Helper()
	if got := w.keys(orderID)[1]; fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("keys %v, want %v", got, want)
	}
	for _, key := range want {
		if n := strings.Count(fmt.Sprint(w.mails()), key); n == 0 {
			w.t.Errorf("%s is in no mail", key)
		}
	}
}
