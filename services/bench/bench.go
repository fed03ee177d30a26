package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Settings of a run.
type Settings struct {
	Rows    []string `json:"rows"`
	Repeats int      `json:"repeats"`
	// Floor, Orders, Callbacks, Webhooks and Short are how long one measurement
	// takes: of a floor, of orders, of callbacks, of webhooks, and of claims and
	// lookups.
	Floor     time.Duration `json:"floor"`
	Orders    time.Duration `json:"orders"`
	Callbacks time.Duration `json:"callbacks"`
	Webhooks  time.Duration `json:"webhooks"`
	Short     time.Duration `json:"short"`
	// Buyers of the closed loops, PerSecond of the callbacks, Sizes of the growth.
	Buyers    []int `json:"buyers"`
	PerSecond []int `json:"per_second"`
	Sizes     []int `json:"sizes"`
	// InFlight orders are under way when the bus is lost.
	InFlight int `json:"in_flight"`
	// Steady is how long the run at half load takes; it is asked for with the row.
	Steady time.Duration `json:"steady"`
	// JSON is where the report goes besides, empty: nowhere.
	JSON string `json:"-"`
	// Markdown prints the table as docs/performance-figures.md has it.
	Markdown bool `json:"-"`
	// Profile is a directory in which the profiles of the tables by hop stay; empty:
	// they are deleted.
	Profile string `json:"-"`
}

// rows are what can be measured, in this order; all but steady by default.
var rows = []struct {
	name    string
	measure func(*bench, context.Context) error
}{
	{"floors", (*bench).floors},
	{"orders", (*bench).orders},
	{"callbacks", (*bench).callbacks},
	{"webhooks", (*bench).webhooks},
	{"claims", (*bench).claims},
	{"growth", (*bench).growth},
	{"steady", (*bench).steady},
}

// Full is `make bench`: a quarter of an hour at most on two cores.
func Full() Settings {
	return Settings{
		Rows: []string{"floors", "orders", "callbacks", "webhooks", "claims", "growth"}, Repeats: 5,
		Floor: time.Second, Orders: 4 * time.Second, Callbacks: 4 * time.Second, Webhooks: 5 * time.Second, Short: 2 * time.Second,
		Buyers: []int{1, 8, 32, 128}, PerSecond: []int{500, 1000}, Sizes: []int{1000, 100_000}, InFlight: 20,
		Steady: 10 * time.Minute,
	}
}

// Quick shows that every row comes out; its figures mean nothing.
func Quick() Settings {
	const moment = 200 * time.Millisecond
	return Settings{
		Rows: append(Full().Rows, "steady"), Repeats: 1,
		Floor: moment, Orders: moment, Callbacks: 1200 * time.Millisecond, Webhooks: moment, Short: moment,
		Buyers: []int{1, 4}, PerSecond: []int{50}, Sizes: []int{20}, InFlight: 2, Steady: time.Second,
	}
}

