package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"quittance/pkg/docstore"
)

var errTaken = errors.New("taken")

var raceCases = []testCase{
	{"of 64 that compare and set one document exactly one wins", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		for round := range 10 {
			id := fmt.Sprintf("licence_%d", round)
			insert(t, s, &docstore.Record{ID: id})
			var won, lost atomic.Int64
			crowd(64, func(i int) {
				_, err := s.Update(t.Context(), id, func(rec *docstore.Record) error {
					if len(rec.Body) > 0 {
						return errTaken
					}
					rec.Body = []byte(strconv.Itoa(i))
					return nil
				})
				count(t, err, errTaken, &won, &lost)
			})
			same(t, "winners", won.Load(), int64(1))
			same(t, "losers", lost.Load(), int64(63))
			same(t, "versions", get(t, s, id).Version, int64(2))
		}
	}},
	{"of 64 that insert one id exactly one wins", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		for round := range 10 {
			id := fmt.Sprintf("transaction_%d", round)
			var won, lost, winner atomic.Int64
			crowd(64, func(i int) {
				err := s.Insert(t.Context(), &docstore.Record{ID: id, Body: []byte(strconv.Itoa(i))})
				count(t, err, docstore.ErrExists, &won, &lost)
				if err == nil {
					winner.Store(int64(i))
				}
			})
			same(t, "winners", won.Load(), int64(1))
			same(t, "losers", lost.Load(), int64(63))
			same(t, "bodies", string(get(t, s, id).Body), fmt.Sprint(winner.Load()))
		}
	}},
	{"of 10,000 increments by 32 writers none is lost", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, &docstore.Record{ID: "counter"})
		each := scaled(10_000) / 32
		crowd(32, func(int) {
			for range each {
				if _, err := s.Update(t.Context(), "counter", increment); err != nil {
					t.Error(err)
					return
				}
			}
		})
		rec := get(t, s, "counter")
		same(t, "sums", number(rec), 32*each)
		same(t, "versions", rec.Version, int64(1+32*each))
	}},
	{"a refused operation spoils none of those committed with it", func(t *testing.T, e docstore.Engine) {
		s := documents(t, e)
		insert(t, s, &docstore.Record{ID: "taken"}, &docstore.Record{ID: "counter"})
		var sum atomic.Int64
		crowd(32, func(i int) {
			for n := range 20 {
				id := fmt.Sprintf("doc_%d_%d", i, n)
				if err := s.Insert(t.Context(), &docstore.Record{ID: id}); err != nil {
					t.Error(err)
				}
				if err := s.Insert(t.Context(), &docstore.Record{ID: "taken"}); !errors.Is(err, docstore.ErrExists) {
					t.Error(err)
				}
				_, err := s.Update(t.Context(), "counter", func(rec *docstore.Record) error {
					if err := increment(rec); err != nil {
						return err
					}
					switch (i + n) % 4 {
					case 0:
						return errTaken
					case 1:
						panic("out of order")
					}
					return nil
				})
				if err == nil {
					sum.Add(1)
				}
				if ok, err := s.Delete(t.Context(), id, 2); ok || err != nil {
					t.Errorf("delete: %v, %v", ok, err)
				}
			}
		})
		same(t, "sums", int64(number(get(t, s, "counter"))), sum.Load())
		same(t, "sums", sum.Load(), int64(32*20/2))
		same(t, "counts", len(pages(t, s, docstore.Query{Limit: 1000})), 2+32*20)
	}},
}

// count tells winners from losers.
func count(t *testing.T, err, lost error, winners, losers *atomic.Int64) {
	switch {
	case err == nil:
		winners.Add(1)
	case errors.Is(err, lost):
		losers.Add(1)
	default:
		t.Error(err)
	}
}

// increment adds one to the number in the body.
func increment(rec *docstore.Record) error {
	rec.Body = strconv.AppendInt(nil, int64(number(rec)+1), 10)
	return nil
}

// number is the number in the body, zero if there is none.
func number(rec *docstore.Record) int {
	n, _ := strconv.Atoi(string(rec.Body))
	return n
}
