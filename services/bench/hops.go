package bench

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/pprof/profile"

	"quittance/pkg/app"
)

// hops does once more what was measured, under the profiler, which costs a little
// itself, and says where the processor time of each of its n went.
func (b *bench) hops(w *world, row, kind, unit string, f func() (n int, err error)) error {
	name := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return '-'
	}, row+" "+kind)
	path := filepath.Join(cmp.Or(b.Profile, b.dir), name+".pprof")
	if err := w.system.ask("profile", path, nil); err != nil {
		return err
	}
	n, err := f()
	if err := errors.Join(err, w.system.ask("profile", "", nil)); err != nil {
		return err
	}
	spent, err := byHop(path)
	if err != nil {
		return err
	}
	most := func(x, y string) int { return cmp.Or(cmp.Compare(spent[y], spent[x]), strings.Compare(x, y)) }
	for _, hop := range slices.SortedFunc(maps.Keys(spent), most) {
		b.report.add(row, kind, "of which "+hop, unit, "", millis(spent[hop])/float64(max(n, 1)))
	}
	return nil
}

// byHop reads a profile: processor time by component of the system.
func byHop(path string) (map[string]time.Duration, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	p, err := profile.Parse(f)
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", path, err)
	}
	spent := map[string]time.Duration{}
	for _, s := range p.Sample {
		spent[hopOf(s)] += time.Duration(s.Value[1]) // of the two values, samples and nanoseconds
	}
	return spent, nil
}

// hopOf says whose a sample is. Goroutines of the NATS server lose the labels that
// they inherit to labels of its own, or have those of who connected.
func hopOf(s *profile.Sample) string {
	in := func(prefix string) bool {
		return slices.ContainsFunc(s.Location, func(at *profile.Location) bool {
			return slices.ContainsFunc(at.Line, func(line profile.Line) bool { return strings.HasPrefix(line.Function.Name, prefix) })
		})
	}
	labels := s.Label[app.ComponentLabel]
	switch {
	case in("github.com/nats-io/nats-server/v2/server."):
		return "NATS server"
	case len(labels) > 0:
		return labels[0]
	case in("runtime.gcBgMarkWorker"), in("runtime.bgsweep"):
		return "garbage collector"
	}
	return "the rest of the runtime"
}
