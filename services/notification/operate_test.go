package notification_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/docstore"
	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/webhook"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
)

// headers keeps the headers of the requests to an endpoint.
type headers struct {
	mu  sync.Mutex
	all []http.Header
}

func (w *world) headersOf(id string) *headers {
	h := &headers{}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard[id+".example"] = func(header http.Header) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.all = append(h.all, header.Clone())
	}
	return h
}

func (h *headers) last() http.Header {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all[len(h.all)-1]
}

// TestRotationSignsWithBoth: receivers with the old secret and with the new one
// accept what comes during the overlap, and afterwards the new one alone.
func TestRotationSignsWithBoth(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", fine)
		heard := w.headersOf("main")
		old := w.secrets["main.example"]
		accepts := func(secret string) bool {
			w.emit(fmt.Sprintf("ord_%d", len(w.at("main"))), event.OrderCanceled)
			got := w.at("main")
			body := got[len(got)-1].Body
			return webhook.Verify([]string{secret}, heard.last(), []byte(body), time.Now()) == nil
		}
		rotate := func(req *notificationv1.RotateSecretRequest) string {
			req.EndpointId = "main"
			resp, err := w.api.RotateSecret(w.as("acme"), req)
			if err != nil {
				t.Fatal(err)
			}
			w.mu.Lock()
			w.secrets["main.example"] = resp.GetSecret()
			w.mu.Unlock()
			return resp.GetSecret()
		}
		second := rotate(&notificationv1.RotateSecretRequest{})
		if second == old || !accepts(old) || !accepts(second) {
			t.Error("during the overlap one of the secrets is not signed with")
		}
		w.pass(25 * time.Hour)
		if accepts(old) || !accepts(second) {
			t.Error("after the overlap the old secret signs, or the new one does not")
		}
		own := webhook.NewSecret()
		if third := rotate(&notificationv1.RotateSecretRequest{Secret: own, Overlap: durationpb.New(0)}); third != own || accepts(second) || !accepts(own) {
			t.Error("without an overlap the old secret signs, or the new one does not")
		}
		for field, req := range map[string]*notificationv1.RotateSecretRequest{
			"secret": {EndpointId: "main", Secret: "whsec_AAAA"}, "overlap": {EndpointId: "main", Overlap: durationpb.New(200 * time.Hour)},
		} {
			_, err := w.api.RotateSecret(w.as("acme"), req)
			if f := fault.FieldsOf(err); len(f) != 1 || f[0].Path != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		if _, err := w.api.RotateSecret(w.as("rival"), &notificationv1.RotateSecretRequest{EndpointId: "main"}); fault.KindOf(err) != fault.KindNotFound {
			t.Errorf("another merchant's endpoint: %v", err)
		}
	})
}

