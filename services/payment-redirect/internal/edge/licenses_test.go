package edge

import (
	"slices"
	"testing"

	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
)

// The order page shows no revoked key as a good one.
func TestRevokedKeysAreNotShown(t *testing.T) {
	for name, tt := range map[string]struct {
		line *deliveryv1.DeliveryLine
		more bool
		want []string
	}{
		"all good":       {line: &deliveryv1.DeliveryLine{Quantity: 2, LicenseKeys: []string{"A", "B"}}, want: []string{"A", "B"}},
		"one revoked":    {line: &deliveryv1.DeliveryLine{Quantity: 3, LicenseKeys: []string{"A", "B", "C"}, RevokedUnitNumbers: []int32{2}}, want: []string{"A", "C"}},
		"all revoked":    {line: &deliveryv1.DeliveryLine{Quantity: 5, LicenseKeys: []string{"A"}, RevokedUnitNumbers: []int32{1}}},
		"one is missing": {line: &deliveryv1.DeliveryLine{Quantity: 3, LicenseKeys: []string{"A", "C"}, RevokedUnitNumbers: []int32{3}}},
		"first page":     {line: &deliveryv1.DeliveryLine{Quantity: 900, LicenseKeys: []string{"A", "B"}, RevokedUnitNumbers: []int32{1}}, more: true, want: []string{"B"}},
	} {
		if got := goodKeys(tt.line, tt.more); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
