package delivery_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"quittance/pkg/docstore"
)

var errDead = errors.New("the process is dead")

// mortal is an engine as one process sees it: it counts the process's writes,
// and the process can die right before or right after one of them. Other
// processes go on with the same documents.
type mortal struct {
	docstore.Engine
	// lag is how long an operation takes; nil: no time.
	lag func() time.Duration

	mu     sync.Mutex
	dead   bool
	dying  int // writes until death, 0: not dying
	after  bool
	writes map[string]int // by collection and operation
	bodies [][]byte       // everything written
}

// die lets the process die at its n-th write from now on, n = 1 the next one.
func (m *mortal) die(n int, after bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dying, m.after = n, after
}

// kill lets the process die now.
func (m *mortal) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
}

func (m *mortal) isDead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

// count returns the writes so far and forgets them.
func (m *mortal) count() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	writes := m.writes
	m.writes = nil
	return writes
}

func (m *mortal) wrote(what string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.writes == nil {
		m.writes = map[string]int{}
	}
	m.writes[what] += n
}

func (m *mortal) keep(body []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bodies = append(m.bodies, body)
}

// strike says how the process dies at a write: before it, after it, or not.
func (m *mortal) strike() (before, after bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead || m.dying == 0 {
		return m.dead, false
	}
	if m.dying--; m.dying > 0 {
		return false, false
	}
	m.dead = true
	return !m.after, m.after
}

// pass lets the time of an operation pass and reports whether the process lives.
func (m *mortal) pass() error {
	if m.lag != nil {
		time.Sleep(m.lag()) // virtual
	}
	if m.isDead() {
		return errDead
	}
	return nil
}

func (m *mortal) Open(ctx context.Context, spec docstore.StoreSpec) (docstore.Store, error) {
	s, err := m.Engine.Open(ctx, spec)
	return &mortalStore{Store: s, m: m, name: spec.Name}, err
}

type mortalStore struct {
	docstore.Store
	m    *mortal
	name string
}

func (s *mortalStore) write(what string, do func() (int, error)) error {
	if err := s.m.pass(); err != nil {
		return err
	}
	before, after := s.m.strike()
	if before {
		return errDead
	}
	n, err := do()
	if err == nil && n > 0 {
		s.m.wrote(s.name+" "+what, n)
	}
	if after {
		return errDead
	}
	return err
}

func (s *mortalStore) Insert(ctx context.Context, rec *docstore.Record) error {
	return s.write("insert", func() (int, error) {
		s.m.keep(rec.Body)
		return 1, s.Store.Insert(ctx, rec)
	})
}

func (s *mortalStore) Update(ctx context.Context, id string, change func(*docstore.Record) error) (rec *docstore.Record, err error) {
	err = s.write("update", func() (int, error) {
		rec, err = s.Store.Update(ctx, id, change)
		if err == nil {
			s.m.keep(rec.Body)
		}
		return 1, err
	})
	return rec, err
}

func (s *mortalStore) Delete(ctx context.Context, id string, version int64) (ok bool, err error) {
	err = s.write("delete", func() (int, error) {
		ok, err = s.Store.Delete(ctx, id, version)
		return 1, err
	})
	return ok, err
}

func (s *mortalStore) Claim(ctx context.Context, now time.Time, lease time.Duration, limit int) (recs []*docstore.Record, err error) {
	err = s.write("claim", func() (int, error) {
		recs, err = s.Store.Claim(ctx, now, lease, limit)
		return len(recs), err
	})
	return recs, err
}

func (s *mortalStore) MarkPublished(ctx context.Context, marks []docstore.Mark) error {
	if err := s.m.pass(); err != nil {
		return err
	}
	return s.Store.MarkPublished(ctx, marks)
}

func (s *mortalStore) Get(ctx context.Context, id string) (*docstore.Record, error) {
	if err := s.m.pass(); err != nil {
		return nil, err
	}
	return s.Store.Get(ctx, id)
}

func (s *mortalStore) Find(ctx context.Context, q docstore.Query) (docstore.Page, error) {
	if err := s.m.pass(); err != nil {
		return docstore.Page{}, err
	}
	return s.Store.Find(ctx, q)
}
