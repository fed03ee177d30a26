package attempts

import (
	"context"
	"errors"
	"strings"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/event"
	"quittance/pkg/provider"
	"quittance/services/payment-redirect/internal/attempt"
)

// Create makes the call that creates an attempt's payment at its provider.
type Create func(context.Context, *attempt.Attempt) (provider.Created, error)

// CreateBy says how payments are created that must exist before the customer
// can go there. Call it before the service runs.
func (as *Attempts) CreateBy(create Create) { as.create = create }

// creation creates the payment and announces the attempt with it. If the
// process dies behind the provider's answer, another payment is created.
func (as *Attempts) creation(ctx context.Context, doc *due.Leased[attempt.Attempt]) error {
	if as.create == nil {
		return errors.New("nobody creates payments here")
	}
	created, err := as.create(ctx, &doc.Body)
	if err != nil {
		as.base.Log.WarnContext(ctx, "payment not created", "attempt", doc.ID, "provider", doc.Body.Provider, "account", doc.Body.Account,
			"declined", errors.Is(err, provider.ErrDeclined), "error", err)
	}
	return doc.Finish(ctx, func(a *attempt.Attempt, ch *docstore.Change) error {
		if !decided(a, created, err, as.Now()) {
			return nil
		}
		e, err := as.event(event.PaymentStarted, a, a.Started())
		if err != nil {
			return err
		}
		ch.Emit(e)
		return nil
	})
}

// decided notes the outcome of a try and says whether the attempt is to be
// announced with it.
func decided(a *attempt.Attempt, created provider.Created, err error, now time.Time) bool {
	switch {
	case errors.Is(err, provider.ErrDeclined):
		return a.Decline(reason(err), now)
	case err != nil:
		return a.Unanswered(err.Error(), now)
	}
	way := attempt.Way{Method: created.Redirect.Method, URL: created.Redirect.URL, Fields: created.Redirect.Fields}
	return a.Exists(created.ProviderReference, way, now)
}

// reason is what people need of a refusal, without the steps that led to it.
func reason(err error) string {
	text := err.Error()
	if i := strings.Index(text, provider.ErrDeclined.Error()); i >= 0 {
		text = text[i:]
	}
	return text
}
