package order_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"quittance/pkg/event"
	"quittance/pkg/fault"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

const aDay = 24 * time.Hour

// reminded has a merchant's customers reminded at these times.
func (w *world) reminded(merchant string, after ...time.Duration) error {
	mails := &orderv1.CustomerMails{}
	for _, d := range after {
		mails.Reminders = append(mails.Reminders, durationpb.New(d))
	}
	_, err := w.operator.PutMerchant(w.t.Context(), &orderv1.PutMerchantRequest{Merchant: &orderv1.Merchant{
		Id: merchant, Name: merchant, MailFrom: "shop@" + merchant + ".example", CustomerMails: mails,
		ReturnUrlAllowList: []string{"https://" + merchant + ".example/shop"},
	}})
	return err
}

// hours are how long after a time events of a type about an order were published
// first.
func (r *recorder) hours(typ, subject string, since time.Time) []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []int
	ids := map[string]bool{}
	for _, e := range r.events {
		if e.Type == typ && e.Subject == subject && !ids[e.ID] {
			ids[e.ID] = true
			out = append(out, int(e.Time.Sub(since)/time.Hour))
		}
	}
	return out
}

// S15: an order that nobody pays is told to be due at the times that its merchant
// had when it was created; one that is canceled meanwhile is told no more. (The
// aggregate's tests live on until day 90.)
func TestS15PaymentIsDueAtTheMerchantsTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		usual, _ := w.merchant("usual")
		own, _ := w.merchant("own")
		if err := w.reminded("own", 2*time.Hour, 50*time.Hour); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		place := func(orders orderv1.OrderServiceClient, key string) string {
			req := good(key)
			req.ReturnUrl = ""
			o, err := orders.CreateOrder(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			return o.GetId()
		}
		first, second, canceled := place(usual, "k1"), place(own, "k2"), place(own, "k3")
		if err := w.reminded("own", 5*time.Hour); err != nil { // later orders only
			t.Fatal(err)
		}
		<-time.After(3 * time.Hour)
		if _, err := own.CancelOrder(t.Context(), &orderv1.CancelOrderRequest{OrderId: canceled}); err != nil {
			t.Fatal(err)
		}
		<-time.After(70 * time.Hour)
		for name, tt := range map[string]struct {
			order string
			want  []int
		}{"usual": {first, []int{72}}, "own": {second, []int{2, 50}}, "canceled": {canceled, []int{2}}} {
			if got := w.bus.hours(event.OrderPaymentDue, tt.order, start); !slices.Equal(got, tt.want) {
				t.Errorf("%s: due after %v hours, want %v", name, got, tt.want)
			}
		}
	})
}

func TestP10BadReminders(t *testing.T) {
	w := newWorld(t)
	for field, after := range map[string][]time.Duration{
		"merchant.customer_mails.reminders":    {aDay, 2 * aDay, 3 * aDay, 4 * aDay, 5 * aDay, 6 * aDay},
		"merchant.customer_mails.reminders[0]": {time.Minute},
		"merchant.customer_mails.reminders[1]": {2 * aDay, aDay},
		"merchant.customer_mails.reminders[2]": {aDay, 2 * aDay, 90 * aDay},
	} {
		if err := w.reminded("acme", after...); fault.KindOf(err) != fault.KindInvalid || !slices.Contains(fields(err), field) {
			t.Errorf("%v: %v (fields %v)", after, err, fields(err))
		}
	}
	if err := w.reminded("acme", time.Hour, 89*aDay); err != nil {
		t.Error(err)
	}
}

func TestP10BadMailKinds(t *testing.T) {
	w := newWorld(t)
	put := func(off ...orderv1.MailKind) error {
		_, err := w.operator.PutMerchant(t.Context(), &orderv1.PutMerchantRequest{Merchant: &orderv1.Merchant{
			Id: "acme", Name: "Acme", MailFrom: "shop@acme.example", CustomerMails: &orderv1.CustomerMails{Off: off},
		}})
		return err
	}
	for _, off := range [][]orderv1.MailKind{{0}, {99}, {1, 2, 3, 4, 4}} {
		if err := put(off...); fault.KindOf(err) != fault.KindInvalid {
			t.Errorf("%v: %v", off, err)
		}
	}
	if err := put(orderv1.MailKind_MAIL_KIND_INSTRUCTIONS, orderv1.MailKind_MAIL_KIND_RECEIPT, orderv1.MailKind_MAIL_KIND_REMINDER, orderv1.MailKind_MAIL_KIND_EXPIRED); err != nil {
		t.Error(err)
	}
}

// TestP10BadMailTexts: what a merchant says in mails is refused with the field
// that is wrong.
func TestP10BadMailTexts(t *testing.T) {
	w := newWorld(t)
	put := func(texts ...*orderv1.MailText) error {
		_, err := w.operator.PutMerchant(t.Context(), &orderv1.PutMerchantRequest{Merchant: &orderv1.Merchant{
			Id: "acme", Name: "Acme", MailFrom: "shop@acme.example", CustomerMails: &orderv1.CustomerMails{Texts: texts},
		}})
		return err
	}
	const kind = orderv1.MailKind_MAIL_KIND_REMINDER
	good := &orderv1.MailText{Kind: kind, Language: "de-AT", Subject: "{CUSTOMER} {ORDER}", Introduction: "a\n\nb {TOTAL} {2} { }", Closing: "{SHOP}"}
	for field, bad := range map[string]*orderv1.MailText{
		"texts[1].kind":         {Subject: "a"},
		"texts[1].language":     {Kind: kind, Language: "deutsch!", Subject: "a"},
		"texts[1]":              {Kind: kind, Language: "DE-at", Subject: "a"},
		"texts[1].subject":      {Kind: kind, Subject: "a\nb"},
		"texts[1].introduction": {Kind: kind, Introduction: "Dear {NAME}"},
		"texts[1].closing":      {Kind: kind, Closing: strings.Repeat("ä", 2001)},
	} {
		if err := put(good, bad); fault.KindOf(err) != fault.KindInvalid || !slices.Contains(fields(err), "merchant.customer_mails."+field) {
			t.Errorf("%v: %v (fields %v)", bad, err, fields(err))
		}
	}
	for _, bad := range [][]*orderv1.MailText{{{Kind: kind}}, {{Kind: kind, Introduction: "a\x00"}}, {{Kind: 99, Subject: "a"}}, make([]*orderv1.MailText, 21)} {
		if err := put(bad...); fault.KindOf(err) != fault.KindInvalid {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if err := put(good, &orderv1.MailText{Kind: kind, Closing: strings.Repeat("ä", 2000)}, &orderv1.MailText{Kind: 1, Language: "de-AT", Subject: "a"}); err != nil {
		t.Error(err)
	}
}
