package docstore

import (
	"context"
	"iter"

	"quittance/pkg/event"
)

// Tenant is a collection seen by one tenant: other tenants' documents do not
// exist in it.
type Tenant[T any] struct {
	c      *Collection[T]
	tenant string
}

// For binds the collection to a tenant.
func (c *Collection[T]) For(tenant string) Tenant[T] { return Tenant[T]{c: c, tenant: tenant} }

// Insert is Collection.Insert for this tenant.
func (t Tenant[T]) Insert(ctx context.Context, id string, body *T, events ...event.Event) (*Doc[T], error) {
	return t.c.Insert(ctx, id, t.tenant, body, events...)
}

// Get is Collection.Get among this tenant's documents.
func (t Tenant[T]) Get(ctx context.Context, id string) (*Doc[T], error) {
	d, err := t.c.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if d.Tenant != t.tenant {
		return nil, ErrNotFound
	}
	return d, nil
}

// Update is Collection.Update among this tenant's documents.
func (t Tenant[T]) Update(ctx context.Context, id string, change func(*T, *Change) error) (*Doc[T], error) {
	return t.c.update(ctx, id, holder{}, &t.tenant, change)
}

// Find is Collection.Find among this tenant's documents.
func (t Tenant[T]) Find(ctx context.Context, q Query) ([]*Doc[T], string, error) {
	q.Tenant, q.AllTenants = t.tenant, false
	return t.c.Find(ctx, q)
}

// All is Collection.All among this tenant's documents.
func (t Tenant[T]) All(ctx context.Context, q Query) iter.Seq2[*Doc[T], error] {
	q.Tenant, q.AllTenants = t.tenant, false
	return t.c.All(ctx, q)
}
