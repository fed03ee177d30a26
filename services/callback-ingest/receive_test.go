package callbackingest_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"quittance/pkg/event"
	"quittance/pkg/web"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
)

const badSignature = "ERROR - Invalid signature!"

func TestP2CallbackIsRecordedThenAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		w.wants(w.call(postback("433456")), http.StatusOK, "OK")
		synctest.Wait()

		seen := w.callbacks(merchant)
		if len(seen) != 1 || !seen[0].GetAccepted() || seen[0].GetAttemptId() != attempt || seen[0].GetAccountId() != account {
			t.Fatalf("the merchant sees %v", seen)
		}
		events := w.bus.published(event.CallbackReceived)
		if len(events) != 1 {
			t.Fatalf("%d events, want 1", len(events))
		}
		e, fact := events[0], &eventv1.CallbackReceived{}
		if err := e.Decode(fact); err != nil {
			t.Fatal(err)
		}
		if e.Subject != seen[0].GetId() || e.Key != attempt || e.Merchant != merchant {
			t.Errorf("event %+v", e)
		}
		if fact.GetCallbackId() != e.Subject || fact.GetReference() != attempt || fact.GetTransactionId() != "433456" ||
			fact.GetClaim() != "paid" || !fact.GetAcknowledgeTime().AsTime().Equal(time.Now()) {
			t.Errorf("fact %v", fact)
		}
	})
}

func TestP2RepeatsAreAcknowledgedAndRecordedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { w.wants(w.call(postback("433456")), http.StatusOK, "OK") })
		}
		wg.Wait()
		synctest.Wait()
		if seen := w.callbacks(merchant); len(seen) != 1 {
			t.Errorf("%d documents of 100 repeats", len(seen))
		}
		if events := w.bus.published(event.CallbackReceived); len(events) != 1 {
			t.Errorf("%d events of 100 repeats", len(events))
		}
		w.wants(w.call(postback("433457")), http.StatusOK, "OK")
		if seen := w.callbacks(merchant); len(seen) != 2 {
			t.Errorf("another sale is taken for a repeat")
		}
	})
}

func TestP1ForgeryIsRefusedRecordedAndHarmless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		for range 3 { // one request is one record
			w.wants(w.call(forged("433456")), http.StatusInternalServerError, badSignature)
		}
		synctest.Wait()
		seen := w.callbacks(merchant)
		if len(seen) != 1 || seen[0].GetAccepted() || seen[0].GetRefusal() == "" || seen[0].GetAttemptId() != "" {
			t.Errorf("the merchant sees %v", seen)
		}
		if events := w.bus.published(event.CallbackReceived); len(events) != 0 {
			t.Errorf("a forgery was announced: %v", events)
		}
		w.wants(w.call(postback("433456")), http.StatusOK, "OK")
	})
}

func TestFloodOfForgeriesCannotFillTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		flood := func() int {
			for i := range 200 {
				w.wants(w.call(forged(time.Now().Format("150405")+strings.Repeat("1", i%50)+string(rune('a'+i/50)))),
					http.StatusInternalServerError, badSignature)
			}
			return len(w.callbacks(merchant))
		}
		first := flood()
		if first == 0 || first > 60 {
			t.Fatalf("%d of 200 forgeries recorded", first)
		}
		time.Sleep(3 * time.Minute)
		if more := flood() - first; more != 3 {
			t.Errorf("%d forgeries recorded in three minutes, want 3", more)
		}
		w.wants(w.call(postback("433456")), http.StatusOK, "OK")
	})
}

