package order

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
)

var erasers = []string{"delivery", "payment"}

// named is an order with a customer.
func named(t *testing.T) *Order {
	o, _ := fresh(t, 1, false)
	o.Customer = Customer{Email: "canary@example.com", Name: "Canary", Address: "Canary street", Company: "Canary Ltd", VATID: "CANARY1", Locale: "nb"}
	o.Metadata, o.User, o.CustomerID, o.ReturnURL = map[string]string{"note": "canary"}, "canary-7", "cus_canary", "https://shop.example/canary"
	o.Reference, o.Request = "R-1", "canary hash"
	return o
}

// sold is a named order that is paid and delivered.
func sold(t *testing.T) *Order {
	o := named(t)
	f := fact("pay_1", verificationv1.Outcome_OUTCOME_PAID, 1, o)
	f.Payer = &orderv1.Payer{Name: "Canary", City: "Canary town", Country: "NO"}
	o.Verified(f, t0)
	o.PaidFrom(f)
	o.Completed([]int32{1}, t0)
	return o
}

func mentions(t *testing.T, o *Order) string {
	t.Helper()
	raw, err := protojson.Marshal(o.View())
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.ToLower(string(raw)); strings.Contains(text, "canary") {
		return text
	}
	return ""
}

func TestErasedIsWhoBoughtAndNotWhatWasPaid(t *testing.T) {
	o := sold(t)
	if _, err := o.Refund(RefundRequest{Key: "1", Amount: eur(100), Reason: "Canary did not like it"}, t0); err != nil {
		t.Fatal(err)
	}
	f := fact("pay_1", verificationv1.Outcome_OUTCOME_REFUNDED, 2, o)
	f.Refunded = &orderv1.Money{Minor: 100, Currency: "EUR"}
	f.Operations = []*orderv1.Operation{{Id: o.Operations[0].ID, State: orderv1.OperationState_OPERATION_STATE_CONFIRMED, Detail: "Canary has it"}}
	o.Verified(f, t0)
	before := o.View()
	list, err := o.Erase(erasers, t0.Add(time.Hour))
	if err != nil || !slices.Equal(types(list), []string{event.CustomerErased}) {
		t.Fatalf("%v, %v", list, err)
	}
	if text := mentions(t, o); text != "" || o.Request != "" {
		t.Errorf("left: %s %s", text, o.Request)
	}
	v := o.View()
	if v.GetTotal().GetMinor() != before.GetTotal().GetMinor() || v.GetCaptured().GetMinor() != before.GetCaptured().GetMinor() || v.GetRefunded().GetMinor() != 100 ||
		v.GetPaymentState() != before.GetPaymentState() || v.GetDeliveryState() != before.GetDeliveryState() || v.GetPayer().GetCountry() != "NO" ||
		v.GetReference() != "R-1" || len(v.GetOperations()) != 1 || !v.GetEraseTime().AsTime().Equal(t0.Add(time.Hour)) {
		t.Errorf("of %v is left %v", before, v)
	}

	// What comes again, or late, brings nothing back.
	f.Revision++
	f.Payer = &orderv1.Payer{Name: "Canary", Country: "NO"}
	o.Verified(f, t0)
	o.PaidFrom(f)
	o.Fulfill(&eventv1.FulfillmentChanged{UserId: "canary-7"})
	if _, err := o.Assign("cus_canary"); !errors.Is(err, ErrState) {
		t.Errorf("assigned: %v", err)
	}
	if text := mentions(t, o); text != "" {
		t.Errorf("back again: %s", text)
	}
}