// TestCredentialsAreSentAndNeverShown (P10).
func TestCredentialsAreSentAndNeverShown(t *testing.T) {
	inWorld(t, func(w *world) {
		put := func(e *notificationv1.Endpoint, c *notificationv1.Credentials) *notificationv1.Endpoint {
			t.Helper()
			out, err := w.api.PutEndpoint(w.as("acme"), &notificationv1.PutEndpointRequest{Endpoint: e, Credentials: c})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		w.endpoint("main", fine)
		heard := w.headersOf("main")
		e := &notificationv1.Endpoint{Id: "main", Url: "https://main.example/in"}
		out := put(e, &notificationv1.Credentials{Headers: map[string]string{"X-Shop": "hush-header"}, BasicUsername: "ada", BasicPassword: "hush-password"})
		if out.GetAuthorization() != "basic" || !slices.Equal(out.GetHeaderNames(), []string{"X-Shop"}) || strings.Contains(out.String(), "hush") {
			t.Errorf("answer %v", out)
		}
		w.emit("ord_1", event.OrderCanceled)
		if u, p, ok := (&http.Request{Header: heard.last()}).BasicAuth(); !ok || u != "ada" || p != "hush-password" || heard.last().Get("X-Shop") != "hush-header" {
			t.Errorf("headers %v", heard.last())
		}
		e.EventTypes = []string{event.OrderCanceled}
		put(e, nil) // the credentials stay
		w.emit("ord_2", event.OrderCanceled)
		if heard.last().Get("X-Shop") != "hush-header" {
			t.Errorf("headers %v", heard.last())
		}
		put(e, &notificationv1.Credentials{BearerToken: "hush-token"})
		w.emit("ord_3", event.OrderCanceled)
		if heard.last().Get("Authorization") != "Bearer hush-token" || heard.last().Get("X-Shop") != "" {
			t.Errorf("headers %v", heard.last())
		}
		store, err := w.engine.Open(t.Context(), docstore.StoreSpec{Name: "endpoints"})
		if err != nil {
			t.Fatal(err)
		}
		page, err := store.Find(t.Context(), docstore.Query{AllTenants: true, Limit: 10})
		if err != nil || contains(page.Records[0].Body, "hush") {
			t.Errorf("credentials are stored in the clear, or %v", err)
		}
		put(e, &notificationv1.Credentials{})
		w.emit("ord_4", event.OrderCanceled)
		if heard.last().Get("Authorization") != "" {
			t.Errorf("headers %v", heard.last())
		}
		for field, c := range map[string]*notificationv1.Credentials{
			"credentials.headers":         {Headers: map[string]string{"Webhook-Signature": "x"}},
			"credentials.headers (host)":  {Headers: map[string]string{"host": "x"}},
			"credentials.headers (line)":  {Headers: map[string]string{"X-A": "a\r\nX-B: b"}},
			"credentials.headers (name)":  {Headers: map[string]string{"X A": "a"}},
			"credentials.headers (twice)": {Headers: map[string]string{"X-A": "a", "x-a": "b"}},
			"credentials.basic_username":  {BasicPassword: "x"},
			"credentials.bearer_token":    {BasicUsername: "x", BearerToken: "y"},
		} {
			_, err := w.api.PutEndpoint(w.as("acme"), &notificationv1.PutEndpointRequest{Endpoint: e, Credentials: c})
			want, _, _ := strings.Cut(field, " ")
			if f := fault.FieldsOf(err); len(f) == 0 || f[0].Path != want {
				t.Errorf("%s: %v", field, err)
			}
		}
	})
}

func TestFiltersByProductAndMetadata(t *testing.T) {
	inWorld(t, func(w *world) {
		for id, e := range map[string]*notificationv1.Endpoint{
			"apps": {ProductIds: []string{"app", "game"}}, "eu": {Metadata: map[string]string{"region": "eu"}},
			"both": {ProductIds: []string{"app"}, Metadata: map[string]string{"region": "eu"}, EventTypes: []string{event.OrderCanceled}},
		} {
			e.Id, e.Url = id, "https://"+id+".example/in"
			w.put(e)
			w.mu.Lock()
			w.receivers[id+".example"] = fine
			w.mu.Unlock()
		}
		w.sell("ord_1", map[string]string{"region": "eu"}, "app")
		w.sell("ord_2", map[string]string{"region": "us"}, "book", "game")
		w.sell("ord_3", nil, "book")
		w.emit("ord_1", event.OrderCreated, event.OrderCanceled)
		w.emit("ord_2", event.OrderCreated, event.OrderCanceled)
		w.emit("ord_3", event.OrderCreated, event.OrderCanceled)
		w.pass(10 * time.Second)
		w.expect("apps", "ord_1", 1, 2)
		w.expect("apps", "ord_2", 1, 2)
		w.expect("apps", "ord_3")
		w.expect("eu", "ord_1", 1, 2)
		w.expect("eu", "ord_2")
		w.expect("both", "ord_1", 2)
		w.expect("both", "ord_2")
	})
}

// TestUnorderedEndpointWaitsForNothing: neither for a gap nor for an earlier
// event; every event still comes, once.
func TestUnorderedEndpointWaitsForNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.put(&notificationv1.Endpoint{Id: "fast", Url: "https://fast.example/in", Unordered: true})
		w.mu.Lock()
		w.receivers["fast.example"] = func(g got, _ http.Header) int {
			if g.Sequence == 2 {
				return http.StatusInternalServerError
			}
			return http.StatusOK
		}
		w.mu.Unlock()
		w.happen("acme", "ord_1", event.OrderCreated) // lost by the bus
		w.emit("ord_1", event.PaymentSucceeded, event.OrderDelivered)
		w.expect("fast", "ord_1", 2, 3)
		w.pass(2 * time.Minute) // catching up
		if got := slices.Sorted(slices.Values(w.sequences("fast", "ord_1"))); !slices.Equal(got, []int64{1, 2, 2, 3}) {
			t.Errorf("got %v", got)
		}
		if d := w.deliveries("ord_1"); len(d) != 3 || d[0].GetSequence() != 3 {
			t.Errorf("deliveries %v", d)
		}
		if _, err := w.api.Replay(w.as("acme"), &notificationv1.ReplayRequest{EndpointId: "fast", OrderId: "ord_1"}); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
		if got := w.sequences("fast", "ord_1"); len(got) != 7 {
			t.Errorf("after a replay %v", got)
		}
		_, err := w.api.PutEndpoint(w.as("acme"), &notificationv1.PutEndpointRequest{Endpoint: &notificationv1.Endpoint{Id: "fast", Url: "https://fast.example/in"}})
		if f := fault.FieldsOf(err); len(f) != 1 || f[0].Path != "endpoint.unordered" {
			t.Errorf("changing it: %v", err)
		}
	})
}

