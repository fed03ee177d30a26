// Package orders keeps the order documents: it opens the collection, turns the
// aggregate's announcements into events of the same write, and does the due
// work.
package orders

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/due"
	"quittance/pkg/event"
	"quittance/pkg/service"
	"quittance/services/order/internal/customers"
	"quittance/services/order/internal/order"
)

// Orders is the collection of order documents.
type Orders struct {
	*docstore.Collection[order.Order]
	base *service.Base
	// Accounts are the customers that orders are assigned to.
	Accounts *customers.Customers
	// erasers are the services that erase a customer's data too.
	erasers []string
}

// Indexes of orders by whose they are.
const (
	ByEmail    = "email"
	ByCustomer = "customer"
)

// Token is the unguessable name of an order in its customer's links. It is
// derived from the order's id under the keyring's fingerprint key, so that it
// need not be stored.
func (os *Orders) Token(orderID string) string {
	return os.base.Keyring.Fingerprint([]byte(orderID), "customer token")
}

// TokenHash is what is stored and indexed of a token.
func TokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// TimeKey formats a time so that keys sort by time.
func TimeKey(t time.Time) string { return t.UTC().Format(timeKey) }

// ParseTimeKey is the inverse of TimeKey.
func ParseTimeKey(key string) (time.Time, error) { return time.Parse(timeKey, key) }

const timeKey = "20060102T150405.000000000"

// Open opens the collection and adds its due work to the service. accounts are
// the customers that orders are assigned to.
func Open(ctx context.Context, b *service.Base, accounts *customers.Customers) (*Orders, error) {
	coll, err := service.Open(ctx, b, docstore.Spec[order.Order]{
		Name: "orders",
		Indexes: map[string]func(*order.Order) string{
			"created":  func(o *order.Order) string { return TimeKey(o.Created) },
			"changed":  func(o *order.Order) string { return TimeKey(o.Changed) },
			"token":    func(o *order.Order) string { return o.TokenHash },
			ByEmail:    func(o *order.Order) string { return strings.ToLower(o.Customer.Email) },
			ByCustomer: func(o *order.Order) string { return o.CustomerID },
		},
		NextDue: order.NextDue,
	})
	if err != nil {
		return nil, err
	}
	os := &Orders{Collection: coll, base: b, Accounts: accounts, erasers: bus.Topology().Consumers(event.CustomerErased)}
	service.Loop(b, coll, os.work, due.Options{})
	return os, nil
}

// Events turns announcements into events that carry the order as it is now.
func (os *Orders) Events(o *order.Order, list []order.Announcement) ([]event.Event, error) {
	events := make([]event.Event, 0, len(list))
	for _, a := range list {
		var payload proto.Message = o.Payload(a)
		if a.Type == event.RefundRequested {
			payload = o.Requested()
		}
		e, err := os.base.Event(a.Type, o.ID, o.ID, o.Merchant, payload)
		if err != nil {
			return nil, fmt.Errorf("announce %s: %w", a.Type, err)
		}
		events = append(events, e)
	}
	return events, nil
}

// Announce emits announcements with a change.
func (os *Orders) Announce(ch *docstore.Change, o *order.Order, list []order.Announcement) error {
	events, err := os.Events(o, list)
	if err != nil {
		return err
	}
	ch.Emit(events...)
	return nil
}

// work does what an order has to do by itself.
func (os *Orders) work(ctx context.Context, doc *due.Leased[order.Order]) error {
	cleaned := doc.Body.Erased() && doc.Body.Erasure.Dirty
	if cleaned {
		if err := os.clean(ctx, &doc.Body); err != nil {
			return err
		}
	}
	return doc.Finish(ctx, func(o *order.Order, ch *docstore.Change) error {
		if cleaned {
			o.Cleaned()
		}
		list, again := o.Work(os.Now())
		for _, typ := range again {
			ch.Resend(ch.Latest(typ))
		}
		if o.EraseDue(os.Now()) {
			return os.Erase(ch, o)
		}
		return os.Announce(ch, o, list)
	})
}
