package edge_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/provider"
	"quittance/pkg/seal"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	"quittance/services/payment-redirect/internal/savedpayment"
)

const cardToken = "a-token-of-the-card"

func of(user string) func(*orderv1.Order) { return func(o *orderv1.Order) { o.UserId = user } }

// brought publishes that a payment brought a token.
func (w *world) brought(a *paymentv1.Attempt, outcome verificationv1.Outcome, revision int64, token string) {
	w.t.Helper()
	fact := &eventv1.PaymentVerified{AttemptId: a.GetId(), MerchantId: merchant, Outcome: outcome, Revision: revision}
	if token != "" {
		sealed, err := w.keys.Seal([]byte(token), provider.OneClickContext(a.GetAccountId(), a.GetId()))
		if err != nil {
			w.t.Fatal(err)
		}
		fact.SealedOneClickToken = sealed
	}
	e, err := event.New(event.PaymentVerified, "verification", a.GetId(), "ord", merchant, time.Now(), fact)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.bus.Publish(w.t.Context(), []event.Event{e}); err != nil {
		w.t.Fatal(err)
	}
}

// saved lists the accounts of what a user has saved.
func (w *world) saved(merchant, user string) string {
	w.t.Helper()
	list, err := w.payments.ListSavedPayments(w.as(merchant), &paymentv1.ListSavedPaymentsRequest{UserId: user})
	if err != nil {
		w.t.Fatal(err)
	}
	var accounts []string
	for _, s := range list.GetSavedPayments() {
		accounts = append(accounts, s.GetAccountId())
	}
	return strings.Join(accounts, " ")
}

// buys pays an order of a user, whose provider then gives a token.
func (w *world) buys(user string) *paymentv1.Attempt {
	w.t.Helper()
	o, _ := w.orders.add(of(user))
	a := w.start(o.GetId(), cards)
	w.brought(a, verificationv1.Outcome_OUTCOME_PAID, 1, cardToken)
	eventually(w.t, "the token is kept", func() bool { return w.saved(merchant, user) == cards })
	return a
}

