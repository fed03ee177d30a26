package deliveries

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"quittance/pkg/fault"
	"quittance/pkg/mail"
	"quittance/services/delivery/internal/delivery"
	"quittance/services/delivery/internal/licenses"
)

// finishing is the part of the time for the work that is kept for its outcome.
const finishing = 5 * time.Second

// outcome is what became of a mail; problem is empty if it was sent.
type outcome struct {
	delivery.Letter
	problem string
	refused bool
}

func (o outcome) apply(d *delivery.Delivery, now time.Time) {
	if o.problem == "" {
		d.Sent(o.Letter, now)
		return
	}
	d.Failed(o.Letter, o.problem, o.refused, now)
}

// sendAll sends the mails for which there is time; the others stay due.
func (ds *Deliveries) sendAll(ctx context.Context, d *delivery.Delivery, letters []delivery.Letter) []outcome {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-finishing))
		defer cancel()
	}
	var outcomes []outcome
	for i, letter := range letters {
		o := ds.send(ctx, d, letter)
		if i > 0 && o.problem != "" && ctx.Err() != nil {
			break // not its own fault
		}
		outcomes = append(outcomes, o)
	}
	return outcomes
}

// send sends one mail. The line of its outcome in the log has nothing of the
// mail server's own words: it may repeat what it refuses.
func (ds *Deliveries) send(ctx context.Context, d *delivery.Delivery, letter delivery.Letter) outcome {
	start := ds.Now()
	problem, refused, err := ds.handOver(ctx, d, letter)
	level := slog.LevelInfo
	if problem != "" {
		level = slog.LevelWarn
	}
	ds.base.Log.Log(ctx, level, "licence mail", "delivery", d.ID, "order", d.Order, "line", letter.Line,
		"resend", letter.Resend, "took", ds.Now().Sub(start), "sent", problem == "", "refused", refused,
		"problem", problem, "error", err)
	return outcome{letter, problem, refused}
}

// handOver gives a mail to the mail server. The problem is for people; the
// error is ours, never the mail server's.
func (ds *Deliveries) handOver(ctx context.Context, d *delivery.Delivery, letter delivery.Letter) (problem string, refused bool, err error) {
	merchant, err := ds.Reference.Merchant(ctx, d.Merchant)
	if err != nil {
		return "the merchant's sender address is not known yet; the mail is sent as soon as it is", false, err
	}
	keys, others, err := ds.keys(ctx, d, letter.Line)
	if err == nil {
		err = ds.release(ctx, d, others)
	}
	if err != nil {
		return "the licence keys can't be read now; the operator must look after it, then the mail is sent by itself", false, err
	}
	t, err := ds.template(ctx, d, letter)
	if err != nil {
		return "the product's mail is not known yet; it is sent as soon as it is", false, err
	}
	content := d.Compose(letter, t, good(keys))
	problem, refused = explain(ds.Mailer.Send(ctx, mail.Message{
		ID: d.MessageID(letter), From: merchant.GetMailFrom(), To: d.Email,
		Subject: content.Subject, Text: content.Text, HTML: content.HTML,
		Headers: map[string]string{"Auto-Submitted": "auto-generated"},
	}))
	return problem, refused, nil
}

// explain says why a mail was not accepted, and who must act.
func explain(err error) (problem string, refused bool) {
	if err == nil {
		return "", false
	}
	problem, part := mail.Explain(err)
	switch part {
	case mail.PartRecipient:
		return problem + ": the merchant must reach the customer another way", true
	case mail.PartSender:
		return problem + ": the merchant must correct mail_from", true
	case mail.PartContent:
		return problem + ": the merchant must look at its text", true
	}
	return problem + "; the mail is sent again by itself", false
}

// template is the product's mail as it is now, so that a template put right puts
// the next mail right; empty if the product has none or is no more.
func (ds *Deliveries) template(ctx context.Context, d *delivery.Delivery, letter delivery.Letter) (delivery.Template, error) {
	p, err := ds.Reference.Product(ctx, d.Merchant, d.Lines[letter.Line-1].Product)
	if err != nil && fault.KindOf(err) != fault.KindNotFound {
		return delivery.Template{}, err
	}
	return delivery.Template{Subject: p.GetMailSubject(), Text: p.GetMailText(), HTML: p.GetMailHtml()}, nil
}

// Key is the licence key of a unit.
type Key struct {
	Unit    delivery.Unit
	Text    string
	Revoked bool
}

// good are the texts of those keys that may be used.
func good(keys []Key) []string {
	var out []string
	for _, k := range keys {
		if !k.Revoked {
			out = append(out, k.Text)
		}
	}
	return out
}

// keys unseals the keys of a line's units, in their order, of those that have
// one. others is what else is held for the units. It is an error if a licence is
// not the unit's that the delivery shows.
func (ds *Deliveries) keys(ctx context.Context, d *delivery.Delivery, line int) (keys []Key, others []licenses.Held, err error) {
	shown := d.Lines[line-1].Licenses
	if len(shown) == 0 {
		return nil, nil, nil
	}
	keys, others, err = ds.keysFrom(ctx, d, d.Unit(line, 1), d.Unit(line, len(shown)), len(shown))
	if n := shown.Count(); err == nil && len(keys) != n {
		return nil, nil, fmt.Errorf("delivery %s line %d shows %d licences, %d are held", d.ID, line, n, len(keys))
	}
	return keys, others, err
}

// keysFrom unseals up to a number of keys of the units from the first to the last.
func (ds *Deliveries) keysFrom(ctx context.Context, d *delivery.Delivery, first, last delivery.Unit, limit int) (keys []Key, others []licenses.Held, err error) {
	for h, err := range ds.Licenses.Held(ctx, d.Merchant, first, last) {
		if err != nil {
			return nil, nil, err
		}
		if d.Shows(h.Unit) != h.License {
			others = append(others, h)
			continue
		}
		text, err := ds.Licenses.Key(h)
		if err != nil {
			return nil, nil, err
		}
		keys = append(keys, Key{Unit: h.Unit, Text: text, Revoked: h.Revoked || d.GivenUp(h.Unit, h.License)})
		if len(keys) == limit {
			break
		}
	}
	return keys, others, nil
}

// Keys unseals licence keys of a delivery from a unit on, for its merchant's own
// answer: up to a number of them, and about so many bytes. next is the unit to go
// on with, nil after the last.
func (ds *Deliveries) Keys(ctx context.Context, d *delivery.Delivery, from delivery.Unit, limit, size int) (keys []Key, next *delivery.Unit, err error) {
	all, _, err := ds.keysFrom(ctx, d, from, d.Last(), limit+1)
	if err != nil {
		return nil, nil, err
	}
	for i, k := range all {
		if size -= len(k.Text); i == limit || size < 0 && i > 0 {
			return all[:i], &k.Unit, nil
		}
	}
	return all, nil, nil
}
