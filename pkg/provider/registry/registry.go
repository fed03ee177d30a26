// Package registry owns the list of payment providers.
//
// It takes providers and gives them back by name, as a whole or in one of the roles of the port. A new provider is a
// new folder and one line in New.
package registry

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"quittance/pkg/provider"
	"quittance/pkg/provider/flexpay"
	"quittance/pkg/provider/kontocloud"
	"quittance/pkg/provider/offline"
	"quittance/pkg/provider/resurs"
)

// Errors of look-ups; match them with errors.Is.
var (
	// ErrUnknown: there is no provider of that name.
	ErrUnknown = errors.New("unknown provider")
	// ErrNoRole: the provider doesn't play that role.
	ErrNoRole = errors.New("provider does not play this role")
)

// Registry is an immutable set of providers, safe for concurrent use.
type Registry struct {
	providers map[string]provider.Provider
}

// New returns all providers. Those with a status API ask it with client (not nil).
func New(client *http.Client) *Registry {
	return Of(flexpay.New(client), kontocloud.New(client), offline.New(), resurs.New(client))
}

// Of returns a registry of just these. Of two with the same name the later one counts.
func Of(providers ...provider.Provider) *Registry {
	r := &Registry{providers: make(map[string]provider.Provider, len(providers))}
	for _, p := range providers {
		r.providers[p.Name()] = p
	}
	return r
}

// Names lists the providers in alphabetical order.
func (r *Registry) Names() []string { return slices.Sorted(maps.Keys(r.providers)) }

// Get returns the provider of that name, or ErrUnknown.
func (r *Registry) Get(name string) (provider.Provider, error) {
	p, ok := r.providers[name]
	if !ok {
		return nil, fmt.Errorf("%w %.40q", ErrUnknown, name)
	}
	return p, nil
}

// Redirector returns the provider in this role, or ErrUnknown or ErrNoRole.
func (r *Registry) Redirector(name string) (provider.Redirector, error) {
	return Role[provider.Redirector](r, name)
}

// Returner returns the provider in this role, or ErrUnknown or ErrNoRole.
func (r *Registry) Returner(name string) (provider.Returner, error) {
	return Role[provider.Returner](r, name)
}

// CallbackReceiver returns the provider in this role, or ErrUnknown or ErrNoRole.
func (r *Registry) CallbackReceiver(name string) (provider.CallbackReceiver, error) {
	return Role[provider.CallbackReceiver](r, name)
}

// Statuser returns the provider in this role, or ErrUnknown or ErrNoRole.
func (r *Registry) Statuser(name string) (provider.Statuser, error) {
	return Role[provider.Statuser](r, name)
}

// Scheduler returns the provider in this role, or ErrUnknown or ErrNoRole.
func (r *Registry) Scheduler(name string) (provider.Scheduler, error) {
	return Role[provider.Scheduler](r, name)
}

// Role returns the provider as a T, one of the port's role interfaces, or ErrUnknown or ErrNoRole.
func Role[T any](r *Registry, name string) (T, error) {
	var none T
	p, err := r.Get(name)
	if err != nil {
		return none, err
	}
	role, ok := p.(T)
	if !ok {
		return none, fmt.Errorf("%q: %w", name, ErrNoRole)
	}
	return role, nil
}
