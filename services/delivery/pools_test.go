package delivery_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"quittance/pkg/event"
	"quittance/pkg/fault"
	"quittance/pkg/mail"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

func putPool(t *testing.T, s *shop, settings *deliveryv1.PoolSettings) {
	t.Helper()
	if _, err := s.replica(0).server.PutPool(as(t.Context(), merchant), &deliveryv1.PutPoolRequest{Settings: settings}); err != nil {
		t.Fatal(err)
	}
}

func getPool(t *testing.T, s *shop, product string) *deliveryv1.Pool {
	t.Helper()
	p, err := s.replica(0).server.GetPool(as(t.Context(), merchant), &deliveryv1.GetPoolRequest{ProductId: product})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// count counts the events of a type that were published.
func (s *shop) count(typ string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := map[string]bool{}
	for _, e := range s.events {
		if e.Type == typ && !ids[e.ID] {
			ids[e.ID] = true
			n++
		}
	}
	return n
}

// mailsTo are the mails that an address got.
func (s *shop) mailsTo(address string) (out []mail.Message) {
	for _, m := range s.relay.mails() {
		if m.To == address {
			out = append(out, m)
		}
	}
	return out
}

// A pool that comes down to its mark is told of once, by event and by mail, and
// again after it was filled; an empty one within seconds of the order that found
// it so. No order writes the pool.
func TestLowWaterMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		putPool(t, s, &deliveryv1.PoolSettings{ProductId: "tool", LowWaterMark: 5})
		wait(time.Minute)
		if n := s.count(event.LicensePoolLow); n != 1 { // it begins empty
			t.Fatalf("%d events", n)
		}
		buy := func(from, to int) {
			for i := from; i < to; i++ {
				pay(t, s, paid(fmt.Sprint("ord_", i), line{product: "tool", quantity: 1}))
			}
		}
		fill(t, s, "tool", keys("A", 10)...)
		wait(2 * time.Minute)
		s.replica(0).engine.count()
		buy(0, 4)
		wait(time.Second)
		if n := s.replica(0).engine.count()["pools update"]; n != 0 {
			t.Errorf("orders wrote their pool %d times", n)
		}
		wait(20 * time.Minute)
		if n := s.count(event.LicensePoolLow); n != 1 || getPool(t, s, "tool").GetLow() {
			t.Errorf("%d events with 6 of 5 left", n)
		}
		buy(4, 8)
		wait(20 * time.Minute)
		if n := s.count(event.LicensePoolLow); n != 2 || !getPool(t, s, "tool").GetLow() {
			t.Errorf("%d events with 2 of 5 left", n)
		}
		mails := s.mailsTo("stock@acme.example")
		if len(mails) != 2 || !strings.Contains(mails[1].Text, "down to 2 free keys") {
			t.Errorf("mails %v", mails)
		}

		fill(t, s, "tool", keys("B", 300)...)
		wait(20 * time.Minute)
		pay(t, s, paid("ord_b", line{product: "tool", quantity: 301}, line{product: "tool", quantity: 5}))
		wait(10 * time.Second)
		if n := s.count(event.LicensePoolLow); n != 3 {
			t.Errorf("%d events, the pool was emptied ten seconds ago", n)
		}
	})
}

// One licence for a line, where the pool says so.
func TestOneLicencePerLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		putPool(t, s, &deliveryv1.PoolSettings{ProductId: "tool", PerLine: true})
		putPool(t, s, &deliveryv1.PoolSettings{ProductId: "cloud", PerLine: true})
		register(t, s, &deliveryv1.WebService{ProductId: "cloud"})
		fill(t, s, "tool", keys("A", 10)...)
		pay(t, s, paid("ord_1", line{product: "tool", quantity: 7}, cloud(9)))
		wait(time.Minute)
		for _, l := range get(t, s, "ord_1").GetLines() {
			if len(l.GetLicenseKeys()) != 1 || !l.GetDelivered() {
				t.Errorf("line %v", l)
			}
		}
		if free, held := pool(t, s, "tool"); free != 9 || held != 1 {
			t.Errorf("%d free, %d held", free, held)
		}
	})
}

