package e2e

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"quittance/pkg/event"
	"quittance/pkg/id"
	"quittance/pkg/testkit"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	paymentv1 "quittance/proto/gen/go/quittance/payment/v1"
	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// later is a system whose clock can be put forward.
func later(t *testing.T) (w *world, forward func(time.Duration)) {
	t.Helper()
	var ahead atomic.Int64
	w = start(t, setup{options: standalone.Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }}})
	return w, func(d time.Duration) { ahead.Add(int64(d)) }
}

// orderIn creates an order of a customer who reads a language.
func (w *world) orderIn(language string, items ...*orderv1.OrderItem) *orderv1.Order {
	w.t.Helper()
	return retried(w, w.orders.CreateOrder, &orderv1.CreateOrderRequest{
		IdempotencyKey: id.New("key"), Currency: "EUR", Items: items,
		Customer: &orderv1.Customer{Email: w.email, Name: "Ada <b>Lovelace</b>", Locale: language},
	})
}

// awaitLetters waits for so many mails of a kind.
func (w *world) awaitLetters(kind string, n int) []client.Mail {
	w.t.Helper()
	var got []client.Mail
	testkit.Eventually(w.t, patience, func() error {
		if got = w.letters(kind); len(got) < n {
			return fmt.Errorf("%d mails of %s", len(got), kind)
		}
		return nil
	})
	return got
}

// says asserts that both bodies of a mail have these words.
func says(t *testing.T, m client.Mail, words ...string) {
	t.Helper()
	for _, s := range words {
		if !strings.Contains(m.Text, s) || !strings.Contains(m.HTML, s) {
			t.Errorf("%s: no %q in\n%s\n%s", m.Subject, s, m.Text, m.HTML)
		}
	}
	if strings.Contains(m.HTML, "<b>Lovelace") || m.Problem != "" || !strings.Contains(m.From, "Demo Software") {
		t.Errorf("%s from %s: %s\n%s", m.Subject, m.From, m.Problem, m.HTML)
	}
}

// TestMailsOfAnOrderPaidByTransfer: how to pay, then the receipt, in the language
// of the order; once each.
func TestMailsOfAnOrderPaidByTransfer(t *testing.T) {
	w := start(t, setup{})
	for n, tt := range []struct{ language, how, paid, amount string }{
		{"de-AT", "So bezahlen Sie", "Ihre Zahlung ist eingegangen", "39,98\u00a0€"},
		{"en", "How to pay", "your payment has arrived", "€39.98"},
	} {
		o := w.orderIn(tt.language, item("notepad", 2))
		a := retried(w, w.payments.StartPayment, startOffline(o))
		how := w.awaitLetters(instructions, n+1)[n]
		says(t, how, tt.amount, "XX00 0000 0000 0000", "Demo Software", a.GetReference(), o.GetId(), o.GetPayUrl())
		if !strings.Contains(how.Subject, tt.how) {
			t.Errorf("subject %q", how.Subject)
		}
		if _, err := w.payments.ConfirmOffline(t.Context(), &paymentv1.ConfirmOfflineRequest{
			IdempotencyKey: id.New("key"), AttemptId: a.GetId(), Amount: o.GetTotal(), TransactionId: id.New("bank"),
		}); err != nil {
			t.Fatal(err)
		}
		w.awaitDelivered(o.GetId())
		says(t, w.awaitLetters(receipt, n+1)[n], tt.amount, tt.paid, o.GetId(), "Musterstrasse 1", a.GetId())
		w.awaitLetters(goods, n+1)
	}
	if h, r := len(w.letters(instructions)), len(w.letters(receipt)); h != 2 || r != 2 {
		t.Errorf("%d and %d mails of two orders", h, r)
	}
}

// TestMailsOfAnOrderThatNobodyPays: reminders at the merchant's times, here the
// usual ones, and the end. That the payment was started is said again all the
// time, and mailed once.
func TestMailsOfAnOrderThatNobodyPays(t *testing.T) {
	w, forward := later(t)
	o := w.orderIn("de", item("notepad", 1))
	retried(w, w.payments.StartPayment, startOffline(o))
	w.awaitLetters(instructions, 1)
	forward(3*24*time.Hour + time.Hour)
	says(t, w.awaitLetters(reminder, 1)[0], "noch nicht bezahlt", "19,99\u00a0€", o.GetPayUrl())
	forward(7 * 24 * time.Hour)
	two := w.awaitLetters(reminder, 2)
	if two[0].MessageID == two[1].MessageID {
		t.Error("both reminders have one Message-ID")
	}
	forward(81 * 24 * time.Hour)
	says(t, w.awaitLetters(expired, 1)[0], "abgelaufen", "19,99\u00a0€", o.GetId())
	w.await(o.GetId(), "expired", func(o *orderv1.Order) bool {
		return o.GetPaymentState() == orderv1.PaymentState_PAYMENT_STATE_EXPIRED
	})
	if n, m := len(w.letters(instructions)), len(w.letters(reminder)); n != 1 || m != 2 || len(w.mails()) != 0 {
		t.Errorf("%d with instructions, %d reminders, %d with goods", n, m, len(w.mails()))
	}
}

