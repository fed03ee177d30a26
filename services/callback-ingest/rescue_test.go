package callbackingest_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/memory"
	"quittance/pkg/event"
)

const notStored = "ERROR - Not stored, send again!"

func TestP2StoreDownCallbackGoesOverTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		w.wants(w.call(postback("1")), http.StatusOK, "OK") // the account is known from now on
		time.Sleep(time.Minute)

		w.storeDown.Store(true)
		w.wants(w.call(postback("2")), http.StatusOK, "OK")
		w.wants(w.call(postback("2")), http.StatusOK, "OK")
		w.wants(w.call(forged("3")), http.StatusInternalServerError, badSignature)
		if n := len(w.bus.published(event.CallbackRescued)); n != 2 {
			t.Errorf("%d callbacks rescued, want 2", n)
		}
		time.Sleep(time.Minute)
		w.storeDown.Store(false)
		time.Sleep(5 * time.Minute)

		if seen := w.callbacks(merchant); len(seen) != 2 {
			t.Fatalf("the merchant sees %v, want both callbacks", seen)
		}
		sales := map[string]bool{}
		for _, e := range w.bus.published(event.CallbackReceived) {
			sales[e.Subject] = true
		}
		if len(sales) != 2 {
			t.Errorf("callbacks %v were announced, want both", sales)
		}
	})
}

func TestP2BothDownIsNotAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		w.wants(w.call(postback("1")), http.StatusOK, "OK")
		w.storeDown.Store(true)
		w.bus.down.Store(true)
		w.wants(w.call(postback("2")), http.StatusServiceUnavailable, notStored)
		w.storeDown.Store(false)
		w.bus.down.Store(false)
		w.wants(w.call(postback("2")), http.StatusOK, "OK")
	})
}

func TestP2UnreadAccountIsNotRefusedWhileTheStoreIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		w.storeDown.Store(true)
		// Whether the account exists can't be told, so neither yes nor no.
		w.wants(w.call(postback("1")), http.StatusServiceUnavailable, notStored)
		w.storeDown.Store(false)
	})
}

func TestP2HangingStoreIsPassedAfterTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &hanging{Engine: memory.New()}
		w := newWorld(t, engine)
		defer w.stop()
		w.wants(w.call(postback("1")), http.StatusOK, "OK")
		engine.hangs.Store(true)
		start := time.Now()
		w.wants(w.call(postback("2")), http.StatusOK, "OK")
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("answered after %s, want 2s", took)
		}
		if n := len(w.bus.published(event.CallbackRescued)); n != 1 {
			t.Errorf("%d callbacks rescued, want 1", n)
		}
		engine.hangs.Store(false)
		time.Sleep(3 * time.Minute)
		if seen := w.callbacks(merchant); len(seen) != 2 {
			t.Errorf("the merchant sees %v, want both callbacks", seen)
		}
	})
}

// hanging is an engine whose inserts end with their context only.
type hanging struct {
	docstore.Engine
	hangs atomic.Bool
}

func (h *hanging) Open(ctx context.Context, spec docstore.StoreSpec) (docstore.Store, error) {
	s, err := h.Engine.Open(ctx, spec)
	return &hangingStore{s, h}, err
}

type hangingStore struct {
	docstore.Store
	engine *hanging
}

func (s *hangingStore) Insert(ctx context.Context, rec *docstore.Record) error {
	if s.engine.hangs.Load() {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.Store.Insert(ctx, rec)
}
