package simulation

import (
	"net/http"
	"time"

	"quittance/pkg/docstore"
	"quittance/services/sabotage"
)

// serve handles a request; a sabotaged callback-ingest answers a postback before
// it is handled.
func (w *world) serve(l *life, handle func() page) page {
	got := handle()
	if w.sabotage == sabotage.AckBeforeRecord && l.node.name == callbackName && (got.status == 0 || got.status == http.StatusServiceUnavailable) {
		return page{status: http.StatusOK, body: "OK"} // it was said already
	}
	return got
}

// spoiled is a process's collection as a sabotaged service has it.
func (l *life) spoiled(collection string, inner docstore.Store) docstore.Store {
	w := l.node.w
	return w.sabotage.Store(collection, inner, func() { pause(300 * time.Millisecond) }, func(note func() error) {
		w.spawn(func() {
			pause(30 * time.Millisecond)
			if l.dead.Load() {
				return
			}
			if err := note(); err != nil {
				w.detail("events not noted: %v", err)
			}
		})
	})
}
