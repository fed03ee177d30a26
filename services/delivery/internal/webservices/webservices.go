// Package webservices keeps the merchants' web services that licences come
// from, and calls them: signed as webhooks are (Standard Webhooks), with a key
// that makes repeats harmless, to addresses that the egress policy allows only.
package webservices

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/seal"
	"quittance/pkg/service"
	"quittance/pkg/webhook"
	"quittance/services/delivery/internal/delivery"
)

// WebServices is the collection of web service documents, and calls them.
type WebServices struct {
	*docstore.Collection[delivery.WebService]
	keys   *seal.Keyring
	client *http.Client
	fuses  *fuses
	base   *service.Base
}

// Open opens the collection. The transport makes the calls.
func Open(ctx context.Context, b *service.Base, transport http.RoundTripper) (*WebServices, error) {
	coll, err := docstore.Open(ctx, b.Engine, docstore.Spec[delivery.WebService]{Name: "webservices", Now: b.Now})
	if err != nil {
		return nil, err
	}
	return &WebServices{
		Collection: coll, keys: b.Keyring, base: b, fuses: newFuses(),
		client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Of reads the web service of a product, docstore.ErrNotFound if it has none.
func (ws *WebServices) Of(ctx context.Context, merchant, product string) (*delivery.WebService, error) {
	doc, err := ws.For(merchant).Get(ctx, delivery.WebServiceID(merchant, product))
	if err != nil {
		return nil, err
	}
	return &doc.Body, nil
}

// Put creates or changes the web service of a product. secret is that of a new
// one, else empty.
func (ws *WebServices) Put(ctx context.Context, merchant, product string, change func(*delivery.WebService)) (w *delivery.WebService, secret string, err error) {
	docID := delivery.WebServiceID(merchant, product)
	secret = webhook.NewSecret()
	sealed, err := ws.keys.Seal([]byte(secret), docID)
	if err != nil {
		return nil, "", fmt.Errorf("seal the secret: %w", err)
	}
	fresh := &delivery.WebService{Merchant: merchant, Product: product, Secrets: []delivery.SealedSecret{{Sealed: sealed}}}
	change(fresh)
	doc, err := ws.For(merchant).Insert(ctx, docID, fresh)
	if errors.Is(err, docstore.ErrExists) {
		secret = ""
		doc, err = ws.For(merchant).Update(ctx, docID, func(w *delivery.WebService, _ *docstore.Change) error {
			change(w)
			return nil
		})
	}
	if err != nil {
		return nil, "", err
	}
	ws.fuses.mend(docID)
	return &doc.Body, secret, nil
}

// Rotate makes a new secret; older ones sign for the overlap.
// docstore.ErrNotFound if there is no web service.
func (ws *WebServices) Rotate(ctx context.Context, merchant, product string, overlap time.Duration) (string, error) {
	docID := delivery.WebServiceID(merchant, product)
	secret := webhook.NewSecret()
	sealed, err := ws.keys.Seal([]byte(secret), docID)
	if err != nil {
		return "", fmt.Errorf("seal the secret: %w", err)
	}
	_, err = ws.For(merchant).Update(ctx, docID, func(w *delivery.WebService, _ *docstore.Change) error {
		w.Rotate(sealed, ws.Now().Add(overlap), ws.Now())
		return nil
	})
	return secret, err
}

// Reseal seals all secrets anew that another than the primary key sealed.
func (ws *WebServices) Reseal(ctx context.Context) error {
	for doc, err := range ws.All(ctx, docstore.Query{AllTenants: true, Limit: 200}) {
		if err != nil {
			return err
		}
		if _, err := ws.For(doc.Tenant).Update(ctx, doc.ID, func(w *delivery.WebService, _ *docstore.Change) error {
			return ws.resealAll(doc.ID, w)
		}); err != nil {
			return err
		}
	}
	return nil
}

func (ws *WebServices) resealAll(docID string, w *delivery.WebService) error {
	changed := false
	for i, s := range w.Secrets {
		if !ws.keys.NeedsReseal(s.Sealed) {
			continue
		}
		plain, err := ws.keys.Open(s.Sealed, docID)
		if err != nil {
			return fmt.Errorf("unseal the secret of web service %s: %w", docID, err)
		}
		if w.Secrets[i].Sealed, err = ws.keys.Seal(plain, docID); err != nil {
			return fmt.Errorf("seal the secret of web service %s: %w", docID, err)
		}
		changed = true
	}
	if !changed {
		return docstore.ErrUnchanged
	}
	return nil
}