// TestLimitsOfAnEndpoint: requests under way and per second stay within what the
// merchant allows, and other endpoints don't wait.
func TestLimitsOfAnEndpoint(t *testing.T) {
	inWorld(t, func(w *world) {
		var mu sync.Mutex
		busy, most := 0, 0
		w.put(&notificationv1.Endpoint{Id: "few", Url: "https://few.example/in", MaxInFlight: 3})
		w.put(&notificationv1.Endpoint{Id: "rare", Url: "https://rare.example/in", MaxPerSecond: 5})
		w.endpoint("free", fine)
		w.mu.Lock()
		w.receivers["few.example"] = func(got, http.Header) int {
			mu.Lock()
			busy++
			most = max(most, busy)
			mu.Unlock()
			<-time.After(200 * time.Millisecond)
			mu.Lock()
			busy--
			mu.Unlock()
			return http.StatusOK
		}
		w.receivers["rare.example"] = fine
		w.mu.Unlock()
		const n = 100
		for i := range n {
			w.emit(fmt.Sprintf("ord_%d", i), event.OrderCanceled)
		}
		if got := len(w.at("free")); got != n {
			t.Errorf("free got %d at once", got)
		}
		w.pass(10 * time.Minute)
		if len(w.at("few")) != n || most > 3 {
			t.Errorf("few got %d, %d at once", len(w.at("few")), most)
		}
		rare := w.at("rare")
		for i := range rare {
			if j := i + 6; j < len(rare) && rare[j].At-rare[i].At < time.Second-50*time.Millisecond {
				t.Fatalf("seven requests within %v", rare[j].At-rare[i].At)
			}
		}
		if len(rare) != n || rare[n-1].At > 30*time.Second {
			t.Errorf("rare got %d, the last after %v", len(rare), rare[len(rare)-1].At)
		}
	}, func(w *world) { w.cfg.CatchUp = time.Hour })
}

