package callbackingest_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/docstore"
	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/provider/flexpay"
	"quittance/pkg/reference"
	"quittance/pkg/rpc"
	callbackv1 "quittance/proto/gen/go/quittance/callback/v1"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

func (w *world) as(merchant string) context.Context {
	return rpc.WithPrincipal(w.t.Context(), rpc.Principal{Role: rpc.RoleMerchant, Merchant: merchant})
}

// TestP10RawRequestsAreSealedAndForgotten: the merchant reads what came, the
// store's bytes tell nobody else, and after the retention it is gone: of
// accepted callbacks the request, of refused ones everything.
func TestP10RawRequestsAreSealedAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		good := flexpay.SignData(secret, flexpay.Params{
			"saleID": "433456", "referenceID": attempt, "shopID": "68849", "type": "purchase", "oneClickToken": "pays-again",
		}).Query()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/callbacks/flexpay/"+account+"?"+good, nil)
		r.Header.Set("Authorization", "Basic c2VjcmV0")
		r.Header.Set("X-Trace", "7")
		w.wants(w.do(r), http.StatusOK, "OK")
		w.call(forged("433457"))
		synctest.Wait()

		seen := w.callbacks(merchant)
		if len(seen) != 2 {
			t.Fatalf("%d callbacks", len(seen))
		}
		store, err := w.engine.Open(t.Context(), docstore.StoreSpec{Name: "callbacks", Indexes: []string{"received"}})
		if err != nil {
			t.Fatal(err)
		}
		var accepted string
		for _, c := range seen {
			rec, err := store.Get(t.Context(), c.GetId())
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(rec.Body, []byte("pays-again")) || bytes.Contains(rec.Body, []byte("saleID")) {
				t.Errorf("the store shows the request: %s", rec.Body)
			}
			full, err := w.list.GetCallback(w.as(merchant), &callbackv1.GetCallbackRequest{CallbackId: c.GetId()})
			if err != nil || full.GetRequest().GetMethod() != http.MethodGet || full.GetRequest().GetRemote() == "" {
				t.Fatal(full, err)
			}
			if c.GetAccepted() {
				accepted = c.GetId()
				if got := fmt.Sprint(full.GetRequest()); !strings.Contains(got, "pays-again") || !strings.Contains(got, "X-Trace") || strings.Contains(got, "c2VjcmV0") {
					t.Errorf("the merchant reads %s", got)
				}
			}
			if _, err := w.list.GetCallback(w.as("other"), &callbackv1.GetCallbackRequest{CallbackId: c.GetId()}); fault.KindOf(err) != fault.KindNotFound {
				t.Errorf("another merchant reads it: %v", err)
			}
		}
		time.Sleep(91 * 24 * time.Hour)
		synctest.Wait()
		left := w.callbacks(merchant)
		if len(left) != 1 || left[0].GetId() != accepted {
			t.Fatalf("after the retention: %v", left)
		}
		full, err := w.list.GetCallback(w.as(merchant), &callbackv1.GetCallbackRequest{CallbackId: accepted})
		if err != nil || full.GetRequest() != nil {
			t.Fatal(full, err)
		}
		w.wants(w.call(good), http.StatusOK, "OK") // still known for a repeat
		if n := len(w.callbacks(merchant)); n != 1 {
			t.Errorf("the repeat made %d callbacks", n)
		}
	})
}

