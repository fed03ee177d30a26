package edge_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/testkit"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

// eventually waits for a condition that another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	testkit.Eventually(t, 5*time.Second, func() error {
		if !ok() {
			return errors.New(what)
		}
		return nil
	})
}

func TestStartPaymentAnnouncesAnAttempt(t *testing.T) {
	w := newWorld(t)
	o, _ := w.orders.add()
	a := w.start(o.GetId(), cards)
	if a.GetState() != paymentv1.AttemptState_ATTEMPT_STATE_STARTED || a.GetReference() != a.GetId() ||
		a.GetAmount().GetMinor() != 2499 || a.GetOrderId() != o.GetId() || a.GetProvider() != "flexpay" {
		t.Errorf("attempt %v", a)
	}
	if r := a.GetRedirect(); r.GetMethod() != "GET" || !strings.HasPrefix(r.GetUrl(), "https://secure.example.org/flexpay/startorder?") ||
		!strings.Contains(r.GetUrl(), "signature=") || !strings.Contains(r.GetUrl(), "priceAmount=24.99") {
		t.Errorf("redirect %v", r)
	}
	eventually(t, "payment.started", func() bool { return len(w.bus.published(event.PaymentStarted)) == 1 })
	e, fact := w.bus.published(event.PaymentStarted)[0], &eventv1.PaymentStarted{}
	if err := e.Decode(fact); err != nil {
		t.Fatal(err)
	}
	if e.Subject != a.GetId() || e.Key != o.GetId() || e.Merchant != merchant || fact.GetReference() != a.GetId() ||
		fact.GetAccountId() != cards || fact.GetAmount().GetMinor() != 2499 || fact.GetStartTime().AsTime().IsZero() {
		t.Errorf("event %+v with %v", e, fact)
	}
}

