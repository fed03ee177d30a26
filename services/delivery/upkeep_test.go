package delivery_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/seal"
	aggregate "quittance/services/delivery/internal/delivery"
)

// licenses is the collection of licence documents, past the service.
func (s *shop) licenses(ctx context.Context) (*docstore.Collection[aggregate.License], error) {
	return docstore.Open(ctx, s.engine, docstore.Spec[aggregate.License]{
		Name: "licenses",
		Indexes: map[string]func(*aggregate.License) string{
			"pool": (*aggregate.License).Place, "unit": func(l *aggregate.License) string { return l.Unit },
			"held": (*aggregate.License).HeldSince,
		},
		NextDue: aggregate.LicenseDue,
	})
}

// hold leaves a free licence of the tool held for a unit, as a process does that
// dies between claiming it and telling.
func hold(t *testing.T, s *shop, unit string) string {
	t.Helper()
	coll, err := s.licenses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	from, to := aggregate.Places("tool", aggregate.LicenseFree)
	docs, _, err := coll.For(merchant).Find(t.Context(), docstore.Query{Index: "pool", From: from, To: to, Limit: 1})
	if err != nil || len(docs) != 1 {
		t.Fatalf("%d free, %v", len(docs), err)
	}
	if _, err := coll.For(merchant).Update(t.Context(), docs[0].ID, func(l *aggregate.License, _ *docstore.Change) error {
		l.Hold(unit, time.Now())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return docs[0].ID
}

// P3, P4: a licence that a dead process left held for a unit whose delivery shows
// another is found and released, although nobody ever asks for that order again.
// One held for a unit that has nothing yet is left to it.
func TestP3AuditReleasesWhatACrashLeftHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		fill(t, s, "tool", keys("K", 10)...)
		one := line{product: "tool", quantity: 1}
		pay(t, s, paid("ord_1", one))
		wait(time.Second)
		hold(t, s, "ord_1/01/00001") // lost the race, never released
		hold(t, s, "ord_1/01/00002") // no such unit
		early := hold(t, s, "ord_2/01/00001")
		wait(30 * time.Minute)
		if free, held := pool(t, s, "tool"); free != 8 || held != 2 {
			t.Errorf("%d free, %d held", free, held)
		}
		if n := strings.Count(s.log.String(), "the audit found a licence held"); n != 2 {
			t.Errorf("the log names %d finds", n)
		}
		pay(t, s, paid("ord_2", one))
		wait(time.Second)
		b, err := s.audit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := b.deliveries[aggregate.ID("ord_2")].Lines[0].Licenses.Of(1); got != early {
			t.Errorf("the unit got %s, held was %s", got, early)
		}

		// Held before its order's refund came, which was the first word of it.
		hold(t, s, "ord_3/01/00001")
		wait(30 * time.Minute)
		stray := hold(t, s, "ord_2/01/00001")
		wait(30 * time.Minute)
		docs, err := s.audit(t.Context())
		if err != nil || docs.licenses[stray].State != aggregate.LicenseFree || len(docs.licenses[stray].Past) == 0 {
			t.Errorf("%+v, %v", docs.licenses[stray], err)
		}
		if len(docs.strays()) != 1 {
			t.Errorf("strays %v, want the one of the order that nobody has heard of", docs.strays())
		}
	})
}

// P10: after a rotation of the key-encryption key everything is sealed anew, and
// the old key can go.
func TestResealAfterRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		fill(t, s, "tool", keys("K", 1000)...)
		pay(t, s, paid("ord_1", line{product: "tool", quantity: 2}))
		wait(time.Second)
		before := get(t, s, "ord_1").GetLines()[0].GetLicenseKeys()

		fresh := strings.Split(seal.Generate(), ",")[0]
		rotate := func(spec string) {
			t.Helper()
			var err error
			if s.keyring, err = seal.ParseKeyring(spec); err != nil {
				t.Fatal(err)
			}
			s.replica(0).engine.kill()
			if err := s.bury(t.Context()); err != nil {
				t.Fatal(err)
			}
			wait(time.Minute)
		}
		rotate(fresh + "," + ring)
		b, err := s.audit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for id, l := range b.licenses {
			if s.keyring.NeedsReseal(l.Sealed) {
				t.Fatalf("%s is not sealed anew", id)
			}
		}
		rotate(fresh + "," + ring[strings.Index(ring, "fp:"):]) // without the old key
		if after := get(t, s, "ord_1").GetLines()[0].GetLicenseKeys(); strings.Join(after, " ") != strings.Join(before, " ") {
			t.Errorf("keys %v, before %v", after, before)
		}
		out, err := s.replica(0).importKeys(t.Context(), "tool", keys("K", 3)...)
		if err != nil || out.GetDuplicates() != 3 {
			t.Errorf("import of what is there: %v, %v", out, err)
		}
	})
}
