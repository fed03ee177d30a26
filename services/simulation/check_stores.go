package simulation

import (
	"bytes"
	"errors"

	"quittance/pkg/docstore"
	callbackv1 "quittance/proto/gen/go/quittance/callback/v1"
)

// checkCallbacks is P2: what was acknowledged is on record.
func (w *world) checkCallbacks() {
	recorded, err := w.callbacks()
	if err != nil {
		w.fail("P2: callbacks can't be listed: %v", err)
		return
	}
	acks := map[string]map[string]bool{}
	for _, a := range w.provider.acks {
		if acks[a.reference] == nil {
			acks[a.reference] = map[string]bool{}
		}
		acks[a.reference][a.notice] = true
	}
	for reference, events := range acks {
		if recorded[reference] < len(events) {
			w.fail("P2: %d callbacks of one sale were acknowledged, %d are on record", len(events), recorded[reference])
		}
	}
}

// callbacks counts the accepted callbacks on record by attempt.
func (w *world) callbacks() (map[string]int, error) {
	recorded := map[string]int{}
	client := callbackv1.NewCallbackServiceClient(w.merchant(callbackName))
	for token := ""; ; {
		list, err := client.ListCallbacks(w.ctx, &callbackv1.ListCallbacksRequest{PageSize: 200, PageToken: token})
		if err != nil {
			return nil, err
		}
		for _, c := range list.GetCallbacks() {
			if c.GetAccepted() {
				recorded[c.GetAttemptId()]++
			}
		}
		if token = list.GetNextPageToken(); token == "" {
			return recorded, nil
		}
	}
}

// checkStores looks into every store: no event is left unpublished (P6), none
// was parked, and nothing names a customer who was erased.
func (w *world) checkStores() {
	erased := map[string]bool{} // by the address, as stored
	for _, e := range w.endings {
		if e.order.GetEraseTime() != nil {
			erased[e.email] = true
		}
	}
	for _, name := range names {
		l := w.nodes[name].process()
		if l == nil {
			w.fail("P4: %s does not run in the end", name)
			continue
		}
		for collection, s := range l.engine.stores {
			err := w.checkStore(name, collection, s.inner, erased)
			if err != nil {
				w.fail("P4: %s of %s can't be read: %v", collection, name, err)
			}
		}
	}
	if w.hooks.forged > 0 {
		w.fail("P7: %d webhooks were not signed", w.hooks.forged)
	}
}

func (w *world) checkStore(service, collection string, s docstore.Store, erased map[string]bool) error {
	page, err := s.Find(w.ctx, docstore.Query{AllTenants: true, Limit: 1000})
	if err != nil {
		return err
	}
	if page.Next != "" {
		return errors.New("more documents than a history can have")
	}
	for _, rec := range page.Records {
		if len(rec.Pending()) > 0 {
			w.fail("P6: %s %s has events that were never published", service, collection)
		}
		if collection == "parked" {
			w.fail("P4: %s parked an event: %.300s", service, rec.Body)
		}
		all := rec.Body
		for _, e := range rec.Outbox {
			all = append(append(all, '\n'), e.Event.Data...)
		}
		for email := range erased {
			if bytes.Contains(all, []byte(email)) {
				w.fail("%s %s still names %s, who was erased", service, collection, email)
			}
		}
	}
	return nil
}
