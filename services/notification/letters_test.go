package notification_test

// The mail server is doubled here by a function. pkg/mail and services/e2e have
// real ones.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/event"
	"quittance/pkg/mail"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// postOffice is the mail system.
type postOffice struct {
	mu  sync.Mutex
	got []mail.Message
	// answer is the error of the nth mail, from 1.
	answer func(nth int) error
	// silent: nobody answers.
	silent atomic.Bool
}

// Send implements mail.Sender.
func (p *postOffice) Send(ctx context.Context, m mail.Message) error {
	if p.silent.Load() {
		<-ctx.Done()
		return &mail.SendError{Step: "connect", Err: ctx.Err()}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, m)
	if p.answer == nil {
		return nil
	}
	return p.answer(len(p.got))
}

func (p *postOffice) mails() []mail.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

// office gives the world a mail system.
func office(p *postOffice) func(*world) { return func(w *world) { w.mailer = p } }

// rarelyCaughtUp is for long tests.
func rarelyCaughtUp(w *world) { w.cfg.CatchUp = 6 * time.Hour }

const (
	isUnpaid  = orderv1.PaymentState_PAYMENT_STATE_UNPAID
	isPaid    = orderv1.PaymentState_PAYMENT_STATE_PAID
	isExpired = orderv1.PaymentState_PAYMENT_STATE_EXPIRED
)

// becomes says how an order of acme is now.
func (w *world) becomes(order string, s orderv1.PaymentState) {
	w.orders.mu.Lock()
	defer w.orders.mu.Unlock()
	w.orders.now[order] = &orderv1.Order{
		Id: order, MerchantId: "acme", PaymentState: s, Total: &orderv1.Money{Minor: 1999, Currency: "EUR"},
		Customer: &orderv1.Customer{Email: "ada@example.com", Name: "Ada Lovelace", Locale: "de"},
		Lines:    []*orderv1.Line{{Number: 1, Name: "Notepad", Quantity: 1, UnitPrice: &orderv1.Money{Minor: 1999, Currency: "EUR"}, Amount: &orderv1.Money{Minor: 1999, Currency: "EUR"}}},
		PayUrl:   "https://pay.example/pay/secret-token", CreateTime: timestamppb.New(w.began),
	}
}

// transferred is a payment.started of acme's account for transfers.
func (w *world) transferred(order, attempt string) event.Event {
	w.t.Helper()
	w.orders.mu.Lock()
	w.orders.accounts["transfer"] = &orderv1.ProviderAccount{
		Id: "transfer", MerchantId: "acme", Provider: "offline", Settings: map[string]string{"beneficiary": "Acme Ltd", "bank_account": "XX12 3456"},
	}
	w.orders.mu.Unlock()
	return w.startedBy("offline", order, attempt)
}

