// Package endpoints keeps the endpoint documents: it opens the collection and
// finds a merchant's endpoints.
package endpoints

import (
	"context"
	"errors"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/service"
	"quittance/services/notification/internal/endpoint"
)

// MaxPerMerchant is how many endpoints a merchant may have.
const MaxPerMerchant = 50

// Endpoints is the collection of endpoint documents.
type Endpoints struct {
	*docstore.Collection[endpoint.Endpoint]
}

// Open opens the collection. Its due work is that of package queues.
func Open(ctx context.Context, b *service.Base) (*Endpoints, error) {
	coll, err := service.Open(ctx, b, docstore.Spec[endpoint.Endpoint]{Name: "endpoints", NextDue: endpoint.NextDue})
	if err != nil {
		return nil, err
	}
	return &Endpoints{coll}, nil
}

// Of lists all endpoints of a merchant.
func (es *Endpoints) Of(ctx context.Context, merchant string) ([]*endpoint.Endpoint, error) {
	var out []*endpoint.Endpoint
	for d, err := range es.For(merchant).All(ctx, docstore.Query{Limit: 2 * MaxPerMerchant}) {
		if err != nil {
			return nil, err
		}
		out = append(out, &d.Body)
	}
	return out, nil
}

// Missing turns a store's "no such document" into what the caller sees.
func Missing(err error, endpointID string) error {
	if errors.Is(err, docstore.ErrNotFound) {
		return fault.NotFound("endpoint %q", endpointID)
	}
	return err
}
