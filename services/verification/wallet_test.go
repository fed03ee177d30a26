package verification_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/event"
	"quittance/pkg/id"
	"quittance/pkg/reference"
	"quittance/pkg/testkit"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// wallet is a provider that can't be asked without its own reference: payments
// by reference, each of 9.99 EUR, captured; it echoes our reference.
func (w *world) wallet(references ...string) {
	w.t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.WriteString(rw, `{"token":"t","validUntil":"2099-01-01T00:00:00Z"}`)
			return
		}
		w.asked.Add(1)
		for _, reference := range references {
			if strings.Contains(r.URL.Path, "/"+reference+"/") {
				status := "CAPTURED"
				if w.givenBack.Load() {
					status = "RETURNED"
				}
				_, _ = fmt.Fprintf(rw, `{"uniqueReference":%q,"partnerReference":%q,"statusCode":%q,"presentationAmount":9.99,"presentationCurrCode":"EUR","responseCode":"0000"}`,
					reference, r.URL.Query().Get("partnerReference"), status)
				return
			}
		}
		http.Error(rw, "no such transaction", http.StatusNotFound)
	}))
	w.t.Cleanup(server.Close)
	sealed, err := w.keys.Seal([]byte("secret"), reference.SecretContext("wallet", "password"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.publish("ref.account", "wallet", &orderv1.Reference{Kind: reference.KindAccount, Id: "wallet", Version: 1, Item: &orderv1.Reference_Account{
		Account: &orderv1.SealedAccount{
			Account: &orderv1.ProviderAccount{Id: "wallet", MerchantId: "acme", Provider: "kontocloud", Settings: map[string]string{
				"portal_url": server.URL, "base_url": server.URL, "merchant_accno": "m", "user_id": "u", "status.refunded": "RETURNED", "first": "50ms", "then": "50ms,100ms", "life": "300ms",
			}},
			SealedSecrets: map[string]string{"password": sealed},
		},
	}})
}

func (w *world) startWallet(providerReference string) string {
	attempt := id.New("pay")
	w.announceWallet(attempt, providerReference)
	if providerReference == "" { // it is known as soon as its callback is dealt with
		callback := id.New("clb")
		w.publish(event.CallbackReceived, callback, &eventv1.CallbackReceived{
			CallbackId: callback, AccountId: "wallet", Provider: "kontocloud", MerchantId: "acme", Reference: attempt, Claim: "other", AcknowledgeTime: timestamppb.Now(),
		})
		w.answeredCallback(callback)
	}
	return attempt
}

func (w *world) announceWallet(attempt, providerReference string) {
	w.publish(event.PaymentStarted, attempt, &eventv1.PaymentStarted{
		AttemptId: attempt, OrderId: "ord_" + attempt, MerchantId: "acme", AccountId: "wallet", Provider: "kontocloud", Reference: attempt,
		Amount: &orderv1.Money{Minor: 999, Currency: "EUR"}, StartTime: timestamppb.Now(), ProviderReference: providerReference,
	})
}

func (w *world) returned(attempt, reference string) {
	w.publish(event.PaymentReturned, attempt, &eventv1.PaymentReturned{AttemptId: attempt, MerchantId: "acme", ProviderReference: reference})
}

// notified publishes a callback that names only the provider's reference.
func (w *world) notified(callback, reference string) {
	w.publish(event.CallbackReceived, callback, &eventv1.CallbackReceived{
		CallbackId: callback, AccountId: "wallet", Provider: "kontocloud", MerchantId: "acme", TransactionId: reference, Claim: "other",
		AcknowledgeTime: timestamppb.Now(),
	})
}

// TestS4WithoutTheReferenceAnAttemptIsParked: nobody is asked in vain, nothing
// expires, and the reference, however late, is asked about.
func TestS4WithoutTheReferenceAnAttemptIsParked(t *testing.T) {
	w := newWorld(t)
	w.wallet("PT-1")
	// Its callback names our attempt but no reference, and is answered all the
	// same: there is nothing to ask by.
	attempt := w.startWallet("")
	if n := w.asked.Load(); n != 0 {
		t.Errorf("asked %d times without a reference", n)
	}
	if f := w.facts(attempt); len(f) != 0 {
		t.Fatalf("the order was told %v", f)
	}
	w.returned(attempt, "PT-1")
	if f := w.told(attempt, 1); f.GetOutcome() != paid || f.GetTransactionId() != "PT-1" {
		t.Fatalf("%v", f)
	}
}

// TestS26AReferencePaysOneAttempt: an echoing provider can't tell whose it is,
// but one transaction pays one attempt.
func TestS26AReferencePaysOneAttempt(t *testing.T) {
	w := newWorld(t)
	w.wallet("PT-1")
	a, b := w.startWallet(""), w.startWallet("")
	w.returned(a, "PT-1")
	if f := w.told(a, 1); f.GetOutcome() != paid {
		t.Fatalf("%v", f)
	}
	w.returned(b, "PT-1")
	if f := w.told(b, 1); f.GetOutcome() != onHold || !strings.Contains(f.GetDetail(), a) {
		t.Fatalf("%v", f)
	}
}

// TestH6AnOldPaymentsRefundIsNotThisAttempts, though the provider echoes our
// reference: the transaction has paid another attempt.
func TestH6AnOldPaymentsRefundIsNotThisAttempts(t *testing.T) {
	w := newWorld(t)
	w.wallet("PT-1")
	a, b := w.startWallet(""), w.startWallet("")
	w.returned(a, "PT-1")
	if f := w.told(a, 1); f.GetOutcome() != paid {
		t.Fatalf("%v", f)
	}
	w.givenBack.Store(true)
	w.returned(b, "PT-1")
	if f := w.told(b, 1); f.GetOutcome() != verificationv1.Outcome_OUTCOME_EXPIRED || f.GetRefunded().GetMinor() != 0 {
		t.Fatalf("%v", f)
	}
}

// TestAWrongReferenceDoesNotKeepTheRightOneOut: whichever comes first.
func TestAWrongReferenceDoesNotKeepTheRightOneOut(t *testing.T) {
	w := newWorld(t)
	w.wallet("PT-1")
	for _, references := range [][]string{{"made-up", "PT-1"}, {"PT-1"}} {
		attempt := w.startWallet("")
		for _, reference := range references {
			w.returned(attempt, reference)
		}
		if len(references) == 1 { // the transaction is the first attempt's
			if f := w.told(attempt, 1); f.GetOutcome() != onHold {
				t.Fatalf("%v", f)
			}
			continue
		}
		if f := w.told(attempt, 1); f.GetOutcome() != paid {
			t.Fatalf("%v", f)
		}
	}
}

// TestACallbackBeforeThePaymentIsKnownIsKept: it names the provider's id, which
// is known only later.
func TestACallbackBeforeThePaymentIsKnownIsKept(t *testing.T) {
	w := newWorld(t)
	w.wallet("PT-1", "PT-2", "PT-3")
	w.notified("clb_1", "PT-1")
	attempt := w.startWallet("PT-1")
	if f := w.told(attempt, 1); f.GetOutcome() != paid {
		t.Fatalf("%v", f)
	}
	w.answeredCallback("clb_1")

	w.notified("clb_2", "PT-2")
	attempt = w.startWallet("")
	w.returned(attempt, "PT-2")
	w.told(attempt, 1)
	w.answeredCallback("clb_2")

	// Announced again with the reference, after it was announced without.
	w.notified("clb_3", "PT-3")
	attempt = w.startWallet("")
	w.announceWallet(attempt, "PT-3")
	w.told(attempt, 1)
	w.answeredCallback("clb_3")
}

// answeredCallback waits until callback-ingest was told that a callback is dealt with.
func (w *world) answeredCallback(callback string) {
	w.t.Helper()
	testkit.Eventually(w.t, patience, func() error {
		for _, a := range all(w.bus, event.CallbackAcknowledged, func() *eventv1.CallbackAcknowledged { return &eventv1.CallbackAcknowledged{} }) {
			for _, c := range a.GetCallbackIds() {
				if c == callback {
					return nil
				}
			}
		}
		for _, f := range all(w.bus, event.PaymentVerified, func() *eventv1.PaymentVerified { return &eventv1.PaymentVerified{} }) {
			for _, c := range f.GetCallbackIds() {
				if c == callback {
					return nil
				}
			}
		}
		return fmt.Errorf("callback %s is not answered", callback)
	})
}

// TestARefusedPaymentHasFailed: there is nothing to ask about, and the order is
// told.
func TestARefusedPaymentHasFailed(t *testing.T) {
	w := newWorld(t)
	w.wallet()
	attempt := id.New("pay")
	w.publish(event.PaymentStarted, attempt, &eventv1.PaymentStarted{
		AttemptId: attempt, OrderId: "ord_" + attempt, MerchantId: "acme", AccountId: "wallet", Provider: "kontocloud", Reference: attempt,
		Amount: &orderv1.Money{Minor: 999, Currency: "EUR"}, StartTime: timestamppb.Now(), Refusal: "credit denied",
	})
	if f := w.told(attempt, 1); f.GetOutcome() != verificationv1.Outcome_OUTCOME_FAILED || f.GetDetail() != "credit denied" || w.asked.Load() != 0 {
		t.Fatalf("%v, asked %d times", f, w.asked.Load())
	}
}
