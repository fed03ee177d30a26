package bus_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"quittance/pkg/bus"
	"quittance/pkg/bus/bustest"
	"quittance/pkg/event"
	"quittance/pkg/seal"
	"quittance/pkg/testkit"
)

// Real: a NATS server with the configuration that is deployed. Doubled: the
// services, by their users. Asserted: what the server lets each of them do.

// publishes says who owns which types of events. The topology says who consumes
// them. All who consume customer.erased answer it.
var publishes = bus.Table{
	"order": slices.Concat(event.Public, []string{
		event.PaymentAcknowledged, event.DeliveryAcknowledged, event.FulfillmentAcknowledged, event.RefundRequested,
		event.RefMerchant, event.RefKey, event.RefAccount, event.RefProduct,
	}),
	"payment":      {event.PaymentStarted, event.PaymentReturned, event.PaymentConfirmed, event.FulfillmentChanged, event.ErasureAcknowledged},
	"callback":     {event.CallbackReceived, event.CallbackRescued, event.ErasureAcknowledged},
	"verification": {event.PaymentVerified, event.CallbackAcknowledged, event.ErasureAcknowledged},
	"delivery":     {event.DeliveryCompleted, event.DeliveryDelayed, event.DeliveryRevoked, event.LicensePoolLow, event.ErasureAcknowledged},
	"notification": append(
		slices.DeleteFunc(slices.Clone(event.PublicMerchant), func(typ string) bool { return typ == event.LicensePoolLow }), event.ErasureAcknowledged),
}

// deployed starts a server with deploy/nats.conf.
func deployed(t *testing.T) *testkit.Server {
	t.Helper()
	for service := range bus.Topology() {
		t.Setenv("NATS_"+strings.ToUpper(service)+"_PASSWORD", "password-of-"+service)
	}
	return testkit.ConfiguredNATS(t, "../../deploy/nats.conf")
}

// as connects as the service does.
func as(t *testing.T, server *testkit.Server, service string) *bus.Bus {
	t.Helper()
	o := bustest.Options()
	o.Table = nil
	return connect(t, bus.Config{URL: server.URL(), User: service, Password: seal.Secret("password-of-" + service), Name: service, Options: o})
}

// refusals are what the server does not let a user do.
type refusals struct {
	mu   sync.Mutex
	list []string
}

func (r *refusals) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	return list
}

