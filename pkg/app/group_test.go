package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal notes what happened in which order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, ", ")
}

func (j *journal) obedient(name string) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		j.note("%s ends", name)
		return ctx.Err()
	}
}

func quietGroup(log *bytes.Buffer, options Options) *Group {
	options.Logger = slog.New(slog.NewTextHandler(log, nil))
	return NewGroup(options)
}

func TestStopsInReverseOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		var log bytes.Buffer
		ready := NewReadiness(nil)
		g := quietGroup(&log, Options{Readiness: ready, UnreadyPause: time.Second})
		g.OnStop("store", func(context.Context) error { j.note("store closes"); return nil })
		g.Add("relay", j.obedient("relay"))
		g.Add("server", func(ctx context.Context) error {
			<-ctx.Done()
			j.note("server ends, waiting for %v", ready.Waiting(context.WithoutCancel(ctx)))
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		begun := time.Now()
		if err := g.Run(ctx); err != nil {
			t.Errorf("err = %v", err)
		}
		if got := j.String(); got != "server ends, waiting for [shutdown], relay ends, store closes" {
			t.Error(got)
		}
		if took := time.Since(begun); took != time.Minute+time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestFailureIsNamedOnceAndStopsAll(t *testing.T) {
	broken := errors.New("disk is gone")
	tests := map[string]struct {
		run  func(context.Context) error
		want string
	}{
		"error":  {func(context.Context) error { return broken }, "relay: disk is gone"},
		"nil":    {func(context.Context) error { return nil }, "relay: ended by itself"},
		"panic":  {func(context.Context) error { panic("oops") }, "relay: panic: oops"},
		"cancel": {func(context.Context) error { return context.Canceled }, "relay: context canceled"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var j journal
			var log bytes.Buffer
			inner := quietGroup(&log, Options{})
			inner.Add("relay", tt.run)
			inner.Add("worker", j.obedient("worker"))
			outer := quietGroup(&log, Options{})
			outer.OnStop("store", func(context.Context) error { j.note("store closes"); return nil })
			outer.Add("order", inner.Run)
			outer.Add("server", j.obedient("server"))
			err := outer.Run(t.Context())
			if err == nil || !strings.HasPrefix(err.Error(), "order: "+tt.want) || strings.Count(err.Error(), "order") != 1 {
				t.Errorf("err = %v", err)
			}
			var f *Failed
			if !errors.As(err, &f) || f.Component != "order" {
				t.Errorf("no *Failed in %v", err)
			}
			if got := j.String(); got != "worker ends, server ends, store closes" {
				t.Error(got)
			}
			if n := strings.Count(log.String(), "component failed"); n != 1 || !strings.Contains(log.String(), "component=relay") {
				t.Errorf("logged %d times:\n%s", n, log.String())
			}
		})
	}
}

func TestFailuresWhileStopping(t *testing.T) {
	var log bytes.Buffer
	g := quietGroup(&log, Options{})
	g.OnStop("store", func(context.Context) error { return errors.New("not flushed") })
	g.Add("relay", func(ctx context.Context) error { <-ctx.Done(); return errors.New("half done") })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Run(ctx); err == nil || err.Error() != "relay: half done\nstore: not flushed" {
		t.Errorf("err = %v", err)
	}
	if strings.Count(log.String(), "component failed") != 2 {
		t.Errorf("log:\n%s", log.String())
	}
}

func TestDeadlineNamesWhoDidNotStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		var log bytes.Buffer
		hang := make(chan struct{})
		g := quietGroup(&log, Options{Deadline: 3 * time.Second})
		g.OnStop("store", func(context.Context) error { j.note("store closes"); return nil })
		g.Add("relay", func(context.Context) error { <-hang; return nil })
		g.Add("server", j.obedient("server"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begun := time.Now()
		err := g.Run(ctx)
		if err == nil || err.Error() != "relay, store: not stopped after 3s" {
			t.Errorf("err = %v", err)
		}
		if took := time.Since(begun); took != 3*time.Second {
			t.Errorf("took %s", took)
		}
		// A store is not closed under a relay that still uses it.
		if got := j.String(); got != "server ends" {
			t.Error(got)
		}
		close(hang)
	})
}
