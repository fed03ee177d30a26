package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"quittance/pkg/id"
	"quittance/pkg/rpc"
	"quittance/pkg/testkit"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// others are the providers beside FlexPay, which has stories of its own: the
// account, and the vendor that the sandbox plays.
var others = map[string]string{standalone.DemoWallet: client.KontoCloud, standalone.DemoInvoice: client.Resurs}

// impatient has providers asked every second, and browsers wait shortly.
func impatient(wait time.Duration) setup {
	return setup{
		config:  func(c *standalone.Config) { c.ReturnWait = wait },
		seeding: func(s *standalone.Seeding) { s.Ask = "1s" },
	}
}

// awaitGoods follows the order until it is delivered for money that is there,
// taken or reserved.
func (w *world) awaitGoods(orderID string) *orderv1.Order {
	w.t.Helper()
	return w.await(orderID, "delivered", func(o *orderv1.Order) bool {
		there := o.GetPaymentState() == paid || o.GetPaymentState() == orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED
		return there && o.GetDeliveryState() == delivered
	})
}

// payment is what a vendor's book says of the latest payment of a customer who
// has just paid.
func (w *world) payment(vendor string) client.Payment {
	w.t.Helper()
	list, err := w.sandbox.Payments(w.t.Context(), vendor)
	if err != nil || len(list.Payments) == 0 {
		w.t.Fatalf("%s has no payments: %v", vendor, err)
	}
	return list.Payments[0]
}

// TestS1EveryProvider: several products, several of one, by every provider; what
// is delivered is what the provider's book has.
func TestS1EveryProvider(t *testing.T) {
	w := start(t, setup{})
	for account, vendor := range others {
		o := w.order(item("notepad", 2), item("backup", 1))
		visit := w.pay(o, client.Pay{Method: account})
		if got := visit.FulfillmentStatus(); got != "success" {
			t.Errorf("%s: came back with %q; visited %v", account, got, visit.URLs)
		}
		w.awaitGoods(o.GetId())
		if keys := w.keys(o.GetId()); len(keys[1]) != 2 || len(keys[2]) != 1 {
			t.Errorf("%s: keys %v", account, keys)
		}
		p := w.payment(vendor)
		if p.Amount.Minor != o.GetTotal().GetMinor() || p.Captured.Minor+p.Authorized.Minor != p.Amount.Minor {
			t.Errorf("%s: the book says %+v", account, p)
		}
	}
}

// TestStartPaymentByEveryProvider: storefronts with their own pay page get the
// way, created if need be, and the methods of an account.
func TestStartPaymentByEveryProvider(t *testing.T) {
	w := start(t, setup{})
	o := w.order(item("notepad", 1))
	list := retried(w, w.payments.ListMethods, &paymentv1.ListMethodsRequest{OrderId: o.GetId()})
	later, icons := "", map[string]string{}
	for _, m := range list.GetMethods() {
		icons[m.GetAccountId()] = m.GetIcon()
		if m.GetAccountId() == standalone.DemoInvoice && m.GetMethodName() == "Pay in parts" {
			later = m.GetMethod()
		}
	}
	if later == "" || icons[standalone.DemoWallet] != "wallet" || icons[standalone.DemoInvoice] != "invoice" || icons[standalone.DemoOffline] != "bank" {
		t.Fatalf("methods %v", list)
	}
	a := retried(w, w.payments.StartPayment, &paymentv1.StartPaymentRequest{
		IdempotencyKey: id.New("key"), OrderId: o.GetId(), AccountId: standalone.DemoInvoice, Method: later,
	})
	testkit.Eventually(t, patience, func() (err error) {
		if a, err = w.payments.GetAttempt(t.Context(), &paymentv1.GetAttemptRequest{AttemptId: a.GetId()}); err == nil && a.GetRedirect() == nil {
			err = fmt.Errorf("preparing: %v", a)
		}
		return err
	})
	p, err := w.sandbox.Payment(t.Context(), client.Resurs, a.GetReference())
	if err != nil || p.ID != a.GetProviderReference() || p.Details["method"] != later {
		t.Fatalf("the book says %+v, %v; the attempt %v", p, err, a)
	}
	w.payAtProvider(a, nil)
	w.awaitGoods(o.GetId())
}

// TestS2NobodyReturnsToEveryProvider: the callback alone is enough; the
// e-wallet's notification brings its reference.
func TestS2NobodyReturnsToEveryProvider(t *testing.T) {
	w := start(t, setup{})
	for account := range others {
		o := w.order(item("notepad", 1))
		w.pay(o, client.Pay{Method: account, Fields: map[string]string{"fault.skipRedirect": "on"}})
		w.awaitGoods(o.GetId())
	}
}

