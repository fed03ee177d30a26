// Package due is the one loop that does work when its time has come. Whatever
// a service does to the outside world (ask a provider, send a mail, call a
// webhook) is work on a document that is due; the loop leases the document,
// calls the service's function, and the function's write gives the lease back.
//
// A write that makes a document due now hands it over in the same write
// ([docstore.Worker]); polling only finds what others left behind.
package due

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"quittance/pkg/docstore"
)

// Options of a loop. Zero values are replaced by the defaults named.
type Options struct {
	// Workers is how many documents are worked on at once: 16.
	Workers int
	// Lease is how long a document is kept from others, and so how long the
	// work of a crashed process waits: 30 s.
	Lease time.Duration
	// Longest is how long work on one document may take, as its context says:
	// nine tenths of the lease. A lease shorter than that is renewed meanwhile.
	Longest time.Duration
	// Poll is the longest pause between looks at the store: 1 s.
	Poll time.Duration
	Log  *slog.Logger
	// Tracer names the spans of the work; nil: no spans.
	Tracer trace.Tracer
}

// Leased is a document in the hands of one worker.
type Leased[T any] struct {
	*docstore.Doc[T]
	lease  int64
	until  time.Time
	length time.Duration
	coll   *docstore.Collection[T]
}

// Finish stores the outcome of the work and gives the lease back.
// docstore.ErrLeaseLost if the work took so long that somebody else took over;
// then nothing is stored.
func (l *Leased[T]) Finish(ctx context.Context, change func(*T, *docstore.Change) error) error {
	return l.coll.UpdateLeased(ctx, l.ID, l.lease, change)
}

// Keep stores what the work has come to so far, in a write of its own, and goes
// on: a note for whoever takes over if this process ends before Finish.
func (l *Leased[T]) Keep(ctx context.Context, change func(*T, *docstore.Change) error) error {
	doc, err := l.coll.KeepLeased(ctx, l.ID, l.lease, l.coll.Now().Add(l.length), change)
	if err == nil {
		l.Doc = doc
	}
	return err
}

// maxClaim bounds the places that one claim reserves, so that writes meanwhile
// still find some.
const maxClaim = 64

// Loop works on the due documents of one collection.
type Loop[T any] struct {
	coll *docstore.Collection[T]
	work func(context.Context, *Leased[T]) error
	opt  Options
	// lanes is nil if any document may take any place.
	lanes *lanes[T]

	places chan struct{} // a token per free place
	jobs   chan *docstore.Record
	wake   chan struct{}

	// starved: something is due and no place was free to take it.
	starved atomic.Bool

	mu     sync.Mutex
	nextAt time.Time // earliest known time of work, zero if unknown
}

var _ docstore.Worker = (*Loop[int])(nil)

// New attaches a loop to the collection. work must end with Finish; a document
// whose work returned an error instead is left alone until its lease ends.
func New[T any](coll *docstore.Collection[T], work func(context.Context, *Leased[T]) error, opt Options) *Loop[T] {
	if opt.Workers == 0 {
		opt.Workers = 16
	}
	if opt.Lease == 0 {
		opt.Lease = 30 * time.Second
	}
	if opt.Longest == 0 {
		opt.Longest = opt.Lease * 9 / 10
	}
	if opt.Poll == 0 {
		opt.Poll = time.Second
	}
	l := &Loop[T]{
		coll: coll, work: work, opt: opt,
		places: make(chan struct{}, opt.Workers),
		jobs:   make(chan *docstore.Record, opt.Workers),
		wake:   make(chan struct{}, 1),
	}
	coll.Attach(l)
	return l
}

// Reserve implements docstore.Worker. Before Run there is no place.
func (l *Loop[T]) Reserve() bool {
	select {
	case <-l.places:
		return true
	default:
		return false
	}
}

// Release implements docstore.Worker.
func (l *Loop[T]) Release() { l.places <- struct{}{} }

// Hand implements docstore.Worker.
func (l *Loop[T]) Hand(rec *docstore.Record) { l.jobs <- rec }

// Lease implements docstore.Worker.
func (l *Loop[T]) Lease() time.Duration { return l.opt.Lease }

// Wake implements docstore.Worker.
func (l *Loop[T]) Wake(at time.Time) {
	if l.note(at) {
		l.nudge()
	}
}

