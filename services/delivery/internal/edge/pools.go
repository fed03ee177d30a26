package edge

import (
	"context"
	"math"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	"quittance/services/delivery/internal/delivery"
)

const (
	// maxLowMark bounds what the watch over a pool reads at every look.
	maxLowMark = 10_000
	// paceDays is over how many days the forecast looks back.
	paceDays = 7
)

// PutPool implements DeliveryService.
func (s *Server) PutPool(ctx context.Context, req *deliveryv1.PutPoolRequest) (*deliveryv1.PoolSettings, error) {
	in := req.GetSettings()
	var v fault.Validation
	v.Check(in.GetLowWaterMark() >= 0 && in.GetLowWaterMark() <= maxLowMark, "settings.low_water_mark", "must be between 0 and %d", maxLowMark)
	onRefund, known := dispositions[in.GetOnRefund()]
	v.Check(known, "settings.on_refund", "is not known")
	onChargeback, known := dispositions[in.GetOnChargeback()]
	v.Check(known, "settings.on_chargeback", "is not known")
	if err := v.Err(); err != nil {
		return nil, err
	}
	if err := s.known(ctx, rpc.MerchantID(ctx), in.GetProductId()); err != nil {
		return nil, err
	}
	p, err := s.Deliveries.Pools.Put(ctx, rpc.MerchantID(ctx), in.GetProductId(), func(p *delivery.Pool) {
		p.PerLine, p.LowMark, p.OnRefund, p.OnChargeback = in.GetPerLine(), in.GetLowWaterMark(), onRefund, onChargeback
		p.Low = p.Low && p.LowMark > 0
	})
	if err != nil {
		return nil, err
	}
	return settings(p), nil
}

var dispositions = map[deliveryv1.Disposition]delivery.Disposition{
	deliveryv1.Disposition_DISPOSITION_UNSPECIFIED: delivery.DispositionKeep,
	deliveryv1.Disposition_DISPOSITION_KEEP:        delivery.DispositionKeep,
	deliveryv1.Disposition_DISPOSITION_REVOKE:      delivery.DispositionRevoke,
	deliveryv1.Disposition_DISPOSITION_RETURN:      delivery.DispositionReturn,
}

func disposition(d delivery.Disposition) deliveryv1.Disposition {
	switch d {
	case delivery.DispositionRevoke:
		return deliveryv1.Disposition_DISPOSITION_REVOKE
	case delivery.DispositionReturn:
		return deliveryv1.Disposition_DISPOSITION_RETURN
	case delivery.DispositionKeep:
	}
	return deliveryv1.Disposition_DISPOSITION_KEEP
}

func settings(p *delivery.Pool) *deliveryv1.PoolSettings {
	return &deliveryv1.PoolSettings{
		ProductId: p.Product, PerLine: p.PerLine, LowWaterMark: p.LowMark,
		OnRefund: disposition(p.OnRefund), OnChargeback: disposition(p.OnChargeback),
	}
}

// GetPool implements DeliveryService. It counts by reading the whole pool, page
// by page.
func (s *Server) GetPool(ctx context.Context, req *deliveryv1.GetPoolRequest) (*deliveryv1.Pool, error) {
	merchant, product := rpc.MerchantID(ctx), req.GetProductId()
	if err := s.known(ctx, merchant, product); err != nil {
		return nil, err
	}
	p, err := s.Deliveries.Pools.Of(ctx, merchant, product)
	if err != nil {
		return nil, err
	}
	out := &deliveryv1.Pool{ProductId: product, Settings: settings(p), Low: p.Low}
	for state, n := range map[delivery.LicenseState]*int64{
		delivery.LicenseFree: &out.Free, delivery.LicenseHeld: &out.Held, delivery.LicenseRevoked: &out.Revoked,
		delivery.LicenseWithdrawn: &out.Withdrawn, delivery.LicenseExpired: &out.Expired,
	} {
		if *n, err = s.Deliveries.Licenses.Count(ctx, merchant, product, state, "", math.MaxInt64); err != nil {
			return nil, err
		}
	}
	since := delivery.TimeKey(s.Deliveries.Now().Add(-paceDays * 24 * time.Hour))
	if out.HeldLast_7Days, err = s.Deliveries.Licenses.Count(ctx, merchant, product, delivery.LicenseHeld, since, math.MaxInt64); err != nil {
		return nil, err
	}
	if out.GetHeldLast_7Days() > 0 {
		days := float64(out.GetFree()) * paceDays / float64(out.GetHeldLast_7Days())
		out.DaysLeft = &days
	}
	return out, nil
}

