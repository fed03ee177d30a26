// Package letters keeps the letter documents: it opens the collection, writes a
// letter for each cause, and mails them as due work. What a letter says is read
// then, from the order service and the merchant's reference data.
package letters

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/mail"
	"quittance/pkg/provider"
	"quittance/pkg/provider/offline"
	"quittance/pkg/service"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/notification/internal/letter"
	"quittance/services/notification/internal/payload"
	"quittance/services/notification/internal/queue"
	"quittance/services/notification/internal/wording"
)

const (
	// rarely is how often the store is asked what another process left.
	rarely = 10 * time.Second
	// finishing is the part of the time for the work that is kept for its outcome.
	finishing = 5 * time.Second
	// workers is how many letters are sent at once.
	workers = 8
)

// Reference knows merchants and their accounts at payment providers.
type Reference interface {
	Merchant(ctx context.Context, id string) (*orderv1.Merchant, error)
	Account(ctx context.Context, id string) (provider.Account, *orderv1.ProviderAccount, error)
}

// Orders reads orders as they are.
type Orders interface {
	Get(ctx context.Context, id string) (*orderv1.Order, error)
}

// Taker puts an event that is about no order's history into the queues of a
// merchant's endpoints but one. Doing so again changes nothing.
type Taker interface {
	TakeSingle(ctx context.Context, merchant string, e queue.Event, except string) error
}

// Letters is the collection and what its work needs.
type Letters struct {
	*docstore.Collection[letter.Letter]
	base   *service.Base
	orders Orders
	ref    Reference
	mailer mail.Sender
	taker  Taker
	ended  metric.Int64Counter
}

// Open opens the collection and adds its due work to the service. A nil mailer
// writes no letters.
func Open(ctx context.Context, b *service.Base, orders Orders, ref Reference, taker Taker, mailer mail.Sender) (*Letters, error) {
	coll, err := service.Open(ctx, b, docstore.Spec[letter.Letter]{
		Name:    "letters",
		Indexes: map[string]func(*letter.Letter) string{"at": func(l *letter.Letter) string { return l.At.UTC().Format("20060102T150405.000") }},
		NextDue: letter.NextDue,
	})
	if err != nil {
		return nil, err
	}
	ended, err := b.Meter.Meter("quittance/notification").Int64Counter("quittance.customer_mails",
		metric.WithDescription("Mails to customers about payments that came to an end, by kind and state (sent, dropped, failed)"), metric.WithUnit("{mail}"))
	if err != nil {
		return nil, fmt.Errorf("counter of mails: %w", err)
	}
	ls := &Letters{Collection: coll, base: b, orders: orders, ref: ref, mailer: mailer, taker: taker, ended: ended}
	service.Loop(b, coll, ls.work, due.Options{Workers: workers, Poll: rarely})
	return ls, nil
}

// Take writes the letter that a public event causes, if there is to be one.
func (ls *Letters) Take(ctx context.Context, merchant, order string, e queue.Event) error {
	kind := letter.About(e.Type)
	if kind == "" {
		return nil
	}
	return ls.write(ctx, letter.New(merchant, order, kind, e.ID, ls.Now()), e.Time)
}

// Started writes the letter with instructions for an offline payment. Its cause
// comes again until the payment has come to an end (payment-redirect).
func (ls *Letters) Started(ctx context.Context, e event.Event, p *eventv1.PaymentStarted) error {
	if p.GetProvider() != offline.Name || p.GetRefusal() != "" {
		return nil
	}
	l := letter.New(p.GetMerchantId(), p.GetOrderId(), letter.Instructions, e.ID, ls.Now())
	l.Account, l.Attempt = p.GetAccountId(), p.GetAttemptId()
	return ls.write(ctx, l, e.Time)
}

// CatchUp writes those letters of an order's history that are missing.
func (ls *Letters) CatchUp(ctx context.Context, merchant, order string, events []queue.Event) error {
	for _, e := range events {
		if err := ls.Take(ctx, merchant, order, e); err != nil {
			return err
		}
	}
	return nil
}

// write inserts a letter unless there is one. One that the merchant does not want
// is written as dropped, so that it does not go out when the merchant wants those
// after it.
func (ls *Letters) write(ctx context.Context, l *letter.Letter, caused time.Time) error {
	now := ls.Now()
	if ls.mailer == nil || now.Sub(caused) > letter.Fresh {
		return nil
	}
	mine := ls.For(l.Merchant)
	if _, err := mine.Get(ctx, l.DocID()); !errors.Is(err, docstore.ErrNotFound) {
		return err
	}
	if m, err := ls.ref.Merchant(ctx, l.Merchant); err == nil && letter.Off(m.GetCustomerMails(), l.Kind) {
		l.Drop(switchedOff, now)
	}
	_, err := mine.Insert(ctx, l.DocID(), l)
	if errors.Is(err, docstore.ErrExists) {
		return nil
	}
	if err == nil && l.State != letter.Waiting {
		ls.say(ctx, l)
	}
	return err
}

const switchedOff = "the merchant has switched these mails off"

// outcome is what became of a try.
type outcome struct {
	verdict letter.Verdict
	problem string
	// forGood: the mail server refused the mail for good.
	forGood bool
}

