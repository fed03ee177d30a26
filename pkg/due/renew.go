package due

import (
	"context"
	"errors"
	"time"

	"quittance/pkg/docstore"
)

// renew keeps the lease of a document until the returned function is called. If
// somebody took it over all the same, the work is canceled: its outcome would
// be refused.
func (l *Loop[T]) renew(ctx context.Context, doc *Leased[T], cancel context.CancelFunc) (stop func()) {
	id, lease, until := doc.ID, doc.lease, doc.until
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			timer := time.NewTimer(max(until.Sub(l.coll.Now())/2, l.opt.Lease/16))
			select {
			case <-done:
				timer.Stop()
				return
			case <-timer.C:
			}
			next := l.coll.Now().Add(l.opt.Lease)
			_, err := l.coll.KeepLeased(ctx, id, lease, next, func(*T, *docstore.Change) error { return nil })
			switch {
			case err == nil:
				until = next
			case errors.Is(err, docstore.ErrLeaseLost), errors.Is(err, docstore.ErrNotFound):
				cancel()
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}
