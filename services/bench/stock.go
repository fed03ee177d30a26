package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/id"
)

// stock knows the collections of the system's stores, so that orders can be put
// there in thousands: one order is taken through by all services, then what it
// has left behind is stored again and again under other ids.
type stock struct {
	mu     sync.Mutex
	stores map[string]docstore.Store
	// before are the versions of the documents that are not the template's.
	before map[string]int64
	// template is read once, behind the first order.
	template []kept
	made     int
}

// kept is a document of the template.
type kept struct {
	store string
	rec   *docstore.Record
}

// templateEmail is the template's customer; copies have others of that length.
const templateEmail = "bench-0000000@example.com"

// engine remembers the collections that a service opens.
func (s *stock) engine(service string, e docstore.Engine) docstore.Engine {
	return stockEngine{e, service, s}
}

type stockEngine struct {
	docstore.Engine
	service string
	stock   *stock
}

func (e stockEngine) Open(ctx context.Context, spec docstore.StoreSpec) (docstore.Store, error) {
	s, err := e.Engine.Open(ctx, spec)
	if err == nil {
		e.stock.mu.Lock()
		defer e.stock.mu.Unlock()
		e.stock.stores[e.service+"/"+spec.Name] = s
	}
	return s, err
}

// each visits all documents.
func (s *stock) each(ctx context.Context, visit func(store string, rec *docstore.Record)) error {
	for name, store := range s.stores {
		q := docstore.Query{AllTenants: true, Limit: 1000}
		for {
			page, err := store.Find(ctx, q)
			if err != nil {
				return fmt.Errorf("read %s: %w", name, err)
			}
			for _, rec := range page.Records {
				visit(name, rec)
			}
			if q.After = page.Next; q.After == "" {
				break
			}
		}
	}
	return nil
}

// remember says that what is stored now is not the template's.
func (s *stock) remember(ctx context.Context) error {
	s.before = map[string]int64{}
	return s.each(ctx, func(store string, rec *docstore.Record) { s.before[store+"/"+rec.ID] = rec.Version })
}

// ids as package id makes them. Their length is the same, so that they can be
// replaced inside of encoded events too.
var ids = regexp.MustCompile(`[a-z]{2,5}_[0-9a-f]{32}`)

// take finds the template among what is new or changed since remember: the order
// of templateEmail, and whatever shares an id with it or with what does. Other
// orders' documents may have been written meanwhile, too.
func (s *stock) take(ctx context.Context) error {
	var fresh []kept
	if err := s.each(ctx, func(store string, rec *docstore.Record) {
		// What has an id that isn't made is not an order's: how far somebody has read.
		if version, known := s.before[store+"/"+rec.ID]; ids.MatchString(rec.ID) && (!known || version != rec.Version) {
			fresh = append(fresh, kept{store, rec})
		}
	}); err != nil {
		return err
	}
	known := map[string]bool{}
	for found := true; found; {
		found = false
		fresh = slices.DeleteFunc(fresh, func(k kept) bool {
			mine := k.ids()
			if !strings.Contains(string(k.rec.Body), templateEmail) && !slices.ContainsFunc(mine, func(id string) bool { return known[id] }) {
				return false
			}
			for _, id := range mine {
				known[id] = true
			}
			s.template, found = append(s.template, k), true
			return true
		})
	}
	return nil
}

// ids are all that the document has.
func (k kept) ids() []string {
	out := append(ids.FindAllString(k.rec.ID, -1), ids.FindAllString(string(k.rec.Body), -1)...)
	for _, e := range k.rec.Outbox {
		out = append(out, e.Event.ID)
	}
	return out
}

// multiply stores n more orders like the one that was made since remember: all
// documents that are new, and the licence that was taken.
func (s *stock) multiply(ctx context.Context, n int) (any, error) {
	if s.template == nil {
		if err := s.take(ctx); err != nil {
			return nil, err
		}
	}
	if len(s.template) == 0 {
		return nil, errors.New("there is no order to multiply")
	}
	var known []string
	for _, k := range s.template {
		known = append(known, k.ids()...)
	}
	slices.Sort(known)
	known = slices.Compact(known)
	const writers = 256
	jobs, errs := make(chan int), make(chan error, writers)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for i := range jobs {
				if err := s.copy(ctx, known, i); err != nil {
					errs <- err
					stop()
					return
				}
			}
		})
	}
	for range n {
		s.made++
		select {
		case jobs <- s.made:
		case <-ctx.Done():
		}
	}
	close(jobs)
	wg.Wait()
	close(errs)
	return len(s.template), errors.Join(<-errs, ctx.Err())
}

// copy stores the template under ids of its own.
func (s *stock) copy(ctx context.Context, known []string, n int) error {
	pairs := []string{templateEmail, fmt.Sprintf("bench-%07d@example.com", n)}
	for _, was := range known {
		prefix, _, _ := strings.Cut(was, "_")
		pairs = append(pairs, was, id.New(prefix))
	}
	anew := strings.NewReplacer(pairs...)
	for _, k := range s.template {
		rec := *k.rec
		rec.ID, rec.Body = anew.Replace(rec.ID), []byte(anew.Replace(string(rec.Body)))
		if rec.ID == k.rec.ID {
			return fmt.Errorf("a document of %s has an id that is not made: %s", k.store, rec.ID)
		}
		rec.Index = make(map[string]string, len(k.rec.Index))
		for name, value := range k.rec.Index {
			rec.Index[name] = anew.Replace(value)
		}
		rec.Lease, rec.LeaseUntil = 0, time.Time{}
		if !rec.Due.IsZero() { // not all at once
			rec.Due = rec.Due.Add(time.Duration(rand.Int64N(int64(24 * time.Hour))))
		}
		rec.Outbox = slices.Clone(rec.Outbox)
		for i := range rec.Outbox {
			e := &rec.Outbox[i].Event
			e.ID, e.Subject, e.Key, e.Data = anew.Replace(e.ID), anew.Replace(e.Subject), anew.Replace(e.Key), []byte(anew.Replace(string(e.Data)))
		}
		if err := s.stores[k.store].Insert(ctx, &rec); err != nil {
			return fmt.Errorf("copy %s: %w", k.store, err)
		}
	}
	return nil
}
