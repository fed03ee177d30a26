package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"quittance/pkg/docstore/internal/engine"
)

// op is one queued operation. It may be run more than once, each time in a
// transaction of which nothing is left but the last.
type op struct {
	ctx context.Context
	run func(*conn, *op) error
	err error // of run

	done chan error  // the answer, after the commit
	ask  chan func() // what the caller has to do for run
	left chan struct{}
}

var errLeft = errors.New("caller has left")

// submit queues an operation and waits until it is committed or refused. If
// ctx ends first the caller does not wait any longer; the operation may still
// happen, but nothing of the caller's is used for it any more.
func (e *Engine) submit(ctx context.Context, run func(*conn, *op) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o := &op{
		ctx: ctx, run: run,
		done: make(chan error, 1), ask: make(chan func()), left: make(chan struct{}),
	}
	if err := e.enqueue(o); err != nil {
		return err
	}
	defer close(o.left)
	for {
		select {
		case err := <-o.done:
			return err
		case f := <-o.ask:
			f()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (e *Engine) enqueue(o *op) error {
	e.intake.RLock()
	defer e.intake.RUnlock()
	if e.closed {
		return engine.ErrClosed
	}
	select {
	case e.queue <- o:
		return nil
	case <-o.ctx.Done():
		return o.ctx.Err()
	}
}

// byCaller runs f on the goroutine that waits for the operation. The writer's
// own goroutine never runs code of others: it could panic or exit.
func (o *op) byCaller(f func()) error {
	ran := make(chan struct{})
	select {
	case o.ask <- func() { defer close(ran); f() }:
		<-ran
		return nil
	case <-o.left:
		return errLeft
	}
}

// writer is the goroutine that owns the writing connection.
type writer struct {
	e    *Engine
	conn *conn // nil after a failure that it did not survive
}

// run commits batches of whatever is queued until the queue is closed.
func (w *writer) run() {
	defer close(w.e.written)
	batch := make([]*op, 0, w.e.opts.Batch)
	for first := range w.e.queue {
		runtime.Gosched() // whoever can run may queue something, too: fewer commits, and no wait where nobody else is at work
		batch = w.fill(append(batch[:0], first))
		w.e.wal.gate.Lock()
		w.commit(batch)
		w.e.wal.gate.Unlock()
		w.e.wal.grew(len(batch))
		clear(batch)
	}
	if w.conn != nil {
		_ = w.conn.close() // everything is committed
	}
}

// fill adds what is queued.
func (w *writer) fill(batch []*op) []*op {
	for len(batch) < cap(batch) {
		select {
		case o, open := <-w.e.queue:
			if !open {
				return batch
			}
			batch = append(batch, o)
		default:
			return batch
		}
	}
	return batch
}

// commit runs a batch and answers everybody in it. If the database fails in
// one operation, that one alone gets the failure and the others run again; if
// it fails in the commit, all get it.
func (w *writer) commit(batch []*op) {
	for len(batch) > 0 {
		culprit, err := w.attempt(batch)
		if err != nil {
			w.recover()
		}
		var again []*op
		for _, o := range batch {
			switch {
			case err == nil:
				o.done <- o.err
			case culprit == nil, culprit == o:
				o.done <- err
			default:
				again = append(again, o)
			}
		}
		batch = again
	}
}

// attempt runs a batch in one transaction. An error is a failure of the
// database, with the operation it happened in if it was in one.
func (w *writer) attempt(batch []*op) (*op, error) {
	if err := w.begin(); err != nil {
		return nil, err
	}
	for _, o := range batch {
		if o.err = o.ctx.Err(); o.err != nil {
			continue
		}
		w.conn.failed = nil
		if o.err = o.run(w.conn, o); w.conn.failed != nil {
			return o, w.conn.failed
		}
	}
	_, err := w.conn.exec("COMMIT")
	return nil, err
}

func (w *writer) begin() error {
	if w.conn == nil {
		c, err := w.e.dialWriter()
		if err != nil {
			return err
		}
		w.conn = c
	}
	return w.e.poll(func() error {
		_, err := w.conn.exec("BEGIN IMMEDIATE")
		return err
	})
}

// recover leaves the transaction after a failure, with a new connection if the
// old one had no transaction to leave.
func (w *writer) recover() {
	if w.conn == nil {
		return
	}
	if _, err := w.conn.exec("ROLLBACK"); err != nil {
		_ = w.conn.close() // it failed already
		w.conn = nil
	}
}

// poll repeats f while other processes keep the file busy, for the time-out.
// SQLite itself would wait up to 100 ms between two tries, in which a process
// that commits without pause has taken the lock again a hundred times.
func (e *Engine) poll(f func() error) error {
	err := f()
	if !busy(err) {
		return err
	}
	timeout := time.NewTimer(e.opts.BusyTimeout)
	defer timeout.Stop()
	for {
		pause := 50*time.Microsecond + rand.N(500*time.Microsecond)
		select {
		case <-timeout.C:
			return fmt.Errorf("busy for %s: %w", e.opts.BusyTimeout, err)
		case <-time.After(pause):
		}
		if err = f(); !busy(err) {
			return err
		}
	}
}
