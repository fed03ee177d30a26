package edge

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/fault"
	"quittance/pkg/mail"
	"quittance/pkg/rpc"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	"quittance/services/delivery/internal/deliveries"
	"quittance/services/delivery/internal/delivery"
)

const (
	// maxLicensePage is how many licences of a delivery are in one answer.
	maxLicensePage = 5000
	// maxLicenseBytes is about how large their keys may be; messages have 4 MB.
	maxLicenseBytes = 2 << 20
)

// GetDelivery implements DeliveryService.
func (s *Server) GetDelivery(ctx context.Context, req *deliveryv1.GetDeliveryRequest) (*deliveryv1.Delivery, error) {
	size := int(req.GetLicensePageSize())
	if size < 0 || size > maxLicensePage {
		return nil, fault.Invalid("license_page_size", "must be between 1 and %d, or 0 for %d", maxLicensePage, maxLicensePage)
	}
	doc, err := s.Deliveries.For(rpc.MerchantID(ctx)).Get(ctx, delivery.ID(req.GetOrderId()))
	if err != nil {
		return nil, missing(err, req.GetOrderId())
	}
	from := doc.Body.First()
	if token := req.GetLicensePageToken(); token != "" {
		raw, err := base64.RawURLEncoding.DecodeString(token)
		if err == nil {
			from, err = delivery.ParseUnit(string(raw))
		}
		if err != nil || from.Order != doc.Body.Order {
			return nil, fault.Invalid("license_page_token", "is not one of an earlier answer for this order")
		}
	}
	if size == 0 {
		size = maxLicensePage
	}
	return s.page(ctx, &doc.Body, from, size)
}

// change changes a delivery on the merchant's behalf and answers with it.
func (s *Server) change(ctx context.Context, order string, change func(*delivery.Delivery, time.Time) error) (*deliveryv1.Delivery, error) {
	doc, err := s.Deliveries.Change(ctx, rpc.MerchantID(ctx), order, change)
	return s.changed(ctx, doc, order, err)
}

func (s *Server) changed(ctx context.Context, doc *docstore.Doc[delivery.Delivery], order string, err error) (*deliveryv1.Delivery, error) {
	if errors.Is(err, delivery.ErrState) {
		return nil, fault.Conflict("%v", err)
	}
	if err != nil {
		return nil, missing(err, order)
	}
	return s.page(ctx, &doc.Body, doc.Body.First(), maxLicensePage)
}

// ResendEmail implements DeliveryService. It queues the mails; the answer shows
// the delivery as it is before they are sent.
func (s *Server) ResendEmail(ctx context.Context, req *deliveryv1.ResendEmailRequest) (*deliveryv1.Delivery, error) {
	doc, err := s.Deliveries.Resend(ctx, rpc.MerchantID(ctx), req.GetOrderId())
	return s.changed(ctx, doc, req.GetOrderId(), err)
}

// RetryDelivery implements DeliveryService.
func (s *Server) RetryDelivery(ctx context.Context, req *deliveryv1.RetryDeliveryRequest) (*deliveryv1.Delivery, error) {
	return s.change(ctx, req.GetOrderId(), func(d *delivery.Delivery, now time.Time) error {
		for i := range d.Lines {
			s.Deliveries.Services.Mend(d.Merchant, d.Lines[i].Product)
		}
		return d.Retry(now)
	})
}

// CorrectEmail implements DeliveryService.
func (s *Server) CorrectEmail(ctx context.Context, req *deliveryv1.CorrectEmailRequest) (*deliveryv1.Delivery, error) {
	if err := mail.ValidAddress(req.GetEmail()); err != nil {
		return nil, fault.Invalid("email", "%v", err)
	}
	return s.change(ctx, req.GetOrderId(), func(d *delivery.Delivery, now time.Time) error {
		return d.Correct(req.GetEmail(), now)
	})
}

// RevokeLicense implements DeliveryService.
func (s *Server) RevokeLicense(ctx context.Context, req *deliveryv1.RevokeLicenseRequest) (*deliveryv1.Delivery, error) {
	if err := checkReason(req.GetReason()); err != nil {
		return nil, err
	}
	return s.change(ctx, req.GetOrderId(), func(d *delivery.Delivery, now time.Time) error {
		return d.Revoke(d.Unit(int(req.GetLineNumber()), int(req.GetUnit())), req.GetReason(), now)
	})
}

// ReplaceLicense implements DeliveryService.
func (s *Server) ReplaceLicense(ctx context.Context, req *deliveryv1.ReplaceLicenseRequest) (*deliveryv1.Delivery, error) {
	if err := checkReason(req.GetReason()); err != nil {
		return nil, err
	}
	return s.change(ctx, req.GetOrderId(), func(d *delivery.Delivery, now time.Time) error {
		return d.Replace(d.Unit(int(req.GetLineNumber()), int(req.GetUnit())), req.GetReason(), now)
	})
}

// ListDeliveries implements DeliveryService.
func (s *Server) ListDeliveries(ctx context.Context, req *deliveryv1.ListDeliveriesRequest) (*deliveryv1.ListDeliveriesResponse, error) {
	size, err := rpc.PageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	q := docstore.Query{Index: "created", Descending: true, After: req.GetPageToken(), Limit: size}
	if req.GetStuck() {
		q.Index, q.Descending = "waiting", false
	}
	docs, next, err := s.Deliveries.For(rpc.MerchantID(ctx)).Find(ctx, q)
	if err != nil {
		return nil, badToken(err, "page_token")
	}
	out := &deliveryv1.ListDeliveriesResponse{NextPageToken: next}
	for _, doc := range docs {
		out.Deliveries = append(out.Deliveries, view(&doc.Body, nil))
	}
	return out, nil
}

// page is a delivery with a page of its keys unsealed, for its own merchant.
func (s *Server) page(ctx context.Context, d *delivery.Delivery, from delivery.Unit, size int) (*deliveryv1.Delivery, error) {
	keys, next, err := s.Deliveries.Keys(ctx, d, from, size, maxLicenseBytes)
	if err != nil {
		return nil, fmt.Errorf("read licence keys: %w", err)
	}
	v := view(d, keys)
	if next != nil {
		v.NextLicensePageToken = base64.RawURLEncoding.EncodeToString([]byte(next.String()))
	}
	return v, nil
}

// view is a delivery as its merchant sees it, with some of its keys.
func view(d *delivery.Delivery, keys []deliveries.Key) *deliveryv1.Delivery {
	v := &deliveryv1.Delivery{Id: d.ID, OrderId: d.Order, Problem: d.Problem(), Email: d.Email, CreateTime: stamp(d.Created)}
	for i := range d.Lines {
		l := &d.Lines[i]
		v.Lines = append(v.Lines, &deliveryv1.DeliveryLine{
			LineNumber: int32(i + 1), ProductId: l.Product, Quantity: int64(l.Quantity), Delivered: !l.Delivered.IsZero(),
			MailTime: stamp(l.Mailed), Problem: l.Problem, Failed: l.Failed, RevokedUnits: int64(l.Revoked),
		})
		v.Failed = v.Failed || l.Failed && d.Closed.IsZero()
	}
	for _, k := range keys {
		line := v.Lines[k.Unit.Line-1]
		line.LicenseKeys = append(line.LicenseKeys, k.Text)
		if k.Revoked {
			line.RevokedUnitNumbers = append(line.RevokedUnitNumbers, int32(k.Unit.Number))
		}
	}
	return v
}
