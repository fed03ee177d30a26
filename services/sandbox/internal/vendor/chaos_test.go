package vendor

import (
	"net/url"
	"strconv"
	"testing"
)

func TestChaosIsTheSameForTheSameSeed(t *testing.T) {
	c := Chaos{Seed: 7, Percent: 30}
	spoiled, differs := 0, 0
	for i := range 2000 {
		key := "pay_" + strconv.Itoa(i)
		f := c.Draw(key)
		if f != c.Draw(key) {
			t.Fatalf("%s: drawn twice, not the same", key)
		}
		if err := f.Check(); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		form := url.Values{"faults": {"menu"}}
		for name, value := range f.Fields() {
			form.Set(name, value)
		}
		if read, _, err := FormFaults(form); err != nil || read != f {
			t.Fatalf("%s: the menu reads %+v as %+v, %v", key, f, read, err)
		}
		if f != (Faults{}) {
			spoiled++
		}
		if f != (Chaos{Seed: 8, Percent: 30}).Draw(key) {
			differs++
		}
	}
	if spoiled < 500 || spoiled > 700 || differs < 500 {
		t.Errorf("%d of 2000 spoiled, %d differ with another seed", spoiled, differs)
	}
}

func TestOwnFaultsComeBeforeDrawnOnes(t *testing.T) {
	var kept []FaultRecord
	d := NewDesk(func(r FaultRecord) error { kept = append(kept, r); return nil })
	if err := d.Unleash(Chaos{Seed: 1, Percent: 100}); err != nil {
		t.Fatal(err)
	}
	if d.Of("a") == (Faults{}) {
		t.Error("nothing is drawn")
	}
	if err := d.Set("a", &Faults{Copies: 3}); err != nil || d.Of("a") != (Faults{Copies: 3}) {
		t.Errorf("%+v, %v", d.Of("a"), err)
	}
	again := NewDesk(nil)
	for _, r := range kept {
		again.Replay(r)
	}
	if again.Of("b") != d.Of("b") || again.Of("a") != d.Of("a") {
		t.Error("a restart changes what is drawn")
	}
	if err := d.Clear(); err != nil || d.Of("a") != (Faults{}) || d.Of("b") != (Faults{}) {
		t.Errorf("after clearing: %+v, %v", d.Of("a"), err)
	}
}

func TestStatusFaultsAreCounted(t *testing.T) {
	d := NewDesk(func(FaultRecord) error { return nil })
	if err := d.Set("", &Faults{Status: StatusDown, StatusTimes: 2}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []StatusFault{StatusDown, StatusDown, "", ""} {
		if got, _ := d.Spoil("a"); got != want {
			t.Errorf("question %d: %q, want %q", i+1, got, want)
		}
	}
}

func TestFormFaults(t *testing.T) {
	f, chosen, err := FormFaults(url.Values{"faults": {"menu"}, "fault.reorder": {"on"}, "fault.freeze": {"accept"}, "fault.freezeMillis": {" 5 "}, "fault.status": {"down"}})
	if err != nil || !chosen || f != (Faults{Reorder: true, Freeze: FreezeAccept, FreezeMillis: 5, Status: StatusDown}) {
		t.Errorf("%+v, %v, %v", f, chosen, err)
	}
	if _, chosen, err := FormFaults(url.Values{"fault.reorder": {"on"}}); chosen || err != nil {
		t.Errorf("without a menu: %v, %v", chosen, err)
	}
	for name, value := range map[string]string{"copies": "x", "delayMillis": "-1", "freeze": "maybe", "status": "odd", "forged": "501"} {
		if _, _, err := FormFaults(url.Values{"faults": {"menu"}, "fault." + name: {value}}); err == nil {
			t.Errorf("%s=%s passes", name, value)
		}
	}
}