// ListPools implements DeliveryService.
func (s *Server) ListPools(ctx context.Context, req *deliveryv1.ListPoolsRequest) (*deliveryv1.ListPoolsResponse, error) {
	size, err := rpc.PageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	docs, next, err := s.Deliveries.Pools.List(ctx, rpc.MerchantID(ctx), req.GetPageToken(), size)
	if err != nil {
		return nil, badToken(err, "page_token")
	}
	out := &deliveryv1.ListPoolsResponse{NextPageToken: next}
	for _, doc := range docs {
		out.Pools = append(out.Pools, &deliveryv1.PoolSummary{Settings: settings(&doc.Body), Low: doc.Body.Low})
	}
	return out, nil
}

// WithdrawLicenses implements DeliveryService.
func (s *Server) WithdrawLicenses(ctx context.Context, req *deliveryv1.WithdrawLicensesRequest) (*deliveryv1.WithdrawLicensesResponse, error) {
	if n := len(req.GetKeys()); n < 1 || n > maxKeys {
		return nil, fault.Invalid("keys", "must have 1 to %d entries, has %d", maxKeys, n)
	}
	if err := checkReason(req.GetReason()); err != nil {
		return nil, err
	}
	merchant := rpc.MerchantID(ctx)
	if err := s.known(ctx, merchant, req.GetProductId()); err != nil {
		return nil, err
	}
	n, missing, err := s.Deliveries.Licenses.Withdraw(ctx, merchant, req.GetProductId(), req.GetKeys(), req.GetReason())
	if err != nil {
		return nil, err
	}
	out := &deliveryv1.WithdrawLicensesResponse{Withdrawn: n}
	for _, i := range missing {
		out.MissingPositions = append(out.MissingPositions, int64(i)+1)
	}
	return out, s.Deliveries.Pools.Nudge(ctx, merchant, req.GetProductId())
}

// states are the licence states of the contract.
var states = map[deliveryv1.LicenseState]delivery.LicenseState{
	deliveryv1.LicenseState_LICENSE_STATE_FREE:      delivery.LicenseFree,
	deliveryv1.LicenseState_LICENSE_STATE_HELD:      delivery.LicenseHeld,
	deliveryv1.LicenseState_LICENSE_STATE_REVOKED:   delivery.LicenseRevoked,
	deliveryv1.LicenseState_LICENSE_STATE_WITHDRAWN: delivery.LicenseWithdrawn,
	deliveryv1.LicenseState_LICENSE_STATE_EXPIRED:   delivery.LicenseExpired,
}

// ListLicenses implements DeliveryService.
func (s *Server) ListLicenses(ctx context.Context, req *deliveryv1.ListLicensesRequest) (*deliveryv1.ListLicensesResponse, error) {
	size, err := rpc.PageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	state, ok := states[req.GetState()]
	if !ok {
		return nil, fault.Invalid("state", "must be set to one of the states")
	}
	merchant := rpc.MerchantID(ctx)
	if err := s.known(ctx, merchant, req.GetProductId()); err != nil {
		return nil, err
	}
	docs, next, err := s.Deliveries.Licenses.List(ctx, merchant, req.GetProductId(), state, req.GetPageToken(), size)
	if err != nil {
		return nil, badToken(err, "page_token")
	}
	out := &deliveryv1.ListLicensesResponse{NextPageToken: next}
	for _, doc := range docs {
		v := license(doc, req.GetState())
		if req.GetShowKeys() {
			if v.Key, err = s.Deliveries.Licenses.Reveal(doc); err != nil {
				return nil, err
			}
		}
		out.Licenses = append(out.Licenses, v)
	}
	if req.GetShowKeys() {
		s.Deliveries.Exported(ctx, merchant, req.GetProductId(), string(state), len(docs))
	}
	return out, nil
}

func license(doc *docstore.Doc[delivery.License], state deliveryv1.LicenseState) *deliveryv1.License {
	l := &doc.Body
	v := &deliveryv1.License{
		Id: doc.ID, State: state, ImportTime: stamp(l.Imported), StateTime: stamp(l.Since), ExpireTime: stamp(l.Expires),
		Unit: unit(l.Unit), Reason: l.Why, FromWebService: l.Answered,
	}
	for _, p := range l.Past {
		v.Past = append(v.Past, &deliveryv1.LicenseHolding{Unit: unit(p.Unit), FromTime: stamp(p.From), ToTime: stamp(p.To), Reason: p.Why})
	}
	return v
}

func unit(id string) *deliveryv1.LicenseUnit {
	u, err := delivery.ParseUnit(id)
	if err != nil {
		return nil // nobody's
	}
	return &deliveryv1.LicenseUnit{OrderId: u.Order, LineNumber: int32(u.Line), Unit: int32(u.Number)}
}
