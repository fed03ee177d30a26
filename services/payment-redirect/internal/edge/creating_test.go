package edge_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/provider"
	"quittance/pkg/returns"
	"quittance/pkg/testkit"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
)

// clerk is a provider where payments are created; it offers two methods and
// takes euros only.
type clerk struct {
	mu      sync.Mutex
	asked   []provider.Attempt
	answers []func(context.Context) (provider.Created, error) // in turn, the last one repeated
}

const desk = "acme-desk"

func (*clerk) Name() string                        { return "clerk" }
func (*clerk) CheckAccount(provider.Account) error { return nil }

func (*clerk) Methods(provider.Account) []provider.Method {
	return []provider.Method{{ID: "later", Name: "Pay later", Icon: "invoice"}, {ID: "parts", Name: "Pay in parts", Icon: "invoice"}}
}

func (*clerk) CheckAttempt(_ provider.Account, a provider.Attempt) error {
	if a.Amount.Currency != "EUR" {
		return errors.New("euros only")
	}
	return nil
}

func (c *clerk) Create(ctx context.Context, _ provider.Account, a provider.Attempt) (provider.Created, error) {
	c.mu.Lock()
	c.asked = append(c.asked, a)
	answer := c.answers[min(len(c.asked), len(c.answers))-1]
	c.mu.Unlock()
	return answer(ctx)
}

// attempts are those that the clerk was asked to create so far.
func (c *clerk) attempts() []provider.Attempt {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asked)
}

func (c *clerk) times() int { return len(c.attempts()) }

var (
	_ provider.Creator      = (*clerk)(nil)
	_ provider.MethodLister = (*clerk)(nil)
)

func gives(context.Context) (provider.Created, error) {
	return provider.Created{ProviderReference: "clerk-1", Redirect: provider.Redirect{Method: http.MethodGet, URL: "https://desk.example.net/x?y=1&z=2"}}, nil
}

func says(err error) func(context.Context) (provider.Created, error) {
	return func(context.Context) (provider.Created, error) { return provider.Created{}, err }
}

// newDesk is a world whose merchant has an account at the clerk.
func newDesk(t *testing.T, answers ...func(context.Context) (provider.Created, error)) *world {
	w := newWorld(t)
	w.clerk.answers = answers
	w.addAccount(merchant, desk, "clerk", "Desk", nil)
	return w
}

