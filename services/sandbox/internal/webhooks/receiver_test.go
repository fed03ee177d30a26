package webhooks

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"quittance/pkg/webhook"
)

type world struct {
	t      *testing.T
	dir    string
	server *httptest.Server
	secret string
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir(), secret: webhook.NewSecret()}
	w.start()
	w.put("/control/webhooks/merchant", Receiver{Secrets: []string{w.secret}}, http.StatusNoContent)
	return w
}

func (w *world) start() {
	w.t.Helper()
	r, err := New(Config{Dir: w.dir, Now: time.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	mux := http.NewServeMux()
	r.Routes(mux)
	w.server = httptest.NewServer(mux)
	w.t.Cleanup(func() { w.server.Close(); _ = r.Close() })
}

func (w *world) put(path string, value any, want int) {
	w.t.Helper()
	body, err := json.Marshal(value)
	if err != nil {
		w.t.Fatal(err)
	}
	if status, text := w.request(http.MethodPut, path, string(body), http.Header{"Content-Type": {"application/json"}}); status != want {
		w.t.Fatalf("PUT %s: %d %s", path, status, text)
	}
}

func (w *world) request(method, path, body string, header http.Header) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.server.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// send sends a webhook signed with secret.
func (w *world) send(id, secret, body string) int {
	w.t.Helper()
	header, err := webhook.Headers([]string{secret}, id, time.Now(), []byte(body))
	if err != nil {
		w.t.Fatal(err)
	}
	status, _ := w.request(http.MethodPost, "/webhooks/merchant", body, header)
	return status
}

func (w *world) list() []Delivery {
	w.t.Helper()
	status, text := w.request(http.MethodGet, "/control/webhooks/merchant", "", nil)
	var deliveries []Delivery
	if err := json.Unmarshal([]byte(text), &deliveries); err != nil || status != http.StatusOK {
		w.t.Fatalf("%d %s: %v", status, text, err)
	}
	return deliveries
}

func TestReceive(t *testing.T) {
	w := newWorld(t)
	if status := w.send("evt_1", w.secret, `{"type":"order.created"}`); status != http.StatusNoContent {
		t.Errorf("good webhook: %d", status)
	}
	if status := w.send("evt_1", w.secret, `{"type":"order.created"}`); status != http.StatusNoContent {
		t.Errorf("repeated webhook: %d", status)
	}
	if status := w.send("evt_2", webhook.NewSecret(), "<script>"+strings.Repeat("ž", 4096)); status != http.StatusBadRequest {
		t.Errorf("webhook with another secret: %d", status)
	}
	if status, _ := w.request(http.MethodPost, "/webhooks/merchant", "{}", nil); status != http.StatusBadRequest {
		t.Errorf("unsigned webhook: %d", status)
	}
	if status, _ := w.request(http.MethodPost, "/webhooks/nobody", "{}", nil); status != http.StatusNotFound {
		t.Errorf("unknown receiver: %d", status)
	}
	if status, _ := w.request(http.MethodPost, "/webhooks/merchant", strings.Repeat("x", maxBody+1), nil); status != http.StatusRequestEntityTooLarge {
		t.Errorf("long webhook: %d", status)
	}

	w.server.Close()
	w.start() // what came survives
	got := w.list()
	if len(got) != 4 {
		t.Fatalf("deliveries %+v", got)
	}
	if d := got[0]; !d.Accepted || d.Repeat != 0 || d.Type != "order.created" || d.Body != `{"type":"order.created"}` || d.ID != "evt_1" || d.Answered != 204 {
		t.Errorf("first: %+v", d)
	}
	if d := got[1]; !d.Accepted || d.Repeat != 1 {
		t.Errorf("repeat: %+v", d)
	}
	if d := got[2]; d.Accepted || d.Refusal == "" || d.Answered != 400 || len(d.Body) > maxKept {
		t.Errorf("refused: %+v", d)
	}
	if _, text := w.request(http.MethodGet, "/webhooks/merchant", "", nil); !strings.Contains(text, "order.created") || strings.Contains(text, "<script>") {
		t.Errorf("page:\n%s", text)
	}
	if _, text := w.request(http.MethodGet, "/webhooks/", "", nil); !strings.Contains(text, `href="/webhooks/merchant"`) {
		t.Errorf("index:\n%s", text)
	}
	if status, _ := w.request(http.MethodGet, "/webhooks/nobody", "", nil); status != http.StatusNotFound {
		t.Errorf("page of an unknown receiver: %d", status)
	}
}

func TestSecretIsRotated(t *testing.T) {
	w := newWorld(t)
	next := webhook.NewSecret()
	w.put("/control/webhooks/merchant", Receiver{Secrets: []string{w.secret, next}}, http.StatusNoContent)
	if w.send("evt_1", w.secret, "{}") != 204 || w.send("evt_2", next, "{}") != 204 {
		t.Error("one of two secrets is refused")
	}
	w.put("/control/webhooks/merchant", Receiver{Secrets: []string{next}}, http.StatusNoContent)
	if w.send("evt_3", w.secret, "{}") != 400 {
		t.Error("the old secret still passes")
	}
}

func TestAnswers(t *testing.T) {
	w := newWorld(t)
	w.put("/control/webhooks/merchant/answers", Answers{Status: 503, Times: 2}, http.StatusNoContent)
	for i, want := range []int{503, 503, 204} {
		if status := w.send("evt_1", w.secret, "{}"); status != want {
			t.Errorf("answer %d is %d, want %d", i+1, status, want)
		}
	}
	if got := w.list(); len(got) != 3 || got[0].Answered != 503 || !got[0].Accepted {
		t.Errorf("deliveries %+v", got)
	}
	w.put("/control/webhooks/merchant/answers", Answers{Status: 99, Times: 1}, http.StatusBadRequest)
	w.put("/control/webhooks/merchant", Receiver{}, http.StatusBadRequest)
	w.put("/control/webhooks/merchant", Receiver{Secrets: []string{"secret"}}, http.StatusBadRequest)
	if _, text := w.request(http.MethodGet, "/control/webhooks", "", nil); text != "[\"merchant\"]\n" {
		t.Errorf("names %s", text)
	}
}
