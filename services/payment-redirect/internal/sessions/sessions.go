// Package sessions keeps the checkout session documents, and deletes them when
// their time is over.
package sessions

import (
	"context"
	"fmt"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/id"
	"quittance/pkg/service"
	"quittance/services/payment-redirect/internal/session"
)

// Sessions is the collection of checkout sessions.
type Sessions struct {
	*docstore.Collection[session.Session]
}

// byOrder is the index of sessions by the order that came of them.
const byOrder = "order"

// Open opens the collection and adds its due work to the service.
func Open(ctx context.Context, b *service.Base) (*Sessions, error) {
	coll, err := service.Open(ctx, b, docstore.Spec[session.Session]{
		Name: "checkout_sessions", NextDue: session.NextDue,
		Indexes: map[string]func(*session.Session) string{byOrder: func(s *session.Session) string { return s.Order }},
	})
	if err != nil {
		return nil, err
	}
	service.Loop(b, coll, func(ctx context.Context, doc *due.Leased[session.Session]) error {
		_, err := coll.Delete(ctx, doc.ID, doc.Version) // a session that has just been written is due again
		return err
	}, due.Options{})
	return &Sessions{coll}, nil
}

// Start stores a new session under an id that nobody can guess.
func (ss *Sessions) Start(ctx context.Context, s *session.Session) (string, error) {
	s.Created = ss.Now()
	token := id.Token()
	_, err := ss.For(s.Merchant).Insert(ctx, token, s)
	return token, err
}

// Erase deletes the sessions that a merchant's order came of.
func (ss *Sessions) Erase(ctx context.Context, merchant, order string) error {
	docs, _, err := ss.For(merchant).Find(ctx, docstore.Query{Index: byOrder, Equal: order, Limit: mostOfOrder})
	if err != nil {
		return err
	}
	for _, d := range docs {
		gone, err := ss.Delete(ctx, d.ID, d.Version)
		if err != nil {
			return err
		}
		if !gone {
			return fmt.Errorf("session of order %s has just changed", order) // tried again
		}
	}
	return nil
}

// mostOfOrder is more sessions than an order comes of: it is the one of them that
// has its idempotency key.
const mostOfOrder = 10
