package delivery_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"quittance/pkg/fault"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
)

func importAs(t *testing.T, s *shop, who string, msgs ...*deliveryv1.ImportLicensesRequest) (*deliveryv1.ImportLicensesResponse, error) {
	t.Helper()
	stream := &importStream{ctx: as(t.Context(), who), msgs: msgs}
	err := s.replica(0).server.ImportLicenses(stream)
	return stream.out, err
}

func TestImportCountsDuplicates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		out, err := importAs(t, s, merchant,
			&deliveryv1.ImportLicensesRequest{ProductId: "tool", Keys: []string{"A", "B", "A\r\n"}},
			&deliveryv1.ImportLicensesRequest{Keys: []string{"two\nlines", "B"}},
			&deliveryv1.ImportLicensesRequest{ProductId: "tool", Keys: []string{"C"}},
		)
		if err != nil {
			t.Fatal(err)
		}
		want := &deliveryv1.ImportLicensesResponse{Imported: 4, Duplicates: 2, DuplicatePositions: []int64{3, 5}}
		if diff := cmp.Diff(want, out, protocmp.Transform()); diff != "" {
			t.Errorf("first (-want +got):\n%s", diff)
		}
		// The same key for another product is another licence.
		if out, err = importAs(t, s, merchant, &deliveryv1.ImportLicensesRequest{ProductId: "game", Keys: []string{"A"}}); err != nil || out.GetImported() != 1 {
			t.Errorf("other product: %v, %v", out, err)
		}
		// What was handed out is not new either.
		pay(t, s, paid("ord_1", line{product: "game", quantity: 1}))
		if out, err = importAs(t, s, merchant, &deliveryv1.ImportLicensesRequest{ProductId: "game", Keys: []string{"A"}}); err != nil || out.GetDuplicates() != 1 {
			t.Errorf("handed out: %v, %v", out, err)
		}
		if free, held := pool(t, s, "tool"); free != 4 || held != 0 {
			t.Errorf("%d free, %d held", free, held)
		}
	})
}

func TestImportOfManyNamesOnlySomeDuplicates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		all := keys("K", 1000)
		msg := func() *deliveryv1.ImportLicensesRequest {
			return &deliveryv1.ImportLicensesRequest{ProductId: "tool", Keys: all}
		}
		out, err := importAs(t, s, merchant, msg(), msg(), msg())
		if err != nil {
			t.Fatal(err)
		}
		if n := len(out.GetDuplicatePositions()); out.GetImported() != 1000 || out.GetDuplicates() != 2000 || n != 1000 {
			t.Errorf("%d imported, %d duplicates, %d positions", out.GetImported(), out.GetDuplicates(), n)
		}
	})
}

// P8, P10: what is wrong is named and changes nothing.
func TestImportRefuses(t *testing.T) {
	long := strings.Repeat("x", 4001)
	tests := []struct {
		name, who string
		msgs      []*deliveryv1.ImportLicensesRequest
		kind      fault.Kind
		field     string
	}{
		{"nothing", merchant, nil, fault.KindInvalid, "product_id"},
		{"no product", merchant, []*deliveryv1.ImportLicensesRequest{{Keys: []string{"A"}}}, fault.KindInvalid, "product_id"},
		{"unknown product", merchant, []*deliveryv1.ImportLicensesRequest{{ProductId: "none", Keys: []string{"A"}}}, fault.KindNotFound, ""},
		{"another's product", "rival", []*deliveryv1.ImportLicensesRequest{{ProductId: "tool", Keys: []string{"A"}}}, fault.KindNotFound, ""},
		{"change of product", merchant, []*deliveryv1.ImportLicensesRequest{
			{ProductId: "tool", Keys: []string{"B"}}, {ProductId: "game", Keys: []string{"A"}}}, fault.KindInvalid, "product_id"},
		{"no keys", merchant, []*deliveryv1.ImportLicensesRequest{{ProductId: "tool"}}, fault.KindInvalid, "keys"},
		{"too many keys", merchant, []*deliveryv1.ImportLicensesRequest{{ProductId: "tool", Keys: keys("A", 1001)}}, fault.KindInvalid, "keys"},
		{"empty key", merchant, []*deliveryv1.ImportLicensesRequest{{ProductId: "tool", Keys: []string{"A", "\r\n"}}}, fault.KindInvalid, "keys[1]"},
		{"blank key", merchant, []*deliveryv1.ImportLicensesRequest{{ProductId: "tool", Keys: []string{" \t"}}}, fault.KindInvalid, "keys[0]"},
		{"long key", merchant, []*deliveryv1.ImportLicensesRequest{{ProductId: "tool", Keys: []string{"A", long}}}, fault.KindInvalid, "keys[1]"},
		{"no UTF-8", merchant, []*deliveryv1.ImportLicensesRequest{{ProductId: "tool", Keys: []string{"A\xff"}}}, fault.KindInvalid, "keys[0]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := open(t)
				_, err := importAs(t, s, tt.who, tt.msgs...)
				if fault.KindOf(err) != tt.kind {
					t.Fatalf("error %v", err)
				}
				if fields := fault.FieldsOf(err); tt.field != "" && (len(fields) != 1 || fields[0].Path != tt.field) {
					t.Errorf("fields %v, want %s", fields, tt.field)
				}
				for _, product := range []string{"tool", "game"} {
					if free, _ := pool(t, s, product); free != 0 && tt.name != "change of product" {
						t.Errorf("%d keys of %s imported", free, product)
					}
				}
			})
		})
	}
	t.Run("many bad keys", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := open(t)
			bad := make([]string, 1000)
			_, err := importAs(t, s, merchant, &deliveryv1.ImportLicensesRequest{ProductId: "tool", Keys: bad})
			if n := len(fault.FieldsOf(err)); n != 20 {
				t.Errorf("%d fields", n)
			}
		})
	})
}

// P8: another merchant's deliveries and pools do not exist.
func TestOtherMerchantsSeeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t)
		fill(t, s, "tool", "T1")
		pay(t, s, paid("ord_1", line{product: "tool", quantity: 1}))
		ctx, server := as(t.Context(), "rival"), s.replica(0).server
		_, err1 := server.GetDelivery(ctx, &deliveryv1.GetDeliveryRequest{OrderId: "ord_1"})
		_, err2 := server.GetPool(ctx, &deliveryv1.GetPoolRequest{ProductId: "tool"})
		_, err3 := server.ResendEmail(ctx, &deliveryv1.ResendEmailRequest{OrderId: "ord_1"})
		for i, err := range []error{err1, err2, err3} {
			if fault.KindOf(err) != fault.KindNotFound {
				t.Errorf("call %d: %v", i, err)
			}
		}
		if _, err := server.GetDelivery(as(t.Context(), merchant), &deliveryv1.GetDeliveryRequest{OrderId: fmt.Sprint("ord_", 2)}); fault.KindOf(err) != fault.KindNotFound {
			t.Errorf("unknown order: %v", err)
		}
	})
}
