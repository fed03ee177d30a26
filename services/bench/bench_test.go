package bench_test

// Real here: everything, as `make bench` has it, with this test's program as
// the children. What is asserted: every row comes out, with numbers in it; never
// how fast anything was.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quittance/services/bench"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == bench.ChildArg {
		if err := bench.Child(context.Background(), os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestEveryRowComesOut: a bench that nobody runs rots.
func TestEveryRowComesOut(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute: not with -short")
	}
	settings, err := bench.Flags([]string{"-quick", "-markdown", "-json", filepath.Join(t.TempDir(), "report.json"), "-profile", t.TempDir()}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := bench.Main(t.Context(), settings, &out, t.Output()); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	raw, err := os.ReadFile(settings.JSON)
	if err != nil {
		t.Fatal(err)
	}
	var report bench.Report
	if err := json.Unmarshal(raw, &report); err != nil {
		t.Fatal(err)
	}
	if report.Machine.Cores == 0 || report.Versions["go"] == "" {
		t.Errorf("made on %+v with %v", report.Machine, report.Versions)
	}
	// Figures that a run without work would not have.
	want := map[string][]string{
		"1 floors":                   {"rate", "CPU"},
		"2 orders":                   {"orders", "CPU of the services", "writes", "messages", "created → delivered p99", "share of the limit"},
		"3 callback acknowledgement": {"known p50", "known p99", "repeated p50", "forged p99"},
		"4 webhooks":                 {"deliveries", "CPU of the services", "event → accepted p99"},
		"5 licence claims":           {"claims"},
		"5 status lookups":           {"lookups"},
		"6 growth":                   {"seeding", "documents", "disk", "orders, 8 buyers", "lookups", "memory", "restart after a kill", "2 orders delivered and told after the bus was lost"},
		"7 half load":                {"orders", "memory, second half", "goroutines, second half", "created → delivered p99"},
	}
	for row, names := range want {
		for _, name := range names {
			found := false
			for _, f := range report.Figures {
				if f.Row != row || f.Name != name {
					continue
				}
				found = true
				if len(f.Values) == 0 || f.Median <= 0 || math.IsNaN(f.Median) || math.IsInf(f.Median, 0) {
					t.Errorf("%s, %s, %s: %v", row, f.Case, name, f.Values)
				}
			}
			if !found {
				t.Errorf("%s has no %q", row, name)
			}
		}
		if !strings.Contains(out.String(), "| "+row+" |") {
			t.Errorf("the table has no row %q", row)
		}
	}
}

// TestAFailedRowLeavesTheReport: a run that fails late has cost a quarter of an hour.
func TestAFailedRowLeavesTheReport(t *testing.T) {
	settings := bench.Quick()
	settings.JSON = filepath.Join(t.TempDir(), "report.json")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if err := bench.Main(ctx, settings, &out, t.Output()); !errors.Is(err, context.Canceled) {
		t.Errorf("err %v", err)
	}
	if raw, err := os.ReadFile(settings.JSON); err != nil || !json.Valid(raw) || out.Len() == 0 {
		t.Errorf("%v, report %q, table %q", err, raw, out.String())
	}
}

func TestFlagsRefuse(t *testing.T) {
	for _, args := range [][]string{{"-rows", "floors,cellar"}, {"-repeats", "0"}, {"-sizes", "10,x"}, {"-sizes", "10,10"}, {"-orders", "-1s"}, {"more"}} {
		if _, err := bench.Flags(args, &bytes.Buffer{}); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
}

// What was counted before a look is not counted after it.
func TestTallySince(t *testing.T) {
	now := bench.Counts{"order": {Inserts: 3, Changes: 4, Messages: 2}, "delivery": {Changes: 1}}
	got := now.Since(bench.Counts{"order": {Inserts: 1, Changes: 4}}).Sum()
	if want := (bench.Count{Inserts: 2, Changes: 1, Messages: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