// TestMailsThatAreRefused: for now, it is sent again; for good, the merchant is
// told by a webhook.
func TestMailsThatAreRefused(t *testing.T) {
	waits(t)
	w, forward := later(t)
	refuse := func(code int) *orderv1.Order {
		if err := w.sandbox.RefuseMails(t.Context(), code, 1); err != nil {
			t.Fatal(err)
		}
		o := w.orderIn("en", item("notepad", 1))
		retried(w, w.payments.StartPayment, startOffline(o))
		return o
	}
	o := refuse(451)
	forward(80 * time.Second) // a minute, moved by up to a fifth; receivers of webhooks bear five
	says(t, w.awaitLetters(instructions, 1)[0], o.GetId())
	refused := refuse(550)
	testkit.Eventually(t, patience, func() error {
		if got := w.webhooks(refused.GetId()); !strings.Contains(strings.Join(got, " "), event.MailFailed) {
			return fmt.Errorf("webhooks %v", got)
		}
		return nil
	})
	if n := len(w.letters(instructions)); n != 1 {
		t.Errorf("%d mails", n)
	}
}

// TestMailsThatTheMerchantSwitchedOff: only what was bought is mailed.
func TestMailsThatTheMerchantSwitchedOff(t *testing.T) {
	w := start(t, setup{})
	merchants := w.merchants()
	m := retried(w, merchants.GetMerchant, &orderv1.GetMerchantRequest{MerchantId: standalone.DemoMerchant})
	m.CustomerMails = &orderv1.CustomerMails{Off: []orderv1.MailKind{
		orderv1.MailKind_MAIL_KIND_INSTRUCTIONS, orderv1.MailKind_MAIL_KIND_RECEIPT,
	}}
	retried(w, merchants.PutMerchant, &orderv1.PutMerchantRequest{Merchant: m})
	o := w.orderIn("en", item("notepad", 1))
	a := retried(w, w.payments.StartPayment, startOffline(o))
	if _, err := w.payments.ConfirmOffline(t.Context(), &paymentv1.ConfirmOfflineRequest{
		IdempotencyKey: id.New("key"), AttemptId: a.GetId(), Amount: o.GetTotal(), TransactionId: id.New("bank"),
	}); err != nil {
		t.Fatal(err)
	}
	w.awaitDelivered(o.GetId())
	w.awaitWebhooks(o.GetId(), event.OrderCreated, event.PaymentSucceeded, event.ProductDelivered, event.OrderDelivered)
	w.awaitLetters(goods, 1)
	if h, r := len(w.letters(instructions)), len(w.letters(receipt)); h+r != 0 {
		t.Errorf("%d and %d mails", h, r)
	}
}

// TestMailsInTheMerchantsOwnWords: what the merchant says is in the mail, in the
// customer's language, as text, filled in; whoever reads another language gets ours.
func TestMailsInTheMerchantsOwnWords(t *testing.T) {
	w := start(t, setup{})
	merchants := w.merchants()
	m := retried(w, merchants.GetMerchant, &orderv1.GetMerchantRequest{MerchantId: standalone.DemoMerchant})
	m.CustomerMails = &orderv1.CustomerMails{Texts: []*orderv1.MailText{{
		Kind: orderv1.MailKind_MAIL_KIND_INSTRUCTIONS, Language: "de",
		Subject: "Servus {CUSTOMER}", Introduction: "Bitte <i>{TOTAL}</i> an {SHOP}.", Closing: "Bis bald, {CUSTOMER}!",
	}}}
	retried(w, merchants.PutMerchant, &orderv1.PutMerchantRequest{Merchant: m})
	for n, language := range []string{"de-AT", "en"} {
		o := w.orderIn(language, item("notepad", 1))
		a := retried(w, w.payments.StartPayment, startOffline(o))
		got := w.awaitLetters(instructions, n+1)[n]
		says(t, got, a.GetReference(), o.GetPayUrl())
		own := language != "en"
		if strings.Contains(got.Text, "Bitte <i>19,99\u00a0€</i> an Demo Software.") != own || strings.Contains(got.HTML, "Bitte &lt;i&gt;19,99") != own ||
			strings.Contains(got.HTML, "Bis bald, Ada &lt;b&gt;Lovelace&lt;/b&gt;!") != own || (got.Subject == "Servus Ada <b>Lovelace</b>") != own {
			t.Errorf("%s: %q\n%s\n%s", language, got.Subject, got.Text, got.HTML)
		}
	}
}