// After a refund licences stay, are revoked or go back, as the merchant says; a
// chargeback may mean another thing. What is revoked is told until the order
// answers, and a returned key is the next customer's.
func TestRefundRevokes(t *testing.T) {
	one := line{product: "tool", quantity: 2}
	const keep, revoke, back = deliveryv1.Disposition_DISPOSITION_KEEP, deliveryv1.Disposition_DISPOSITION_REVOKE, deliveryv1.Disposition_DISPOSITION_RETURN
	for _, tt := range []struct {
		refund, chargeback deliveryv1.Disposition
		charged            bool
		free, held, gone   int64
		events             int
	}{
		{keep, revoke, false, 0, 2, 0, 0},
		{revoke, keep, false, 0, 0, 2, 1},
		{back, keep, false, 2, 0, 0, 1},
		{keep, revoke, true, 0, 0, 2, 1},
		{keep, back, true, 2, 0, 0, 1},
	} {
		t.Run(fmt.Sprintf("%v %v charged=%v", tt.refund, tt.chargeback, tt.charged), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t)
				putPool(t, s, &deliveryv1.PoolSettings{ProductId: "tool", OnRefund: tt.refund, OnChargeback: tt.chargeback})
				fill(t, s, "tool", "A", "B")
				pay(t, s, paid("ord_1", one))
				wait(time.Second)
				state := orderv1.PaymentState_PAYMENT_STATE_REFUNDED
				if tt.charged {
					state = orderv1.PaymentState_PAYMENT_STATE_CHARGED_BACK
				}
				s.order.setDeaf(true)
				refund(t, s, state, one)
				refund(t, s, state, one)
				wait(5 * time.Minute)
				p := getPool(t, s, "tool")
				if p.GetFree() != tt.free || p.GetHeld() != tt.held || p.GetRevoked() != tt.gone {
					t.Errorf("pool %v", p)
				}
				if n := s.count(event.DeliveryRevoked); n != tt.events {
					t.Errorf("%d events", n)
				}
				s.order.setDeaf(false)
				wait(2 * time.Hour)
				if got := s.order.revoked["ord_1"][1]; got != int64(2*tt.events) {
					t.Errorf("the order knows of %d revoked units", got)
				}
				told := len(s.published("ord_1"))
				wait(24 * time.Hour)
				if n := len(s.published("ord_1")); n != told {
					t.Error("told again after the answer")
				}
				fill(t, s, "tool", "C", "D")
				pay(t, s, paid("ord_2", one))
				wait(time.Second)
				want := []string{"C", "D"}
				got := sorted(get(t, s, "ord_2").GetLines()[0].GetLicenseKeys())
				if tt.free == 0 && !slices.Equal(got, want) || len(got) != 2 {
					t.Errorf("the next customer got %v", got)
				}
				if _, err := s.audit(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Support revokes a leaked key and replaces a broken one: the customer gets a mail
// with what is good, the old keys are invalid, and the record says why.
func TestRevokeAndReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		fill(t, s, "tool", "A", "B", "C")
		pay(t, s, paid("ord_1", line{product: "tool", quantity: 3}))
		wait(time.Second)
		before := get(t, s, "ord_1").GetLines()[0].GetLicenseKeys()
		ctx, server := as(t.Context(), merchant), s.replica(0).server
		if _, err := server.RevokeLicense(ctx, &deliveryv1.RevokeLicenseRequest{OrderId: "ord_1", LineNumber: 1, Unit: 1, Reason: "leaked"}); err != nil {
			t.Fatal(err)
		}
		if _, err := server.ReplaceLicense(ctx, &deliveryv1.ReplaceLicenseRequest{OrderId: "ord_1", LineNumber: 1, Unit: 2, Reason: "broken"}); err != nil {
			t.Fatal(err)
		}
		wait(time.Second)
		if n := len(s.relay.mails()); n != 1 {
			t.Errorf("%d mails while the pool is empty", n)
		}
		fill(t, s, "tool", "D", "E")
		wait(10 * time.Minute)
		l := get(t, s, "ord_1").GetLines()[0]
		if len(l.GetLicenseKeys()) != 3 || l.GetLicenseKeys()[0] != before[0] || l.GetLicenseKeys()[2] != before[2] ||
			slices.Contains(before, l.GetLicenseKeys()[1]) || !slices.Equal(l.GetRevokedUnitNumbers(), []int32{1}) || l.GetRevokedUnits() != 1 {
			t.Errorf("line %v, before %v", l, before)
		}
		mails := s.relay.mails()
		if len(mails) != 2 || mails[0].ID == mails[1].ID {
			t.Fatalf("%d mails", len(mails))
		}
		if got := sorted(keysIn(mails[1], s.stock)); !slices.Equal(got, sorted(l.GetLicenseKeys()[1:])) {
			t.Errorf("the mail has %v, good are %v", got, l.GetLicenseKeys()[1:])
		}
		if got := s.order.revoked["ord_1"][1]; got != 1 {
			t.Errorf("the order knows of %d revoked units", got)
		}
		list, err := server.ListLicenses(ctx, &deliveryv1.ListLicensesRequest{ProductId: "tool", State: deliveryv1.LicenseState_LICENSE_STATE_REVOKED, ShowKeys: true})
		if err != nil {
			t.Fatal(err)
		}
		var record []string
		for _, l := range list.GetLicenses() {
			record = append(record, fmt.Sprint(l.GetKey(), " ", l.GetReason(), " ", l.GetUnit().GetOrderId(), " ", l.GetUnit().GetUnit(), " ", len(l.GetPast())))
		}
		want := []string{before[0] + " leaked ord_1 1 1", before[1] + " broken ord_1 2 1"}
		if !slices.Equal(sorted(record), sorted(want)) {
			t.Errorf("record %q, want %q", record, want)
		}
		if !strings.Contains(s.log.String(), "licence keys exported") {
			t.Error("the export is not in the log")
		}
		for _, unit := range []int32{0, 4} {
			if _, err := server.RevokeLicense(ctx, &deliveryv1.RevokeLicenseRequest{OrderId: "ord_1", LineNumber: 1, Unit: unit, Reason: "x"}); fault.KindOf(err) != fault.KindConflict {
				t.Errorf("unit %d: %v", unit, err)
			}
		}
	})
}

