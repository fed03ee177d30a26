// Package sessions keeps the checkout session documents, and deletes them when
// their time is over.
package sessions

import (
	"context"

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

// Open opens the collection and adds its due work to the service.
func Open(ctx context.Context, b *service.Base) (*Sessions, error) {
	coll, err := service.Open(ctx, b, docstore.Spec[session.Session]{Name: "checkout_sessions", NextDue: session.NextDue})
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
