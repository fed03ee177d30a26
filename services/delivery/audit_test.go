package delivery_test

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"quittance/pkg/docstore"
	"quittance/pkg/mail"
	"quittance/services/delivery/internal/delivery"
)

// books are all documents of a shop, read past its service.
type books struct {
	licenses   map[string]delivery.License
	deliveries map[string]delivery.Delivery
}

func readAll[T any](ctx context.Context, e docstore.Engine, name string, indexes ...string) (map[string]T, error) {
	spec := docstore.Spec[T]{Name: name, Indexes: map[string]func(*T) string{}}
	for _, index := range indexes {
		spec.Indexes[index] = nil // never written here
	}
	coll, err := docstore.Open(ctx, e, spec)
	if err != nil {
		return nil, err
	}
	out := map[string]T{}
	for after := ""; ; {
		docs, next, err := coll.Find(ctx, docstore.Query{AllTenants: true, After: after, Limit: 1000})
		if err != nil {
			return nil, err
		}
		for _, doc := range docs {
			out[doc.ID] = doc.Body
		}
		if next == "" {
			return out, nil
		}
		after = next
	}
}

// audit reads the books and checks what must hold at any time (P3): no licence
// in two units, every licence that a delivery shows is held by that unit, no
// mail with other keys than the delivery shows.
func (s *shop) audit(ctx context.Context) (*books, error) {
	licenses, err := readAll[delivery.License](ctx, s.engine, "licenses", "pool", "unit", "held")
	if err != nil {
		return nil, err
	}
	deliveries, err := readAll[delivery.Delivery](ctx, s.engine, "deliveries", "waiting", "created")
	if err != nil {
		return nil, err
	}
	b := &books{licenses, deliveries}
	owner := map[string]delivery.Unit{}
	for _, d := range deliveries {
		for i, l := range d.Lines {
			for n := range l.Licenses {
				u := d.Unit(i+1, n+1)
				license := d.Shows(u)
				if license == "" {
					continue
				}
				if other, taken := owner[license]; taken {
					return b, fmt.Errorf("%s is in %s and in %s", license, other, u)
				}
				owner[license] = u
				doc := licenses[license]
				revoked := doc.State == delivery.LicenseRevoked && (d.GivenUp(u, license) || l.Revoked > 0)
				if doc.State != delivery.LicenseHeld && !revoked || doc.Unit != u.String() || doc.Product != l.Product {
					return b, fmt.Errorf("%s shows %s, which is %s by %q", u, license, doc.State, doc.Unit)
				}
			}
		}
	}
	return b, s.auditMails(b)
}

func (s *shop) auditMails(b *books) error {
	for _, m := range s.relay.mails() {
		order, _, _ := strings.Cut(m.To, "@")
		if order == "stock" {
			continue // the merchant's
		}
		d, ok := b.deliveries[delivery.ID(order)]
		if !ok {
			return fmt.Errorf("mail to %s, of whose order there is no delivery", m.To)
		}
		product := strings.TrimPrefix(m.Subject, "Your licence of The ")
		changed := func(l delivery.Line) bool {
			return l.Product == product && (l.Revoked > 0 || len(l.Again) > 0 || l.Ending != "")
		}
		if slices.ContainsFunc(d.Lines, changed) {
			if err := s.auditPast(b, d, m); err != nil {
				return err
			}
			continue
		}
		want, err := s.keysOf(b, d, product)
		if err != nil {
			return err
		}
		if got := keysIn(m, s.stock); !slices.Equal(sorted(got), sorted(want)) {
			return fmt.Errorf("mail to %s has keys %v, the delivery shows %v", m.To, got, want)
		}
	}
	return nil
}

// auditPast checks a mail of a line of which licences were revoked or replaced:
// each of its keys was the order's at some time.
func (s *shop) auditPast(b *books, d delivery.Delivery, m mail.Message) error {
	mine := map[string]bool{}
	for id, l := range b.licenses {
		units := []string{l.Unit}
		for _, p := range l.Past {
			units = append(units, p.Unit)
		}
		for _, u := range units {
			if strings.HasPrefix(u, d.Order+"/") {
				key, err := s.keyring.Open(l.Sealed, id)
				if err != nil {
					return err
				}
				mine[string(key)] = true
			}
		}
	}
	for _, key := range keysIn(m, s.stock) {
		if !mine[key] {
			return fmt.Errorf("mail to %s has key %s, which never was the order's", m.To, key)
		}
	}
	return nil
}

// keysOf unseals the keys that a delivery shows for a product.
func (s *shop) keysOf(b *books, d delivery.Delivery, product string) ([]string, error) {
	var out []string
	for _, l := range d.Lines {
		for _, license := range l.Licenses {
			if l.Product != product || license == "" {
				continue
			}
			key, err := s.keyring.Open(b.licenses[license].Sealed, license)
			if err != nil {
				return nil, err
			}
			out = append(out, string(key))
		}
	}
	return out, nil
}

// strays are the licences held that no delivery shows.
func (b *books) strays() []string {
	var out []string
	for id, l := range b.licenses {
		if l.State != delivery.LicenseHeld {
			continue
		}
		u, err := delivery.ParseUnit(l.Unit)
		d := b.deliveries[delivery.ID(u.Order)]
		if err != nil || d.Shows(u) != id && !d.GivenUp(u, id) {
			out = append(out, id+" held by "+l.Unit)
		}
	}
	return out
}

// undelivered lists the lines of paid orders that are not delivered and
// acknowledged.
func (b *books) undelivered() []string {
	var out []string
	for _, d := range b.deliveries {
		for i, l := range d.Lines {
			if d.Closed.IsZero() && (!l.Acknowledged || l.Open > 0) || l.RevokedKnown < l.Revoked || len(l.Outgoing) > 0 {
				out = append(out, fmt.Sprintf("%s line %d: %d open, delivered %v, problem %q", d.Order, i+1, l.Open, l.Delivered, l.Problem))
			}
		}
	}
	return out
}