// The merchant corrects an address that was refused: the mail goes there at once,
// with the same key.
func TestAddressCorrected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		s.relay.set(choosy, 1)
		fill(t, s, "tool", "A", "B")
		pay(t, s, paid("ord_1", line{product: "tool", quantity: 1}))
		wait(time.Second)
		before := get(t, s, "ord_1").GetLines()[0].GetLicenseKeys()
		ctx, server := as(t.Context(), merchant), s.replica(0).server
		if _, err := server.CorrectEmail(ctx, &deliveryv1.CorrectEmailRequest{OrderId: "ord_1", Email: "no address"}); len(fault.FieldsOf(err)) != 1 {
			t.Errorf("bad address: %v", err)
		}
		if _, err := server.CorrectEmail(ctx, &deliveryv1.CorrectEmailRequest{OrderId: "ord_1", Email: "right@customer.example"}); err != nil {
			t.Fatal(err)
		}
		wait(time.Second)
		d := get(t, s, "ord_1")
		mails := s.mailsTo("right@customer.example")
		if len(mails) != 1 || !strings.Contains(mails[0].Text, before[0]) || d.GetProblem() != "" || d.GetEmail() != "right@customer.example" {
			t.Errorf("%d mails, delivery %v", len(mails), d)
		}
	})
}

// What is withdrawn or has expired is given to nobody.
func TestWithdrawAndExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		ctx, server := as(t.Context(), merchant), s.replica(0).server
		stream := &importStream{ctx: ctx, msgs: []*deliveryv1.ImportLicensesRequest{
			{ProductId: "tool", Keys: keys("OLD", 50), ExpireTime: timestamppb.New(time.Now().Add(time.Hour))},
			{Keys: keys("NEW", 3)},
		}}
		if err := server.ImportLicenses(stream); err != nil {
			t.Fatal(err)
		}
		out, err := server.WithdrawLicenses(ctx, &deliveryv1.WithdrawLicensesRequest{
			ProductId: "tool", Keys: []string{keys("NEW", 3)[0], "NEVER SEEN"}, Reason: "sold elsewhere",
		})
		if err != nil || out.GetWithdrawn() != 1 || !slices.Equal(out.GetMissingPositions(), []int64{2}) {
			t.Errorf("%v, %v", out, err)
		}
		wait(time.Hour)
		pay(t, s, paid("ord_1", line{product: "tool", quantity: 2})) // at the very moment
		wait(time.Minute)
		if got := sorted(get(t, s, "ord_1").GetLines()[0].GetLicenseKeys()); !slices.Equal(got, keys("NEW", 3)[1:]) {
			t.Errorf("keys %v", got)
		}
		p := getPool(t, s, "tool")
		if p.GetFree() != 0 || p.GetExpired() != 50 || p.GetWithdrawn() != 1 || p.GetHeld() != 2 || p.GetHeldLast_7Days() != 2 || p.GetDaysLeft() != 0 || p.DaysLeft == nil {
			t.Errorf("pool %v", p)
		}
	})
}

// The keys of a very large order come in pages, each once.
func TestLargeDeliveryInPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		all := keys("K", 1500)
		for part := range slices.Chunk(all, 1000) {
			fill(t, s, "tool", part...)
		}
		fill(t, s, "game", "G1", "G2")
		pay(t, s, paid("ord_1", line{product: "game", quantity: 2}, line{product: "tool", quantity: 1500}))
		wait(time.Minute)
		var got []string
		pages := 0
		for token := ""; ; pages++ {
			d, err := s.replica(0).server.GetDelivery(as(t.Context(), merchant), &deliveryv1.GetDeliveryRequest{
				OrderId: "ord_1", LicensePageSize: 400, LicensePageToken: token,
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range d.GetLines() {
				got = append(got, l.GetLicenseKeys()...)
			}
			if token = d.GetNextLicensePageToken(); token == "" {
				break
			}
		}
		if pages != 3 || !slices.Equal(sorted(got), sorted(append(all, "G1", "G2"))) {
			t.Errorf("%d keys in %d pages", len(got), pages+1)
		}
		list, err := s.replica(0).server.ListPools(as(t.Context(), merchant), &deliveryv1.ListPoolsRequest{})
		if err != nil || len(list.GetPools()) != 2 {
			t.Errorf("pools %v, %v", list, err)
		}
		deliveries, err := s.replica(0).server.ListDeliveries(as(t.Context(), merchant), &deliveryv1.ListDeliveriesRequest{})
		if err != nil || len(deliveries.GetDeliveries()) != 1 || len(deliveries.GetDeliveries()[0].GetLines()[1].GetLicenseKeys()) != 0 {
			t.Errorf("deliveries %v, %v", deliveries, err)
		}
	})
}
