package simulation

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"quittance/services/sabotage"
)

// Flags of `make simulate`.
var (
	histories = flag.Int("histories", 0, "how many histories TestSimulate lives; 0: as many as -duration allows")
	firstSeed = flag.Uint64("seed", 1, "seed of the first history of TestSimulate")
	duration  = flag.Duration("duration", 0, "for how long TestSimulate begins new histories; 0: until -histories are lived")
	broken    = flag.String("sabotage", "", "promise to break on purpose, one of sabotage.Kinds, to see it noticed")
	processes = flag.Int("processes", 2, "how many processes live histories at once")
	child     = flag.Bool("child", false, "report to the process that started this one")
)

// chunk is how many histories a process lives, fewer where the first failure is
// enough.
const (
	chunk = 256
	fewer = 8
)

// report is what a child says of a history. Begun only: it is about to live it.
type report struct {
	Seed       uint64   `json:"seed"`
	Begun      bool     `json:"begun,omitempty"`
	Digest     string   `json:"digest,omitempty"`
	Violations []string `json:"violations,omitempty"`
	Steps      []string `json:"steps,omitempty"`
	Lasted     string   `json:"lasted,omitempty"`
	// Counts says how often what happened, by kind.
	Counts map[string]int `json:"counts,omitempty"`
}

// TestSimulate lives histories in processes of their own, one processor each:
// that makes them repeatable. Without flags it does nothing.
func TestSimulate(t *testing.T) {
	switch {
	case *child:
		live(t, os.Stdout)
		return
	case *histories == 0 && *duration == 0:
		t.Skip("set -histories or -duration")
	}
	if *broken != "" && !slices.Contains(sabotage.Kinds, sabotage.Kind(*broken)) {
		t.Fatalf("sabotages: %q", sabotage.Kinds)
	}
	s := &simulation{begun: time.Now(), next: *firstSeed, left: *histories, counts: map[string]int{}}
	if s.left == 0 {
		s.left = int(^uint(0) >> 1)
	}
	var wg sync.WaitGroup
	for range *processes {
		wg.Go(func() {
			for s.chunk(t) {
			}
		})
	}
	wg.Wait()
	s.progress("done")
	s.tally()
	switch {
	case *broken != "" && s.failed == 0:
		t.Error("the sabotage was not noticed")
	case *broken == "" && s.failed > 0:
		t.Errorf("%d histories failed; repeat one by -histories 1 -seed", s.failed)
	}
}

// live is the child's part.
func live(t *testing.T, out io.Writer) {
	encoder := json.NewEncoder(out)
	tell := func(r report) {
		if err := encoder.Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	for i := range *histories {
		seed := *firstSeed + uint64(i)
		tell(report{Seed: seed, Begun: true})
		r := Run(t, Options{Seed: seed, Verbose: testing.Verbose(), Sabotage: sabotage.Kind(*broken)})
		told := report{Seed: seed, Violations: r.Violations, Digest: digest(r), Lasted: r.Lasted.Round(time.Second).String(), Counts: r.Counts}
		if len(r.Violations) > 0 || testing.Verbose() {
			told.Steps = r.Steps
		}
		tell(told)
	}
}

// digest stands for everything that happened.
func digest(r Result) string {
	h := fnv.New64a()
	for _, line := range slices.Concat(r.Steps, r.Summary) {
		_, _ = io.WriteString(h, line+"\n") // a hash takes everything
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

type simulation struct {
	begun time.Time

	mu     sync.Mutex
	next   uint64
	left   int
	lived  int
	failed int
	said   time.Time
	counts map[string]int
}

// chunk lives some histories in a process; false if there are no more.
func (s *simulation) chunk(t *testing.T) bool {
	s.mu.Lock()
	n := min(chunk, s.left, int(Slots-s.next%Slots))
	if *broken != "" {
		n = min(n, fewer)
	}
	if *duration > 0 && time.Since(s.begun) > *duration || *broken != "" && s.failed > 0 {
		n = 0
	}
	seed := s.next
	s.next += uint64(n)
	s.left -= n
	s.mu.Unlock()
	if n <= 0 {
		return false
	}
	output, err := children(t, seed, n, sabotage.Kind(*broken), *histories == 1, s.hear)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.failed++
		t.Errorf("%v\n%s", err, output)
	}
	return true
}

// hear takes a report.
func (s *simulation) hear(r report) {
	s.mu.Lock()
	s.lived++
	said := time.Since(s.said) > 10*time.Second
	if said {
		s.said = time.Now()
	}
	if len(r.Violations) > 0 {
		s.failed++
	}
	for kind, n := range r.Counts {
		s.counts[kind] += n
	}
	s.mu.Unlock()
	if len(r.Steps) > 0 {
		fmt.Printf("seed %d, %s\n%s\n%s\n\n", r.Seed, r.Lasted, strings.Join(r.Steps, "\n"), strings.Join(r.Violations, "\n"))
	}
	if said {
		s.progress("so far")
	}
}

func (s *simulation) progress(when string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	took := time.Since(s.begun)
	fmt.Printf("%s: %d histories in %v, %.0f a minute, %d failed\n", when, s.lived, took.Round(time.Second), float64(s.lived)/took.Minutes(), s.failed)
}

// tally says what happened in all histories together, so that nobody takes
// faults for tried that never came.
func (s *simulation) tally() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, kind := range slices.Sorted(maps.Keys(s.counts)) {
		fmt.Printf("%10d  %s\n", s.counts[kind], kind)
	}
}

// children lives n histories in a child and passes on what it reports. Its
// error names the history that ended the child, its output is what else it said.
func children(t *testing.T, seed uint64, n int, broken sabotage.Kind, verbose bool, hear func(report)) (output string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestSimulate$", "-child", "-sabotage="+string(broken),
		fmt.Sprint("-test.v=", verbose), fmt.Sprint("-seed=", seed), fmt.Sprint("-histories=", n), "-test.timeout=0")
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=1000")
	var failures, noise strings.Builder // the first belongs to cmd until it has ended
	cmd.Stderr = &failures
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var r report
		switch err := json.Unmarshal(lines.Bytes(), &r); {
		case err != nil:
			noise.Write(append(lines.Bytes(), '\n'))
		case r.Begun:
			seed = r.Seed
		default:
			hear(r)
		}
	}
	err = cmd.Wait()
	if err == nil {
		err = lines.Err()
	}
	if err != nil {
		err = fmt.Errorf("the process ended with the history of seed %d: %w", seed, err)
	}
	return noise.String() + failures.String(), err
}