// TestScheduleAndTimeoutOfAnEndpoint: its own pauses and its own time to answer.
func TestScheduleAndTimeoutOfAnEndpoint(t *testing.T) {
	inWorld(t, func(w *world) {
		w.put(&notificationv1.Endpoint{
			Id: "main", Url: "https://main.example/in", Timeout: durationpb.New(2 * time.Second),
			RetryDelays: []*durationpb.Duration{durationpb.New(10 * time.Second), durationpb.New(time.Minute)},
		})
		w.mu.Lock()
		w.receivers["main.example"] = silent
		w.mu.Unlock()
		w.emit("ord_1", event.OrderCanceled)
		w.pass(time.Hour)
		d := w.deliveries("ord_1")[0]
		if d.GetState() != notificationv1.WebhookState_WEBHOOK_STATE_EXHAUSTED || d.GetTries() != 3 || d.GetLastResult() != "no answer within 2s" {
			t.Errorf("delivery %v", d)
		}
		full, err := w.api.GetDelivery(w.as("acme"), &notificationv1.GetDeliveryRequest{EndpointId: "main", EventId: d.GetEventId(), OrderId: "ord_1"})
		if err != nil || len(full.GetAttempts()) != 3 || full.GetAttempts()[2].GetLatency().AsDuration() < 2*time.Second ||
			full.GetAttempts()[0].GetResponse() != "no answer within 2s" || !json.Valid([]byte(full.GetRequestBody())) || full.GetRequestUrl() != "https://main.example/in" {
			t.Errorf("details %v, %v", full, err)
		}
		for field, spoil := range map[string]func(*notificationv1.Endpoint){
			"endpoint.timeout":         func(e *notificationv1.Endpoint) { e.Timeout = durationpb.New(time.Minute) },
			"endpoint.retry_delays[0]": func(e *notificationv1.Endpoint) { e.RetryDelays = []*durationpb.Duration{durationpb.New(0)} },
			"endpoint.max_in_flight":   func(e *notificationv1.Endpoint) { e.MaxInFlight = 1000 },
			"endpoint.max_per_second":  func(e *notificationv1.Endpoint) { e.MaxPerSecond = -1 },
			"endpoint.notify_email":    func(e *notificationv1.Endpoint) { e.NotifyEmail = "nobody" },
			"endpoint.product_ids[0]":  func(e *notificationv1.Endpoint) { e.ProductIds = []string{""} },
			"endpoint.metadata":        func(e *notificationv1.Endpoint) { e.Metadata = map[string]string{"": "x"} },
			"endpoint.retry_delays":    func(e *notificationv1.Endpoint) { e.RetryDelays = make([]*durationpb.Duration, 21) },
		} {
			e := &notificationv1.Endpoint{Id: "main", Url: "https://main.example/in"}
			spoil(e)
			_, err := w.api.PutEndpoint(w.as("acme"), &notificationv1.PutEndpointRequest{Endpoint: e})
			if !slices.ContainsFunc(fault.FieldsOf(err), func(f fault.Field) bool { return f.Path == field }) {
				t.Errorf("%s: %v", field, err)
			}
		}
	})
}

