package bus

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"quittance/pkg/event"
)

// Table names for each service the types of events it consumes.
type Table map[string][]string

// Topology is the one place that says who consumes what. A service needs a
// handler for each of its types.
func Topology() Table {
	reference := []string{event.RefMerchant, event.RefKey, event.RefAccount, event.RefProduct}
	return Table{
		"order": {
			event.PaymentVerified, event.DeliveryCompleted, event.DeliveryDelayed, event.DeliveryRevoked, event.FulfillmentChanged,
			event.ErasureAcknowledged,
		},
		// payment-redirect
		"payment": slices.Concat(reference, []string{event.PaymentVerified, event.FulfillmentAcknowledged, event.CustomerErased}),
		// callback-ingest
		"callback": slices.Concat(reference, []string{event.PaymentVerified, event.CallbackAcknowledged, event.CallbackRescued, event.CustomerErased}),
		"verification": slices.Concat(reference, []string{
			event.PaymentStarted, event.PaymentReturned, event.PaymentConfirmed, event.CallbackReceived,
			// The order's answers to payment.verified.
			event.PaymentSucceeded, event.PaymentFailed, event.PaymentDuplicate, event.OrderOnHold,
			event.OrderRefunded, event.OrderCanceled, event.PaymentAcknowledged,
			event.RefundRequested, event.CustomerErased,
		}),
		"delivery": slices.Concat(reference, []string{
			event.PaymentSucceeded, event.OrderRefunded, event.OrderCanceled, event.CustomerErased,
			// The order's answers to delivery.completed and delivery.revoked.
			event.ProductDelivered, event.ProductRevoked, event.DeliveryAcknowledged,
		}),
		"notification": slices.Concat(reference, event.Public, event.PublicMerchant, []string{event.PaymentStarted}),
	}
}

// Consumers lists the services that consume a type of events, in alphabetical order.
func (t Table) Consumers(typ string) []string {
	var out []string
	for _, service := range slices.Sorted(maps.Keys(t)) {
		if slices.Contains(t[service], typ) {
			out = append(out, service)
		}
	}
	return out
}

// Streams.
const (
	streamEvents    = "EVENTS"
	streamReference = "REFERENCE"
)

const (
	// maxAge is how long events stay. The stream is no archive; much longer
	// than any outage that the stores don't make up for anyway.
	maxAge = 72 * time.Hour
	// duplicates is how long the server swallows repeats of a message id.
	duplicates = 2 * time.Minute
	// maxAckPending is how many events a service may hold at once, over all its
	// replicas, delayed ones included.
	maxAckPending = 1024
)

func streamConfigs(replicas int) []jetstream.StreamConfig {
	return []jetstream.StreamConfig{{
		Name:        streamEvents,
		Description: "facts that services tell each other",
		Subjects:    []string{"evt.>"},
		Storage:     jetstream.FileStorage,
		MaxAge:      maxAge,
		Duplicates:  duplicates,
		Replicas:    replicas,
	}, {
		Name:              streamReference,
		Description:       "the latest of each merchant, key, account and product",
		Subjects:          []string{"ref.>"},
		Storage:           jetstream.FileStorage,
		MaxMsgsPerSubject: 1,
		Duplicates:        duplicates,
		Replicas:          replicas,
	}}
}

func streamOf(typ string) string {
	if event.IsReference(typ) {
		return streamReference
	}
	return streamEvents
}

// consumerConfigs returns, by stream, the durable consumers that a service
// reads: at most one per stream, named as the service.
func (t Table) consumerConfigs(service string, ackWait time.Duration) (map[string]jetstream.ConsumerConfig, error) {
	configs := map[string]jetstream.ConsumerConfig{}
	for _, typ := range t[service] {
		prefix, err := event.SubjectPrefix(typ)
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", service, err)
		}
		c, ok := configs[streamOf(typ)]
		if !ok {
			c = jetstream.ConsumerConfig{
				Name:          service,
				Durable:       service,
				DeliverPolicy: jetstream.DeliverAllPolicy,
				AckPolicy:     jetstream.AckExplicitPolicy,
				AckWait:       ackWait,
				MaxDeliver:    -1,
				MaxAckPending: maxAckPending,
			}
		}
		c.FilterSubjects = append(c.FilterSubjects, prefix+".*")
		configs[streamOf(typ)] = c
	}
	return configs, nil
}

// check returns an error unless the handlers are those the service needs.
func (t Table) check(service string, handlers map[string]Handler) error {
	types, ok := t[service]
	if !ok {
		return fmt.Errorf("service %q is not in the topology, which knows %s", service,
			strings.Join(slices.Sorted(maps.Keys(t)), ", "))
	}
	var wrong []string
	for _, typ := range types {
		if handlers[typ] == nil {
			wrong = append(wrong, "no handler for "+typ)
		}
	}
	for _, typ := range slices.Sorted(maps.Keys(handlers)) {
		if !slices.Contains(types, typ) {
			wrong = append(wrong, "a handler for "+typ+", which the topology does not assign to it")
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("service %s has %s", service, strings.Join(wrong, "; "))
	}
	return nil
}
