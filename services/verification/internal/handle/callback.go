package handle

import (
	"context"
	"errors"
	"time"

	"google.golang.org/protobuf/proto"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/event"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	"quittance/services/verification/internal/verification"
	"quittance/services/verification/internal/verifications"
)

// CallbackReceived is a hint to ask now. One whose attempt is not known yet is
// kept until it is.
func (h *Handlers) CallbackReceived(ctx context.Context, e event.Event) error {
	fact := &eventv1.CallbackReceived{}
	if err := e.Decode(fact); err != nil {
		return bus.Permanent(err)
	}
	index, key := named(fact)
	attempt, err := h.find(ctx, index, key)
	if err != nil {
		return err
	}
	if attempt != "" {
		return h.calledBack(ctx, attempt, fact)
	}
	_, err = h.Verifications.Early.Insert(ctx, fact.GetCallbackId(), fact.GetMerchantId(), &verifications.Early{Key: key, Event: e.Data, At: h.Verifications.Now()})
	if err != nil && !errors.Is(err, docstore.ErrExists) {
		return err
	}
	// The attempt may have become known just before the callback was kept.
	if attempt, err = h.find(ctx, index, key); err != nil || attempt == "" {
		return err
	}
	return h.takeEarly(ctx, index, key)
}

// named says by what a callback's attempt is found: our reference, or the
// provider's if the callback has none of ours.
func named(fact *eventv1.CallbackReceived) (index, key string) {
	if fact.GetReference() == "" && fact.GetTransactionId() != "" {
		return verifications.ByProviderReference, verifications.ProviderKey(fact.GetAccountId(), fact.GetTransactionId())
	}
	return verifications.ByReference, verifications.Key(fact.GetAccountId(), fact.GetReference())
}

// find returns the id of the attempt with a key, empty if there is none yet.
func (h *Handlers) find(ctx context.Context, index, key string) (string, error) {
	docs, _, err := h.Verifications.Find(ctx, docstore.Query{AllTenants: true, Index: index, Equal: key, Limit: 1})
	if err != nil || len(docs) == 0 {
		return "", err
	}
	return docs[0].ID, nil
}

func (h *Handlers) calledBack(ctx context.Context, attempt string, fact *eventv1.CallbackReceived) error {
	vs := h.Verifications
	var pause time.Duration
	if !fact.GetSigned() {
		pause = vs.Hint(fact.GetAccountId())
	}
	_, err := vs.For(fact.GetMerchantId()).Update(ctx, attempt, func(v *verification.Verification, ch *docstore.Change) error {
		if v.CalledBack(fact, pause, vs.Now()) {
			return vs.AcknowledgeCallbacks(ch, v, []string{fact.GetCallbackId()})
		}
		return nil
	})
	return err
}

// takeEarly applies the callbacks that waited for an attempt.
func (h *Handlers) takeEarly(ctx context.Context, index, key string) error {
	attempt, err := h.find(ctx, index, key)
	if err != nil || attempt == "" {
		return err
	}
	const limit = 100
	docs, _, err := h.Verifications.Early.Find(ctx, docstore.Query{AllTenants: true, Index: "key", Equal: key, Limit: limit})
	if err != nil {
		return err
	}
	for _, d := range docs {
		fact := &eventv1.CallbackReceived{}
		if err := proto.Unmarshal(d.Body.Event, fact); err != nil {
			return bus.Permanent(err)
		}
		if err := h.calledBack(ctx, attempt, fact); err != nil {
			return err
		}
		if _, err := h.Verifications.Early.Delete(ctx, d.ID, d.Version); err != nil {
			return err
		}
	}
	return nil
}
