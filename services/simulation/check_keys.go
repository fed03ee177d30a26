package simulation

import (
	"fmt"
	"slices"
	"strings"

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

// checkMails compares the mailed keys with the recorded ones.
func (w *world) checkMails(endings []*ending) {
	texts := map[string]string{}
	for _, m := range w.mails.got {
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
			if m.To != e.email {
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
