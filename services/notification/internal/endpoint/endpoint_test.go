package endpoint_test

import (
	"testing"
	"time"

	"quittance/services/notification/internal/endpoint"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestWants(t *testing.T) {
	all := &endpoint.Endpoint{Created: epoch}
	one := &endpoint.Endpoint{Created: epoch, Settings: endpoint.Settings{Types: []string{"order.created"}}}
	if !all.Wants("order.created", nil) || !all.Wants("order.expired", nil) || !one.Wants("order.created", nil) || one.Wants("order.expired", nil) {
		t.Error("the filter lets the wrong types through")
	}
	if !all.Precedes(epoch.Add(-time.Minute)) || all.Precedes(epoch) || all.Precedes(epoch.Add(-100*time.Millisecond)) {
		t.Error("events of the wrong time count as older than the endpoint")
	}
}

func TestEnablingResumesTwice(t *testing.T) {
	e := &endpoint.Endpoint{Settings: endpoint.Settings{URL: "https://a.example"}, Created: epoch}
	on, off := endpoint.Settings{URL: e.URL}, endpoint.Settings{URL: e.URL, Disabled: true}
	if e.Put(on, epoch) || !endpoint.NextDue(e).IsZero() {
		t.Fatal("the same settings change something")
	}
	if !e.Put(off, epoch) || !e.Disabled || !endpoint.NextDue(e).IsZero() {
		t.Fatalf("disabled: %+v", e)
	}
	if !e.Put(on, epoch) || !endpoint.NextDue(e).Equal(epoch) {
		t.Fatalf("enabled: %+v", e)
	}
	e.Resumed(true, epoch)
	next := endpoint.NextDue(e)
	if !next.After(epoch) || next.After(epoch.Add(5*time.Second)) {
		t.Fatalf("next page at %v", next)
	}
	e.Resumed(false, epoch)
	if next := endpoint.NextDue(e); next.Before(epoch.Add(time.Minute)) {
		t.Fatalf("last look at %v", next)
	}
	e.Resumed(false, epoch)
	e.Resumed(true, epoch)
	if !endpoint.NextDue(e).IsZero() {
		t.Fatal("looks for ever")
	}
}

func TestQuit(t *testing.T) {
	e := &endpoint.Endpoint{Settings: endpoint.Settings{URL: "https://a.example"}, Created: epoch}
	if e.Quit("https://b.example", epoch) || e.Disabled {
		t.Fatal("the answer of another URL counts")
	}
	if !e.Quit(e.URL, epoch) || !e.Disabled || e.DisabledBy != endpoint.ByGone || e.Quit(e.URL, epoch) {
		t.Fatalf("after 410: %+v", e)
	}
	e.Noticed(e.Notices)
	e.Put(endpoint.Settings{URL: e.URL}, epoch)
	if e.Disabled || e.DisabledBy != "" || endpoint.NextDue(e).IsZero() {
		t.Fatalf("enabled again: %+v", e)
	}
}