func (w *world) attempt(id string) *paymentv1.Attempt {
	w.t.Helper()
	a, err := w.payments.GetAttempt(w.as(merchant), &paymentv1.GetAttemptRequest{AttemptId: id})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func TestAPaymentIsCreatedThenAnnounced(t *testing.T) {
	w := newDesk(t, gives)
	o, _ := w.orders.add()
	a, err := w.payments.StartPayment(w.as(merchant), &paymentv1.StartPaymentRequest{
		IdempotencyKey: id.Token(), OrderId: o.GetId(), AccountId: desk, Method: "parts",
	})
	if err != nil || a.GetPreparing() || a.GetRedirect().GetUrl() != "https://desk.example.net/x?y=1&z=2" || a.GetProviderReference() != "clerk-1" || a.GetMethod() != "parts" {
		t.Fatalf("%v, %v", a, err)
	}
	asked := w.clerk.attempts()[0]
	if asked.Method != "parts" || asked.Reference != a.GetId() || asked.CallbackURL != "https://in.example.org/callbacks/clerk/"+desk ||
		asked.ReturnURL != publicURL+"/return/"+a.GetId() || asked.Amount.Minor != 2499 {
		t.Errorf("asked %+v", asked)
	}
	eventually(t, "payment.started", func() bool { return len(w.bus.published(event.PaymentStarted)) == 1 })
	fact := &eventv1.PaymentStarted{}
	if err := w.bus.published(event.PaymentStarted)[0].Decode(fact); err != nil || fact.GetProviderReference() != "clerk-1" {
		t.Errorf("announced %v, %v", fact, err)
	}
}

// TestP4ACreationWithoutAnAnswerIsRepeated: and nobody is told of a payment
// that doesn't exist.
func TestP4ACreationWithoutAnAnswerIsRepeated(t *testing.T) {
	release := make(chan struct{})
	w := newDesk(t, says(errors.New("connection reset")), func(ctx context.Context) (provider.Created, error) {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return gives(ctx)
	})
	o, _ := w.orders.add()
	a := w.start(o.GetId(), desk)
	if !a.GetPreparing() || a.GetRedirect() != nil || a.GetState() != paymentv1.AttemptState_ATTEMPT_STATE_STARTED {
		t.Fatalf("%v", a)
	}
	// Whoever makes up a return from it learns and changes nothing.
	w.get("/return/" + a.GetId() + "?paymentResult=OK")
	if n := len(w.bus.published(event.PaymentStarted)) + len(w.bus.published(event.PaymentReturned)); n != 0 {
		t.Errorf("%d events about a payment that doesn't exist", n)
	}
	close(release)
	testkit.Eventually(t, 20*time.Second, func() error {
		if got := w.attempt(a.GetId()); got.GetPreparing() || got.GetRedirect() == nil {
			return fmt.Errorf("%v after %d tries", got, w.clerk.times())
		}
		return nil
	})
	if w.clerk.times() != 2 {
		t.Errorf("%d tries", w.clerk.times())
	}
}

func TestADeclinedCreationFailsTheAttempt(t *testing.T) {
	w := newDesk(t, says(fmt.Errorf("create payment: %w: credit denied", provider.ErrDeclined)))
	o, token := w.orders.add()
	a := w.start(o.GetId(), desk)
	if a.GetState() != paymentv1.AttemptState_ATTEMPT_STATE_FAILED || a.GetProblem() != "the provider declines: credit denied" || a.GetRedirect() != nil || a.GetPreparing() {
		t.Fatalf("%v", a)
	}
	w.shows(w.get("/pay/"+token), http.StatusOK, "credit denied")
	if w.clerk.times() != 1 {
		t.Errorf("asked %d times", w.clerk.times())
	}
	eventually(t, "payment.started", func() bool { return len(w.bus.published(event.PaymentStarted)) == 1 })
	fact := &eventv1.PaymentStarted{}
	if err := w.bus.published(event.PaymentStarted)[0].Decode(fact); err != nil || !strings.Contains(fact.GetRefusal(), "credit denied") || fact.GetProviderReference() != "" {
		t.Errorf("announced %v, %v", fact, err)
	}
}

func TestThePayPageWaitsForThePayment(t *testing.T) {
	release := make(chan struct{})
	w := newDesk(t, func(ctx context.Context) (provider.Created, error) {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return gives(ctx)
	})
	_, token := w.orders.add()
	w.shows(w.get("/pay/"+token), http.StatusOK, `value="`+desk+`/later"`, "Pay later", `value="`+desk+`/parts"`)
	rec := w.post("/pay/"+token, w.form(token, desk+"/later"))
	start := rec.Header().Get("Location")
	if rec.Code != http.StatusSeeOther || !strings.HasPrefix(start, "/pay/"+token+"/start/pay_") {
		t.Fatalf("sent to %d %q", rec.Code, start)
	}
	waits := w.get(start)
	w.shows(waits, http.StatusOK, "One moment")
	if waits.Header().Get("Refresh") == "" {
		t.Errorf("does not refresh: %v", waits.Header())
	}
	close(release)
	testkit.Eventually(t, 20*time.Second, func() error {
		onward := w.get(start)
		if got := onward.Header().Get("Refresh"); got != "0; url=https://desk.example.net/x?y=1&z=2" {
			return fmt.Errorf("refreshes to %q", got)
		}
		w.shows(onward, http.StatusOK, `href="https://desk.example.net/x?y=1&amp;z=2"`)
		return nil
	})
	if asked := w.clerk.attempts(); len(asked) != 1 || asked[0].Method != "later" {
		t.Errorf("asked for %+v", asked)
	}
	// Another order's link does not lead there.
	_, other := w.orders.add()
	w.shows(w.get(strings.Replace(start, token, other, 1)), http.StatusNotFound)
}

// TestTheFulfilmentURLWaitsForThePayment, on a page that gives no link of the
// customer's, and leads back to the shop if the payment is declined.
func TestTheFulfilmentURLWaitsForThePayment(t *testing.T) {
	for name, answer := range map[string]func(context.Context) (provider.Created, error){
		"created": gives, "declined": says(fmt.Errorf("%w: no credit", provider.ErrDeclined)),
	} {
		w := newDesk(t, answer)
		o, token := w.orders.add()
		rec := w.post(fulfillmentURL(o, shop), url.Values{"method": {desk + "/later"}, "key": {id.Token()}})
		start := rec.Header().Get("Location")
		if rec.Code != http.StatusSeeOther || !strings.HasPrefix(start, "/fulfillment/start/pay_") {
			t.Fatalf("%s: sent to %d %q", name, rec.Code, start)
		}
		testkit.Eventually(t, 20*time.Second, func() error {
			page := w.get(start)
			if strings.Contains(page.Body.String(), token) {
				t.Fatal("the page shows the customer's link")
			}
			refresh, location := page.Header().Get("Refresh"), page.Header().Get("Location")
			if name == "created" && refresh == "0; url=https://desk.example.net/x?y=1&z=2" ||
				name == "declined" && location != "" && w.unsigned(location) == fulfilled(o, returns.Error) {
				return nil
			}
			return fmt.Errorf("%s: %d, refresh %q, to %q", name, page.Code, refresh, location)
		})
	}
	w := newDesk(t, gives)
	o, _ := w.orders.add()
	ordinary := w.start(o.GetId(), cards)
	w.shows(w.get("/fulfillment/start/"+ordinary.GetId()), http.StatusNotFound)
	w.shows(w.get("/fulfillment/start/"+id.New("pay")), http.StatusNotFound)
	w.shows(w.get("/fulfillment/start/x"), http.StatusNotFound)
}

func TestP10MethodsAreChecked(t *testing.T) {
	w := newDesk(t, gives)
	o, _ := w.orders.add()
	for account, method := range map[string]string{desk: "nonsense", cards: "later", bank: "later"} {
		_, err := w.payments.StartPayment(w.as(merchant), &paymentv1.StartPaymentRequest{
			IdempotencyKey: id.Token(), OrderId: o.GetId(), AccountId: account, Method: method,
		})
		if fault.KindOf(err) != fault.KindInvalid || !strings.Contains(err.Error(), "method") {
			t.Errorf("%s by %s: %v", account, method, err)
		}
	}
	list, err := w.payments.ListMethods(w.as(merchant), &paymentv1.ListMethodsRequest{OrderId: o.GetId()})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range list.GetMethods() {
		if m.GetAccountId() == desk {
			found = append(found, m.GetMethod()+" "+m.GetMethodName()+" "+m.GetIcon())
		}
	}
	if strings.Join(found, ", ") != "later Pay later invoice, parts Pay in parts invoice" {
		t.Errorf("offered %v", found)
	}
	if w.clerk.times() != 0 {
		t.Error("an edge has called the provider")
	}
}
