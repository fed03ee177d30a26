package sqlite

import (
	"database/sql/driver"
	"fmt"
	"sync"
	"time"
)

// stallFactor is how many times its threshold the log may grow before writers
// wait for the checkpointer.
const stallFactor = 16

// checkEvery is after how many operations the checkpointer looks at the log.
const checkEvery = 64

// checkpointer copies the write-ahead log into the database, off the path of
// commits. Its connection also does the last checkpoint of all.
type checkpointer struct {
	conn  *conn
	pages int64 // of the log, that are worth a checkpoint
	every time.Duration

	// gate is held by the writer during a batch; a checkpointer that cannot
	// keep up holds it to catch up.
	gate  sync.Mutex
	since int // operations since the last look; the writer's own

	look  chan struct{}
	ended chan struct{}

	mu  sync.Mutex
	err error
}

func (e *Engine) startCheckpointer() (*checkpointer, error) {
	c, err := dial(e.path, e.pragmas()...)
	if err != nil {
		return nil, err
	}
	var pageSize int64
	err = c.query(func(v []driver.Value) error {
		pageSize = v[0].(int64)
		return nil
	}, "PRAGMA page_size")
	if err == nil {
		err = c.script("PRAGMA busy_timeout = 1000") // only the last one waits
	}
	if err != nil {
		_ = c.close() // nothing was done with it
		return nil, err
	}
	k := &checkpointer{
		conn: c, pages: max(1, e.opts.CheckpointBytes/pageSize), every: e.opts.EmptyEvery,
		look: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	go k.run()
	return k, nil
}

// grew is how the writer tells of n more operations.
func (k *checkpointer) grew(n int) {
	if k.since += n; k.since < checkEvery {
		return
	}
	k.since = 0
	select {
	case k.look <- struct{}{}:
	default:
	}
}

func (k *checkpointer) run() {
	defer close(k.ended)
	emptying := time.NewTicker(k.every)
	defer emptying.Stop()
	for {
		var err error
		select {
		case _, open := <-k.look:
			if !open {
				return
			}
			err = k.check()
		case <-emptying.C:
			err = k.empty()
		}
		k.mu.Lock()
		k.err = err
		k.mu.Unlock()
	}
}

// empty copies all of the log and cuts it to nothing, so that nothing is left in
// it of what was overwritten since. The writer waits for the little that a passive
// checkpoint has left, and for readers; if that takes too long, the next one comes.
func (k *checkpointer) empty() error {
	if _, _, err := k.checkpoint("PASSIVE"); err != nil {
		return err
	}
	k.gate.Lock()
	defer k.gate.Unlock()
	_, _, err := k.checkpoint("TRUNCATE")
	return err
}

// check makes a checkpoint if the log is long enough. A passive one stops
// nobody, but it cannot finish while commits go on, and only after a finished
// one the log starts over. Commits that never pause are therefore stopped for
// the little that is left to copy, once the log is much too long.
func (k *checkpointer) check() error {
	log, copied, err := k.checkpoint("NOOP")
	if err != nil || log-copied < k.pages {
		return err
	}
	if log, _, err = k.checkpoint("PASSIVE"); err != nil || log < k.pages*stallFactor {
		return err
	}
	k.gate.Lock()
	defer k.gate.Unlock()
	_, _, err = k.checkpoint("PASSIVE")
	return err
}

// checkpoint returns the length of the log and how much of it is copied.
func (k *checkpointer) checkpoint(mode string) (log, copied int64, err error) {
	err = k.conn.query(func(v []driver.Value) error {
		log, copied = v[1].(int64), v[2].(int64)
		return nil
	}, "PRAGMA wal_checkpoint("+mode+")")
	if busy(err) {
		return 0, 0, nil // another process is at it
	}
	if err != nil {
		return 0, 0, fmt.Errorf("checkpoint: %w", err)
	}
	return log, copied, nil
}

// failure is the error of the latest look at the log.
func (k *checkpointer) failure() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

// stop empties the log, unless another process still uses it, and closes.
func (k *checkpointer) stop() error {
	close(k.look)
	<-k.ended
	_, _, err := k.checkpoint("TRUNCATE")
	if closeErr := k.conn.close(); err == nil {
		err = closeErr
	}
	return err
}
