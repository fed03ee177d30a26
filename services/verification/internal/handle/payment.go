package handle

import (
	"context"
	"errors"
	"fmt"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/event"
	"quittance/pkg/money"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	"quittance/services/verification/internal/verification"
	"quittance/services/verification/internal/verifications"
)

// PaymentStarted begins to follow an attempt, and looks up the callbacks that
// came before it.
func (h *Handlers) PaymentStarted(ctx context.Context, e event.Event) error {
	fact := &eventv1.PaymentStarted{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	vs := h.Verifications
	terms, err := vs.Terms(ctx, fact.GetAccountId())
	if err != nil {
		return err
	}
	v := verification.Start(fact, terms.Schedule, vs.Now())
	if v.Erased, err = vs.Erased(ctx, v.Order); err != nil {
		return err
	}
	var news []event.Event
	if v.Revision > 0 { // it is over before it began
		e, err := vs.Fact(v, terms)
		if err != nil {
			return err
		}
		news = append(news, e)
	}
	_, err = vs.Insert(ctx, v.Attempt, v.Merchant, v, news...)
	if errors.Is(err, docstore.ErrExists) {
		err = h.tellAgain(ctx, v)
	}
	if err != nil {
		return err
	}
	if err := h.takeEarly(ctx, verifications.ByReference, verifications.Key(v.Account, v.Reference)); err != nil {
		return err
	}
	return h.referred(ctx, v.Account, v.ProviderReference)
}

// referred applies the callbacks that waited for the provider's id of a payment
// to become known.
func (h *Handlers) referred(ctx context.Context, account, reference string) error {
	if reference == "" {
		return nil
	}
	return h.takeEarly(ctx, verifications.ByProviderReference, verifications.ProviderKey(account, reference))
}

// tellAgain repeats what is known of an attempt that is announced again: its
// announcer evidently doesn't know it.
func (h *Handlers) tellAgain(ctx context.Context, announced *verification.Verification) error {
	_, err := h.Verifications.For(announced.Merchant).Update(ctx, announced.Attempt, func(v *verification.Verification, ch *docstore.Change) error {
		news := v.Announced(announced.ProviderReference, h.Verifications.Now())
		if v.Revision == 0 && news {
			return nil
		}
		if v.Revision == 0 {
			return docstore.ErrUnchanged
		}
		ch.Resend(ch.Latest(event.PaymentVerified))
		return nil
	})
	return err
}

// PaymentReturned is a hint to ask now.
func (h *Handlers) PaymentReturned(ctx context.Context, e event.Event) error {
	fact := &eventv1.PaymentReturned{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	doc, err := h.Verifications.For(fact.GetMerchantId()).Update(ctx, fact.GetAttemptId(), func(v *verification.Verification, _ *docstore.Change) error {
		if !v.Returned(fact.GetProviderReference(), h.Verifications.Now()) {
			return docstore.ErrUnchanged
		}
		return nil
	})
	if err != nil {
		return unknown(err)
	}
	return h.referred(ctx, doc.Body.Account, fact.GetProviderReference())
}

// PaymentConfirmed is the merchant's word on an offline attempt: here the
// merchant is the provider that is asked.
func (h *Handlers) PaymentConfirmed(ctx context.Context, e event.Event) error {
	fact := &eventv1.OfflineConfirmed{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	vs := h.Verifications
	doc, err := vs.For(fact.GetMerchantId()).Get(ctx, fact.GetAttemptId())
	if err != nil {
		return fmt.Errorf("confirm attempt %s: %w", fact.GetAttemptId(), err) // tried again: its start is on the way
	}
	terms, err := vs.Terms(ctx, doc.Body.Account)
	if err != nil {
		return err
	}
	report, err := vs.Bind(ctx, &doc.Body, verification.Report{
		Outcome: verificationv1.Outcome_OUTCOME_PAID, Reference: doc.Body.Reference, TransactionID: fact.GetTransactionId(),
		Amount: money.Amount{Minor: fact.GetAmount().GetMinor(), Currency: fact.GetAmount().GetCurrency()}, Raw: "confirmed by the merchant",
	})
	if err != nil {
		return err
	}
	_, err = vs.For(fact.GetMerchantId()).Update(ctx, fact.GetAttemptId(), func(v *verification.Verification, ch *docstore.Change) error {
		return vs.Apply(ch, v, report, terms)
	})
	return err
}
