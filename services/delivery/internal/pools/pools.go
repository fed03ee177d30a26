// Package pools keeps what holds for the licences of each product, and watches
// over the low-water marks. Counting is due work beside the orders' path, so a
// pool's document is never written by an order.
package pools

import (
	"context"
	"errors"
	"fmt"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/event"
	"quittance/pkg/id"
	"quittance/pkg/mail"
	"quittance/pkg/service"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/delivery/internal/delivery"
	"quittance/services/delivery/internal/licenses"
)

// Merchants knows whom to tell.
type Merchants interface {
	// Merchant reads a merchant; fault.KindNotFound if there is none.
	Merchant(ctx context.Context, merchant string) (*orderv1.Merchant, error)
}

// Pools is the collection of pool documents.
type Pools struct {
	*docstore.Collection[delivery.Pool]
	base      *service.Base
	licenses  *licenses.Licenses
	merchants Merchants
	mailer    mail.Sender
}

// Open opens the collection and adds the watch to the service.
func Open(ctx context.Context, b *service.Base, ls *licenses.Licenses, merchants Merchants, mailer mail.Sender) (*Pools, error) {
	coll, err := service.Open(ctx, b, docstore.Spec[delivery.Pool]{
		Name:    "pools",
		Indexes: map[string]func(*delivery.Pool) string{"product": func(p *delivery.Pool) string { return p.Product }},
		NextDue: delivery.PoolDue,
	})
	if err != nil {
		return nil, err
	}
	ps := &Pools{Collection: coll, base: b, licenses: ls, merchants: merchants, mailer: mailer}
	service.Loop(b, coll, ps.work, due.Options{Workers: 2, Lease: time.Minute, Poll: 2 * time.Second})
	return ps, nil
}

// Of reads what holds for a product's licences; the zero settings if nothing was
// said.
func (ps *Pools) Of(ctx context.Context, merchant, product string) (*delivery.Pool, error) {
	doc, err := ps.For(merchant).Get(ctx, delivery.PoolID(merchant, product))
	if errors.Is(err, docstore.ErrNotFound) {
		return &delivery.Pool{Merchant: merchant, Product: product}, nil
	}
	if err != nil {
		return nil, err
	}
	return &doc.Body, nil
}

// Put changes what holds for a product's licences, and has them counted.
func (ps *Pools) Put(ctx context.Context, merchant, product string, change func(*delivery.Pool)) (*delivery.Pool, error) {
	fresh := &delivery.Pool{Merchant: merchant, Product: product}
	change(fresh)
	fresh.Look = ps.Now()
	poolID := delivery.PoolID(merchant, product)
	doc, err := ps.For(merchant).Insert(ctx, poolID, fresh)
	if errors.Is(err, docstore.ErrExists) {
		doc, err = ps.For(merchant).Update(ctx, poolID, func(p *delivery.Pool, _ *docstore.Change) error {
			change(p)
			p.Look = ps.Now()
			return nil
		})
	}
	if err != nil {
		return nil, err
	}
	return &doc.Body, nil
}

// Known makes sure that a product's pool has a document, so that it is listed.
func (ps *Pools) Known(ctx context.Context, merchant, product string) error {
	poolID := delivery.PoolID(merchant, product)
	if _, err := ps.For(merchant).Get(ctx, poolID); !errors.Is(err, docstore.ErrNotFound) {
		return err
	}
	_, err := ps.For(merchant).Insert(ctx, poolID, &delivery.Pool{Merchant: merchant, Product: product})
	if errors.Is(err, docstore.ErrExists) {
		return nil
	}
	return err
}

// Nudge has a pool counted now if somebody wants to know; it was found empty, or
// filled.
func (ps *Pools) Nudge(ctx context.Context, merchant, product string) error {
	_, err := ps.For(merchant).Update(ctx, delivery.PoolID(merchant, product), func(p *delivery.Pool, _ *docstore.Change) error {
		if !p.Nudge(ps.Now()) {
			return docstore.ErrUnchanged
		}
		return nil
	})
	if errors.Is(err, docstore.ErrNotFound) {
		return nil
	}
	return err
}

// List pages through a merchant's pools by product.
func (ps *Pools) List(ctx context.Context, merchant, after string, limit int) ([]*docstore.Doc[delivery.Pool], string, error) {
	return ps.For(merchant).Find(ctx, docstore.Query{Index: "product", After: after, Limit: limit})
}

// work tells the merchant or counts the pool.
func (ps *Pools) work(ctx context.Context, doc *due.Leased[delivery.Pool]) error {
	p := &doc.Body
	if at := p.NoticeAt; !at.IsZero() && !at.After(ps.Now()) {
		sent := ps.notice(ctx, p)
		return doc.Finish(ctx, func(p *delivery.Pool, _ *docstore.Change) error {
			p.Noticed(sent, ps.Now())
			return nil
		})
	}
	free, err := ps.licenses.Count(ctx, p.Merchant, p.Product, delivery.LicenseFree, "", p.Enough())
	if err != nil {
		return err
	}
	return doc.Finish(ctx, func(p *delivery.Pool, ch *docstore.Change) error {
		if !p.Counted(free, ps.Now()) {
			return nil
		}
		e, err := ps.base.Event(event.LicensePoolLow, doc.ID, doc.ID, p.Merchant, &eventv1.LicensePoolLow{
			MerchantId: p.Merchant, ProductId: p.Product, Free: free, LowWaterMark: p.LowMark,
		})
		ch.Emit(e)
		return err
	})
}

// notice mails the merchant. Without an address there is nothing to do.
func (ps *Pools) notice(ctx context.Context, p *delivery.Pool) bool {
	m, err := ps.merchants.Merchant(ctx, p.Merchant)
	if err == nil && m.GetContactEmail() == "" {
		return true
	}
	if err == nil {
		err = ps.mailer.Send(ctx, mail.Message{
			ID:   id.Derived("mail", delivery.PoolID(p.Merchant, p.Product), fmt.Sprint(p.Crossings)),
			From: m.GetMailFrom(), To: m.GetContactEmail(),
			Subject: fmt.Sprintf("Licences of %s run low: %d left", p.Product, p.Free),
			Text: fmt.Sprintf("The pool of licence keys of product %q is down to %d free keys (you asked to be told at %d).\n\n"+
				"When it is empty, paid orders of the product wait. They are delivered by themselves as soon as you import keys.\n",
				p.Product, p.Free, p.LowMark),
			Headers: map[string]string{"Auto-Submitted": "auto-generated"},
		})
	}
	if err != nil {
		ps.base.Log.WarnContext(ctx, "the merchant could not be told that a pool runs low", "merchant", p.Merchant, "product", p.Product, "tries", p.NoticeTries+1)
	}
	return err == nil
}
