package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func ask(h http.Handler) (int, string) {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	return rec.Code, strings.TrimSpace(rec.Body.String())
}

func TestReadyzNamesWhatItWaitsFor(t *testing.T) {
	var log bytes.Buffer
	r := NewReadiness(slog.New(slog.NewTextHandler(&log, nil)))
	storeErr := errors.New("dial mongo:27017: refused")
	r.Check("store", func(context.Context) error { return storeErr })
	r.Check("always", func(context.Context) error { return nil })
	open := r.Gate("catch-up")

	for range 2 {
		code, body := ask(r.ReadyHandler())
		if code != 503 || body != `{"ready":false,"waiting_for":["store","catch-up"]}` {
			t.Errorf("%d %s", code, body)
		}
	}
	if n := strings.Count(log.String(), "mongo:27017"); n != 1 {
		t.Errorf("the reason is logged %d times", n)
	}
	storeErr = nil
	open()
	open()
	if code, body := ask(r.ReadyHandler()); code != 200 || body != `{"ready":true}` {
		t.Errorf("%d %s", code, body)
	}
	r.Stop()
	if code, body := ask(r.ReadyHandler()); code != 503 || body != `{"ready":false,"waiting_for":["shutdown"]}` {
		t.Errorf("%d %s", code, body)
	}
	if code, body := ask(r.HealthHandler()); code != 200 || body != "ok" {
		t.Errorf("healthz: %d %s", code, body)
	}
}

func TestHangingCheckIsNotPiledUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReadiness(slog.New(slog.DiscardHandler))
		release := make(chan struct{})
		var calls atomic.Int32
		r.Check("bus", func(context.Context) error { calls.Add(1); <-release; return nil })
		for range 3 {
			if code, _ := ask(r.ReadyHandler()); code != 503 {
				t.Errorf("code = %d", code)
			}
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls at once", n)
		}
		close(release)
		synctest.Wait()
		if waiting := r.Waiting(t.Context()); len(waiting) != 0 {
			t.Errorf("waiting for %v", waiting)
		}
	})
}
