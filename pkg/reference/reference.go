// Package reference owns a service's copy of the reference data that the order
// service publishes: merchants, hashed API keys, provider accounts with sealed
// secrets, products.
//
// It takes ref.* events and, when the copy lacks something, answers of the
// order service; it gives every service what it needs to authenticate a key
// and to talk to a provider while the order service is down.
package reference

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"quittance/pkg/bus"
	"quittance/pkg/docstore"
	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/id"
	"quittance/pkg/provider"
	"quittance/pkg/seal"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// Kinds of reference data.
const (
	KindMerchant = "merchant"
	KindKey      = "key"
	KindAccount  = "account"
	KindProduct  = "product"
)

// Pauses of the memory in front of the copy. A revoked key works, and a disabled
// account is offered, at most cacheFor longer in a process that has just seen it.
const (
	cacheFor = 2 * time.Second
	missFor  = time.Second
	cacheMax = 10_000
)

// Source answers what the copy lacks; the order service's internal gRPC does.
type Source interface {
	// Reference reads one item; fault.KindNotFound if there is none.
	Reference(ctx context.Context, kind, id string) (*orderv1.Reference, error)
	// References lists a merchant's items of one kind.
	References(ctx context.Context, kind, merchant string) ([]*orderv1.Reference, error)
}

// item is one copied reference.
type item struct {
	Kind    string `json:"kind"`
	Version int64  `json:"version"`
	// Data is the marshalled orderv1.Reference.
	Data []byte `json:"data"`
}

// cached is one item, or none if it is known to be missing, or a merchant's
// accounts.
type cached struct {
	refs  []*orderv1.Reference
	until time.Time
}

// Copy is a service's own copy.
type Copy struct {
	coll   *docstore.Collection[item]
	source Source
	keys   *seal.Keyring
	now    func() time.Time

	mu    sync.Mutex
	cache map[string]cached
}

// Open opens the copy in a service's own store.
func Open(ctx context.Context, e docstore.Engine, source Source, keys *seal.Keyring, now func() time.Time) (*Copy, error) {
	return open(ctx, e, source, keys, now, nil)
}

func open(ctx context.Context, e docstore.Engine, source Source, keys *seal.Keyring, now func() time.Time, relay docstore.Relay) (*Copy, error) {
	coll, err := docstore.Open(ctx, e, docstore.Spec[item]{
		Name:    "reference",
		Indexes: map[string]func(*item) string{"kind": func(i *item) string { return i.Kind }},
		Now:     now,
		Relay:   relay,
	})
	if err != nil {
		return nil, err
	}
	return &Copy{coll: coll, source: source, keys: keys, now: now, cache: map[string]cached{}}, nil
}

// ProductID is the reference id of a merchant's product.
func ProductID(merchant, product string) string { return id.Derived("prd", merchant, product) }

// Types lists the event types that Handle takes.
func Types() []string {
	return []string{event.RefMerchant, event.RefKey, event.RefAccount, event.RefProduct}
}

// Handle copies one published item; an older version than the copy's changes
// nothing.
func (c *Copy) Handle(ctx context.Context, e event.Event) error {
	ref := &orderv1.Reference{}
	if err := e.Decode(ref); err != nil {
		return bus.Permanent(err)
	}
	return c.put(ctx, ref)
}

func (c *Copy) put(ctx context.Context, ref *orderv1.Reference) error {
	data, err := proto.Marshal(ref)
	if err != nil {
		return bus.Permanent(fmt.Errorf("marshal reference: %w", err))
	}
	docID := docID(ref.GetKind(), ref.GetId())
	it := &item{Kind: ref.GetKind(), Version: ref.GetVersion(), Data: data}
	_, err = c.coll.Insert(ctx, docID, tenantOf(ref), it)
	if errors.Is(err, docstore.ErrExists) {
		_, err = c.coll.Update(ctx, docID, func(old *item, _ *docstore.Change) error {
			if old.Version >= it.Version {
				return docstore.ErrUnchanged
			}
			*old = *it
			return nil
		})
	}
	if err != nil {
		return err
	}
	c.forget(ref)
	return nil
}

func docID(kind, refID string) string { return kind + "/" + refID }

// accountsOf is what a merchant's accounts are remembered by.
func accountsOf(merchant string) string { return "accounts of " + merchant }