// TestOneClickIsForTheSameUserOnly: the next purchase of a user that the shop
// names can be paid with the token; nobody else's.
func TestOneClickIsForTheSameUserOnly(t *testing.T) {
	w := newWorld(t)
	w.buys("user-1")
	kept, err := w.checkout.Saved.Of(t.Context(), merchant, "user-1")
	if err != nil || kept.Of(cards) == nil || strings.Contains(kept.Of(cards).Sealed, cardToken) {
		t.Fatalf("%+v, %v", kept, err)
	}

	o, token := w.orders.add(of("user-1"))
	w.shows(w.get("/pay/"+token), http.StatusOK, `value="saved:`+cards+`"`, "Credit card: pay with one click", `value="`+cards+`"`)
	rec := w.post("/pay/"+token, w.form(token, "saved:"+cards))
	to, err := url.Parse(rec.Header().Get("Location"))
	if err != nil || rec.Code != http.StatusSeeOther || to.Query().Get("oneClickToken") != cardToken || to.Query().Get("paymentMethod") != "CC" {
		t.Errorf("sent to %d %v", rec.Code, to)
	}
	a, err := w.payments.StartPayment(w.as(merchant), &paymentv1.StartPaymentRequest{
		IdempotencyKey: id.Token(), OrderId: o.GetId(), AccountId: cards, Saved: true,
	})
	if err != nil || !a.GetSaved() || !strings.Contains(a.GetRedirect().GetUrl(), "oneClickToken="+cardToken) {
		t.Errorf("%v, %v", a, err)
	}
	if plain := w.start(o.GetId(), cards); strings.Contains(plain.GetRedirect().GetUrl(), "oneClickToken") {
		t.Errorf("nobody asked for one click: %v", plain)
	}

	for name, change := range map[string]func(*orderv1.Order){
		"another user": of("user-2"), "the same e-mail": of(""),
		"another merchant's": func(o *orderv1.Order) { o.UserId, o.MerchantId = "user-1", "other" },
	} {
		o, token := w.orders.add(change)
		if page := w.get("/pay/" + token).Body.String(); strings.Contains(page, "saved:") {
			t.Errorf("%s: one click is offered", name)
		}
		if rec := w.post("/pay/"+token, w.form(token, "saved:"+cards)); rec.Code == http.StatusSeeOther {
			t.Errorf("%s: sent to %s", name, rec.Header().Get("Location"))
		}
		if _, err := w.payments.StartPayment(w.as(o.GetMerchantId()), &paymentv1.StartPaymentRequest{
			IdempotencyKey: id.Token(), OrderId: o.GetId(), AccountId: cards, Saved: true,
		}); fault.KindOf(err) != fault.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Whoever knows an order's id can have the fulfilment URL's page.
	if page := w.get(fulfillmentURL(o, shop)).Body.String(); strings.Contains(page, "saved:") {
		t.Error("the fulfilment URL offers one click")
	}
	if rec := w.post(fulfillmentURL(o, shop), url.Values{"method": {"saved:" + cards}, "key": {id.Token()}}); rec.Code == http.StatusSeeOther {
		t.Errorf("the fulfilment URL sends to %s", rec.Header().Get("Location"))
	}
}

// TestATokenOfAnotherPaymentIsNotKept: one that was sealed for another payment, or
// with a key that is gone, leaves the payment as it is.
func TestATokenOfAnotherPaymentIsNotKept(t *testing.T) {
	w := newWorld(t)
	o, _ := w.orders.add(of("user-1"))
	a, other := w.start(o.GetId(), cards), w.start(o.GetId(), cards)
	sealed, err := w.keys.Seal([]byte(cardToken), provider.OneClickContext(cards, other.GetId()))
	if err != nil {
		t.Fatal(err)
	}
	e, err := event.New(event.PaymentVerified, "verification", a.GetId(), "ord", merchant, time.Now(), &eventv1.PaymentVerified{
		AttemptId: a.GetId(), MerchantId: merchant, Outcome: verificationv1.Outcome_OUTCOME_PAID, Revision: 1, SealedOneClickToken: sealed,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.bus.Publish(t.Context(), []event.Event{e}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the payment counts", func() bool { return w.state(a.GetId()) == paymentv1.AttemptState_ATTEMPT_STATE_SUCCEEDED })
	w.buys("user-2") // which is handled after it
	if got := w.saved(merchant, "user-1"); got != "" {
		t.Errorf("saved %q", got)
	}
}

// TestOneClickWhoseKeyIsGone: a saved token that can't be opened any more costs
// nobody a sale: it is paid like any other, and what that brings takes its place.
func TestOneClickWhoseKeyIsGone(t *testing.T) {
	w := newWorld(t)
	w.buys("user-1")
	gone, err := seal.ParseKeyring(seal.Generate())
	if err != nil {
		t.Fatal(err)
	}
	lost, err := gone.Seal([]byte(cardToken), "whatever")
	if err != nil {
		t.Fatal(err)
	}
	saved := w.checkout.Saved
	if _, err := saved.For(merchant).Update(t.Context(), id.Derived("usr", merchant, "user-1"), func(u *savedpayment.User, _ *docstore.Change) error {
		u.Of(cards).Sealed = lost
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	_, token := w.orders.add(of("user-1"))
	to := w.post("/pay/"+token, w.form(token, "saved:"+cards))
	if at := to.Header().Get("Location"); to.Code != http.StatusSeeOther || !strings.Contains(at, "/startorder?") || strings.Contains(at, "oneClickToken") {
		t.Errorf("sent to %d %s", to.Code, at)
	}
	w.buys("user-1")
	eventually(t, "the new token is kept", func() bool {
		u, err := saved.Of(t.Context(), merchant, "user-1")
		return err == nil && u.Of(cards).Sealed != lost
	})
}

// TestOneClickForgotten: by the merchant, although the event comes again, and by
// a payment with it that fails. What was begun is then paid like any other.
func TestOneClickForgotten(t *testing.T) {
	w := newWorld(t)
	first := w.buys("user-1")
	o, _ := w.orders.add(of("user-1"))
	begun, err := w.payments.StartPayment(w.as(merchant), &paymentv1.StartPaymentRequest{
		IdempotencyKey: id.Token(), OrderId: o.GetId(), AccountId: cards, Saved: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.payments.ForgetSavedPayments(w.as("other"), &paymentv1.ForgetSavedPaymentsRequest{UserId: "user-1"}); err != nil || w.saved(merchant, "user-1") != cards {
		t.Fatalf("another merchant's word: %v, %q", err, w.saved(merchant, "user-1"))
	}
	if _, err := w.payments.ForgetSavedPayments(w.as(merchant), &paymentv1.ForgetSavedPaymentsRequest{UserId: "user-1"}); err != nil || w.saved(merchant, "user-1") != "" {
		t.Fatalf("%v, %q", err, w.saved(merchant, "user-1"))
	}
	again, err := w.payments.GetAttempt(w.as(merchant), &paymentv1.GetAttemptRequest{AttemptId: begun.GetId()})
	if err != nil || again.GetRedirect().GetUrl() == "" || strings.Contains(again.GetRedirect().GetUrl(), "oneClickToken") {
		t.Errorf("%v, %v", again, err)
	}
	w.brought(first, verificationv1.Outcome_OUTCOME_PAID, 2, cardToken)
	w.buys("user-2") // which is handled after it
	if got := w.saved(merchant, "user-1"); got != "" {
		t.Errorf("saved again: %q", got)
	}

	o, _ = w.orders.add(of("user-2"))
	a, err := w.payments.StartPayment(w.as(merchant), &paymentv1.StartPaymentRequest{
		IdempotencyKey: id.Token(), OrderId: o.GetId(), AccountId: cards, Saved: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.get("/return/" + a.GetId() + "/declined") // a browser's word alone forgets nothing
	if got := w.saved(merchant, "user-2"); got != cards {
		t.Errorf("after a browser's claim: %q", got)
	}
	w.brought(a, verificationv1.Outcome_OUTCOME_FAILED, 1, "")
	eventually(t, "the token that did not pay is forgotten", func() bool { return w.saved(merchant, "user-2") == "" })

	for _, bad := range []string{"", strings.Repeat("x", 101)} {
		_, err := w.payments.ListSavedPayments(w.as(merchant), &paymentv1.ListSavedPaymentsRequest{UserId: bad})
		_, err2 := w.payments.ForgetSavedPayments(w.as(merchant), &paymentv1.ForgetSavedPaymentsRequest{UserId: bad})
		if fault.KindOf(err) != fault.KindInvalid || fault.KindOf(err2) != fault.KindInvalid {
			t.Errorf("user %q: %v, %v", bad, err, err2)
		}
	}
}
