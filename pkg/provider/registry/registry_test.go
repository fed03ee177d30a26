package registry_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"quittance/pkg/provider"
	"quittance/pkg/provider/offline"
	"quittance/pkg/provider/registry"
)

func TestLookup(t *testing.T) {
	r := registry.New(http.DefaultClient)
	if got := r.Names(); !slices.Equal(got, []string{"flexpay", "kontocloud", "offline", "resurs"}) {
		t.Errorf("names %v", got)
	}
	for _, name := range r.Names() {
		if p, err := r.Get(name); err != nil || p.Name() != name {
			t.Errorf("Get(%q) = %v, %v", name, p, err)
		}
	}
	if _, err := r.Get("paypal"); !errors.Is(err, registry.ErrUnknown) {
		t.Errorf("Get of none: %v, want ErrUnknown", err)
	}
}

func TestRoles(t *testing.T) {
	r := registry.New(http.DefaultClient)
	roles := map[string]func(string) error{
		"Redirector":       func(name string) error { _, err := r.Redirector(name); return err },
		"Returner":         func(name string) error { _, err := r.Returner(name); return err },
		"CallbackReceiver": func(name string) error { _, err := r.CallbackReceiver(name); return err },
		"Statuser":         func(name string) error { _, err := r.Statuser(name); return err },
		"Scheduler":        func(name string) error { _, err := r.Scheduler(name); return err },
	}
	offlines := []string{"Redirector", "Scheduler"}
	for role, err := range map[string]error{
		"Creator": roleOf[provider.Creator](r, "resurs"), "MethodLister": roleOf[provider.MethodLister](r, "resurs"), "Statuser": roleOf[provider.Statuser](r, "resurs"),
		"Returner": roleOf[provider.Returner](r, "resurs"), "CallbackReceiver": roleOf[provider.CallbackReceiver](r, "resurs"),
		"Capturer": roleOf[provider.Capturer](r, "resurs"), "Canceler": roleOf[provider.Canceler](r, "resurs"), "Refunder": roleOf[provider.Refunder](r, "resurs"),
	} {
		if err != nil {
			t.Errorf("%s of resurs: %v", role, err)
		}
	}
	if err := roleOf[provider.Redirector](r, "resurs"); !errors.Is(err, registry.ErrNoRole) {
		t.Errorf("resurs creates payments; as a Redirector: %v", err)
	}
	for role, get := range roles {
		if err := get("flexpay"); err != nil {
			t.Errorf("%s of flexpay: %v", role, err)
		}
		if err := get("kontocloud"); err != nil {
			t.Errorf("%s of kontocloud: %v", role, err)
		}
		err := get("offline")
		if slices.Contains(offlines, role) != (err == nil) || (err != nil && !errors.Is(err, registry.ErrNoRole)) {
			t.Errorf("%s of offline: %v", role, err)
		}
		if err := get("paypal"); !errors.Is(err, registry.ErrUnknown) {
			t.Errorf("%s of none: %v, want ErrUnknown", role, err)
		}
	}
}

type renamed struct{ provider.Provider }

func (renamed) Name() string { return "other" }

func TestOf(t *testing.T) {
	r := registry.Of(offline.New(), renamed{offline.New()})
	if got := r.Names(); !slices.Equal(got, []string{"offline", "other"}) {
		t.Errorf("names %v", got)
	}
}

func roleOf[T any](r *registry.Registry, name string) error {
	_, err := registry.Role[T](r, name)
	return err
}
