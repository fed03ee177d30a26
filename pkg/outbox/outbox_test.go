package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/event"
	"quittance/pkg/outbox"
)

// bus takes events unless it is down.
type bus struct {
	mu   sync.Mutex
	down bool
	got  []string
}

func (b *bus) Publish(_ context.Context, events []event.Event) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return 0, errors.New("bus is down")
	}
	for _, e := range events {
		b.got = append(b.got, e.ID)
	}
	return len(events), nil
}

func (b *bus) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.got)
}

func (b *bus) set(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

type doc struct{}

type system struct {
	coll  *docstore.Collection[doc]
	store docstore.Store
	stop  func()
}

// start opens the collection behind a running relay, as a process does.
func start(t *testing.T, e docstore.Engine, b *bus) system {
	t.Helper()
	relay := outbox.New(b, slog.New(slog.DiscardHandler), time.Now)
	coll, err := docstore.Open(t.Context(), e, docstore.Spec[doc]{Name: "docs", Relay: relay})
	if err != nil {
		t.Fatal(err)
	}
	store, err := e.Open(t.Context(), docstore.StoreSpec{Name: "docs"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- relay.Run(ctx) }()
	return system{coll, store, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}}
}

func (s system) insert(t *testing.T, i int) {
	t.Helper()
	e := event.Event{ID: fmt.Sprint("e", i), Type: "doc.made", Subject: fmt.Sprint("d", i)}
	if _, err := s.coll.Insert(t.Context(), fmt.Sprint("d", i), "", &doc{}, e); err != nil {
		t.Fatal(err)
	}
}

func (s system) unpublished(t *testing.T) int {
	t.Helper()
	recs, err := s.store.Unpublished(t.Context(), time.Now().Add(time.Hour), 1000)
	if err != nil {
		t.Fatal(err)
	}
	return len(recs)
}

func TestEventsGoOutAtOnceAndAreMarkedInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bus{}
		s := start(t, memory.New(), b)
		defer s.stop()
		for i := range 100 {
			s.insert(t, i)
		}
		synctest.Wait()
		if b.count() != 100 || s.unpublished(t) != 100 {
			t.Fatalf("%d published, %d unmarked", b.count(), s.unpublished(t))
		}
		time.Sleep(4 * time.Second)
		if n := s.unpublished(t); n != 0 {
			t.Fatalf("%d unmarked", n)
		}
		time.Sleep(time.Minute)
		if b.count() != 100 {
			t.Fatalf("%d published", b.count())
		}
	})
}

func TestP5WhatAnOutageLeftGoesOutAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bus{down: true}
		s := start(t, memory.New(), b)
		defer s.stop()
		for i := range 10 {
			s.insert(t, i)
		}
		time.Sleep(time.Minute)
		b.set(false)
		time.Sleep(30 * time.Second)
		if b.count() != 10 || s.unpublished(t) != 0 {
			t.Fatalf("%d published, %d unmarked", b.count(), s.unpublished(t))
		}
	})
}

func TestP6WhatACrashLeftGoesOutAfterTheRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, e := &bus{down: true}, memory.New()
		s := start(t, e, b)
		for i := range 10 {
			s.insert(t, i)
		}
		s.stop() // nothing could be flushed
		b.set(false)
		s = start(t, e, b)
		defer s.stop()
		time.Sleep(10 * time.Second)
		if b.count() != 10 || s.unpublished(t) != 0 {
			t.Fatalf("%d published, %d unmarked", b.count(), s.unpublished(t))
		}
	})
}

func TestStopFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bus{}
		s := start(t, memory.New(), b)
		for i := range 10 {
			s.insert(t, i)
		}
		s.stop()
		if b.count() != 10 || s.unpublished(t) != 0 {
			t.Fatalf("%d published, %d unmarked", b.count(), s.unpublished(t))
		}
	})
}
