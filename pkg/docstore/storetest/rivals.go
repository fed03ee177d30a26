package storetest

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"testing"

	"quittance/pkg/docstore"
)

const (
	counters       = 4
	updatersEach   = 4
	claimersEach   = 2
	claimsAtATime  = 5
	dueDocuments   = 300
	updatesPerEach = 400 // by each updater
)

// rivals lets this process and a child do the same to one database at once.
func rivals(t *testing.T, p Persistent, test string) {
	dir := t.TempDir()
	e := p.Open(t, dir)
	s := documents(t, e)
	for i := range counters {
		insert(t, s, &docstore.Record{ID: fmt.Sprintf("counter_%d", i)})
	}
	due := scaled(dueDocuments)
	for i := range due {
		insert(t, s, &docstore.Record{ID: fmt.Sprintf("due_%d", i), Due: start})
	}
	cmd, in, lines := child(t, test, "rival", dir)
	var own, other bytes.Buffer
	for lines.Scan() && lines.Text() != "ready" {
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for lines.Scan() {
			other.WriteString(lines.Text() + "\n")
		}
	})
	compete(t, e, &own, func() { say(in, "go") })
	wg.Wait()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("child: %v\n%s", err, &other)
	}

	e = p.Open(t, dir)
	s = documents(t, e)
	for i := range counters {
		rec := get(t, s, fmt.Sprintf("counter_%d", i))
		same(t, "sums", number(rec), 2*updatersEach*scaled(updatesPerEach)/counters)
	}
	holders := map[string]int{}
	mine, theirs := holds(&own, holders), holds(&other, holders)
	t.Logf("%d claims here, %d in the child", mine, theirs)
	same(t, "documents claimed", len(holders), due)
	same(t, "claims", mine+theirs, due)
	noError(t, e.Close())
	check(t, p, dir)
}

// compete updates the counters and claims what is due until nothing is left,
// tells what it claimed, and closes the engine.
func compete(t *testing.T, e docstore.Engine, out io.Writer, wait func()) {
	s := documents(t, e)
	say(out, "ready")
	wait()
	var mu sync.Mutex
	crowd(updatersEach+claimersEach, func(who int) {
		if who >= updatersEach {
			for {
				claimed, err := s.Claim(t.Context(), start, lease, claimsAtATime)
				if err != nil {
					t.Error(err)
				}
				if len(claimed) == 0 {
					return
				}
				mu.Lock()
				for _, rec := range claimed {
					say(out, "claimed %s %d", rec.ID, rec.Lease)
				}
				mu.Unlock()
			}
		}
		for i := range scaled(updatesPerEach) {
			_, err := s.Update(t.Context(), fmt.Sprintf("counter_%d", (who+i)%counters), increment)
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	noError(t, e.Close())
}

// holds counts the claims in what a process told.
func holds(told *bytes.Buffer, holders map[string]int) int {
	n := 0
	for {
		line, err := told.ReadString('\n')
		if err != nil {
			return n
		}
		var id string
		var token int64
		if k, _ := fmt.Sscanf(line, "claimed %s %d", &id, &token); k == 2 {
			holders[id]++
			n++
		}
	}
}
