package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	"quittance/services/delivery/internal/delivery"
)

// Limits of an import.
const (
	maxKeys      = 1000
	maxPositions = 1000
	// maxViolations is how many bad keys of a message are named.
	maxViolations = 20
	// maxWake is how many units may look again after an import that added
	// nothing: it may repeat one that was cut off before they were told.
	maxWake = 100
)

// ImportLicenses implements DeliveryService. A message is imported as a whole
// or, if it is refused, not at all; the messages before it stay imported.
func (s *Server) ImportLicenses(stream deliveryv1.DeliveryService_ImportLicensesServer) error {
	ctx := stream.Context()
	imp := importing{server: s, merchant: rpc.MerchantID(ctx), out: &deliveryv1.ImportLicensesResponse{}}
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("receive licences: %w", err)
		}
		if err := imp.message(ctx, req); err != nil {
			return err
		}
	}
	if imp.product == "" {
		return fault.Invalid("product_id", "must be set in the first message, and there was none")
	}
	if err := s.Deliveries.Pools.Nudge(ctx, imp.merchant, imp.product); err != nil {
		return err
	}
	if imp.out.GetDuplicates() > 0 && imp.out.GetImported() == 0 {
		if err := s.Deliveries.Wake(ctx, imp.merchant, imp.product, maxWake); err != nil {
			return err
		}
	}
	return stream.SendAndClose(imp.out)
}

// importing is one stream of keys. Its memory does not grow with the keys.
type importing struct {
	server   *Server
	merchant string
	product  string
	position int64
	out      *deliveryv1.ImportLicensesResponse
}

// message imports the keys of one message and lets those look who wait for them.
func (imp *importing) message(ctx context.Context, req *deliveryv1.ImportLicensesRequest) error {
	if err := imp.setProduct(ctx, req.GetProductId()); err != nil {
		return err
	}
	keys, err := imp.validate(req.GetKeys())
	if err != nil {
		return err
	}
	var expires time.Time
	if t := req.GetExpireTime(); t != nil {
		if expires = t.AsTime(); t.CheckValid() != nil || !expires.After(imp.server.Deliveries.Now()) {
			return fault.Invalid("expire_time", "must be a time to come")
		}
	}
	duplicates, err := imp.server.Deliveries.Licenses.Import(ctx, imp.merchant, imp.product, keys, expires)
	if err != nil {
		return err
	}
	for _, i := range duplicates {
		if len(imp.out.DuplicatePositions) < maxPositions {
			imp.out.DuplicatePositions = append(imp.out.DuplicatePositions, imp.position+int64(i)+1)
		}
	}
	added := len(keys) - len(duplicates)
	imp.position += int64(len(keys))
	imp.out.Imported += int64(added)
	imp.out.Duplicates += int64(len(duplicates))
	return imp.server.Deliveries.Wake(ctx, imp.merchant, imp.product, added)
}

// setProduct takes the product of the first message.
func (imp *importing) setProduct(ctx context.Context, product string) error {
	switch {
	case imp.product == "" && product == "":
		return fault.Invalid("product_id", "must be set in the first message")
	case imp.product == "":
		if err := imp.server.known(ctx, imp.merchant, product); err != nil {
			return err
		}
		imp.product = product
		return imp.server.Deliveries.Pools.Known(ctx, imp.merchant, product)
	case product != "" && product != imp.product:
		return fault.Invalid("product_id", "must stay %q in one stream", imp.product)
	}
	return nil
}

// validate returns the keys without their line ends. Its errors name keys by
// their places, never by what they are.
func (imp *importing) validate(keys []string) ([]string, error) {
	var v fault.Validation
	v.Check(len(keys) >= 1 && len(keys) <= maxKeys, "keys", "must have 1 to %d entries, has %d", maxKeys, len(keys))
	if err := v.Err(); err != nil {
		return nil, err
	}
	out := make([]string, len(keys))
	bad := 0
	for i, key := range keys {
		key = strings.TrimRight(key, "\r\n")
		out[i] = key
		field := fmt.Sprintf("keys[%d]", i)
		if err := delivery.CheckKey(key); err != nil {
			v.Check(false, field, "%v (key %d of the stream)", err, imp.position+int64(i)+1)
			if bad++; bad == maxViolations {
				break
			}
		}
	}
	return out, v.Err()
}
