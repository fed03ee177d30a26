package reference_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/reference"
	"quittance/pkg/seal"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// outbox keeps what the owner announces.
type outbox struct {
	mu     sync.Mutex
	events []event.Event
}

func (o *outbox) Watch(docstore.Store) {}
func (o *outbox) Committed(_ docstore.Store, rec *docstore.Record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, rec.Outbox[len(rec.Outbox)-1].Event)
}
func (o *outbox) Known(docstore.Store, string) int64   { return 0 }
func (o *outbox) Marked(docstore.Store, string, int64) {}

// silent is an order service that is down.
type silent struct{ asked int }

func (s *silent) Reference(context.Context, string, string) (*orderv1.Reference, error) {
	s.asked++
	return nil, fault.Unavailable("order is down")
}

func (s *silent) References(context.Context, string, string) ([]*orderv1.Reference, error) {
	return nil, fault.Unavailable("order is down")
}

type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func setup(t *testing.T, source func(*reference.Owner) reference.Source) (*reference.Owner, *reference.Copy, *outbox, *clock) {
	t.Helper()
	keys, err := seal.ParseKeyring(seal.Generate())
	if err != nil {
		t.Fatal(err)
	}
	out, c := &outbox{}, &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	owner, err := reference.OpenOwner(t.Context(), memory.New(), keys, c.Now, out, "order")
	if err != nil {
		t.Fatal(err)
	}
	cp, err := reference.Open(t.Context(), memory.New(), source(owner), keys, c.Now)
	if err != nil {
		t.Fatal(err)
	}
	return owner, cp, out, c
}

func down(*reference.Owner) reference.Source   { return &silent{} }
func asks(o *reference.Owner) reference.Source { return o }

func putMerchant(t *testing.T, o *reference.Owner, name string) {
	t.Helper()
	if _, err := o.Put(t.Context(), reference.KindMerchant, "acme", func(*orderv1.Reference) (*orderv1.Reference, error) {
		return &orderv1.Reference{Item: &orderv1.Reference_Merchant{Merchant: &orderv1.Merchant{Id: "acme", Name: name}}}, nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestCopiesFollowTheOwnerInAnyOrder(t *testing.T) {
	owner, cp, out, clock := setup(t, down)
	putMerchant(t, owner, "one")
	putMerchant(t, owner, "two")
	putMerchant(t, owner, "two") // no change, no event
	if len(out.events) != 2 {
		t.Fatalf("%d events", len(out.events))
	}
	for _, i := range []int{1, 0, 1} { // newer first, older late, newer again
		if err := cp.Handle(t.Context(), out.events[i]); err != nil {
			t.Fatal(err)
		}
		clock.now = clock.now.Add(time.Minute)
		if m, err := cp.Merchant(t.Context(), "acme"); err != nil || m.GetName() != "two" {
			t.Fatal(m, err)
		}
	}
}

func TestACopyAsksForWhatItLacksAndWorksAlone(t *testing.T) {
	owner, cp, _, clock := setup(t, asks)
	if _, err := cp.Merchant(t.Context(), "acme"); fault.KindOf(err) != fault.KindNotFound {
		t.Fatal(err)
	}
	putMerchant(t, owner, "one")
	clock.now = clock.now.Add(time.Minute) // the miss is forgotten
	if m, err := cp.Merchant(t.Context(), "acme"); err != nil || m.GetName() != "one" {
		t.Fatal(m, err)
	}
	_, alone, out, _ := setup(t, down)
	_ = out
	if _, err := alone.Merchant(t.Context(), "acme"); fault.KindOf(err) != fault.KindUnavailable {
		t.Fatal(err)
	}
}

func TestKeys(t *testing.T) {
	owner, cp, _, clock := setup(t, asks)
	key, keyID, hash := reference.NewKey()
	put := func(end time.Time) {
		t.Helper()
		if _, err := owner.Put(t.Context(), reference.KindKey, keyID, func(*orderv1.Reference) (*orderv1.Reference, error) {
			k := &orderv1.HashedKey{KeyId: keyID, MerchantId: "acme", Sha256: hash}
			if !end.IsZero() {
				k.ExpireTime = timestamppb.New(end)
			}
			return &orderv1.Reference{Item: &orderv1.Reference_Key{Key: k}}, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	put(time.Time{})
	if m, err := cp.AuthenticateMerchant(t.Context(), key); err != nil || m != "acme" {
		t.Fatal(m, err)
	}
	for _, wrong := range []string{"", "qtk_", key + "x", key[:len(key)-1], strings.Replace(key, "qtk_", "", 1), "qtk_" + keyID + "_", "qtk_" + strings.Repeat("0", 32) + "_x"} {
		if _, err := cp.AuthenticateMerchant(t.Context(), wrong); fault.KindOf(err) != fault.KindUnauthenticated {
			t.Fatalf("%q: %v", wrong, err)
		}
	}
	put(clock.now.Add(time.Hour))
	if m, err := owner.AuthenticateMerchant(t.Context(), key); err != nil || m != "acme" {
		t.Fatal(m, err)
	}
	clock.now = clock.now.Add(time.Hour)
	if _, err := owner.AuthenticateMerchant(t.Context(), key); fault.KindOf(err) != fault.KindUnauthenticated {
		t.Fatal(err)
	}
}

func TestPutStoresNothingOnError(t *testing.T) {
	owner, _, out, _ := setup(t, down)
	refused := errors.New("refused")
	if _, err := owner.Put(t.Context(), reference.KindMerchant, "acme", func(*orderv1.Reference) (*orderv1.Reference, error) { return nil, refused }); !errors.Is(err, refused) {
		t.Fatal(err)
	}
	if _, err := owner.Merchant(t.Context(), "acme"); fault.KindOf(err) != fault.KindNotFound || len(out.events) != 0 {
		t.Fatal(err)
	}
}

// TestAccountsAreKnown: those of a merchant are kept in memory, and a change that
// comes is seen at once.
func TestAccountsAreKnown(t *testing.T) {
	owner, cp, out, clock := setup(t, down)
	put := func(id string, disabled bool) {
		t.Helper()
		if _, err := owner.Put(t.Context(), reference.KindAccount, id, func(*orderv1.Reference) (*orderv1.Reference, error) {
			return &orderv1.Reference{Item: &orderv1.Reference_Account{Account: &orderv1.SealedAccount{
				Account: &orderv1.ProviderAccount{Id: id, MerchantId: "acme", Provider: "flexpay", Disabled: disabled},
			}}}, nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := cp.Handle(t.Context(), out.events[len(out.events)-1]); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		id       string
		disabled bool
		want     string
	}{{"acc_1", false, "acc_1"}, {"acc_2", false, "acc_1 acc_2"}, {"acc_1", true, "acc_2"}} {
		put(step.id, step.disabled)
		for _, later := range []time.Duration{0, time.Second, time.Minute} {
			clock.now = clock.now.Add(later)
			for _, c := range []*reference.Copy{cp, owner.Copy} {
				accounts, err := c.Accounts(t.Context(), "acme")
				if err != nil {
					t.Fatal(err)
				}
				var ids []string
				for _, a := range accounts {
					ids = append(ids, a.GetId())
				}
				if got := strings.Join(ids, " "); got != step.want {
					t.Errorf("%+v: %q", step, got)
				}
			}
		}
	}
}
