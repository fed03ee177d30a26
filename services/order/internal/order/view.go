package order

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/event"
	"quittance/pkg/money"
	eventv1 "quittance/proto/gen/go/quittance/event/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// View is the order as merchants see it. The customer's link is not part of it.
func (o *Order) View() *orderv1.Order {
	v := &orderv1.Order{
		Id: o.ID, MerchantId: o.Merchant, Reference: o.Reference,
		Customer: &orderv1.Customer{
			Email: o.Customer.Email, Name: o.Customer.Name, Locale: o.Customer.Locale,
			Company: o.Customer.Company, VatId: o.Customer.VATID, Address: o.Customer.Address,
		},
		DiscountCode: o.DiscountCode,
		Total:        toProto(o.Total),
		PaymentState: o.Payment, DeliveryState: o.Delivery,
		Prepaid: o.Prepaid, CreateTime: stamp(o.Created), PaidTime: stamp(o.PaidAt), DeliveredTime: stamp(o.Delivered),
		ReturnUrl: o.ReturnURL, PaidAttemptId: o.PaidBy, Sequence: o.Sequence, Metadata: o.Metadata,
		DeliveryProblem: o.DeliveryProblem, PaymentProblem: o.PaymentProblem,
	}
	if o.DiscountCode != "" {
		v.Discount = toProto(o.Discount)
	}
	if o.Consent != nil {
		v.Consent = &orderv1.Consent{TermsVersion: o.Consent.TermsVersion, Time: stamp(o.Consent.Time)}
	}
	v.UserId, v.CustomerId, v.Payer = o.User, o.CustomerID, o.Payer.view()
	if o.Method != "" || !o.Fulfilled.IsZero() {
		v.Fulfillment = &orderv1.Fulfillment{PaymentMethod: o.Method, FulfillTime: stamp(o.Fulfilled)}
	}
	if o.Hold != nil {
		v.Hold = &orderv1.Hold{Reason: o.Hold.Reason, Detail: o.Hold.Detail, AttemptId: o.Hold.Attempt}
		if o.Hold.Refund {
			v.Hold.Decision = orderv1.HoldDecision_HOLD_DECISION_REFUND
		}
	}
	if o.Erasure != nil {
		v.EraseTime = stamp(o.Erasure.At)
	}
	v.Operations = views(o.Operations)
	captured, refunded := money.Amount{Currency: o.Total.Currency}, money.Amount{Currency: o.Total.Currency}
	for _, a := range o.Attempts {
		if a.Captured.Currency == captured.Currency {
			captured.Minor += a.Captured.Minor
		}
		if a.Refunded.Currency == refunded.Currency {
			refunded.Minor += a.Refunded.Minor
		}
	}
	v.Captured, v.Refunded = toProto(captured), toProto(refunded)
	for i, l := range o.Lines {
		v.Lines = append(v.Lines, &orderv1.Line{
			Number: int32(i + 1), ProductId: l.Product, Name: l.Name, Quantity: l.Quantity,
			UnitPrice: toProto(l.Price), Amount: toProto(l.Amount), DeliveryMethod: l.Method, DeliveryState: l.State,
			FallbackMethod: l.Fallback, RevokedUnits: l.Revoked,
		})
		if !l.Discount.IsZero() {
			v.Lines[i].Discount = toProto(l.Discount)
		}
	}
	return v
}

// Record is what the order knows of its delivery, nil if nothing was delivered.
func (o *Order) Record() *orderv1.DeliveredOrder {
	r := &orderv1.DeliveredOrder{MailTexts: map[string]string{}}
	delivered := false
	for i, l := range o.Lines {
		delivered = delivered || l.State == orderv1.DeliveryState_DELIVERY_STATE_DELIVERED
		if len(l.Licenses) > 0 {
			r.Licenses = append(r.Licenses, &orderv1.LineLicenses{LineNumber: int32(i + 1), LicenseIds: l.Licenses})
		}
		if l.MailText != "" {
			r.MailTexts[l.Product] = l.MailText
		}
	}
	if !delivered {
		return nil
	}
	r.Order = o.View()
	return r
}

// Payload is the event message of an announcement.
func (o *Order) Payload(a Announcement) *eventv1.OrderEvent {
	e := &eventv1.OrderEvent{
		Order: o.View(), Sequence: a.Sequence, LineNumber: int32(a.Line),
		AttemptId: a.Attempt, AttemptRevision: a.Revision,
	}
	for _, l := range o.Lines {
		if l.MailText != "" && a.Type == event.PaymentSucceeded { // what the delivery service needs
			if e.MailTexts == nil {
				e.MailTexts = map[string]string{}
			}
			e.MailTexts[l.Product] = l.MailText
		}
	}
	return e
}

func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func toProto(a money.Amount) *orderv1.Money {
	return &orderv1.Money{Minor: a.Minor, Currency: a.Currency}
}

func fromProto(m *orderv1.Money) money.Amount {
	return money.Amount{Minor: m.GetMinor(), Currency: m.GetCurrency()}
}