func TestErasingWaitsForWhatNeedsTheCustomer(t *testing.T) {
	paid := func(o *Order) { o.Verified(fact("pay_1", verificationv1.Outcome_OUTCOME_PAID, 1, o), t0) }
	refunded := func(o *Order) {
		paid(o)
		o.Verified(fact("pay_1", verificationv1.Outcome_OUTCOME_REFUNDED, 2, o), t0)
	}
	for name, c := range map[string]struct {
		lived func(*Order)
		why   string // empty: it may be erased
	}{
		"unpaid":            {func(*Order) {}, "unpaid and open"},
		"failed, and open":  {func(o *Order) { o.Verified(fact("pay_1", verificationv1.Outcome_OUTCOME_FAILED, 1, o), t0) }, "unpaid and open"},
		"reserved":          {func(o *Order) { o.Verified(fact("pay_1", verificationv1.Outcome_OUTCOME_AUTHORIZED, 1, o), t0) }, "reserved"},
		"reviewed":          {func(o *Order) { o.Verified(fact("pay_1", verificationv1.Outcome_OUTCOME_ON_HOLD, 1, o), t0) }, "on hold"},
		"paid, undelivered": {paid, "not delivered"},
		"delivery failed": {func(o *Order) {
			paid(o)
			o.Delayed(&eventv1.DeliveryDelayed{Revision: 1, FailedLineNumbers: []int32{1}, Problem: "no"}, t0)
		}, "not delivered"},
		"refunded, delivery not closed": {refunded, "closed"},
		"refunded":                      {func(o *Order) { refunded(o); o.Closed(o.Payment) }, ""},
		"being refunded": {func(o *Order) {
			paid(o)
			o.Completed([]int32{1}, t0)
			_, _ = o.Refund(RefundRequest{Key: "1"}, t0)
		}, "on its way"},
		"to be refunded by hand": {func(o *Order) {
			paid(o)
			o.Completed([]int32{1}, t0)
			o.Operations = append(o.Operations, Operation{ID: "opn_1", Answered: true, State: orderv1.OperationState_OPERATION_STATE_BY_HAND})
		}, "by hand"},
		"paid, and another payment under review": {func(o *Order) {
			paid(o)
			o.Completed([]int32{1}, t0)
			o.Verified(fact("pay_2", verificationv1.Outcome_OUTCOME_ON_HOLD, 1, o), t0)
		}, "under way"},
		"delivered": {func(o *Order) { paid(o); o.Completed([]int32{1}, t0) }, ""},
		"canceled":  {func(o *Order) { _, _ = o.Cancel(t0) }, ""},
		"expired":   {func(o *Order) { o.Work(t0.Add(ExpireAfter)) }, ""},
	} {
		o := named(t)
		c.lived(o)
		sequence := o.Sequence
		list, err := o.Erase(erasers, t0)
		switch {
		case c.why == "" && (err != nil || len(list) != 1 || mentions(t, o) != ""):
			t.Errorf("%s: %v, %v", name, list, err)
		case c.why == "":
		case !errors.Is(err, ErrState) || !strings.Contains(err.Error(), c.why) || !strings.Contains(err.Error(), o.ID):
			t.Errorf("%s: %v", name, err)
		case o.Erased() || o.Sequence != sequence || o.Customer.Email == "":
			t.Errorf("%s: refused and changed", name)
		}
	}
}

// P5: whoever has not answered is told until they have.
func TestP5ErasureIsToldUntilAllHaveAnswered(t *testing.T) {
	o := sold(t)
	if _, err := o.Erase(erasers, t0); err != nil {
		t.Fatal(err)
	}
	if due := NextDue(o); !due.Equal(t0) {
		t.Fatalf("to be cleaned at %v", due)
	}
	o.Cleaned()
	now := t0
	for i := range 3 {
		if now = NextDue(o); now.IsZero() {
			t.Fatal("nothing is due")
		}
		if list, again := o.Work(now); len(list) != 0 || !slices.Equal(again, []string{event.CustomerErased}) {
			t.Fatalf("time %d: announced %v, sent again %v", i, list, again)
		}
	}
	if !o.ErasedBy("payment") || o.ErasedBy("payment") || o.ErasedBy("stranger") {
		t.Error("an answer is news once")
	}
	if NextDue(o).IsZero() {
		t.Error("delivery is not waited for")
	}
	o.ErasedBy("delivery")
	if due := NextDue(o); !due.IsZero() {
		t.Errorf("all have answered, and due at %v", due)
	}
	if list, err := o.Erase(erasers, now); err != nil || len(list) != 0 || !NextDue(o).Equal(now) || len(o.Erasure.Waits) != 2 {
		t.Errorf("asked again: %v, %v, %+v", list, err, o.Erasure)
	}
}

func TestCustomersAreErasedAfterTheMerchantsTime(t *testing.T) {
	const keep = 365 * 24 * time.Hour
	o := sold(t)
	o.EraseAfter = keep
	if due := NextDue(o); !due.Equal(t0.Add(keep)) || o.EraseDue(due.Add(-time.Second)) || !o.EraseDue(due) {
		t.Errorf("due at %v", due)
	}
	if list, again := o.Work(t0.Add(keep)); len(list)+len(again) != 0 || o.Payment != orderv1.PaymentState_PAYMENT_STATE_PAID {
		t.Errorf("%v, %v, %v", list, again, o.Payment)
	}
	open := named(t) // nobody has paid
	open.EraseAfter = 30 * 24 * time.Hour
	if now := t0.Add(40 * 24 * time.Hour); open.EraseDue(now) {
		t.Error("an open order's customer is erased")
	}
	open.Work(t0.Add(ExpireAfter))
	if due := NextDue(open); !due.Equal(t0.Add(ExpireAfter + open.EraseAfter)) {
		t.Errorf("expired, and due at %v", due)
	}
}

// Money that comes for an order without a customer can't be taken: nobody is there
// to deliver to.
func TestLateMoneyOfAnErasedOrderGoesBack(t *testing.T) {
	o := named(t)
	o.Work(t0.Add(ExpireAfter))
	if _, err := o.Erase(erasers, t0); err != nil {
		t.Fatal(err)
	}
	o.Verified(fact("pay_1", verificationv1.Outcome_OUTCOME_PAID, 1, o), t0)
	if _, err := o.Resolve(orderv1.HoldDecision_HOLD_DECISION_ACCEPT, t0); !errors.Is(err, ErrState) {
		t.Errorf("accepted: %v", err)
	}
	if _, err := o.Resolve(orderv1.HoldDecision_HOLD_DECISION_REFUND, t0); err != nil || len(o.Operations) == 0 {
		t.Errorf("refused: %v", err)
	}
}