func (c *Copy) forget(ref *orderv1.Reference) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.cache, docID(ref.GetKind(), ref.GetId()))
	if ref.GetKind() == KindAccount {
		delete(c.cache, accountsOf(tenantOf(ref)))
	}
}

func tenantOf(ref *orderv1.Reference) string {
	switch ref.GetKind() {
	case KindMerchant:
		return ref.GetId()
	case KindKey:
		return ref.GetKey().GetMerchantId()
	case KindAccount:
		return ref.GetAccount().GetAccount().GetMerchantId()
	default:
		return ref.GetProduct().GetMerchantId()
	}
}

// Reference reads one item as published, fault.KindNotFound if there is none.
func (c *Copy) Reference(ctx context.Context, kind, refID string) (*orderv1.Reference, error) {
	return c.get(ctx, kind, refID)
}

// get reads one item: from memory, from the copy, from the order service.
// fault.KindNotFound if there is none.
func (c *Copy) get(ctx context.Context, kind, refID string) (*orderv1.Reference, error) {
	docID := docID(kind, refID)
	now := c.now()
	if refs, ok := c.known(docID, now); ok {
		if len(refs) == 0 {
			return nil, fault.NotFound("%s %q", kind, refID)
		}
		return refs[0], nil
	}
	ref, err := c.load(ctx, kind, refID, docID)
	switch {
	case err == nil:
		c.remember(docID, cached{[]*orderv1.Reference{ref}, now.Add(cacheFor)})
	case fault.KindOf(err) == fault.KindNotFound:
		c.remember(docID, cached{nil, now.Add(missFor)})
	}
	return ref, err
}

// known is what memory has under a key.
func (c *Copy) known(key string, now time.Time) ([]*orderv1.Reference, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	hit, ok := c.cache[key]
	return hit.refs, ok && now.Before(hit.until)
}

func (c *Copy) remember(key string, hit cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.cache) >= cacheMax {
		clear(c.cache)
	}
	c.cache[key] = hit
}

func (c *Copy) load(ctx context.Context, kind, refID, docID string) (*orderv1.Reference, error) {
	doc, err := c.coll.Get(ctx, docID)
	if err == nil {
		ref := &orderv1.Reference{}
		if err := proto.Unmarshal(doc.Body.Data, ref); err != nil {
			return nil, fmt.Errorf("decode reference %s: %w", docID, err)
		}
		return ref, nil
	}
	lacking := errors.Is(err, docstore.ErrNotFound)
	if c.source == nil {
		if lacking {
			return nil, fault.NotFound("%s %q", kind, refID)
		}
		return nil, err
	}
	ref, asked := c.source.Reference(ctx, kind, refID)
	switch {
	case lacking && asked == nil:
		return ref, c.put(ctx, ref)
	case lacking:
		return nil, asked
	case asked == nil:
		return ref, nil // our own store is down; the owner's word is good
	}
	return nil, err
}

// Merchant reads a merchant.
func (c *Copy) Merchant(ctx context.Context, merchant string) (*orderv1.Merchant, error) {
	ref, err := c.get(ctx, KindMerchant, merchant)
	return ref.GetMerchant(), err
}

// Product reads a merchant's product.
func (c *Copy) Product(ctx context.Context, merchant, product string) (*orderv1.Product, error) {
	ref, err := c.get(ctx, KindProduct, ProductID(merchant, product))
	return ref.GetProduct().GetProduct(), err
}

// Account reads a provider account, secrets unsealed for use in this process.
func (c *Copy) Account(ctx context.Context, account string) (provider.Account, *orderv1.ProviderAccount, error) {
	ref, err := c.get(ctx, KindAccount, account)
	if err != nil {
		return provider.Account{}, nil, err
	}
	acc, err := Unseal(c.keys, ref.GetAccount(), c.now())
	return acc, ref.GetAccount().GetAccount(), err
}