// raw connects as the service's user without what keeps the service in bounds.
func raw(t *testing.T, server *testkit.Server, service string) (*nats.Conn, *refusals) {
	t.Helper()
	r := &refusals{}
	nc, err := nats.Connect(server.URL(), nats.UserInfo(service, "password-of-"+service),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if errors.Is(err, nats.ErrPermissionViolation) {
				r.list = append(r.list, err.Error())
			}
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, r
}

// Who may publish what is a choice, and this test's table; that every type has
// one owner who publishes it, and somebody who consumes it, is not.
func TestPermissionsCoverEveryType(t *testing.T) {
	topology := bus.Topology()
	if a, b := slices.Sorted(maps.Keys(publishes)), slices.Sorted(maps.Keys(topology)); !slices.Equal(a, b) {
		t.Errorf("publishers %v, consumers %v", a, b)
	}
	owner := map[string]string{}
	for service, types := range publishes {
		for _, typ := range types {
			if owner[typ] != "" && typ != event.ErasureAcknowledged {
				t.Errorf("%s is published by %s and %s", typ, owner[typ], service)
			}
			owner[typ] = service
		}
	}
	consumed := map[string]bool{}
	for service, types := range topology {
		for _, typ := range types {
			consumed[typ] = true
			if owner[typ] == "" {
				t.Errorf("%s consumes %s, which nobody publishes", service, typ)
			}
		}
	}
	for typ, service := range owner {
		if !consumed[typ] {
			t.Errorf("%s publishes %s, which nobody consumes", service, typ)
		}
	}
}

// Services start in any order: each of them must be able to set up an empty
// server, and to change what an older release has set up.
func TestPermissionsLetAnyServiceSetUpTheServer(t *testing.T) {
	for service := range publishes {
		t.Run(service, func(t *testing.T) {
			server := deployed(t)
			ctx, cancel := context.WithTimeout(t.Context(), bustest.Within)
			defer cancel()
			nc, _ := raw(t, server, service)
			js, err := jetstream.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			for stream, subjects := range map[string]string{"EVENTS": "evt.>", "REFERENCE": "ref.>"} {
				if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: stream, Subjects: []string{subjects}, Description: "older"}); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if err := as(t, server, service).Ensure(ctx); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestPermissionsLetEventsFlow: every type of event gets from its owner to all
// who consume it, each with the permissions of its own user.
func TestPermissionsLetEventsFlow(t *testing.T) {
	server := deployed(t)
	type arrival struct{ service, typ string }
	var mu sync.Mutex
	arrived := map[arrival]int{}
	buses := map[string]*bus.Bus{}
	var consuming sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(func() { stop(); consuming.Wait() })
	for service, types := range bus.Topology() {
		b := as(t, server, service)
		if err := b.Ensure(ctx); err != nil {
			t.Fatal(err)
		}
		buses[service] = b
		handlers := map[string]bus.Handler{}
		for _, typ := range types {
			handlers[typ] = func(context.Context, event.Event) error {
				mu.Lock()
				defer mu.Unlock()
				arrived[arrival{service, typ}]++
				if arrived[arrival{service, typ}] == 1 {
					return errors.New("once more, to see it refused and accepted")
				}
				return nil
			}
		}
		consuming.Go(func() {
			if err := b.Consume(ctx, service, handlers, noParking{t}); err != nil {
				t.Errorf("%s: %v", service, err)
			}
		})
	}
	for service, types := range publishes {
		for _, typ := range types {
			bustest.Publish(t, buses[service], bustest.Event(typ, service+"-"+typ, "s1"))
		}
	}
	testkit.Eventually(t, bustest.Within, func() error {
		mu.Lock()
		defer mu.Unlock()
		for service, types := range bus.Topology() {
			for _, typ := range types {
				if n := arrived[arrival{service, typ}]; n != 1+len(publishes.Consumers(typ)) {
					return fmt.Errorf("%s has got %s %d times", service, typ, n)
				}
			}
		}
		return nil
	})
	// All was acknowledged.
	for service := range bus.Topology() {
		nc, _ := raw(t, server, service)
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		settled(t, js, "EVENTS", service)
		if service != "order" {
			settled(t, js, "REFERENCE", service)
		}
	}
}

type noParking struct{ t *testing.T }

func (p noParking) Park(_ context.Context, e event.Event, cause error) error {
	p.t.Errorf("%s is parked: %v", e.Type, cause)
	return nil
}

func TestPermissionsRefuseTheRest(t *testing.T) {
	server := deployed(t)
	if err := as(t, server, "order").Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := nats.Connect(server.URL()); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("without a user: %v", err)
	}
	for service := range publishes {
		t.Run(service, func(t *testing.T) {
			var foreign []string
			for other, types := range publishes {
				if other == service {
					continue
				}
				for _, typ := range types {
					if slices.Contains(publishes[service], typ) {
						continue
					}
					subject, err := event.Subject(bustest.Event(typ, "e", "s1"))
					if err != nil {
						t.Fatal(err)
					}
					foreign = append(foreign, subject)
				}
				foreign = append(foreign,
					"$JS.API.CONSUMER.MSG.NEXT.EVENTS."+other, "$JS.ACK.EVENTS."+other+".1.1.1.1.0", "$JS.API.CONSUMER.DELETE.EVENTS."+other)
			}
			foreign = append(foreign, "evt.made.up.s1", "$JS.API.STREAM.PURGE.EVENTS", "$JS.API.STREAM.DELETE.EVENTS",
				"$JS.API.STREAM.MSG.DELETE.EVENTS", "$JS.API.STREAM.MSG.GET.EVENTS")
			nc, refused := raw(t, server, service)
			for _, subject := range foreign {
				if err := nc.Publish(subject, nil); err != nil {
					t.Fatal(err)
				}
			}
			for _, subject := range []string{"evt.>", "ref.>", "$JS.>", ">"} {
				if _, err := nc.SubscribeSync(subject); err != nil {
					t.Fatal(err)
				}
				foreign = append(foreign, subject)
			}
			var got []string
			testkit.Eventually(t, bustest.Within, func() error {
				got = append(got, refused.take()...)
				for _, subject := range foreign {
					if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, fmt.Sprintf("%q", subject)) }) {
						return fmt.Errorf("%s is not refused", subject)
					}
				}
				return nil
			})
		})
	}
	// The service sees an error and keeps the event.
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	n, err := as(t, server, "notification").Publish(ctx, []event.Event{bustest.Event(event.PaymentVerified, "e1", "s1")})
	if err == nil || n != 0 {
		t.Errorf("a forged fact: %d published, %v", n, err)
	}
}