// Anybody can send forgeries, and their answer is a 500: the log of errors must
// not fill with them. A callback that is not durable stays an error.
func TestForgeriesAreNoErrorsInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		var log bytes.Buffer
		server, err := web.NewServer(web.Options{Handler: w.mux, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		get := func(path string) string {
			log.Reset()
			rec := httptest.NewRecorder()
			server.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
			if rec.Code < http.StatusInternalServerError {
				t.Errorf("%s: %d", path, rec.Code)
			}
			return log.String()
		}
		for _, path := range []string{
			"/callbacks/flexpay/" + account + "?" + forged("433456"), "/callbacks/flexpay/nobody?" + postback("433456"),
		} {
			if line := get(path); !strings.Contains(line, "level=INFO") || !strings.Contains(line, "status=500") {
				t.Errorf("forgery: %s", line)
			}
		}
		w.storeDown.Store(true)
		w.bus.down.Store(true)
		if line := get("/callbacks/flexpay/" + account + "?" + postback("433456")); strings.Contains(line, "level=INFO") {
			t.Errorf("not durable: %s", line)
		}
		w.storeDown.Store(false)
		w.bus.down.Store(false)
	})
}

func TestUnknownAccountLooksLikeABadSignature(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		w.wants(w.get("/callbacks/flexpay/nobody?"+postback("433456")), http.StatusInternalServerError, badSignature)
		w.wants(w.get("/callbacks/flexpay/%00%ff?"+postback("433456")), http.StatusInternalServerError, badSignature)
		for _, path := range []string{"/callbacks/offline/", "/callbacks/paypal/"} {
			if rec := w.get(path + account); rec.Code != http.StatusNotFound {
				t.Errorf("%s: %d, want 404", path, rec.Code)
			}
		}
		if seen := w.callbacks(merchant); len(seen) != 0 {
			t.Errorf("recorded: %v", seen)
		}
	})
}

func TestOversizedRequestsChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		path := "/callbacks/flexpay/" + account + "?" + postback("433456")
		request := func(method, path, body string) *http.Request {
			return httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		}
		manyHeaders, longHeader := request(http.MethodGet, path, ""), request(http.MethodGet, path, "")
		for range 101 {
			manyHeaders.Header.Add("X-A", "b")
		}
		longHeader.Header.Set("X-A", strings.Repeat("b", 20<<10))
		for name, tt := range map[string]struct {
			request *http.Request
			status  int
		}{
			"body":    {request(http.MethodPost, path, strings.Repeat("x", 64<<10+1)), http.StatusRequestEntityTooLarge},
			"headers": {manyHeaders, http.StatusRequestHeaderFieldsTooLarge},
			"header":  {longHeader, http.StatusRequestHeaderFieldsTooLarge},
			"query":   {request(http.MethodGet, path+"&a="+strings.Repeat("x", 20<<10), ""), http.StatusRequestURITooLong},
			"head":    {request(http.MethodHead, path, ""), http.StatusMethodNotAllowed},
			"put":     {request(http.MethodPut, path, ""), http.StatusMethodNotAllowed},
		} {
			if rec := w.do(tt.request); rec.Code != tt.status {
				t.Errorf("%s: %d, want %d", name, rec.Code, tt.status)
			}
		}
		if seen := w.callbacks(merchant); len(seen) != 0 {
			t.Errorf("recorded: %v", seen)
		}
	})
}

func TestP8MerchantsSeeTheirOwnNewestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		w.addAccount("other", "other-cards")
		for _, sale := range []string{"1", "2", "3"} {
			w.wants(w.call(postback(sale)), http.StatusOK, "OK")
			time.Sleep(time.Second)
		}
		w.wants(w.get("/callbacks/flexpay/other-cards?"+postback("1")), http.StatusOK, "OK")
		mine := w.callbacks(merchant)
		if len(mine) != 3 || len(w.callbacks("other")) != 1 || len(w.callbacks("third")) != 0 {
			t.Fatalf("acme sees %d, other %d, third %d", len(mine), len(w.callbacks("other")), len(w.callbacks("third")))
		}
		for i := 1; i < len(mine); i++ {
			if mine[i].GetReceiveTime().AsTime().After(mine[i-1].GetReceiveTime().AsTime()) {
				t.Errorf("not newest first: %v", mine)
			}
		}
	})
}