// TestS3TheReturnComesBeforeTheCallbackOfEveryProvider: asking is enough.
func TestS3TheReturnComesBeforeTheCallbackOfEveryProvider(t *testing.T) {
	w := start(t, setup{})
	for account, vendor := range others {
		o := w.order(item("notepad", 1))
		visit := w.pay(o, client.Pay{Method: account, Fields: map[string]string{"fault.delayMillis": "60000"}})
		if got := visit.FulfillmentStatus(); got != "success" {
			t.Errorf("%s: came back with %q", account, got)
		}
		w.awaitGoods(o.GetId())
		if p := w.payment(vendor); len(p.Callbacks) != 0 {
			t.Errorf("%s: there were callbacks: %+v", account, p.Callbacks)
		}
	}
}

// TestS4NeitherReturnNorCallback: a created payment is found by asking; the
// e-wallet can't be asked, which is visible and never counted as a failure, and
// the reference, whoever brings it however late, is enough.
func TestS4NeitherReturnNorCallback(t *testing.T) {
	w := start(t, impatient(5*time.Second))
	lost := map[string]string{"fault.skipRedirect": "on", "fault.dropPostback": "on"}
	bank := w.order(item("notepad", 1))
	w.pay(bank, client.Pay{Method: standalone.DemoInvoice, Fields: lost})
	wallet := w.order(item("notepad", 1))
	w.pay(wallet, client.Pay{Method: standalone.DemoWallet, Fields: lost})
	w.awaitGoods(bank.GetId())
	p := w.payment(client.KontoCloud)
	testkit.Eventually(t, patience, func() error {
		v, err := w.verifications.GetVerification(t.Context(), &verificationv1.GetVerificationRequest{AttemptId: p.Reference})
		if err == nil && (v.GetOutcome() != verificationv1.Outcome_OUTCOME_PENDING || !strings.Contains(v.GetDetail(), "uniqueReference") || v.GetNextAskTime() != nil) {
			err = fmt.Errorf("not parked: %v", v)
		}
		return err
	})
	if o, err := w.orders.GetOrder(t.Context(), &orderv1.GetOrderRequest{OrderId: wallet.GetId()}); err != nil || o.GetPaymentState() != unpaid || o.GetPaymentProblem() != "" {
		t.Fatalf("%v, %v", o, err)
	}
	w.browse(w.public + "/return/" + p.Reference + "?" + url.Values{"paymentResult": {"OK"}, "uniqueReference": {p.ID}}.Encode())
	w.awaitGoods(wallet.GetId())
}

// browse visits an address without following where it leads, and returns that.
func (w *world) browse(address string) *url.URL {
	w.t.Helper()
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := browser.Get(address)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = resp.Body.Close()
	to, err := resp.Location()
	if err != nil {
		w.t.Fatalf("%s: status %d, %v", address, resp.StatusCode, err)
	}
	return to
}

// TestS5ForgedCallbacksOfEveryProvider: a wrong password is refused; a callback
// without any proof makes us ask and harms nobody.
func TestS5ForgedCallbacksOfEveryProvider(t *testing.T) {
	w := start(t, setup{})
	for account, vendor := range others {
		o := w.order(item("notepad", 1))
		w.pay(o, client.Pay{Method: account, Action: "cancel"}) // the page was seen, nothing was paid
		p := w.payment(vendor)
		report, err := w.sandbox.Callbacks(t.Context(), vendor, client.CallbackOrder{Reference: p.Reference, Forged: true, Times: 5})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]int{client.KontoCloud: http.StatusUnauthorized, client.Resurs: http.StatusAccepted}[vendor]
		for _, try := range report.Attempts {
			if try.Status != want {
				t.Errorf("%s: a forged callback was answered %d %s, want %d", account, try.Status, try.Error, want)
			}
		}
		w.untouched(o.GetId())
	}
}

// TestS6ForgedReturnsOfEveryProvider: paymentResult=OK typed by hand delivers
// nothing and tells nobody success.
func TestS6ForgedReturnsOfEveryProvider(t *testing.T) {
	w := start(t, setup{config: func(c *standalone.Config) { c.ReturnWait = 200 * time.Millisecond }})
	for account, vendor := range others {
		o := w.order(item("notepad", 1))
		w.pay(o, client.Pay{Method: account, Action: "cancel"})
		p := w.payment(vendor)
		for _, query := range []string{"paymentResult=OK", "paymentResult=OK&unqiueReference=PT-made-up", "paymentResult=OK&uniqueReference=" + p.ID, "fulfillmentStatus=success"} {
			if got := w.browse(w.public + "/return/" + p.Reference + "?" + query).Query().Get("fulfillmentStatus"); got == "success" {
				t.Errorf("%s: %s is told success", account, query)
			}
		}
		w.untouched(o.GetId())
	}
}