func TestSendTestAndEventTypes(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", fine)
		w.endpoint("broken", failing(1000))
		resp, err := w.api.ListEventTypes(w.as("acme"), &notificationv1.ListEventTypesRequest{})
		if err != nil || len(resp.GetEventTypes()) != len(event.Public)+len(event.PublicMerchant) {
			t.Fatal(resp, err)
		}
		for _, typ := range resp.GetEventTypes() {
			if typ.GetDescription() == "" || typ.GetSchemaVersion() != 1 || !json.Valid([]byte(typ.GetJsonSchema())) || !json.Valid([]byte(typ.GetExample())) {
				t.Errorf("type %v", typ)
			}
			h, err := w.api.SendTest(w.as("acme"), &notificationv1.SendTestRequest{EndpointId: "main", EventType: typ.GetType()})
			if err != nil || h.GetState() != notificationv1.WebhookState_WEBHOOK_STATE_DELIVERED || !h.GetTest() || len(h.GetAttempts()) != 1 {
				t.Errorf("test of %s: %v, %v", typ.GetType(), h, err)
			}
			last := w.at("main")[len(w.at("main"))-1]
			if last.Type != typ.GetType() || !strings.Contains(last.Body, `"test":true`) || last.Body != h.GetRequestBody() {
				t.Errorf("the receiver got %s", last.Body)
			}
		}
		if _, err := w.api.PauseEndpoint(w.as("acme"), &notificationv1.PauseEndpointRequest{EndpointId: "broken"}); err != nil {
			t.Fatal(err)
		}
		h, err := w.api.SendTest(w.as("acme"), &notificationv1.SendTestRequest{EndpointId: "broken"})
		if err != nil || h.GetState() != notificationv1.WebhookState_WEBHOOK_STATE_EXHAUSTED || h.GetTries() != 1 || h.GetEventType() != event.OrderCreated {
			t.Errorf("test of a broken endpoint that is paused: %v, %v", h, err)
		}
		w.pass(time.Hour)
		if got := len(w.at("broken")); got != 1 {
			t.Errorf("a test was sent %d times", got)
		}
		if _, err := w.api.SendTest(w.as("acme"), &notificationv1.SendTestRequest{EndpointId: "main", EventType: "odd"}); fault.KindOf(err) != fault.KindInvalid {
			t.Errorf("odd type: %v", err)
		}
	})
}

func TestResendOneAndFilters(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", fine)
		w.endpoint("other", fine)
		w.emit("ord_1", event.OrderCreated, event.PaymentSucceeded, event.OrderDelivered)
		second := w.at("main")[1].ID
		resp, err := w.api.Replay(w.as("acme"), &notificationv1.ReplayRequest{EndpointId: "main", OrderId: "ord_1", EventId: second})
		if err != nil || resp.GetWebhooks() != 1 {
			t.Fatal(resp, err)
		}
		w.pass(time.Second)
		w.expect("main", "ord_1", 1, 2, 3, 2)
		w.expect("other", "ord_1", 1, 2, 3)
		w.pass(time.Hour)
		noon := time.Now()
		w.emit("ord_2", event.OrderCreated, event.OrderCanceled)
		w.pass(10 * time.Second)
		for name, tc := range map[string]struct {
			req  *notificationv1.ListDeliveriesRequest
			want int
		}{
			"all":       {&notificationv1.ListDeliveriesRequest{}, 10},
			"endpoint":  {&notificationv1.ListDeliveriesRequest{EndpointId: "main"}, 5},
			"type":      {&notificationv1.ListDeliveriesRequest{EventType: event.OrderCreated}, 4},
			"since":     {&notificationv1.ListDeliveriesRequest{StartTime: timestamppb.New(noon)}, 4},
			"until":     {&notificationv1.ListDeliveriesRequest{EndTime: timestamppb.New(noon)}, 6},
			"state":     {&notificationv1.ListDeliveriesRequest{State: notificationv1.WebhookState_WEBHOOK_STATE_PENDING}, 0},
			"several":   {&notificationv1.ListDeliveriesRequest{EndpointId: "main", EventType: event.OrderCreated, StartTime: timestamppb.New(noon)}, 1},
			"one order": {&notificationv1.ListDeliveriesRequest{OrderId: "ord_1", EventType: event.OrderDelivered}, 2},
		} {
			tc.req.PageSize = 200
			list, err := w.api.ListDeliveries(w.as("acme"), tc.req)
			if err != nil || len(list.GetWebhooks()) != tc.want {
				t.Errorf("%s: %d, want %d, %v", name, len(list.GetWebhooks()), tc.want, err)
			}
		}
		for name, req := range map[string]*notificationv1.ReplayRequest{
			"no such event": {EndpointId: "main", OrderId: "ord_1", EventId: "evt_x"}, "no order": {EndpointId: "main", EventId: second},
		} {
			if _, err := w.api.Replay(w.as("acme"), req); fault.KindOf(err) != fault.KindNotFound {
				t.Errorf("%s: %v", name, err)
			}
		}
		run, err := w.api.ReplayRange(w.as("acme"), &notificationv1.ReplayRangeRequest{
			IdempotencyKey: "k", EndpointId: "other", StartTime: timestamppb.New(w.began), EventTypes: []string{event.OrderCreated},
		})
		if err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		w.expect("other", "ord_1", 1, 2, 3, 1)
		w.expect("other", "ord_2", 1, 2, 1)
		if run, err = w.api.GetReplayRange(w.as("acme"), &notificationv1.GetReplayRangeRequest{Id: run.GetId()}); err != nil || run.GetWebhooks() != 2 || !run.GetDone() {
			t.Errorf("replay %v, %v", run, err)
		}
		if _, err = w.api.GetReplayRange(w.as("rival"), &notificationv1.GetReplayRangeRequest{Id: run.GetId()}); fault.KindOf(err) != fault.KindNotFound {
			t.Errorf("another merchant's replay: %v", err)
		}
	})
}