// Flags reads settings from a command line; usage goes to w.
func Flags(args []string, w io.Writer) (Settings, error) {
	s := Full()
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.SetOutput(w)
	set.BoolFunc("quick", "show that every row comes out; other flags must follow", func(string) error {
		s = Quick()
		return nil
	})
	set.Func("rows", "rows to measure: "+strings.Join(rowNames(), ",")+" (default all but steady)", func(v string) error {
		s.Rows = strings.Split(v, ",")
		for _, name := range s.Rows {
			if !slices.Contains(rowNames(), name) {
				return fmt.Errorf("there is no row %q", name)
			}
		}
		return nil
	})
	count := func(name, usage string, to *int) {
		set.Func(name, usage, func(v string) error { return positive(v, to) })
	}
	list := func(name, usage string, to *[]int) {
		set.Func(name, usage, func(v string) error {
			*to = nil
			for part := range strings.SplitSeq(v, ",") {
				var n int
				if err := positive(part, &n); err != nil {
					return err
				}
				*to = append(*to, n)
			}
			return nil
		})
	}
	length := func(name, usage string, to *time.Duration) {
		set.Func(name, usage, func(v string) (err error) {
			if *to, err = time.ParseDuration(v); err == nil && *to <= 0 {
				err = errors.New("must be positive")
			}
			return err
		})
	}
	count("repeats", "how often each figure is taken (default 5)", &s.Repeats)
	length("floor", "how long a floor is measured (default 1s)", &s.Floor)
	length("orders", "how long orders are made (default 4s)", &s.Orders)
	length("callbacks", "how long callbacks are sent (default 4s)", &s.Callbacks)
	length("webhooks", "how long webhooks are caused (default 5s)", &s.Webhooks)
	length("short", "how long claims and lookups are measured (default 2s)", &s.Short)
	list("buyers", "buyers at once (default 1,8,32,128)", &s.Buyers)
	list("callback-rates", "callbacks per second (default 500,1000)", &s.PerSecond)
	list("sizes", "stored orders of the growth (default 1000,100000)", &s.Sizes)
	count("in-flight", "orders under way when the bus is lost (default 20)", &s.InFlight)
	length("steady", "how long the row steady runs at half load (default 10m)", &s.Steady)
	set.StringVar(&s.JSON, "json", "", "file for the whole report")
	set.BoolVar(&s.Markdown, "markdown", false, "print the table of docs/performance-figures.md")
	set.StringVar(&s.Profile, "profile", "", "directory in which the profiles of the tables by hop stay")
	if err := set.Parse(args); err != nil {
		return s, err
	}
	if set.NArg() > 0 {
		return s, fmt.Errorf("unknown argument %q", set.Arg(0))
	}
	if !slices.Equal(s.Sizes, slices.Compact(slices.Sorted(slices.Values(s.Sizes)))) {
		return s, fmt.Errorf("-sizes %v must grow", s.Sizes)
	}
	return s, nil
}

func positive(v string, to *int) (err error) {
	if *to, err = strconv.Atoi(v); err == nil && *to <= 0 {
		err = errors.New("must be positive")
	}
	return err
}

func rowNames() []string {
	names := make([]string, 0, len(rows))
	for _, row := range rows {
		names = append(names, row.name)
	}
	return names
}

// bench is a run under way.
type bench struct {
	Settings
	report *Report
	dir    string // for data, deleted at the end
}

// Run measures and returns the report; progress goes to w. With an error the report
// has what was measured before.
func Run(ctx context.Context, s Settings, w io.Writer) (_ *Report, err error) {
	dir, err := os.MkdirTemp("", "quittance-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{Settings: s, dir: dir, report: &Report{Machine: machine(), Versions: versions(), Settings: s, Started: time.Now()}}
	all, stolen := ticks()
	for _, row := range rows {
		if !slices.Contains(s.Rows, row.name) {
			continue
		}
		begun := time.Now()
		if err = row.measure(b, ctx); err != nil {
			err = fmt.Errorf("%s: %w", row.name, err)
			break
		}
		fmt.Fprintf(w, "%s: %s\n", row.name, time.Since(begun).Round(time.Second))
	}
	if endAll, endStolen := ticks(); endAll > all {
		b.report.Machine.Stolen = 100 * (endStolen - stolen) / (endAll - all)
	}
	b.report.Took = time.Since(b.report.Started).Round(time.Second).String()
	return b.report, err
}

// Main is the program: it measures, prints and writes, if need be what there is
// before a row that failed.
func Main(ctx context.Context, s Settings, out, progress io.Writer) error {
	report, err := Run(ctx, s, progress)
	if report == nil {
		return err
	}
	return errors.Join(err, s.write(report, out))
}

func (s Settings) write(report *Report, out io.Writer) error {
	if s.JSON != "" {
		f, err := os.Create(s.JSON)
		if err != nil {
			return err
		}
		if err := errors.Join(report.JSON(f), f.Close()); err != nil {
			return err
		}
	}
	if s.Markdown {
		return report.Markdown(out)
	}
	return report.Table(out)
}
