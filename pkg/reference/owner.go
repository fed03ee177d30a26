package reference

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"quittance/pkg/docstore"
	"quittance/pkg/event"
	"quittance/pkg/seal"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// Owner is the reference data where it is decided: the order service's. Every
// change is published in the same write.
type Owner struct {
	*Copy
	name string
}

// OpenOwner opens the reference data of the owning service.
func OpenOwner(ctx context.Context, e docstore.Engine, keys *seal.Keyring, now func() time.Time, relay docstore.Relay, service string) (*Owner, error) {
	c, err := open(ctx, e, nil, keys, now, relay)
	if err != nil {
		return nil, err
	}
	return &Owner{Copy: c, name: service}, nil
}

// Put creates or changes one item. change gets the item as it is, nil if there
// is none, and returns it as it shall be, with Kind, Id and owner set; it may
// run twice. Its error ends the change, unwrapped, with nothing stored.
func (o *Owner) Put(ctx context.Context, kind, refID string, change func(old *orderv1.Reference) (*orderv1.Reference, error)) (*orderv1.Reference, error) {
	if _, err := o.coll.Get(ctx, docID(kind, refID)); errors.Is(err, docstore.ErrNotFound) {
		fresh, err := change(nil)
		if err != nil {
			return nil, err
		}
		if ref, err := o.insert(ctx, kind, refID, fresh); !errors.Is(err, docstore.ErrExists) {
			return ref, err
		}
	} else if err != nil {
		return nil, err
	}
	var ref *orderv1.Reference
	_, err := o.coll.Update(ctx, docID(kind, refID), func(it *item, ch *docstore.Change) error {
		old := &orderv1.Reference{}
		if err := proto.Unmarshal(it.Data, old); err != nil {
			return fmt.Errorf("decode reference: %w", err)
		}
		var err error
		if ref, err = change(proto.CloneOf(old)); err != nil {
			return err
		}
		ref.Kind, ref.Id, ref.Version = kind, refID, old.GetVersion()
		if proto.Equal(ref, old) {
			return docstore.ErrUnchanged
		}
		ref.Version++
		next, e, err := o.encode(kind, refID, ref)
		if err != nil {
			return err
		}
		*it = *next
		ch.Emit(e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	o.forget(ref)
	return ref, nil
}

func (o *Owner) insert(ctx context.Context, kind, refID string, ref *orderv1.Reference) (*orderv1.Reference, error) {
	ref.Version = 1
	it, e, err := o.encode(kind, refID, ref)
	if err != nil {
		return nil, err
	}
	if _, err := o.coll.Insert(ctx, docID(kind, refID), tenantOf(ref), it, e); err != nil {
		return nil, err
	}
	o.forget(ref)
	return ref, nil
}

func (o *Owner) encode(kind, refID string, ref *orderv1.Reference) (*item, event.Event, error) {
	ref.Kind, ref.Id = kind, refID
	e, err := event.New("ref."+kind, o.name, refID, docID(kind, refID), tenantOf(ref), o.now(), ref)
	if err != nil {
		return nil, event.Event{}, err
	}
	return &item{Kind: kind, Version: ref.GetVersion(), Data: e.Data}, e, nil
}

// Each calls do with every item of a kind, of all merchants, until it errs. Items
// that come meanwhile may be missed.
func (o *Owner) Each(ctx context.Context, kind string, do func(*orderv1.Reference) error) error {
	for d, err := range o.coll.All(ctx, docstore.Query{AllTenants: true, Index: "kind", Equal: kind, Limit: maxReferences}) {
		if err != nil {
			return err
		}
		ref := &orderv1.Reference{}
		if err := proto.Unmarshal(d.Body.Data, ref); err != nil {
			return fmt.Errorf("decode reference %s: %w", d.ID, err)
		}
		if err := do(ref); err != nil {
			return err
		}
	}
	return nil
}
