package edge

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/provider"
	"quittance/pkg/provider/registry"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/payment-redirect/internal/attempt"
)

const (
	// createWait is how long a page or a storefront waits for a payment to be
	// created, createPoll how often it looks for other replicas' writes.
	createWait = 4 * time.Second
	createPoll = 200 * time.Millisecond
	// createAgain is after how many seconds the page that waits looks again.
	createAgain = 1
)

// createTimeout bounds the call that creates a payment, unless the provider's
// schedule does.
const createTimeout = 30 * time.Second

// Create makes the call that creates an attempt's payment. Only the due loop
// does it.
func (c *Checkout) Create(ctx context.Context, a *attempt.Attempt) (provider.Created, error) {
	creator, err := registry.Role[provider.Creator](c.Providers, a.Provider)
	if err != nil {
		return provider.Created{}, err
	}
	acc, _, err := c.Reference.Account(ctx, a.Account)
	if err != nil {
		return provider.Created{}, fmt.Errorf("read account: %w", err)
	}
	timeout := createTimeout
	if s, err := c.Providers.Scheduler(a.Provider); err == nil && s.Schedule(acc).Timeout > 0 {
		timeout = s.Schedule(acc).Timeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return creator.Create(ctx, acc, c.asked(a))
}

// created waits a moment for an attempt's payment to be created, and gives the
// attempt as it is then.
func (c *Checkout) created(ctx context.Context, a *attempt.Attempt) *attempt.Attempt {
	if !a.Creating() {
		return a
	}
	ctx, cancel := context.WithTimeout(ctx, createWait)
	defer cancel()
	doc, err := c.Attempts.Await(ctx, a.ID, createPoll, func(d *docstore.Doc[attempt.Attempt]) bool { return !d.Body.Creating() })
	if err != nil || doc == nil {
		return a
	}
	return &doc.Body
}

// start shows "one moment" until the payment of an attempt exists, then leads to
// it. It is a page rather than a redirect, because browsers hold the answer to
// a form against the policy of the page that had the form, which can't know yet
// where the way will lead.
func (p *Pages) start(w http.ResponseWriter, r *http.Request) {
	o, err := p.byToken(r)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if p.closed(w, r, o) {
		return
	}
	doc, err := p.checkout.Attempts.For(o.GetMerchantId()).Get(r.Context(), r.PathValue("attempt"))
	if err != nil {
		p.fail(w, r, missing(err, "attempt"))
		return
	}
	if doc.Body.Order != o.GetId() {
		p.fail(w, r, fault.NotFound("attempt"))
		return
	}
	a := p.checkout.created(r.Context(), &doc.Body)
	if a.Creation == nil || a.Ended() {
		redirect(w, keep(r, p.payPath(o)))
		return
	}
	p.toCreated(w, r, a, p.about(r, o), p.startPath(o, a))
}

// toCreated shows "one moment" while a payment is being created, with a link to
// look again, then leads to it.
func (p *Pages) toCreated(w http.ResponseWriter, r *http.Request, a *attempt.Attempt, data page, again string) {
	switch {
	case a.Creating():
		w.Header().Set("Refresh", strconv.Itoa(createAgain))
		data.Again = keep(r, again)
		p.say(w, r, http.StatusOK, sayOneMoment, data)
	default:
		way := a.Creation.Way
		data.Title, data.Action, data.Fields = data.T("post.title"), way.URL, way.Fields
		if way.Method == http.MethodPost {
			p.show(w, r, http.StatusOK, "post.html", data, way.URL)
			return
		}
		w.Header().Set("Refresh", "0; url="+way.URL)
		p.show(w, r, http.StatusOK, "onward.html", data)
	}
}

// startPath is where a browser waits for an attempt's payment.
func (p *Pages) startPath(o *orderv1.Order, a *attempt.Attempt) string {
	return p.payPath(o) + "/start/" + a.ID
}
