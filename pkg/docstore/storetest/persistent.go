package storetest

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"quittance/pkg/docstore"
)

// Persistent is an engine whose documents outlive the process.
type Persistent struct {
	// Open opens the engine on the database in dir, creating it if need be.
	Open func(t *testing.T, dir string) docstore.Engine
	// Check fails the test if the database in dir, which nobody has open, is
	// damaged; nil: there is nothing to check.
	Check func(t *testing.T, dir string)
	// Writes is how many a process makes that is killed on the way, a tenth
	// with -short; 0: 20,000.
	Writes int
	// Skip are the promises that the database cannot keep.
	Skip Skip
}

// The child processes of the suite are this test binary, running the same test
// with these variables set.
const (
	roleVar = "QUITTANCE_STORETEST_ROLE"
	dirVar  = "QUITTANCE_STORETEST_DIR"
)

// RunPersistent checks what must hold over the life of processes. It starts
// the test it is called from again, in children, so the test must do nothing
// before it.
func RunPersistent(t *testing.T, p Persistent) {
	switch role := os.Getenv(roleVar); role {
	case "":
	case "writer":
		writeUntilKilled(t, p.Open(t, os.Getenv(dirVar)), p.writes())
		return
	case "rival":
		compete(t, p.Open(t, os.Getenv(dirVar)), os.Stdout, func() { _, _ = bufio.NewReader(os.Stdin).ReadString('\n') })
		return
	default:
		t.Fatalf("%s is %q", roleVar, role)
	}
	test := t.Name()
	var promises []string
	for _, c := range []struct {
		promise string
		check   func(*testing.T)
	}{
		{"documents outlive the engine", func(t *testing.T) { reopen(t, p) }},
		{"a killed process loses no acknowledged write", func(t *testing.T) { kill(t, p, test) }},
		{"two processes lose no update and claim nothing twice", func(t *testing.T) { rivals(t, p, test) }},
	} {
		promises = append(promises, c.promise)
		t.Run(c.promise, func(t *testing.T) {
			p.Skip.or(t, c.promise)
			c.check(t)
		})
	}
	p.Skip.check(t, promises)
}

func (p Persistent) writes() int { return scaled(cmp.Or(p.Writes, 20_000)) }

func reopen(t *testing.T, p Persistent) {
	dir := t.TempDir()
	e := p.Open(t, dir)
	s := documents(t, e)
	insert(t, s, rich("doc_1"))
	stored := update(t, s, "doc_1", emit)
	noError(t, e.Close())
	check(t, p, dir)

	e = p.Open(t, dir)
	s = documents(t, e)
	same(t, "documents", get(t, s, "doc_1"), stored)
	isError(t, s.Insert(t.Context(), rich("doc_1")), docstore.ErrExists)
	same(t, "claims", ids(claim(t, s, start.Add(lease), 9)), []string{"doc_1"})
	noError(t, e.Close())
}

func check(t *testing.T, p Persistent, dir string) {
	t.Helper()
	if p.Check != nil {
		p.Check(t, dir)
	}
}

// child starts a process that plays a role in dir.
func child(t *testing.T, test, role, dir string) (*exec.Cmd, io.Writer, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$", "-test.v=false", "-test.timeout=5m")
	if testing.Short() {
		cmd.Args = append(cmd.Args, "-test.short")
	}
	cmd.Env = append(os.Environ(), roleVar+"="+role, dirVar+"="+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	noError(t, err)
	out, err := cmd.StdoutPipe()
	noError(t, err)
	noError(t, cmd.Start())
	return cmd, in, bufio.NewScanner(out)
}

// say writes a line for the parent.
func say(to io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(to, format+"\n", args...) // if the parent is gone, so is the test
}

const writersOfChild = 16

// writeUntilKilled writes documents, each some times, and tells the id and
// version of every acknowledged write.
func writeUntilKilled(t *testing.T, e docstore.Engine, writes int) {
	s := documents(t, e)
	crowd(writersOfChild, func(who int) {
		for i := range writes / writersOfChild / 4 {
			id := fmt.Sprintf("doc_%d_%d", who, i)
			rec := &docstore.Record{ID: id, Body: []byte("1"), Due: start}
			emit(rec)
			if err := s.Insert(t.Context(), rec); err != nil {
				t.Error(err)
				return
			}
			say(os.Stdout, "stored %s 1", id)
			for range 3 {
				rec, err := s.Update(t.Context(), id, func(rec *docstore.Record) error {
					emit(rec)
					return increment(rec)
				})
				if err != nil {
					t.Error(err)
					return
				}
				say(os.Stdout, "stored %s %d", id, rec.Version)
			}
		}
	})
	noError(t, e.Close())
}

func kill(t *testing.T, p Persistent, test string) {
	dir := t.TempDir()
	after := 1 + rand.IntN(p.writes()*3/4)
	t.Logf("killing after %d writes", after)
	cmd, _, lines := child(t, test, "writer", dir)
	stored, writes := map[string]int64{}, 0
	for lines.Scan() { // also what was still on its way after the kill
		var id string
		var version int64
		if n, _ := fmt.Sscanf(lines.Text(), "stored %s %d", &id, &version); n != 2 {
			continue
		}
		stored[id] = max(stored[id], version)
		if writes++; writes == after {
			noError(t, cmd.Process.Kill())
		}
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("child ended after %d writes: %v", writes, err)
	}
	e := p.Open(t, dir)
	s := documents(t, e)
	for id, version := range stored {
		rec := get(t, s, id)
		if rec.Version < version {
			t.Errorf("%s is at version %d, %d was acknowledged", id, rec.Version, version)
		}
		if n := int(rec.Version); number(rec) != n || len(rec.Outbox) != n || rec.Emitted != rec.Version {
			t.Errorf("%s at version %d has body %s and %d events", id, n, rec.Body, len(rec.Outbox))
		}
	}
	for id := range stored { // it can be written to
		update(t, s, id, func(*docstore.Record) {})
		break
	}
	noError(t, e.Close())
	check(t, p, dir)
}
