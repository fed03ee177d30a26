package simulation

import (
	"fmt"
	"slices"
	"strings"

	"quittance/pkg/event"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
)

// checkKeys is P3: every unit has one licence, every licence one unit.
func (w *world) checkKeys(endings []*ending) {
	holder := map[string]string{}
	held := map[string]int64{}
	for _, e := range endings {
		for _, l := range e.delivery.GetLines() {
			n := int64(0)
			for i, key := range l.GetLicenseKeys() {
				if key == "" {
					continue
				}
				unit := fmt.Sprintf("unit %d of line %d of order %d", i+1, l.GetLineNumber(), e.n)
				if other := holder[key]; other != "" {
					w.fail("P3: %s belongs to %s and to %s", key, other, unit)
				}
				holder[key] = unit
				held[l.GetProductId()]++
				n++
			}
			if l.GetDelivered() && l.GetProductId() != letter && n != l.GetQuantity() {
				w.fail("P3: line %d of order %d is delivered with %d of %d keys", l.GetLineNumber(), e.n, n, l.GetQuantity())
			}
		}
	}
	for _, product := range pools {
		pool, err := deliveryv1.NewDeliveryServiceClient(w.merchant(deliveryName)).GetPool(w.ctx, &deliveryv1.GetPoolRequest{ProductId: product})
		if err != nil {
			w.fail("P3: the pool of %s can't be counted: %v", product, err)
			continue
		}
		if pool.GetHeld() != held[product] {
			w.fail("P3: %d licences of %s are held, %d are shown by deliveries", pool.GetHeld(), product, held[product])
		}
		if total := pool.GetFree() + pool.GetHeld(); total < int64(w.imported[product]) {
			w.fail("P3: %d licences of %s were imported, %d are left", w.imported[product], product, total)
		}
	}
}

// Mails with what was bought, receipts and ends, as their ids begin.
const (
	goods     = "mail_"
	receipts  = "receipt_"
	farewells = "expired_"
)

// checkLetters: the customer of each paid order has its receipt, of each expired
// one the word that it has, by one mail; nobody else has. Who was erased before
// it could be sent has none.
func (w *world) checkLetters(e *ending) {
	causes := map[string]int{}
	held := false
	for _, told := range e.events {
		causes[told.GetType()]++
		held = held || told.GetType() == event.OrderOnHold
	}
	for kind, cause := range map[string]string{receipts: event.PaymentSucceeded, farewells: event.OrderExpired} {
		ids := map[string]bool{}
		for _, m := range w.mails.got {
			if m.To == e.email && strings.HasPrefix(m.ID, kind) {
				ids[m.ID] = true
			}
		}
		if len(ids) > causes[cause] {
			w.fail("P5: order %d has %d mails of %s for %d events", e.n, len(ids), kind, causes[cause])
		}
		state := e.order.GetPaymentState()
		due := kind == receipts && (state == paid || state == partly) && !held || kind == farewells && state == expired
		if due && !e.order.GetPrepaid() && !w.mails.refused[e.email] && e.order.GetEraseTime() == nil && len(ids) == 0 {
			w.fail("P5: order %d is %s, and no mail of %s came", e.n, state, kind)
		}
	}
}

// checkMails compares the mailed keys with the recorded ones.
func (w *world) checkMails(endings []*ending) {
	texts := map[string]string{}
	for _, m := range w.mails.got {
		if !strings.HasPrefix(m.ID, goods) {
			continue // letters say how the order is when they are sent
		}
		if text, repeat := texts[m.ID]; repeat && text != m.Text {
			w.fail("P3: mail %q came twice with different texts", m.Subject)
		}
		texts[m.ID] = m.Text
	}
	for _, e := range endings {
		recorded := map[string]bool{}
		for _, l := range e.delivery.GetLines() {
			for _, key := range l.GetLicenseKeys() {
				recorded[key] = true
			}
		}
		mailed, subjects := map[string]bool{}, 0
		for _, m := range w.mails.got {
			if m.To != e.email || !strings.HasPrefix(m.ID, goods) {
				continue
			}
			subjects++
			for field := range strings.FieldsSeq(m.Text) {
				if strings.HasPrefix(field, "KEY-") {
					mailed[field] = true
				}
			}
		}
		for key := range mailed {
			if !recorded[key] {
				w.fail("P3: order %d was mailed %s, which is not recorded for it", e.n, key)
			}
		}
		for _, l := range e.delivery.GetLines() {
			if !l.GetDelivered() {
				continue
			}
			if subjects == 0 {
				w.fail("P4: line %d of order %d counts as delivered, and no mail came", l.GetLineNumber(), e.n)
			}
			if i := slices.IndexFunc(l.GetLicenseKeys(), func(key string) bool { return key != "" && !mailed[key] }); i >= 0 {
				w.fail("P3: line %d of order %d is delivered, and %s was never mailed", l.GetLineNumber(), e.n, l.GetLicenseKeys()[i])
			}
		}
	}
}
