package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"quittance/pkg/docstore"
)

const lease = time.Minute

var claimCases = []testCase{
	{"a claim leases what is due, the longest due first, and no more than asked for", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s,
			&docstore.Record{ID: "never"},
			&docstore.Record{ID: "later", Due: start.Add(time.Millisecond)},
			&docstore.Record{ID: "now", Due: start},
			&docstore.Record{ID: "third", Due: start.Add(-time.Second)},
			&docstore.Record{ID: "first", Due: start.Add(-time.Hour)},
			&docstore.Record{ID: "second", Due: start.Add(-time.Second)},
		)
		claimed := claim(t, s, start, 3)
		same(t, "claims", ids(claimed), []string{"first", "second", "third"})
		want := &docstore.Record{ID: "first", Version: 2, Due: start.Add(-time.Hour), Lease: 2, LeaseUntil: start.Add(lease)}
		same(t, "documents", claimed[0], want)
		same(t, "documents", get(t, s, "first"), want)
		same(t, "claims", ids(claim(t, s, start, 9)), []string{"now"})
		same(t, "claims", ids(claim(t, s, start, 9)), []string{})
		same(t, "claims", ids(claim(t, s, start.Add(time.Millisecond-1), 9)), []string{})
		same(t, "claims", ids(claim(t, s, start.Add(time.Millisecond), 9)), []string{"later"})
	}},
	{"a lease counts until its end and can then be taken over", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, &docstore.Record{ID: "doc_1", Due: start}, &docstore.Record{ID: "doc_2", Due: start.Add(lease / 2)})
		same(t, "claims", ids(claim(t, s, start, 9)), []string{"doc_1"})
		same(t, "claims", ids(claim(t, s, start.Add(lease-1), 9)), []string{"doc_2"})
		again := claim(t, s, start.Add(lease), 9)
		same(t, "claims", ids(again), []string{"doc_1"})
		same(t, "leases", []int64{again[0].Version, again[0].Lease}, []int64{3, 3})
		same(t, "lease ends", again[0].LeaseUntil, start.Add(2*lease))
	}},
	{"a holder whose lease was taken over cannot write, the new one can", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, &docstore.Record{ID: "doc_1", Due: start})
		stale := claim(t, s, start, 1)[0].Lease
		fresh := claim(t, s, start.Add(lease), 1)[0].Lease
		work := func(token int64) error {
			_, err := s.Update(t.Context(), "doc_1", func(rec *docstore.Record) error {
				if rec.Lease != token {
					return docstore.ErrLeaseLost
				}
				rec.Due, rec.Lease, rec.LeaseUntil = time.Time{}, 0, time.Time{}
				return increment(rec)
			})
			return err
		}
		isError(t, work(stale), docstore.ErrLeaseLost)
		noError(t, work(fresh))
		isError(t, work(fresh), docstore.ErrLeaseLost)
		same(t, "documents", get(t, s, "doc_1"), &docstore.Record{ID: "doc_1", Version: 4, Body: []byte("1")})
		same(t, "claims", ids(claim(t, s, start.Add(time.Hour), 9)), []string{})
	}},
	{"a document can be written leased to its writer", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, &docstore.Record{ID: "doc_1", Due: start, Lease: 1, LeaseUntil: start.Add(lease)}, &docstore.Record{ID: "doc_2"})
		update(t, s, "doc_2", func(rec *docstore.Record) {
			rec.Due, rec.Lease, rec.LeaseUntil = start, rec.Version+1, start.Add(lease)
		})
		same(t, "claims", ids(claim(t, s, start.Add(lease-1), 9)), []string{})
		same(t, "claims", ids(claim(t, s, start.Add(lease), 9)), []string{"doc_1", "doc_2"})
	}},
	{"an update that moves the due time or gives the lease back counts at once", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, &docstore.Record{ID: "doc_1", Due: start})
		claim(t, s, start, 1)
		update(t, s, "doc_1", func(rec *docstore.Record) { rec.Lease, rec.LeaseUntil = 0, time.Time{} })
		same(t, "claims", ids(claim(t, s, start, 9)), []string{"doc_1"})
		update(t, s, "doc_1", func(rec *docstore.Record) { rec.Due = start.Add(time.Hour) })
		same(t, "claims", ids(claim(t, s, start.Add(time.Hour-1), 9)), []string{})
		same(t, "claims", ids(claim(t, s, start.Add(time.Hour), 9)), []string{"doc_1"})
		update(t, s, "doc_1", func(rec *docstore.Record) { rec.Due = time.Time{} })
		same(t, "claims", ids(claim(t, s, start.Add(24*time.Hour), 9)), []string{})
	}},
	{"the next due time is when a claim would find something", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		next := func(want time.Time) {
			t.Helper()
			at, err := s.NextDue(t.Context())
			noError(t, err)
			same(t, "due times", at, want)
		}
		next(time.Time{})
		insert(t, s, &docstore.Record{ID: "never", LeaseUntil: start})
		next(time.Time{})
		insert(t, s, &docstore.Record{ID: "doc_1", Due: start.Add(time.Hour)})
		next(start.Add(time.Hour))
		insert(t, s, &docstore.Record{ID: "doc_2", Due: start.Add(1)})
		next(start.Add(time.Millisecond))
		claim(t, s, start.Add(time.Millisecond), 1)
		next(start.Add(time.Millisecond + lease))
		update(t, s, "doc_2", func(rec *docstore.Record) { rec.Due = start.Add(2 * time.Hour) })
		next(start.Add(time.Hour))
	}},
	{"of 8 competing claimers exactly one gets each lease", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		n := scaled(300)
		for i := range n {
			insert(t, s, &docstore.Record{ID: fmt.Sprintf("doc_%d", i), Due: start})
		}
		for round := range 3 { // the leases of the round before have ended
			var mu sync.Mutex
			leases := map[string][]int64{}
			crowd(8, func(int) {
				for {
					claimed, err := s.Claim(t.Context(), start.Add(time.Duration(round)*lease), lease, 7)
					if err != nil {
						t.Error(err)
					}
					if len(claimed) == 0 {
						return
					}
					mu.Lock()
					for _, rec := range claimed {
						leases[rec.ID] = append(leases[rec.ID], rec.Lease)
					}
					mu.Unlock()
				}
			})
			same(t, "claims", len(leases), n)
			for id, got := range leases {
				same(t, "leases of "+id, got, []int64{int64(2 + round)})
			}
		}
	}},
	{"a claim is not lost between updates that do not touch the lease", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, &docstore.Record{ID: "doc_1", Due: start})
		rounds := scaled(200)
		crowd(2, func(who int) {
			for i := range rounds {
				var err error
				if who == 0 {
					_, err = s.Update(t.Context(), "doc_1", increment)
				} else if claimed, e := s.Claim(t.Context(), start.Add(time.Duration(i)*lease), lease, 1); e != nil || len(claimed) != 1 {
					err = fmt.Errorf("claim %d: %d documents, %w", i, len(claimed), e)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
		rec := get(t, s, "doc_1")
		same(t, "versions", rec.Version, int64(1+2*rounds))
		same(t, "lease ends", rec.LeaseUntil, start.Add(time.Duration(rounds)*lease))
	}},
	{"claims that cannot be meant are refused", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, &docstore.Record{ID: "doc_1", Due: start})
		for _, limit := range []int{0, -1} {
			if _, err := s.Claim(t.Context(), start, lease, limit); err == nil {
				t.Errorf("a limit of %d is accepted", limit)
			}
			if _, err := s.Unpublished(t.Context(), start, limit); err == nil {
				t.Errorf("a limit of %d is accepted", limit)
			}
		}
		if _, err := s.Claim(t.Context(), start, 0, 1); err == nil {
			t.Error("a lease of no time is accepted")
		}
		same(t, "versions", get(t, s, "doc_1").Version, int64(1))
	}},
}

func claim(t *testing.T, s docstore.Store, now time.Time, limit int) []*docstore.Record {
	t.Helper()
	claimed, err := s.Claim(t.Context(), now, lease, limit)
	noError(t, err)
	return claimed
}