// note remembers at if it is the earliest known time of work.
func (l *Loop[T]) note(at time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.nextAt.IsZero() && !at.Before(l.nextAt) {
		return false
	}
	l.nextAt = at
	return true
}

func (l *Loop[T]) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run works until ctx is done, then lets the work under way end.
func (l *Loop[T]) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	stop := make(chan struct{})
	for range l.opt.Workers {
		workers.Go(func() { l.worker(ctx, stop) })
		l.places <- struct{}{}
	}
	l.claim(ctx)
	// No place is given out any more, so no document is handed over after this.
	for range l.opt.Workers {
		<-l.places
	}
	close(stop)
	workers.Wait()
	return nil
}

func (l *Loop[T]) worker(ctx context.Context, stop <-chan struct{}) {
	for {
		select {
		case rec := <-l.jobs:
			l.take(ctx, rec)
			l.Release()
			if l.starved.Swap(false) {
				l.nudge()
			}
		case <-stop:
			return
		}
	}
}

// take works on a document, and then on those that waited for its lane.
func (l *Loop[T]) take(ctx context.Context, rec *docstore.Record) {
	doc, err := l.coll.Decode(rec)
	if err != nil {
		l.opt.Log.ErrorContext(ctx, "due work", "collection", l.coll.Name(), "id", rec.ID, "error", err)
		return
	}
	work := &Leased[T]{Doc: doc, lease: rec.Lease, until: rec.LeaseUntil, length: l.opt.Lease, coll: l.coll}
	if l.lanes == nil {
		l.do(ctx, work)
		return
	}
	key := l.lanes.key(&doc.Body)
	if !l.lanes.enter(key, work) {
		return
	}
	for work != nil {
		l.do(ctx, work)
		work = l.lanes.next(key, l.coll.Now(), ctx.Err() != nil)
	}
}

// do works on one document. Work under way survives the end of ctx.
func (l *Loop[T]) do(ctx context.Context, doc *Leased[T]) {
	start := l.coll.Now()
	longest := l.opt.Longest
	if renewed := longest > l.opt.Lease*9/10; !renewed {
		longest = min(longest, doc.until.Sub(start)*9/10) // some of it went by waiting
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longest)
	defer cancel()
	if longest > l.opt.Lease*9/10 {
		defer l.renew(ctx, doc, cancel)()
	}
	if l.opt.Tracer != nil {
		var span trace.Span
		ctx, span = l.opt.Tracer.Start(docstore.WithTrace(ctx, doc.Trace), "work "+l.coll.Name())
		defer span.End()
	}
	if err := l.guarded(ctx, doc); err != nil {
		l.opt.Log.WarnContext(ctx, "due work put off", "collection", l.coll.Name(), "id", doc.ID,
			"took", l.coll.Now().Sub(start), "error", err)
	}
}

func (l *Loop[T]) guarded(ctx context.Context, doc *Leased[T]) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return l.work(ctx, doc)
}

// claim leases due documents for free places until ctx is done.
func (l *Loop[T]) claim(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		case <-timer.C:
		}
		if err := l.claimDue(ctx); err != nil && ctx.Err() == nil {
			l.opt.Log.WarnContext(ctx, "due work waits for its store", "collection", l.coll.Name(), "error", err)
		}
		timer.Reset(l.pause())
	}
}

// pause is how long the claimer may sleep unless it is woken.
func (l *Loop[T]) pause() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.nextAt.IsZero() {
		return l.opt.Poll
	}
	return max(0, min(l.opt.Poll, l.nextAt.Sub(l.coll.Now())))
}

// claimDue leases what is due until nothing is or no place is free.
func (l *Loop[T]) claimDue(ctx context.Context) error {
	for {
		l.mu.Lock()
		l.nextAt = time.Time{}
		l.mu.Unlock()
		at, err := l.coll.NextDue(ctx)
		if err != nil || at.IsZero() {
			return err
		}
		if at.After(l.coll.Now()) {
			l.note(at)
			return nil
		}
		n := 0
		for n < maxClaim && l.Reserve() {
			n++
		}
		if n == 0 {
			l.starved.Store(true)
			return nil
		}
		recs, err := l.coll.Claim(ctx, l.opt.Lease, n)
		for _, rec := range recs {
			l.Hand(rec)
		}
		for range n - len(recs) {
			l.Release()
		}
		if err != nil {
			return err
		}
	}
}