// TestS7ManyCopiesOfEveryProvidersCallback: all are acknowledged, one delivery.
func TestS7ManyCopiesOfEveryProvidersCallback(t *testing.T) {
	w := start(t, setup{})
	for account, vendor := range others {
		before := len(w.mails())
		o := w.order(item("backup", 2))
		w.pay(o, client.Pay{Method: account, Fields: map[string]string{"fault.copies": "100"}})
		w.awaitGoods(o.GetId())
		p := w.payment(vendor)
		report, err := w.sandbox.Callbacks(t.Context(), vendor, client.CallbackOrder{Reference: p.Reference, Times: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, try := range append(report.Attempts, p.Callbacks...) {
			if !try.OK {
				t.Fatalf("%s: a copy was answered %d %s", account, try.Status, try.Error)
			}
		}
		if keys := w.keys(o.GetId()); len(keys[1]) != 2 || len(w.mails()) != before+1 {
			t.Errorf("%s: %d keys, %d mails", account, len(keys[1]), len(w.mails())-before)
		}
	}
}

// TestS8TheWrongMoneyOfEveryProvider: another amount or currency goes on hold.
func TestS8TheWrongMoneyOfEveryProvider(t *testing.T) {
	w := start(t, impatient(200*time.Millisecond))
	for account, faults := range map[string][]string{standalone.DemoWallet: {"amount", "currency"}, standalone.DemoInvoice: {"amount"}} {
		for _, fault := range faults {
			o := w.order(item("notepad", 1))
			w.pay(o, client.Pay{Method: account, Fields: map[string]string{"fault.status": fault}})
			w.await(o.GetId(), "on hold", func(o *orderv1.Order) bool {
				return o.GetPaymentState() == orderv1.PaymentState_PAYMENT_STATE_ON_HOLD
			})
			w.untouched(o.GetId())
		}
	}
}

// TestS9TheStatusAPIOfEveryProviderIsDown: unknown on return, success later.
func TestS9TheStatusAPIOfEveryProviderIsDown(t *testing.T) {
	w := start(t, impatient(300*time.Millisecond))
	for account, vendor := range others {
		w.email = account + "@example.com"
		o := w.order(item("notepad", 1))
		visit := w.pay(o, client.Pay{Method: account, Fields: map[string]string{"fault.status": "down"}})
		if got := visit.FulfillmentStatus(); got != "unknown" {
			t.Errorf("%s: came back with %q", account, got)
		}
		w.untouched(o.GetId())
		if err := w.sandbox.SetVendorFault(t.Context(), vendor, w.payment(vendor).Reference, client.Faults{}); err != nil {
			t.Fatal(err)
		}
		w.await(o.GetId(), "delivered", func(o *orderv1.Order) bool { return o.GetDeliveryState() == delivered })
	}
}

// TestS10FrozenByEveryProvider: on hold, then accepted and delivered, or
// rejected and failed.
func TestS10FrozenByEveryProvider(t *testing.T) {
	w := start(t, impatient(300*time.Millisecond))
	for account, vendor := range others {
		for _, verdict := range []client.Action{client.Accept, client.Reject} {
			o := w.order(item("notepad", 1))
			w.pay(o, client.Pay{Method: account, Fields: map[string]string{"fault.freeze": string(verdict), "fault.freezeMillis": "600000", "fault.reorder": "on"}})
			w.await(o.GetId(), "on hold", func(o *orderv1.Order) bool {
				return o.GetPaymentState() == orderv1.PaymentState_PAYMENT_STATE_ON_HOLD
			})
			if _, err := w.sandbox.Act(t.Context(), vendor, client.Order{Reference: w.payment(vendor).Reference, Action: verdict}); err != nil {
				t.Fatal(err)
			}
			if verdict == client.Accept {
				w.awaitGoods(o.GetId())
				continue
			}
			w.await(o.GetId(), "unpaid with a reason", func(o *orderv1.Order) bool { return o.GetPaymentState() == unpaid })
			if o, err := w.orders.GetOrder(t.Context(), &orderv1.GetOrderRequest{OrderId: o.GetId()}); err != nil || o.GetDeliveryState() == delivered {
				t.Errorf("%s: %v, %v", account, o, err)
			}
		}
	}
}

// TestS11FailedThenPaidByAnotherProvider, each by the next.
func TestS11FailedThenPaidByAnotherProvider(t *testing.T) {
	w := start(t, impatient(2*time.Second))
	next := map[string]string{standalone.DemoWallet: standalone.DemoInvoice, standalone.DemoInvoice: standalone.DemoAccount}
	for account := range others {
		for _, action := range []string{"decline", "cancel"} {
			o := w.order(item("notepad", 1))
			if got := w.pay(o, client.Pay{Method: account, Action: action}).FulfillmentStatus(); got == "success" {
				t.Errorf("%s: a payment that did not work came back with %q", account, got)
			}
			w.pay(o, client.Pay{Method: next[account]})
			w.awaitGoods(o.GetId())
		}
	}
}

// TestS19BlockAmount: reserved money counts if it is exactly what was ordered.
func TestS19BlockAmount(t *testing.T) {
	w := start(t, impatient(300*time.Millisecond))
	const account = "demo-block"
	if err := w.sandbox.PutVendorShop(t.Context(), client.KontoCloud, "BLOCK-1", map[string]string{"user": "block", "password": "secret"}); err != nil {
		t.Fatal(err)
	}
	w.putAccount(&orderv1.ProviderAccount{
		Id: account, MerchantId: standalone.DemoMerchant, Provider: "kontocloud", DisplayName: "Reserve",
		Settings: map[string]string{
			"portal_url": w.shop + "/kontocloud", "base_url": w.shop + "/kontocloud/api", "merchant_accno": "BLOCK-1", "user_id": "block",
			"payment_type": "BlockAmount", "deliver_on": "authorized", "first": "1s", "then": "1s",
		},
	}, map[string]string{"password": "secret"})
	for fault, state := range map[string]orderv1.PaymentState{
		"": orderv1.PaymentState_PAYMENT_STATE_AUTHORIZED, "amount": orderv1.PaymentState_PAYMENT_STATE_ON_HOLD,
	} {
		o := w.order(item("notepad", 1))
		w.offered(o, account)
		w.pay(o, client.Pay{Method: account, Fields: map[string]string{"fault.status": fault}})
		w.await(o.GetId(), state.String(), func(o *orderv1.Order) bool { return o.GetPaymentState() == state })
		if fault != "" {
			if got, err := w.orders.GetOrder(t.Context(), &orderv1.GetOrderRequest{OrderId: o.GetId()}); err != nil || got.GetDeliveryState() == delivered {
				t.Errorf("%v, %v", got, err)
			}
			continue
		}
		w.awaitGoods(o.GetId())
	}
}

// putAccount gives the merchant another account.
func (w *world) putAccount(account *orderv1.ProviderAccount, secrets map[string]string) {
	w.t.Helper()
	operator, err := rpc.Dial(w.at.Order, rpc.DialOptions{APIKey: w.operatorKey})
	if err != nil {
		w.t.Fatal(err)
	}
	defer operator.Close()
	req := &orderv1.PutProviderAccountRequest{Account: account, Secrets: secrets}
	if _, err := orderv1.NewMerchantServiceClient(operator).PutProviderAccount(w.t.Context(), req); err != nil {
		w.t.Fatal(err)
	}
}

// offered waits until an account that may just be new is a way to pay.
func (w *world) offered(o *orderv1.Order, account string) {
	w.t.Helper()
	testkit.Eventually(w.t, patience, func() error {
		methods, err := w.payments.ListMethods(w.t.Context(), &paymentv1.ListMethodsRequest{OrderId: o.GetId()})
		if err == nil && !strings.Contains(methods.String(), account) {
			err = fmt.Errorf("methods %v", methods)
		}
		return err
	})
}

// TestS26AnotherOrdersReference: A's transaction presented for order B pays A
// only.
func TestS26AnotherOrdersReference(t *testing.T) {
	w := start(t, impatient(300*time.Millisecond))
	a, b := w.order(item("notepad", 1)), w.order(item("notepad", 1))
	w.pay(a, client.Pay{Method: standalone.DemoWallet})
	ofA := w.payment(client.KontoCloud)
	w.awaitGoods(a.GetId())
	w.pay(b, client.Pay{Method: standalone.DemoWallet, Action: "cancel"})
	ofB := w.payment(client.KontoCloud)
	to := w.browse(w.public + "/return/" + ofB.Reference + "?" + url.Values{"paymentResult": {"OK"}, "merchantTransactionId": {ofB.Reference}, "unqiueReference": {ofA.ID}}.Encode())
	if got := to.Query().Get("fulfillmentStatus"); got == "success" {
		t.Errorf("sent back with %q", got)
	}
	w.await(b.GetId(), "on hold", func(o *orderv1.Order) bool { return o.GetPaymentState() == orderv1.PaymentState_PAYMENT_STATE_ON_HOLD })
	if o, err := w.orders.GetOrder(t.Context(), &orderv1.GetOrderRequest{OrderId: b.GetId()}); err != nil || o.GetDeliveryState() != orderv1.DeliveryState_DELIVERY_STATE_NOT_DELIVERED {
		t.Errorf("%v, %v", o, err)
	}
	w.awaitGoods(a.GetId())
}