func (w *world) startedBy(provider, order, attempt string) event.Event {
	w.t.Helper()
	e, err := event.New(event.PaymentStarted, "payment", attempt, order, "acme", time.Now(), &eventv1.PaymentStarted{
		AttemptId: attempt, Reference: attempt, OrderId: order, MerchantId: "acme", AccountId: "transfer", Provider: provider,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// letters are the stored letters.
func (w *world) letters() []string {
	w.t.Helper()
	store, err := w.engine.Open(w.t.Context(), docstore.StoreSpec{Name: "letters", Indexes: []string{"at"}})
	if err != nil {
		w.t.Fatal(err)
	}
	page, err := store.Find(w.t.Context(), docstore.Query{AllTenants: true, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, rec := range page.Records {
		out = append(out, string(rec.Body))
	}
	return out
}

// resting asserts what became of the one letter there is.
func (w *world) resting(state, problem string) {
	w.t.Helper()
	if all := w.letters(); len(all) != 1 || !strings.Contains(all[0], `"state":"`+state+`"`) || !strings.Contains(all[0], problem) {
		w.t.Errorf("letters %v, want one that is %s: %s", all, state, problem)
	}
}

// TestOneLetterPerCause: each kind goes out once, however often its cause comes,
// by the bus and by the history.
func TestOneLetterPerCause(t *testing.T) {
	for kind, tt := range map[string]struct {
		typ   string
		state orderv1.PaymentState
		says  []string
	}{
		"receipt":      {event.PaymentSucceeded, isPaid, []string{"Beleg", "19,99\u00a0€"}},
		"reminder":     {event.OrderPaymentDue, isUnpaid, []string{"noch nicht bezahlt", "https://pay.example/pay/secret-token"}},
		"expired":      {event.OrderExpired, isExpired, []string{"abgelaufen"}},
		"instructions": {event.PaymentStarted, isUnpaid, []string{"Acme Ltd", "XX12 3456", "pay_1", "19,99\u00a0€"}},
	} {
		t.Run(kind, func(t *testing.T) {
			p := &postOffice{}
			inWorld(t, func(w *world) {
				w.becomes("ord_1", tt.state)
				w.emit("ord_1", event.OrderCreated)
				var e event.Event
				if tt.typ == event.PaymentStarted {
					w.bring(w.startedBy("flexpay", "ord_1", "pay_0"))
					e = w.transferred("ord_1", "pay_1")
				} else {
					e = w.happen("acme", "ord_1", tt.typ)
				}
				for range 3 {
					w.bring(e, e)
					w.pass(2 * time.Minute) // and the history is read
				}
				w.kill()
				w.pass(2 * time.Minute)
				w.bring(e)
				got := p.mails()
				if len(got) != 1 {
					t.Fatalf("%d mails", len(got))
				}
				if !strings.HasPrefix(got[0].ID, kind+"_") || got[0].To != "ada@example.com" {
					t.Errorf("mail %s to %s", got[0].ID, got[0].To)
				}
				for _, s := range tt.says {
					if !strings.Contains(got[0].Subject+got[0].Text, s) {
						t.Errorf("no %q in %s\n%s", s, got[0].Subject, got[0].Text)
					}
				}
				w.resting("sent", "")
				if all := fmt.Sprint(w.letters()); strings.Contains(all, "ada") || strings.Contains(all, "Ada") || strings.Contains(all, "token") {
					t.Errorf("personal data in %s", all)
				}
			}, office(p))
		})
	}
}

// TestEachReminderIsALetter of its own.
func TestEachReminderIsALetter(t *testing.T) {
	p := &postOffice{}
	inWorld(t, func(w *world) {
		w.becomes("ord_1", isUnpaid)
		w.emit("ord_1", event.OrderCreated, event.OrderPaymentDue, event.OrderPaymentDue)
		got := p.mails()
		if len(got) != 2 || got[0].ID == got[1].ID {
			t.Fatalf("%v", got)
		}
	}, office(p))
}

// TestCrashBetweenSendAndMark: the process dies when the mail server has the mail
// and nothing is written; the repeat has the same Message-ID.
func TestCrashBetweenSendAndMark(t *testing.T) {
	var down atomic.Bool
	p := &postOffice{answer: func(nth int) error {
		down.Store(nth == 1) // from now on no write gets through
		return nil
	}}
	inWorld(t, func(w *world) {
		w.becomes("ord_1", isPaid)
		w.emit("ord_1", event.OrderCreated, event.PaymentSucceeded)
		w.pass(5 * time.Second)
		w.kill()
		down.Store(false)
		w.pass(2 * time.Minute)
		if got := p.mails(); len(got) != 2 || got[0].ID != got[1].ID || got[0].ID == "" || got[0].Text != got[1].Text {
			t.Errorf("%v", got)
		}
		w.resting("sent", "")
	}, office(p), func(w *world) {
		w.engine = memory.New(memory.WithFaults(func(op, collection, _ string) memory.Fault {
			if collection == "letters" && op == memory.OpUpdate && down.Load() {
				return memory.Fault{Before: errDown}
			}
			return memory.Fault{}
		}))
	})
}

var (
	greylisted = &mail.SendError{Step: "RCPT TO", Code: 450, Err: errors.New("ada@example.com: later")}
	unknown    = &mail.SendError{Step: "RCPT TO", Code: 550, Permanent: true, Err: errors.New("ada@example.com: no such user")}
)

// TestTemporaryErrorsAreRetried with the same Message-ID.
func TestTemporaryErrorsAreRetried(t *testing.T) {
	p := &postOffice{answer: func(nth int) error {
		if nth <= 2 {
			return greylisted
		}
		return nil
	}}
	inWorld(t, func(w *world) {
		w.becomes("ord_1", isPaid)
		w.emit("ord_1", event.OrderCreated, event.PaymentSucceeded)
		if all := w.letters(); len(all) != 1 || !strings.Contains(all[0], "does not take the mail now (RCPT TO, code 450)") || strings.Contains(all[0], "ada") {
			t.Errorf("letters %v", all)
		}
		w.pass(10 * time.Minute)
		if got := p.mails(); len(got) != 3 || got[0].ID != got[1].ID || got[1].ID != got[2].ID {
			t.Errorf("%v", got)
		}
		w.resting("sent", "")
	}, office(p))
}

// TestASilentMailServer: what comes of waiting for it is noted, and the letter
// tried again after a pause.
func TestASilentMailServer(t *testing.T) {
	p := &postOffice{}
	p.silent.Store(true)
	inWorld(t, func(w *world) {
		w.becomes("ord_1", isPaid)
		w.emit("ord_1", event.OrderCreated, event.PaymentSucceeded)
		w.pass(40 * time.Second)
		if all := w.letters(); len(all) != 1 || !strings.Contains(all[0], "does not take the mail now (connect, code 0)") || !strings.Contains(all[0], `"tries":1`) {
			t.Errorf("letters %v", all)
		}
		p.silent.Store(false)
		w.pass(10 * time.Minute)
		if n := len(p.mails()); n != 1 {
			t.Errorf("%d mails", n)
		}
	}, office(p))
}

// TestPermanentErrorsAreTold: nothing is tried again, and the merchant gets
// mail.failed, even if the bus loses it.
func TestPermanentErrorsAreTold(t *testing.T) {
	p := &postOffice{answer: func(int) error { return unknown }}
	inWorld(t, func(w *world) {
		w.endpoint("main", fine, event.MailFailed)
		w.becomes("ord_1", isPaid)
		w.emit("ord_1", event.OrderCreated, event.PaymentSucceeded)
		w.pass(5 * 24 * time.Hour)
		if n := len(p.mails()); n != 1 {
			t.Errorf("%d tries", n)
		}
		w.resting("failed", "address was refused (code 550)")
		told := w.at("main")
		if len(told) != 1 || told[0].Type != event.MailFailed || !strings.Contains(told[0].Body, "ord_1") ||
			!strings.Contains(told[0].Body, "receipt") || strings.Contains(told[0].Body, "ada") {
			t.Errorf("told %v", told)
		}
	}, office(p), rarelyCaughtUp)
}

// TestALetterIsNotTriedForEver: after three days of temporary errors it has
// failed, too.
func TestALetterIsNotTriedForEver(t *testing.T) {
	p := &postOffice{answer: func(int) error { return greylisted }}
	inWorld(t, func(w *world) {
		w.endpoint("main", fine, event.MailFailed)
		w.becomes("ord_1", isPaid)
		w.emit("ord_1", event.OrderCreated, event.PaymentSucceeded)
		w.pass(2 * 24 * time.Hour)
		if n := len(w.at("main")); n != 0 {
			t.Errorf("told %d times after two days", n)
		}
		w.pass(2 * 24 * time.Hour)
		w.resting("failed", "code 450")
		if n := len(w.at("main")); n != 1 {
			t.Errorf("told %d times", n)
		}
		tries := len(p.mails())
		w.pass(4 * 24 * time.Hour)
		if n := len(p.mails()); n != tries || n < 8 {
			t.Errorf("%d tries, %d later", tries, n)
		}
	}, office(p), rarelyCaughtUp)
}

// TestSwitchedOff: kinds that the merchant does not want are not sent, also those
// that wait when it switches them off, and not later either.
func TestSwitchedOff(t *testing.T) {
	off := &orderv1.CustomerMails{Off: []orderv1.MailKind{orderv1.MailKind_MAIL_KIND_REMINDER}}
	p := &postOffice{}
	inWorld(t, func(w *world) {
		w.orders.mails = off
		w.becomes("ord_1", isUnpaid)
		w.emit("ord_1", event.OrderCreated, event.OrderPaymentDue)
		w.resting("dropped", "switched these mails off")
		w.orders.mails = nil
		w.emit("ord_1", event.PaymentFailed) // the history is read again
		w.pass(10 * time.Minute)
		if got := p.mails(); len(got) != 0 {
			t.Errorf("%v", got)
		}
	}, office(p))
}

// TestAnOrderThatHasMovedOn: what a letter would say is not true any more.
func TestAnOrderThatHasMovedOn(t *testing.T) {
	for name, tt := range map[string]struct {
		typ string
		now func(o *orderv1.Order)
		why string
	}{
		"paid meanwhile":     {event.OrderPaymentDue, func(o *orderv1.Order) { o.PaymentState = isPaid }, "has been paid meanwhile"},
		"customer erased":    {event.OrderPaymentDue, func(o *orderv1.Order) { o.Customer = nil }, "no address of its customer"},
		"erased and paid":    {event.PaymentSucceeded, func(o *orderv1.Order) { o.Customer, o.PaymentState = &orderv1.Customer{}, isPaid }, "no address of its customer"},
		"expired":            {event.OrderPaymentDue, func(o *orderv1.Order) { o.PaymentState = isExpired }, "the order is over"},
		"paid after its end": {event.OrderExpired, func(o *orderv1.Order) { o.PaymentState = orderv1.PaymentState_PAYMENT_STATE_ON_HOLD }, "money has come"},
		"prepaid":            {event.PaymentSucceeded, func(o *orderv1.Order) { o.Prepaid, o.PaymentState = true, isPaid }, "the merchant collects the money"},
		"another's":          {event.OrderPaymentDue, func(o *orderv1.Order) { o.MerchantId = "other" }, "no such order"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &postOffice{}
			inWorld(t, func(w *world) {
				w.becomes("ord_1", isUnpaid)
				tt.now(w.orders.now["ord_1"])
				w.emit("ord_1", event.OrderCreated, tt.typ)
				w.pass(time.Hour)
				w.resting("dropped", tt.why)
				if got := p.mails(); len(got) != 0 {
					t.Errorf("%v", got)
				}
			}, office(p))
		})
	}
}

// TestReminderPaidWhileItWaited: the mail server was away, and when it is back the
// order is paid.
func TestReminderPaidWhileItWaited(t *testing.T) {
	p := &postOffice{answer: func(int) error { return greylisted }}
	inWorld(t, func(w *world) {
		w.becomes("ord_1", isUnpaid)
		w.emit("ord_1", event.OrderCreated, event.OrderPaymentDue)
		w.becomes("ord_1", isPaid)
		w.pass(10 * time.Minute)
		w.resting("dropped", "has been paid meanwhile")
		if n := len(p.mails()); n != 1 {
			t.Errorf("%d tries", n)
		}
	}, office(p))
}

// TestInstructionsNeedAnAccount that is still there.
func TestInstructionsNeedAnAccount(t *testing.T) {
	for why, change := range map[string]func(*orders){
		"is no more":  func(o *orders) { delete(o.accounts, "transfer") },
		"is disabled": func(o *orders) { o.accounts["transfer"].Disabled = true },
	} {
		t.Run(why, func(t *testing.T) {
			p := &postOffice{}
			inWorld(t, func(w *world) {
				w.becomes("ord_1", isUnpaid)
				e := w.transferred("ord_1", "pay_1")
				change(w.orders)
				w.bring(e)
				w.resting("dropped", why)
				if got := p.mails(); len(got) != 0 {
					t.Errorf("%v", got)
				}
			}, office(p))
		})
	}
}

// TestP5LettersAfterTheBusWasLost: the history brings what the bus did not.
func TestP5LettersAfterTheBusWasLost(t *testing.T) {
	p := &postOffice{}
	inWorld(t, func(w *world) {
		w.becomes("ord_1", isPaid)
		w.becomes("ord_2", isExpired)
		w.becomes("ord_3", isUnpaid)
		for order, typ := range map[string]string{"ord_1": event.PaymentSucceeded, "ord_2": event.OrderExpired, "ord_3": event.OrderPaymentDue} {
			w.happen("acme", order, event.OrderCreated)
			w.happen("acme", order, typ) // and never comes
		}
		if n := len(p.mails()); n != 0 {
			t.Fatalf("%d mails", n)
		}
		w.pass(2 * time.Minute)
		var got []string
		for _, m := range p.mails() {
			kind, _, _ := strings.Cut(m.ID, "_")
			got = append(got, kind)
		}
		if slices.Sort(got); !slices.Equal(got, []string{"expired", "receipt", "reminder"}) {
			t.Errorf("%v", got)
		}
	}, office(p))
}

// TestOldCausesAreNoNews: what comes again after a week, or is found in a history
// that is read for the first time, causes no letter. Neither do letters stay.
func TestOldCausesAreNoNews(t *testing.T) {
	p := &postOffice{}
	inWorld(t, func(w *world) {
		w.becomes("ord_1", isPaid)
		w.becomes("ord_2", isUnpaid)
		w.emit("ord_1", event.OrderCreated)
		e, started := w.happen("acme", "ord_1", event.PaymentSucceeded), w.transferred("ord_2", "pay_1")
		w.bring(e, started)
		if n := len(p.mails()); n != 2 {
			t.Fatalf("%d mails", n)
		}
		w.pass(11 * 24 * time.Hour)
		if all := w.letters(); len(all) != 0 {
			t.Errorf("letters stay: %v", all)
		}
		w.bring(e, started)
		w.pass(time.Hour)
		if n := len(p.mails()); n != 2 {
			t.Errorf("%d mails", n)
		}
	}, office(p), rarelyCaughtUp, func(w *world) { w.cfg.Retention = 10 * 24 * time.Hour })
}

// TestLettersWaitForTheOrderService.
func TestLettersWaitForTheOrderService(t *testing.T) {
	p := &postOffice{}
	inWorld(t, func(w *world) {
		w.becomes("ord_1", isPaid)
		e := w.happen("acme", "ord_1", event.PaymentSucceeded)
		w.orders.set(true)
		w.bring(e)
		w.pass(5 * time.Minute)
		if all := w.letters(); len(p.mails()) != 0 || len(all) != 1 || !strings.Contains(all[0], "can't be read now") {
			t.Errorf("%d mails, letters %v", len(p.mails()), all)
		}
		w.orders.set(false)
		w.pass(time.Hour)
		if n := len(p.mails()); n != 1 {
			t.Errorf("%d mails", n)
		}
	}, office(p))
}

// TestWithoutAMailServerThereAreNoLetters: nothing is kept for nobody.
func TestWithoutAMailServerThereAreNoLetters(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endpoint("main", func(got, http.Header) int { return http.StatusOK })
		w.becomes("ord_1", isPaid)
		w.emit("ord_1", event.OrderCreated, event.PaymentSucceeded)
		w.expect("main", "ord_1", 1, 2)
		if all := w.letters(); len(all) != 0 {
			t.Errorf("letters %v", all)
		}
	})
}
