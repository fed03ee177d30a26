package notification_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/event"
	"quittance/pkg/mail"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
)

// postbox is a mail system that takes everything, or nothing for a while.
type postbox struct {
	mu    sync.Mutex
	down  bool
	mails []mail.Message
}

func (p *postbox) Send(_ context.Context, m mail.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return errors.New("connection refused")
	}
	p.mails = append(p.mails, m)
	return nil
}

func (p *postbox) subjects() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, m := range p.mails {
		out = append(out, m.Subject)
	}
	return out
}

func withMail(w *world) { w.mailer = &postbox{} }

func (w *world) mails() []string { return w.mailer.(*postbox).subjects() }

// health reads an endpoint of acme.
func (w *world) health(id string) *notificationv1.EndpointHealth {
	w.t.Helper()
	resp, err := w.api.ListEndpoints(w.as("acme"), &notificationv1.ListEndpointsRequest{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range resp.GetEndpoints() {
		if e.GetId() == id {
			return e.GetHealth()
		}
	}
	w.t.Fatalf("no endpoint %s", id)
	return nil
}

// types lists what an endpoint got, by type.
func (w *world) types(id string) []string {
	var out []string
	for _, g := range w.at(id) {
		out = append(out, g.Type)
	}
	return out
}

// TestS20DownForThreeDays: an endpoint is down for 76 hours, with a few orders
// and then many. It is tried by the schedule, the merchant is told when it is
// failing, when events are exhausted and when it is disabled; nothing more is
// sent then. Once it is enabled it gets what was kept, oldest first and at a
// bounded pace, and what was exhausted by a replay, each with its first id.
func TestS20DownForThreeDays(t *testing.T) {
	inWorld(t, func(w *world) {
		down := atomic.Bool{}
		down.Store(true)
		w.endpoint("main", func(got, http.Header) int {
			if down.Load() {
				return http.StatusInternalServerError
			}
			return http.StatusOK
		})
		w.endpoint("other", fine, event.EndpointFailing, event.EndpointRecovered, event.EndpointExhausted, event.EndpointDisabled)
		w.emit("ord_1", event.OrderCreated, event.PaymentSucceeded)
		w.pass(4 * time.Second)
		if h := w.health("main"); h.GetState() != notificationv1.HealthState_HEALTH_STATE_OK {
			t.Errorf("failing after one failure: %v", h)
		}
		w.pass(10 * time.Minute)
		if h := w.health("main"); h.GetState() != notificationv1.HealthState_HEALTH_STATE_FAILING || h.GetFailingSince() == nil || h.GetProblem() != "500 Internal Server Error" {
			t.Errorf("after ten minutes %v", h)
		}
		for hour := range 76 {
			w.emit(fmt.Sprintf("ord_h%02d", hour), event.OrderCreated)
			w.pass(time.Hour)
		}
		h := w.health("main")
		if h.GetState() != notificationv1.HealthState_HEALTH_STATE_DISABLED || h.GetDisabledBy() != "failing" {
			t.Fatalf("after 76 hours %v", h)
		}
		tried := len(w.at("main"))
		w.pass(48 * time.Hour)
		if got := len(w.at("main")); got != tried {
			t.Errorf("tried %d times while it was disabled", got-tried)
		}
		told := w.at("other") // how many are exhausted by now is up to the jitter
		exhausted, disabled := 0, 0
		for _, g := range told {
			switch g.Type {
			case event.EndpointExhausted:
				exhausted++
			case event.EndpointDisabled:
				disabled++
			}
		}
		// The last try may both exhaust an event and disable the endpoint: these two
		// notices are on their way at once.
		if told[0].Type != event.EndpointFailing || disabled != 1 || len(told) != 2+exhausted ||
			!slices.ContainsFunc(told, func(g got) bool { return g.Type == event.EndpointDisabled && g.At >= told[len(told)-1].At-time.Minute }) {
			t.Errorf("other was told %v", told)
		}
		down.Store(false)
		if _, err := w.api.ResumeEndpoint(w.as("acme"), &notificationv1.ResumeEndpointRequest{EndpointId: "main"}); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		first := map[string]bool{}
		var order []string
		for _, g := range w.at("main")[tried:] {
			if !first[g.Order] {
				first[g.Order] = true
				order = append(order, g.Order)
			}
		}
		if len(order) < 77-exhausted || !slices.IsSorted(order) {
			t.Errorf("%d orders came in the sequence %v", len(order), order)
		}
		if _, err := w.api.ReplayRange(w.as("acme"), &notificationv1.ReplayRangeRequest{
			IdempotencyKey: "all", EndpointId: "main", StartTime: timestamppb.New(w.began), FailedOnly: true,
		}); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		// Which of the two is left to the replay is up to the jitter as well.
		arrived := map[int64]bool{}
		for _, g := range w.at("main")[tried:] {
			if g.Order == "ord_1" {
				arrived[g.Sequence] = true
			}
		}
		if len(arrived) != 2 {
			t.Errorf("of ord_1 arrived %v", arrived)
		}
		for hour := range 76 {
			w.expectLast("main", fmt.Sprintf("ord_h%02d", hour), 1)
		}
		sameIDs(t, w.at("main"))
		if h := w.health("main"); h.GetState() != notificationv1.HealthState_HEALTH_STATE_OK {
			t.Errorf("enabled: %v", h)
		}
		if got := w.mails(); len(got) < 2 || !strings.Contains(got[0], "failing") || strings.Count(fmt.Sprint(got), "disabled") != 1 {
			t.Errorf("mails %v", got)
		}
	}, withMail, func(w *world) { w.cfg.CatchUp = 24 * time.Hour })
}

// expectLast checks the last sequences that an endpoint got of an order.
func (w *world) expectLast(id, order string, want ...int64) {
	w.t.Helper()
	got := w.sequences(id, order)
	if len(got) < len(want) || !slices.Equal(got[len(got)-len(want):], want) {
		w.t.Errorf("endpoint %s got %v of %s, want %v at the end", id, got, order, want)
	}
}

// TestS20ExhaustedAndRecovered: events that use up their tries are told of, by
// an event each and one mail an hour; a replay of what failed brings them.
func TestS20ExhaustedAndRecovered(t *testing.T) {
	inWorld(t, func(w *world) {
		down := atomic.Bool{}
		down.Store(true)
		w.endpoint("main", func(got, http.Header) int {
			if down.Load() {
				return http.StatusServiceUnavailable
			}
			return http.StatusOK
		})
		w.endpoint("other", fine, event.EndpointExhausted, event.EndpointRecovered)
		for i := range 12 {
			w.emit(fmt.Sprintf("ord_%02d", i), event.OrderCreated)
		}
		start := time.Now()
		w.pass(2 * time.Hour)
		if got := len(w.types("other")); got != 12 {
			t.Errorf("other was told of %d exhausted events", got)
		}
		failed, err := w.api.ListDeliveries(w.as("acme"), &notificationv1.ListDeliveriesRequest{
			EndpointId: "main", State: notificationv1.WebhookState_WEBHOOK_STATE_EXHAUSTED, PageSize: 200,
		})
		if err != nil || len(failed.GetWebhooks()) != 12 {
			t.Fatalf("%d webhooks are exhausted, %v", len(failed.GetWebhooks()), err)
		}
		down.Store(false)
		req := &notificationv1.ReplayRangeRequest{
			IdempotencyKey: "r1", EndpointId: "main", StartTime: timestamppb.New(start.Add(-time.Minute)), FailedOnly: true,
		}
		run, err := w.api.ReplayRange(w.as("acme"), req)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := w.api.ReplayRange(w.as("acme"), req); err != nil || again.GetId() != run.GetId() {
			t.Errorf("the same key again: %v, %v", again, err)
		}
		w.pass(time.Minute)
		if run, err = w.api.GetReplayRange(w.as("acme"), &notificationv1.GetReplayRangeRequest{Id: run.GetId()}); err != nil || !run.GetDone() || run.GetWebhooks() != 12 {
			t.Errorf("replay %v, %v", run, err)
		}
		for i := range 12 {
			w.expectLast("main", fmt.Sprintf("ord_%02d", i), 1)
			if got := len(w.sequences("main", fmt.Sprintf("ord_%02d", i))); got != 4 {
				t.Errorf("order %d came %d times, want three tries and the replay", i, got)
			}
		}
		sameIDs(t, w.at("main"))
		if got := w.types("other"); got[len(got)-1] != event.EndpointRecovered {
			t.Errorf("other was told %v", got)
		}
		mails := fmt.Sprint(w.mails())
		if n := strings.Count(mails, "for good"); n != 1 {
			t.Errorf("%d mails about exhausted events: %s", n, mails)
		}
	}, withMail, func(w *world) {
		w.cfg.CatchUp, w.cfg.Retries = 24*time.Hour, []time.Duration{time.Minute, 20 * time.Minute}
	})
}

// TestNoticesSurviveBusAndMailServer: the bus loses the event, the mail server
// is away: both come later.
func TestNoticesSurviveBusAndMailServer(t *testing.T) {
	inWorld(t, func(w *world) {
		w.mailer.(*postbox).down = true
		w.endpoint("main", func(got, http.Header) int { return http.StatusGone })
		w.endpoint("other", fine, event.EndpointDisabled)
		w.emit("ord_1", event.OrderCreated)
		w.pass(30 * time.Second)
		w.kill()
		w.pass(2 * time.Minute)
		if got := w.types("other"); len(got) != 1 {
			t.Errorf("other was told %v", got)
		}
		w.mailer.(*postbox).mu.Lock()
		w.mailer.(*postbox).down = false
		w.mailer.(*postbox).mu.Unlock()
		w.pass(10 * time.Minute)
		if got := w.mails(); len(got) != 1 || !strings.Contains(got[0], `"main" was disabled`) {
			t.Errorf("mails %v", got)
		}
	}, withMail)
}
