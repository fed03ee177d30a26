// Package savedpayments keeps what users can pay with again: it opens the
// collection, and turns tokens on their way through the system into stored ones.
package savedpayments

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/id"
	"quittance/pkg/provider"
	"quittance/pkg/seal"
	"quittance/pkg/service"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	verificationv1 "quittance/proto/gen/go/quittance/verification/v1"
	"quittance/services/payment-redirect/internal/attempt"
	"quittance/services/payment-redirect/internal/savedpayment"
)

// SavedPayments is the collection of what users have saved.
type SavedPayments struct {
	*docstore.Collection[savedpayment.User]
	keyring *seal.Keyring
	log     *slog.Logger
}

// Open opens the collection.
func Open(ctx context.Context, b *service.Base) (*SavedPayments, error) {
	coll, err := service.Open(ctx, b, docstore.Spec[savedpayment.User]{Name: "saved_payments"})
	if err != nil {
		return nil, err
	}
	return &SavedPayments{coll, b.Keyring, b.Log}, nil
}

func docID(merchant, user string) string { return id.Derived("usr", merchant, user) }

func sealContext(merchant, user, account string) string {
	return "saved payment of " + id.Derived("usr", merchant, user, account)
}

// Of reads what a user has saved; nothing for an unnamed one.
func (ss *SavedPayments) Of(ctx context.Context, merchant, user string) (*savedpayment.User, error) {
	if user == "" {
		return &savedpayment.User{}, nil
	}
	doc, err := ss.For(merchant).Get(ctx, docID(merchant, user))
	if errors.Is(err, docstore.ErrNotFound) {
		return &savedpayment.User{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read saved payments: %w", err)
	}
	return &doc.Body, nil
}

// Token is what pays an attempt as an earlier one was; empty if it was forgotten.
func (ss *SavedPayments) Token(ctx context.Context, a *attempt.Attempt) (seal.Secret, error) {
	u, err := ss.Of(ctx, a.Merchant, a.User)
	if err != nil {
		return "", err
	}
	e := u.Of(a.Account)
	if e == nil {
		return "", nil
	}
	token, err := ss.keyring.Open(e.Sealed, sealContext(a.Merchant, a.User, a.Account))
	if err != nil {
		return "", fmt.Errorf("open saved payment: %w", err)
	}
	return seal.Secret(token), nil
}

// Learn keeps the token that a payment brought, if it was a known user's. A
// payment by a saved one that failed makes the saved one forgotten: it may never
// pay again, and the customer has all other ways.
func (ss *SavedPayments) Learn(ctx context.Context, a *attempt.Attempt, f *eventv1.PaymentVerified) error {
	switch {
	case a.User == "":
		return nil
	case a.Saved && f.GetOutcome() == verificationv1.Outcome_OUTCOME_FAILED:
		return ss.Forget(ctx, a.Merchant, a.User, a.Account, a.Created)
	case f.GetSealedOneClickToken() == "":
		return nil
	}
	token, err := ss.keyring.Open(f.GetSealedOneClickToken(), provider.OneClickContext(a.Account, a.ID))
	if err != nil { // its key is gone; the payment is none the worse
		ss.log.WarnContext(ctx, "one-click token can't be opened", "attempt", a.ID, "error", err)
		return nil
	}
	sealed, err := ss.keyring.Seal(token, sealContext(a.Merchant, a.User, a.Account))
	if err != nil {
		return fmt.Errorf("seal token of attempt %s: %w", a.ID, err)
	}
	e := savedpayment.Entry{Account: a.Account, Sealed: sealed, Attempt: a.ID, Saved: a.Created}
	return ss.put(ctx, a.Merchant, a.User, func(u *savedpayment.User) bool {
		if !u.Save(e) {
			return false
		}
		u.User = a.User
		return true
	})
}

// Forget deletes what payments of a user by an account, by any if it is empty,
// have left up to a time, and will.
func (ss *SavedPayments) Forget(ctx context.Context, merchant, user, account string, upTo time.Time) error {
	return ss.put(ctx, merchant, user, func(u *savedpayment.User) bool { return u.Forget(account, upTo) })
}

// Erase forgets what a payment left with its account, and whose it was if there is
// nothing else. What a later order of the same user left stays.
func (ss *SavedPayments) Erase(ctx context.Context, a *attempt.Attempt) error {
	if a.User == "" {
		return nil
	}
	err := service.Erase(ctx, ss.For(a.Merchant), docID(a.Merchant, a.User), func(u *savedpayment.User) bool {
		news := u.Forget(a.Account, a.Created)
		if len(u.Entries) == 0 && u.User != "" {
			u.User, news = "", true
		}
		return news
	})
	if errors.Is(err, docstore.ErrNotFound) {
		return nil
	}
	return err
}

// put changes what a user has saved; change says whether it did.
func (ss *SavedPayments) put(ctx context.Context, merchant, user string, change func(*savedpayment.User) bool) error {
	mine, key := ss.For(merchant), docID(merchant, user)
	for {
		_, err := mine.Update(ctx, key, func(u *savedpayment.User, _ *docstore.Change) error {
			if !change(u) {
				return docstore.ErrUnchanged
			}
			return nil
		})
		if !errors.Is(err, docstore.ErrNotFound) {
			return err
		}
		u := &savedpayment.User{Merchant: merchant, User: user}
		change(u)
		if _, err = mine.Insert(ctx, key, u); !errors.Is(err, docstore.ErrExists) {
			return err
		}
	}
}