// work sends a letter, or makes sure that the merchant hears of its failure.
func (ls *Letters) work(ctx context.Context, doc *due.Leased[letter.Letter]) error {
	l, now := doc.Body, ls.Now()
	if !l.Due(now) {
		return ls.tell(ctx, doc)
	}
	o := ls.try(ctx, &l)
	now = ls.Now()
	var after letter.Letter
	err := doc.Finish(ctx, func(l *letter.Letter, ch *docstore.Change) error {
		switch {
		case o.verdict == letter.Never:
			l.Drop(o.problem, now)
		case o.problem == "":
			l.Send(now)
		case l.Fail(o.problem, o.forGood, now):
			e, err := ls.failed(l)
			if err != nil {
				return err
			}
			ch.Emit(e)
		}
		after = *l
		return nil
	})
	if err == nil {
		ls.say(ctx, &after)
	}
	return err
}

// try sends a letter in the time that there is for it.
func (ls *Letters) try(ctx context.Context, l *letter.Letter) outcome {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-finishing))
		defer cancel()
	}
	return ls.send(ctx, l)
}

// failed is the event that tells the merchant.
func (ls *Letters) failed(l *letter.Letter) (event.Event, error) {
	return ls.base.Event(event.MailFailed, l.DocID(), l.DocID(), l.Merchant, &eventv1.MailFailed{
		MerchantId: l.Merchant, OrderId: l.Order, Kind: string(l.Kind), Problem: l.Problem, Since: timestamppb.New(l.Created),
	})
}

// tell puts the event of a failed letter into the queues, should the bus have
// lost it.
func (ls *Letters) tell(ctx context.Context, doc *due.Leased[letter.Letter]) error {
	for _, e := range doc.Events {
		taken, err := payload.FromMerchantEvent(e)
		if err == nil {
			err = ls.taker.TakeSingle(ctx, doc.Body.Merchant, taken, "")
		}
		if err != nil {
			return err
		}
	}
	return doc.Finish(ctx, func(l *letter.Letter, _ *docstore.Change) error {
		l.Told()
		return nil
	})
}

// say logs what became of a letter, and counts it if that is the end. The line
// has nothing of the customer and none of the mail server's own words.
func (ls *Letters) say(ctx context.Context, l *letter.Letter) {
	state := l.State
	if state == letter.Waiting {
		state = "waiting"
	} else {
		ls.ended.Add(ctx, 1, metric.WithAttributes(attribute.String("kind", string(l.Kind)), attribute.String("state", string(state))))
	}
	write := ls.base.Log.InfoContext
	if state == letter.Failed || state == "waiting" {
		write = ls.base.Log.WarnContext
	}
	write(ctx, "customer mail", "kind", l.Kind, "state", state, "merchant", l.Merchant, "order", l.Order, "mail", l.DocID(), "tries", l.Tries, "problem", l.Problem)
}

// send composes the mail and gives it to the mail server, unless the order has
// moved on.
func (ls *Letters) send(ctx context.Context, l *letter.Letter) outcome {
	m, err := ls.ref.Merchant(ctx, l.Merchant)
	if err != nil {
		return outcome{letter.Later, "the merchant can't be read now", false}
	}
	if letter.Off(m.GetCustomerMails(), l.Kind) {
		return outcome{letter.Never, switchedOff, false}
	}
	o, err := ls.order(ctx, l)
	switch {
	case fault.KindOf(err) == fault.KindNotFound:
		return outcome{letter.Never, "there is no such order any more", false}
	case err != nil:
		return outcome{letter.Later, "the order can't be read now", false}
	}
	if verdict, why := letter.Judge(l.Kind, o); verdict != letter.Go {
		return outcome{verdict, why, false}
	}
	var t *wording.Transfer
	if l.Kind == letter.Instructions {
		var missing outcome
		if t, missing = ls.transfer(ctx, l, o); t == nil {
			return missing
		}
	}
	msg, err := wording.Compose(l.Kind, o, m, t)
	if err != nil {
		return outcome{letter.Later, "the mail can't be written: the operator must look after it", false}
	}
	msg.ID = l.DocID()
	if err := ls.mailer.Send(ctx, msg); err != nil {
		problem, part := mail.Explain(err)
		return outcome{letter.Later, problem, part != ""}
	}
	return outcome{verdict: letter.Go}
}

func (ls *Letters) order(ctx context.Context, l *letter.Letter) (*orderv1.Order, error) {
	o, err := ls.orders.Get(ctx, l.Order)
	if err == nil && o.GetMerchantId() != l.Merchant {
		return nil, fault.NotFound("order %q of the merchant", l.Order)
	}
	return o, err
}

// transfer is how the attempt is paid: what the pay page shows. Without it the
// outcome says why.
func (ls *Letters) transfer(ctx context.Context, l *letter.Letter, o *orderv1.Order) (*wording.Transfer, outcome) {
	acc, shown, err := ls.ref.Account(ctx, l.Account)
	switch {
	case fault.KindOf(err) == fault.KindNotFound, err == nil && (shown.GetProvider() != offline.Name || shown.GetMerchantId() != l.Merchant):
		return nil, outcome{letter.Never, "the account to pay to is no more", false}
	case err != nil:
		return nil, outcome{letter.Later, "the account to pay to can't be read now", false}
	case shown.GetDisabled():
		return nil, outcome{letter.Never, "the account to pay to is disabled", false}
	}
	t, err := offline.New().Redirect(acc, provider.Attempt{Reference: l.Attempt, Amount: wording.Amount(o.GetTotal())})
	if err != nil {
		return nil, outcome{letter.Later, "the account to pay to has settings that can't be used: the merchant must correct them", false}
	}
	return &wording.Transfer{
		Beneficiary: t.Transfer.Beneficiary, Account: t.Transfer.Account, Text: t.Transfer.Text, Reference: l.Attempt,
	}, outcome{}
}