// TestReplay: an accepted callback is sent again with the same id; a refused one
// is read again with the secrets of now, and does not pass for acknowledged (P1).
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		w.wants(w.call(postback("433456")), http.StatusOK, "OK")
		synctest.Wait()
		id := w.callbacks(merchant)[0].GetId()
		replay := func(merchant, id string) (*callbackv1.Callback, error) {
			return w.list.ReplayCallback(w.as(merchant), &callbackv1.ReplayCallbackRequest{CallbackId: id})
		}
		if c, err := replay(merchant, id); err != nil || c.GetId() != id {
			t.Fatal(c, err)
		}
		synctest.Wait()
		events := w.bus.published(event.CallbackReceived)
		if len(events) != 2 || events[0].ID != events[1].ID {
			t.Fatalf("%d events", len(events))
		}
		if _, err := replay("other", id); fault.KindOf(err) != fault.KindNotFound {
			t.Fatalf("another merchant replays it: %v", err)
		}

		w.putAccount(merchant, account, "a wrong key", 2, nil)
		time.Sleep(time.Minute)
		w.wants(w.call(postback("433457")), http.StatusInternalServerError, badSignature)
		var refused string
		for _, c := range w.callbacks(merchant) {
			if !c.GetAccepted() {
				refused = c.GetId()
			}
		}
		if _, err := replay(merchant, refused); fault.KindOf(err) != fault.KindConflict {
			t.Fatalf("a refused callback is accepted: %v", err)
		}
		w.putAccount(merchant, account, secret, 3, nil)
		time.Sleep(time.Minute)
		var again *callbackv1.Callback
		for range 2 {
			c, err := replay(merchant, refused)
			if err != nil || !c.GetAccepted() || c.GetAttemptId() != attempt || c.GetId() == refused || again != nil && c.GetId() != again.GetId() {
				t.Fatal(c, err)
			}
			again = c
		}
		synctest.Wait()
		events = w.bus.published(event.CallbackReceived)
		fact := &eventv1.CallbackReceived{}
		if err := events[len(events)-1].Decode(fact); err != nil {
			t.Fatal(err)
		}
		if fact.GetCallbackId() != again.GetId() || !fact.GetUnacknowledged() || fact.GetAcknowledgeTime() != nil {
			t.Errorf("%v", fact)
		}
	})
}

// TestOldSecretsAreAcceptedInTheOverlap: what the vendor signs with the old key
// is taken until the overlap ends, and forgeries never.
func TestOldSecretsAreAcceptedInTheOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		was, err := w.keys.Seal([]byte(secret.Reveal()), reference.SecretContext(account, "signature_key"))
		if err != nil {
			t.Fatal(err)
		}
		w.putAccount(merchant, account, "the new key", 2, map[string]*orderv1.OldSecret{
			"signature_key": {Sealed: was, ExpireTime: timestamppb.New(time.Now().Add(time.Hour))},
		})
		w.wants(w.call(postback("433456")), http.StatusOK, "OK")
		fresh := flexpay.SignData("the new key", flexpay.Params{"saleID": "433457", "referenceID": attempt, "shopID": "68849", "type": "purchase"})
		w.wants(w.call(fresh.Query()), http.StatusOK, "OK")
		w.wants(w.call(forged("433458")), http.StatusInternalServerError, badSignature)
		time.Sleep(time.Hour)
		w.wants(w.call(postback("433459")), http.StatusInternalServerError, badSignature)
	})
}

// TestFloodFromOneAddressIsToldToComeAgain, in the vendor's words, and holds up
// nobody else.
func TestFloodFromOneAddressIsToldToComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		w.addAccount(merchant, "acme-two")
		from := func(remote, account string) int {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/callbacks/flexpay/"+account+"?"+postback("433456"), nil)
			r.RemoteAddr = remote + ":4000"
			return w.do(r).Code
		}
		got := map[int]int{}
		for range 3 * perSecond {
			got[from("203.0.113.1", account)]++
		}
		if got[http.StatusOK] != 2*perSecond || got[http.StatusServiceUnavailable] != perSecond {
			t.Errorf("answers %v", got)
		}
		if from("203.0.113.2", account) != http.StatusOK || from("203.0.113.1", "acme-two") != http.StatusOK {
			t.Error("others are held up")
		}
		time.Sleep(time.Second)
		if from("203.0.113.1", account) != http.StatusOK {
			t.Error("held up for too long")
		}
		// Who has one IPv6 address has 2^64 of them.
		clear(got)
		for i := range 3 * perSecond {
			got[from(fmt.Sprintf("[2001:db8::%x]", i+1), account)]++
		}
		if got[http.StatusOK] != 2*perSecond || from("[2001:db8:0:1::1]", account) != http.StatusOK {
			t.Errorf("answers to one network %v", got)
		}
	})
}

// TestUnknownAccountsLookLikeForgeries, in every byte and in time.
func TestUnknownAccountsLookLikeForgeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		answer := func(path string) string {
			start := time.Now()
			rec := w.get(path)
			return fmt.Sprint(rec.Code, rec.Header(), rec.Body, time.Since(start))
		}
		if known, unknown := answer("/callbacks/flexpay/"+account+"?"+forged("433456")), answer("/callbacks/flexpay/nobody?"+forged("433456")); known != unknown {
			t.Errorf("known account: %s\nunknown account: %s", known, unknown)
		}
	})
}
