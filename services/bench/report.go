package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is one run.
type Report struct {
	Machine  Machine           `json:"machine"`
	Versions map[string]string `json:"versions"`
	Settings Settings          `json:"settings"`
	Started  time.Time         `json:"started"`
	Took     string            `json:"took"`
	Figures  []*Figure         `json:"figures"`
}

// Machine is where a run was made.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory string `json:"memory"`
	System string `json:"system"`
	// Load is the load average of a minute, five and fifteen at the start: a busy
	// machine makes no figures.
	Load string `json:"load"`
	// Stolen is the share of the processors' time, in percent, that the hypervisor
	// gave to others during the run (proc_stat(5)): nothing without one.
	Stolen float64 `json:"stolen"`
}

// Figure is one measured quantity.
type Figure struct {
	Row  string `json:"row"`
	Case string `json:"case"`
	Name string `json:"name"`
	Unit string `json:"unit"`
	// Aim is what the figure should be, empty if nothing is aimed at.
	Aim    string    `json:"aim,omitempty"`
	Values []float64 `json:"values"`
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
}

// add puts one more value to a figure; aim may be empty.
func (r *Report) add(row, kind, name, unit, aim string, value float64) {
	i := slices.IndexFunc(r.Figures, func(f *Figure) bool { return f.Row == row && f.Case == kind && f.Name == name })
	if i < 0 {
		r.Figures = append(r.Figures, &Figure{Row: row, Case: kind, Name: name, Unit: unit, Aim: aim})
		i = len(r.Figures) - 1
	}
	f := r.Figures[i]
	f.Values = append(f.Values, value)
	sorted := slices.Sorted(slices.Values(f.Values))
	n := len(sorted)
	f.Median, f.Min, f.Max = (sorted[(n-1)/2]+sorted[n/2])/2, sorted[0], sorted[n-1]
}

// median of a figure, 0 if it was not measured.
func (r *Report) median(row, kind, name string) float64 {
	for _, f := range r.Figures {
		if f.Row == row && f.Case == kind && f.Name == name {
			return f.Median
		}
	}
	return 0
}

// JSON writes everything.
func (r *Report) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	return enc.Encode(r)
}

// head says where and with what the run was made.
func (r *Report) head() string {
	return fmt.Sprintf("%s, %d cores, %s, %s; load %s at the start, %s %% of the processors' time stolen; %s; commit %s; %d repeats; started %s, took %s",
		r.Machine.CPU, r.Machine.Cores, r.Machine.Memory, r.Machine.System, r.Machine.Load, number(r.Machine.Stolen),
		r.Versions["go"], r.Versions["commit"], r.Settings.Repeats, r.Started.UTC().Format(time.RFC3339), r.Took)
}

// Table prints for a terminal.
func (r *Report) Table(w io.Writer) error {
	fmt.Fprintln(w, r.head())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	last := ""
	for _, f := range r.Figures {
		if at := f.Row + f.Case; at != last {
			fmt.Fprintf(t, "\n%s\t%s\n", f.Row, f.Case)
			last = at
		}
		fmt.Fprintf(t, "  %s\t%s %s\t%s\t%s\n", f.Name, number(f.Median), f.Unit, f.spread(), f.Aim)
	}
	return t.Flush()
}

// Markdown prints the table of docs/performance.md.
func (r *Report) Markdown(w io.Writer) error {
	fmt.Fprintf(w, "%s.\n\n| row | case | figure | median | least – most | aim |\n|---|---|---|---|---|---|\n", r.head())
	for _, f := range r.Figures {
		if _, err := fmt.Fprintf(w, "| %s | %s | %s | %s %s | %s | %s |\n", f.Row, f.Case, f.Name, number(f.Median), f.Unit, f.spread(), f.Aim); err != nil {
			return err
		}
	}
	return nil
}

func (f *Figure) spread() string {
	if len(f.Values) < 2 {
		return "once"
	}
	return number(f.Min) + " – " + number(f.Max)
}

// number has three digits that count.
func number(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Sprint(v)
	}
	digits := max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	return fmt.Sprintf("%.*f", digits, v)
}

func machine() Machine {
	return Machine{
		CPU: cmp.Or(field("/proc/cpuinfo", "model name"), runtime.GOARCH), Cores: runtime.NumCPU(),
		Memory: field("/proc/meminfo", "MemTotal"), System: runtime.GOOS + " " + firstLine("/proc/sys/kernel/osrelease"),
		Load: strings.Join(strings.Fields(firstLine("/proc/loadavg") + " ? ? ?")[:3], " "),
	}
}

// ticks of all processors since the machine was started, and those of them that were
// stolen; 0 if the system doesn't say.
func ticks() (all, stolen float64) {
	const steal = 7 // the eighth; the ninth and tenth are parts of the first and second
	for i, v := range strings.Fields(strings.TrimPrefix(firstLine("/proc/stat"), "cpu")) {
		n, err := strconv.ParseFloat(v, 64)
		if err != nil || i > steal {
			break
		}
		all += n
		if i == steal {
			stolen = n
		}
	}
	return all, stolen
}

// field is the value of a line "name : value", empty if there is none.
func field(path, name string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(raw)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func firstLine(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "?"
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	return line
}

// versions are those of what the figures depend on.
func versions() map[string]string {
	out := map[string]string{"go": runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return out
	}
	vcs := map[string]string{}
	for _, s := range info.Settings {
		vcs[s.Key] = s.Value
	}
	commit := cmp.Or(vcs["vcs.revision"], "unknown")
	out["commit"] = commit[:min(12, len(commit))]
	if vcs["vcs.modified"] == "true" {
		out["commit"] += " with changes"
	}
	for _, m := range info.Deps {
		switch m.Path {
		case "github.com/nats-io/nats-server/v2", "github.com/nats-io/nats.go", "modernc.org/sqlite", "google.golang.org/grpc":
			out[m.Path] = m.Version
		}
	}
	return out
}

// quantile of durations in milliseconds, 0 of none.
func quantile(all []time.Duration, q float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return millis(sorted[int(q*float64(len(sorted)-1))])
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