// Accounts lists a merchant's provider accounts that are in use, by id. They are
// others' as well, and not to be changed.
func (c *Copy) Accounts(ctx context.Context, merchant string) ([]*orderv1.ProviderAccount, error) {
	now := c.now()
	refs, ok := c.known(accountsOf(merchant), now)
	if !ok {
		var err error
		if refs, err = c.accounts(ctx, merchant); err != nil {
			return nil, err
		}
		if len(refs) > 0 {
			c.remember(accountsOf(merchant), cached{refs, now.Add(cacheFor)})
		}
	}
	var out []*orderv1.ProviderAccount
	for _, ref := range refs {
		if a := ref.GetAccount().GetAccount(); !a.GetDisabled() {
			out = append(out, a)
		}
	}
	return out, nil
}

func (c *Copy) accounts(ctx context.Context, merchant string) ([]*orderv1.Reference, error) {
	refs, err := c.References(ctx, KindAccount, merchant)
	if err == nil && len(refs) == 0 && c.source != nil {
		// None at all is doubtful: the merchant may be newer than the copy.
		refs, err = c.source.References(ctx, KindAccount, merchant)
	}
	return refs, err
}

// maxReferences is how many items of one kind of one merchant are listed.
const maxReferences = 100

// References lists a merchant's items of one kind as the copy has them.
func (c *Copy) References(ctx context.Context, kind, merchant string) ([]*orderv1.Reference, error) {
	refs, _, err := c.list(ctx, merchant, kind, "", maxReferences)
	return refs, err
}

// maxKeys is how many API keys of one merchant are looked at.
const maxKeys = 1000

// Keys lists a merchant's API keys, expired ones too.
func (c *Copy) Keys(ctx context.Context, merchant string) ([]*orderv1.HashedKey, error) {
	refs, _, err := c.list(ctx, merchant, KindKey, "", maxKeys)
	out := make([]*orderv1.HashedKey, 0, len(refs))
	for _, ref := range refs {
		out = append(out, ref.GetKey())
	}
	return out, err
}

// Products pages through a merchant's products.
func (c *Copy) Products(ctx context.Context, merchant, after string, limit int) ([]*orderv1.Product, string, error) {
	refs, next, err := c.list(ctx, merchant, KindProduct, after, limit)
	out := make([]*orderv1.Product, 0, len(refs))
	for _, ref := range refs {
		out = append(out, ref.GetProduct().GetProduct())
	}
	return out, next, err
}

func (c *Copy) list(ctx context.Context, merchant, kind, after string, limit int) ([]*orderv1.Reference, string, error) {
	docs, next, err := c.coll.For(merchant).Find(ctx, docstore.Query{Index: "kind", Equal: kind, After: after, Limit: limit})
	if err != nil {
		return nil, "", err
	}
	refs := make([]*orderv1.Reference, 0, len(docs))
	for _, d := range docs {
		ref := &orderv1.Reference{}
		if err := proto.Unmarshal(d.Body.Data, ref); err != nil {
			return nil, "", fmt.Errorf("decode reference %s: %w", d.ID, err)
		}
		refs = append(refs, ref)
	}
	return refs, next, nil
}

// SecretContext is what a sealed secret of an account is bound to.
func SecretContext(account, name string) string { return "account/" + account + "/" + name }

// Unseal opens an account's secrets, and of the replaced ones those that are in
// use at the time.
func Unseal(keys *seal.Keyring, sealed *orderv1.SealedAccount, now time.Time) (provider.Account, error) {
	a := sealed.GetAccount()
	acc := provider.Account{
		ID: a.GetId(), Merchant: a.GetMerchantId(), Provider: a.GetProvider(),
		Settings: a.GetSettings(), Secrets: map[string]seal.Secret{},
	}
	for name, s := range sealed.GetSealedSecrets() {
		plain, err := keys.Open(s, SecretContext(a.GetId(), name))
		if err != nil {
			return acc, fmt.Errorf("unseal %s of account %s: %w", name, a.GetId(), err)
		}
		acc.Secrets[name] = seal.Secret(plain)
	}
	for name, old := range sealed.GetOldSecrets() {
		if !now.Before(old.GetExpireTime().AsTime()) {
			continue
		}
		plain, err := keys.Open(old.GetSealed(), SecretContext(a.GetId(), name))
		if err != nil {
			return acc, fmt.Errorf("unseal old %s of account %s: %w", name, a.GetId(), err)
		}
		if acc.Old == nil {
			acc.Old = map[string]seal.Secret{}
		}
		acc.Old[name] = seal.Secret(plain)
	}
	return acc, nil
}
