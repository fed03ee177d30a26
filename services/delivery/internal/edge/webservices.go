package edge

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/rpc"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	"quittance/services/delivery/internal/delivery"
)

// Limits of a web service's settings.
const (
	minTimeout = time.Second
	maxTimeout = 20 * time.Second
	minPatient = time.Minute
	maxPatient = 30 * 24 * time.Hour
	maxOverlap = 30 * 24 * time.Hour
	maxRules   = 20
	maxPattern = 500
)

// PutWebService implements DeliveryService. What waits for the web service is
// tried again at once.
func (s *Server) PutWebService(ctx context.Context, req *deliveryv1.PutWebServiceRequest) (*deliveryv1.PutWebServiceResponse, error) {
	in := req.GetWebService()
	if err := s.validateWebService(in); err != nil {
		return nil, err
	}
	merchant, product := rpc.MerchantID(ctx), in.GetProductId()
	if err := s.known(ctx, merchant, product); err != nil {
		return nil, err
	}
	w, secret, err := s.Deliveries.Services.Put(ctx, merchant, product, func(w *delivery.WebService) {
		w.URL, w.Timeout = in.GetUrl(), in.GetTimeout().AsDuration()
		w.FallBack, w.GiveUp = in.GetFallBackAfter().AsDuration(), in.GetGiveUpAfter().AsDuration()
		w.TemporaryStatuses, w.FatalStatuses = ints(in.GetTemporaryStatuses()), ints(in.GetFatalStatuses())
		w.TemporaryPatterns, w.FatalPatterns = in.GetTemporaryPatterns(), in.GetFatalPatterns()
	})
	if err != nil {
		return nil, err
	}
	return &deliveryv1.PutWebServiceResponse{WebService: webService(w), Secret: secret}, s.Deliveries.Mend(ctx, merchant, product)
}

func ints(list []int32) []int {
	out := make([]int, len(list))
	for i, n := range list {
		out[i] = int(n)
	}
	return out
}

func (s *Server) validateWebService(in *deliveryv1.WebService) error {
	var v fault.Validation
	if err := s.Egress.CheckURL(in.GetUrl()); err != nil {
		v.Check(false, "web_service.url", "%v", err)
	}
	between(&v, "web_service.timeout", in.GetTimeout(), minTimeout, maxTimeout)
	between(&v, "web_service.fall_back_after", in.GetFallBackAfter(), 0, maxPatient)
	between(&v, "web_service.give_up_after", in.GetGiveUpAfter(), minPatient, maxPatient)
	for field, list := range map[string][]int32{"temporary_statuses": in.GetTemporaryStatuses(), "fatal_statuses": in.GetFatalStatuses()} {
		v.Check(len(list) <= maxRules, "web_service."+field, "must have at most %d entries", maxRules)
		for i, status := range list[:min(len(list), maxRules)] {
			v.Check(status >= 100 && status <= 599, fmt.Sprintf("web_service.%s[%d]", field, i), "must be an HTTP status")
		}
	}
	for field, list := range map[string][]string{"temporary_patterns": in.GetTemporaryPatterns(), "fatal_patterns": in.GetFatalPatterns()} {
		v.Check(len(list) <= maxRules, "web_service."+field, "must have at most %d entries", maxRules)
		for i, pattern := range list[:min(len(list), maxRules)] {
			_, err := regexp.Compile(pattern)
			v.Check(err == nil && pattern != "" && len(pattern) <= maxPattern, fmt.Sprintf("web_service.%s[%d]", field, i),
				"must be a regular expression (RE2) of 1 to %d bytes", maxPattern)
		}
	}
	return v.Err()
}

func between(v *fault.Validation, field string, d *durationpb.Duration, least, most time.Duration) {
	if d != nil {
		v.Check(d.CheckValid() == nil && d.AsDuration() >= least && d.AsDuration() <= most, field, "must be between %s and %s", least, most)
	}
}

// GetWebService implements DeliveryService.
func (s *Server) GetWebService(ctx context.Context, req *deliveryv1.GetWebServiceRequest) (*deliveryv1.WebService, error) {
	w, err := s.Deliveries.Services.Of(ctx, rpc.MerchantID(ctx), req.GetProductId())
	if err != nil {
		return nil, noService(err, req.GetProductId())
	}
	return webService(w), nil
}

// RotateWebServiceSecret implements DeliveryService.
func (s *Server) RotateWebServiceSecret(ctx context.Context, req *deliveryv1.RotateWebServiceSecretRequest) (*deliveryv1.RotateWebServiceSecretResponse, error) {
	overlap := req.GetOverlap().AsDuration()
	if overlap < 0 || overlap > maxOverlap {
		return nil, fault.Invalid("overlap", "must be between 0 and 30 days")
	}
	secret, err := s.Deliveries.Services.Rotate(ctx, rpc.MerchantID(ctx), req.GetProductId(), overlap)
	if err != nil {
		return nil, noService(err, req.GetProductId())
	}
	return &deliveryv1.RotateWebServiceSecretResponse{Secret: secret}, nil
}

func noService(err error, product string) error {
	if errors.Is(err, docstore.ErrNotFound) {
		return fault.NotFound("web service of product %q", product)
	}
	return err
}

func webService(w *delivery.WebService) *deliveryv1.WebService {
	v := &deliveryv1.WebService{
		ProductId: w.Product, Url: w.URL, Timeout: durationpb.New(w.CallTimeout()),
		FallBackAfter: durationpb.New(w.Patience().FallBack), GiveUpAfter: durationpb.New(w.Patience().GiveUp),
		TemporaryPatterns: w.TemporaryPatterns, FatalPatterns: w.FatalPatterns,
	}
	for _, status := range w.TemporaryStatuses {
		v.TemporaryStatuses = append(v.TemporaryStatuses, int32(status))
	}
	for _, status := range w.FatalStatuses {
		v.FatalStatuses = append(v.FatalStatuses, int32(status))
	}
	return v
}