func TestStartPaymentIsIdempotent(t *testing.T) {
	w := newWorld(t)
	o, _ := w.orders.add()
	other, _ := w.orders.add()
	request := func(key, order, account string) (*paymentv1.Attempt, error) {
		return w.payments.StartPayment(w.as(merchant), &paymentv1.StartPaymentRequest{IdempotencyKey: key, OrderId: order, AccountId: account})
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	ids := map[string]bool{}
	for range 20 {
		wg.Go(func() {
			a, err := request("k", o.GetId(), cards)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			ids[a.GetId()+a.GetRedirect().GetUrl()] = true
		})
	}
	wg.Wait()
	if len(ids) != 1 {
		t.Errorf("%d attempts of one key", len(ids))
	}
	w.orders.change(func() { o.PaymentState, w.orders.down = orderv1.PaymentState_PAYMENT_STATE_PAID, true })
	if _, err := request("k", o.GetId(), cards); err != nil {
		t.Errorf("repeat after the order was paid: %v", err)
	}
	w.orders.change(func() { w.orders.down = false })
	for _, tt := range [][2]string{{o.GetId(), bank}, {other.GetId(), cards}} {
		if _, err := request("k", tt[0], tt[1]); fault.KindOf(err) != fault.KindConflict {
			t.Errorf("same key for %v: %v", tt, err)
		}
	}
	eventually(t, "payment.started", func() bool { return len(w.bus.published(event.PaymentStarted)) > 0 })
	if n := len(w.bus.published(event.PaymentStarted)); n != 1 {
		t.Errorf("%d attempts announced", n)
	}
}

// TestAttemptIDsCannotBeComputed: who knows an attempt's id can play its
// returning browser, and idempotency keys may be known or guessed.
func TestAttemptIDsCannotBeComputed(t *testing.T) {
	w, elsewhere := newWorld(t), newWorld(t)
	start := func(w *world, orderID string) string {
		a, err := w.payments.StartPayment(w.as(merchant), &paymentv1.StartPaymentRequest{
			IdempotencyKey: "1", OrderId: orderID, AccountId: cards,
		})
		if err != nil {
			t.Fatal(err)
		}
		return a.GetId()
	}
	o, token := w.orders.add()
	elsewhere.orders.change(func() { elsewhere.orders.byID[o.GetId()] = o })
	attempt := start(w, o.GetId())
	if !id.Valid("pay", attempt) || len(attempt) > 36 || attempt == id.Derived("pay", merchant, "1") || attempt == start(elsewhere, o.GetId()) {
		t.Errorf("attempt %s of a known key", attempt)
	}
	form := w.form(token, cards)
	pages := map[string]bool{id.Derived("pay", merchant, "page", o.GetId(), cards, form.Get("key")): true}
	for _, w := range []*world{w, elsewhere} {
		same := w.form(token, cards)
		same.Set("key", form.Get("key"))
		to, err := url.Parse(w.post("/pay/"+token, same).Header().Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		attempt := to.Query().Get("referenceID")
		if !id.Valid("pay", attempt) || pages[attempt] {
			t.Errorf("attempt %s of a known form", attempt)
		}
		pages[attempt] = true
	}
}

func TestAnOrderHasAtMostThirtyAttempts(t *testing.T) {
	w := newWorld(t)
	o, token := w.orders.add()
	form := w.form(token, cards)
	target := w.post("/pay/"+token, form).Header().Get("Location")
	request := func(order string, n int) error {
		_, err := w.payments.StartPayment(w.as(merchant), &paymentv1.StartPaymentRequest{
			IdempotencyKey: order[:8] + strconv.Itoa(n), OrderId: order, AccountId: cards,
		})
		return err
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var started []int
	for n := range 100 {
		wg.Go(func() {
			err := request(o.GetId(), n)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				started = append(started, n)
			case fault.KindOf(err) != fault.KindExhausted || !strings.Contains(err.Error(), "too many payment attempts for this order"):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(started) != 29 {
		t.Errorf("%d attempts beside the page's one", len(started))
	}
	for _, n := range started {
		if err := request(o.GetId(), n); err != nil {
			t.Errorf("repeat: %v", err)
		}
	}
	if again := w.post("/pay/"+token, form).Header().Get("Location"); again != target {
		t.Errorf("the first form, sent again, leads to %q", again)
	}
	rec := w.post("/pay/"+token, w.form(token, bank))
	w.shows(rec, http.StatusTooManyRequests, "Too many tries to pay", `href="/orders/`+token)
	eventually(t, "30 attempts announced", func() bool { return len(w.bus.published(event.PaymentStarted)) == 30 })
	other, _ := w.orders.add()
	if err := request(other.GetId(), 1000); err != nil {
		t.Errorf("another order: %v", err)
	}
}

// TestAClaimedFailureKeepsTheWayToTheProvider: a return is not authenticated,
// so it must not keep a customer from paying.
func TestAClaimedFailureKeepsTheWayToTheProvider(t *testing.T) {
	for path, account := range map[string]string{"/declined": cards, "?result=cancel": post, "?result=fail": post} {
		w := newWorld(t)
		o, _ := w.orders.add()
		started := w.start(o.GetId(), account)
		w.get("/return/" + started.GetId() + path)
		read := func() *paymentv1.Attempt {
			got, err := w.payments.GetAttempt(w.as(merchant), &paymentv1.GetAttemptRequest{AttemptId: started.GetId()})
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		got := read()
		if s := got.GetState(); s != paymentv1.AttemptState_ATTEMPT_STATE_FAILED && s != paymentv1.AttemptState_ATTEMPT_STATE_CANCELED {
			t.Errorf("%s: state %s", path, s)
		}
		if !proto.Equal(got.GetRedirect(), started.GetRedirect()) {
			t.Errorf("%s: redirect %v, want %v", path, got.GetRedirect(), started.GetRedirect())
		}
		w.verify(started.GetId(), verificationv1.Outcome_OUTCOME_FAILED, 1)
		eventually(t, "no redirect once verified", func() bool { return read().GetRedirect() == nil })
	}
}

func TestP10StartPaymentNamesWhatIsWrong(t *testing.T) {
	w := newWorld(t)
	o, _ := w.orders.add()
	foreign, _ := w.orders.add(func(o *orderv1.Order) { o.MerchantId = "other" })
	yen, _ := w.orders.add(func(o *orderv1.Order) { o.Total = &orderv1.Money{Minor: 100, Currency: "JPY"} })
	w.addAccount(merchant, "off", "offline", "", map[string]string{"beneficiary": "A", "bank_account": "X"}, true)
	for name, tt := range map[string]struct {
		key, order, account string
		kind                fault.Kind
		fields              []string
	}{
		"nothing":              {"", "", "", fault.KindInvalid, []string{"idempotency_key", "order_id", "account_id"}},
		"long key":             {strings.Repeat("k", 65), o.GetId(), cards, fault.KindInvalid, []string{"idempotency_key"}},
		"control characters":   {"k\n", "\x00", "a\xff", fault.KindInvalid, []string{"idempotency_key", "order_id", "account_id"}},
		"no such order":        {"k", "ord_none", cards, fault.KindNotFound, nil},
		"other's order (P8)":   {"k", foreign.GetId(), cards, fault.KindNotFound, nil},
		"no such account":      {"k", o.GetId(), "none", fault.KindInvalid, []string{"account_id"}},
		"other's account (P8)": {"k", o.GetId(), "other-bank", fault.KindInvalid, []string{"account_id"}},
		"disabled account":     {"k", o.GetId(), "off", fault.KindInvalid, []string{"account_id"}},
		"currency":             {"k", yen.GetId(), cards, fault.KindConflict, nil},
	} {
		_, err := w.payments.StartPayment(w.as(merchant), &paymentv1.StartPaymentRequest{
			IdempotencyKey: tt.key, OrderId: tt.order, AccountId: tt.account,
		})
		var fields []string
		for _, f := range fault.FieldsOf(err) {
			fields = append(fields, f.Path)
		}
		if fault.KindOf(err) != tt.kind || !slices.Equal(fields, tt.fields) {
			t.Errorf("%s: %v with fields %v", name, err, fields)
		}
	}
	w.orders.change(func() { w.orders.down = true })
	_, err := w.payments.StartPayment(w.as(merchant), &paymentv1.StartPaymentRequest{IdempotencyKey: "k", OrderId: o.GetId(), AccountId: cards})
	if fault.KindOf(err) != fault.KindUnavailable {
		t.Errorf("order service down: %v", err)
	}
	if n := len(w.bus.published(event.PaymentStarted)); n != 0 {
		t.Errorf("%d attempts announced", n)
	}
}

func TestOnlyAnUnpaidOrderCanBePaid(t *testing.T) {
	w := newWorld(t)
	for number := range orderv1.PaymentState_name {
		state := orderv1.PaymentState(number)
		o, _ := w.orders.add(func(o *orderv1.Order) { o.PaymentState = state })
		_, err := w.payments.StartPayment(w.as(merchant), &paymentv1.StartPaymentRequest{
			IdempotencyKey: "k" + state.String(), OrderId: o.GetId(), AccountId: bank,
		})
		methods, merr := w.payments.ListMethods(w.as(merchant), &paymentv1.ListMethodsRequest{OrderId: o.GetId()})
		if merr != nil {
			t.Fatal(merr)
		}
		if state == orderv1.PaymentState_PAYMENT_STATE_UNPAID {
			if err != nil || len(methods.GetMethods()) != 3 {
				t.Errorf("%s: %v, methods %v", state, err, methods)
			}
		} else if fault.KindOf(err) != fault.KindConflict || len(methods.GetMethods()) != 0 {
			t.Errorf("%s: %v, methods %v", state, err, methods)
		}
	}
}

func TestListMethodsGivesThoseThatTakeTheOrder(t *testing.T) {
	w := newWorld(t)
	yen, _ := w.orders.add(func(o *orderv1.Order) { o.Total = &orderv1.Money{Minor: 100, Currency: "JPY"} })
	got, err := w.payments.ListMethods(w.as(merchant), &paymentv1.ListMethodsRequest{OrderId: yen.GetId()})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range got.GetMethods() {
		if m.GetAccountId() == cards || m.GetAccountId() == "other-bank" {
			t.Errorf("method %v", m)
		}
	}
	if len(got.GetMethods()) != 2 {
		t.Errorf("methods %v", got)
	}
	if _, err := w.payments.ListMethods(w.as("other"), &paymentv1.ListMethodsRequest{OrderId: yen.GetId()}); fault.KindOf(err) != fault.KindNotFound {
		t.Errorf("other merchant: %v", err)
	}
	if _, err := w.payments.ListMethods(w.as(merchant), &paymentv1.ListMethodsRequest{}); fault.KindOf(err) != fault.KindInvalid {
		t.Errorf("no order: %v", err)
	}
}

func TestConfirmOffline(t *testing.T) {
	w := newWorld(t)
	o, _ := w.orders.add()
	a := w.start(o.GetId(), bank)
	if a.GetRedirect() != nil || !strings.Contains(a.GetInstructions(), a.GetReference()) || !strings.Contains(a.GetInstructions(), "24.99 EUR") {
		t.Errorf("offline attempt %v", a)
	}
	confirm := func(merchant, attempt, transaction string, minor int64, currency string) error {
		_, err := w.payments.ConfirmOffline(w.as(merchant), &paymentv1.ConfirmOfflineRequest{
			IdempotencyKey: "k", AttemptId: attempt, TransactionId: transaction, Amount: &orderv1.Money{Minor: minor, Currency: currency},
		})
		return err
	}
	for name, tt := range map[string]struct {
		err  error
		kind fault.Kind
		want string
	}{
		"amount":         {confirm(merchant, a.GetId(), "t", 0, "EUR"), fault.KindInvalid, "amount.minor"},
		"negative":       {confirm(merchant, a.GetId(), "t", -1, "EUR"), fault.KindInvalid, "amount.minor"},
		"currency":       {confirm(merchant, a.GetId(), "t", 1, "eur"), fault.KindInvalid, "amount.currency"},
		"transaction":    {confirm(merchant, a.GetId(), "", 1, "EUR"), fault.KindInvalid, "transaction_id"},
		"unknown":        {confirm(merchant, "pay_none", "t", 1, "EUR"), fault.KindNotFound, ""},
		"other merchant": {confirm("other", a.GetId(), "t", 1, "EUR"), fault.KindNotFound, ""},
		"not offline":    {confirm(merchant, w.start(o.GetId(), cards).GetId(), "t", 1, "EUR"), fault.KindConflict, ""},
	} {
		if fault.KindOf(tt.err) != tt.kind || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("%s: %v", name, tt.err)
		}
	}
	for range 3 {
		if err := confirm(merchant, a.GetId(), "t1", 2499, "EUR"); err != nil {
			t.Fatal(err)
		}
	}
	if err := confirm(merchant, a.GetId(), "t2", 2499, "EUR"); fault.KindOf(err) != fault.KindConflict {
		t.Errorf("another transfer: %v", err)
	}
	eventually(t, "payment.confirmed", func() bool { return len(w.bus.published(event.PaymentConfirmed)) == 1 })
	e, fact := w.bus.published(event.PaymentConfirmed)[0], &eventv1.OfflineConfirmed{}
	if err := e.Decode(fact); err != nil {
		t.Fatal(err)
	}
	if e.Key != o.GetId() || e.Subject != a.GetId() || fact.GetTransactionId() != "t1" || fact.GetAmount().GetMinor() != 2499 {
		t.Errorf("event %+v with %v", e, fact)
	}
	if s := w.state(a.GetId()); s != paymentv1.AttemptState_ATTEMPT_STATE_PENDING {
		t.Errorf("state %s: the merchant's word is verification's to judge", s)
	}
}

func TestVerifiedFactsMoveTheAttempt(t *testing.T) {
	w := newWorld(t)
	o, _ := w.orders.add()
	a := w.start(o.GetId(), cards)
	w.verify(a.GetId(), verificationv1.Outcome_OUTCOME_FAILED, 1)
	eventually(t, "failed", func() bool { return w.state(a.GetId()) == paymentv1.AttemptState_ATTEMPT_STATE_FAILED })
	got, err := w.payments.GetAttempt(w.as(merchant), &paymentv1.GetAttemptRequest{AttemptId: a.GetId()})
	if err != nil || got.GetProblem() != "card expired" || got.GetRedirect() != nil {
		t.Errorf("failed attempt %v, %v", got, err)
	}
	w.verify(a.GetId(), verificationv1.Outcome_OUTCOME_PAID, 2)
	eventually(t, "succeeded", func() bool { return w.state(a.GetId()) == paymentv1.AttemptState_ATTEMPT_STATE_SUCCEEDED })
	if _, err := w.payments.GetAttempt(w.as("other"), &paymentv1.GetAttemptRequest{AttemptId: a.GetId()}); fault.KindOf(err) != fault.KindNotFound {
		t.Errorf("P8: other merchant: %v", err)
	}
}