// TestDeletedEndpointGetsNothing: what waits for it is given up, and one of the
// same name starts anew.
func TestDeletedEndpointGetsNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", failing(1))
		w.emit("ord_1", event.OrderCreated)
		w.emit("ord_2", event.OrderCreated)
		if _, err := w.api.DeleteEndpoint(w.as("rival"), &notificationv1.DeleteEndpointRequest{EndpointId: "main"}); fault.KindOf(err) != fault.KindNotFound {
			t.Errorf("another merchant's endpoint: %v", err)
		}
		if _, err := w.api.DeleteEndpoint(w.as("acme"), &notificationv1.DeleteEndpointRequest{EndpointId: "main"}); err != nil {
			t.Fatal(err)
		}
		w.emit("ord_1", event.PaymentSucceeded)
		w.pass(3 * time.Hour)
		w.expect("main", "ord_1", 1)
		w.endpoint("main", fine)
		w.emit("ord_1", event.OrderDelivered)
		w.emit("ord_3", event.OrderCreated)
		w.pass(time.Minute)
		w.expectLast("main", "ord_1", 1, 3)
		w.expect("main", "ord_3", 1)
	}, func(w *world) { w.cfg.CatchUp = 24 * time.Hour })
}

// TestRetention: settled queues are removed, waiting ones stay, and what comes
// again of an order whose queue was removed is not sent a second time.
func TestRetention(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", fine)
		w.endpoint("paused", fine)
		if _, err := w.api.PauseEndpoint(w.as("acme"), &notificationv1.PauseEndpointRequest{EndpointId: "paused"}); err != nil {
			t.Fatal(err)
		}
		first := w.happen("acme", "ord_1", event.OrderCreated)
		second := w.happen("acme", "ord_1", event.PaymentSucceeded)
		w.bring(first, second)
		w.pass(25 * time.Hour)
		if len(w.deliveries("ord_1")) != 4 {
			t.Errorf("after 25 hours %v", w.deliveries("ord_1"))
		}
		w.pass(8 * time.Hour)
		if d := w.deliveries("ord_1"); len(d) != 2 || d[0].GetEndpointId() != "paused" {
			t.Errorf("after 33 hours %v", d)
		}
		second.Resend = 1
		w.bring(second)
		w.emit("ord_1", event.OrderRefunded)
		w.pass(time.Minute)
		w.expect("main", "ord_1", 1, 2, 3)
		if _, err := w.api.ResumeEndpoint(w.as("acme"), &notificationv1.ResumeEndpointRequest{EndpointId: "paused"}); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		w.expect("paused", "ord_1", 1, 2, 3)
	}, func(w *world) { w.cfg.Retention, w.cfg.CatchUp = 26*time.Hour, time.Hour })
}
