package e2e

import (
	"flag"
	"regexp"
	"slices"
	"testing"
	"time"

	"quittance/services/sabotage"
)

var chaosSabotage = flag.String("chaossabotage", "", "promise that TestChaosNoticesSabotage breaks: one of sabotage.Kinds, or all and none of them, one after the other; empty: it is skipped")

// plot is a broken promise with what makes it visible: the faults that hit these
// services, and what is found.
type plot struct {
	kind  sabotage.Kind
	evils []string
	prey  []string
	sign  string
}

var plots = []plot{
	{sabotage.AckBeforeRecord, []string{"process killed"}, []string{"callback-ingest"}, `^lost: .* P2: .* was acknowledged, and is not on record`},
	{sabotage.SkipAmount, []string{"webhooks refused"}, nil, `^paid wrongly: .* P1: delivered, but the provider never named the whole amount`},
	{sabotage.ClaimBlindly, []string{"mails refused"}, nil, `^doubled: .* P3: key .* (is that of|was mailed for) ord_.* too`},
	{sabotage.PublishOutside, []string{"process killed"}, []string{"order"}, `^lost: .* P6: has counted`},
	{sabotage.ForgetResend, []string{"bus emptied", "service killed"}, []string{"delivery", "verification"}, `^lost: .* P4: .* but the providers keep`},
	{sabotage.Honest, []string{"process killed", "webhooks refused", "mails refused", "bus emptied", "service killed"}, []string{"callback-ingest", "order", "delivery", "verification"}, `^$`},
}

// TestChaosNoticesSabotage: a system that breaks a promise on purpose does not
// pass for one that keeps it: the same books that a whole one agrees with tell
// what was lost, doubled or paid wrongly.
func TestChaosNoticesSabotage(t *testing.T) {
	if *chaosSabotage == "" {
		t.Skip("with -chaossabotage only: make chaos SABOTAGE=all")
	}
	said := []string{"all"}
	for _, p := range plots {
		name := string(p.kind)
		if p.kind == sabotage.Honest {
			name = "none"
		}
		said = append(said, name)
		if *chaosSabotage == "all" || *chaosSabotage == name {
			t.Run(name, p.test)
		}
	}
	if !slices.Contains(said, *chaosSabotage) {
		t.Fatalf("sabotages: %q", said)
	}
}

func (p plot) test(t *testing.T) {
	chosen := slices.DeleteFunc(slices.Clone(evils), func(e evil) bool { return !slices.Contains(p.evils, e.name) })
	v, err := startChaos(t, chaosRun{
		length: 20 * time.Second, pace: 800 * time.Millisecond, patience: 90 * time.Second,
		seed: *chaosSeed, buyers: *chaosBuyers, percent: *chaosPercent,
		evils: chosen, prey: p.prey, scarce: true, nodes: 1, sabotage: p.kind,
	}).run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sign := regexp.MustCompile(p.sign)
	noticed := slices.IndexFunc(v.findings, func(f finding) bool { return sign.MatchString(f.Error()) })
	switch {
	case p.kind == sabotage.Honest && len(v.findings) > 0:
		t.Errorf("found, and there is nothing: %v", v.findings)
	case p.kind != sabotage.Honest && noticed < 0:
		t.Errorf("not noticed; found %q", v.findings)
	case p.kind != sabotage.Honest:
		t.Logf("noticed: %v", v.findings[noticed])
	}
}
