package delivery

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"quittance/pkg/id"
)

// licenseBytes is what an id has besides its prefix.
const licenseBytes = 16

// Assigned holds the ids of a line's licences: that of unit n at n-1, empty
// while the unit has none. It is stored packed, 16 bytes a unit, because an
// order may have hundreds of thousands of them.
type Assigned []string

// Of returns the licence of a unit, empty if it has none.
func (a Assigned) Of(number int) string {
	if number < 1 || number > len(a) {
		return ""
	}
	return a[number-1]
}

// With returns a with the licence of a unit set.
func (a Assigned) With(number int, license string) Assigned {
	if missing := number - len(a); missing > 0 {
		a = append(a, make([]string, missing)...)
	}
	a[number-1] = license
	return a
}

// Count is how many units have a licence.
func (a Assigned) Count() int {
	n := 0
	for _, license := range a {
		if license != "" {
			n++
		}
	}
	return n
}

// Packed is the ids in 16 bytes each, zeros for a unit that has none.
func (a Assigned) Packed() ([]byte, error) {
	packed := make([]byte, 0, len(a)*licenseBytes)
	for _, license := range a {
		if license == "" {
			packed = append(packed, make([]byte, licenseBytes)...)
			continue
		}
		if !id.Valid(LicensePrefix, license) {
			return nil, fmt.Errorf("%q is not the id of a licence", license)
		}
		var err error
		if packed, err = hex.AppendDecode(packed, []byte(license[len(LicensePrefix)+1:])); err != nil {
			return nil, fmt.Errorf("pack licence %q: %w", license, err)
		}
	}
	return packed, nil
}

// Unpack reads what Packed gives.
func Unpack(packed []byte) (Assigned, error) {
	if len(packed)%licenseBytes != 0 {
		return nil, fmt.Errorf("unpack licences: %d bytes are no whole number of licences", len(packed))
	}
	out := make(Assigned, 0, len(packed)/licenseBytes)
	for part := range slices.Chunk(packed, licenseBytes) {
		if [licenseBytes]byte(part) == [licenseBytes]byte{} {
			out = append(out, "")
			continue
		}
		out = append(out, LicensePrefix+"_"+hex.EncodeToString(part))
	}
	return out, nil
}

// MarshalJSON implements json.Marshaler.
func (a Assigned) MarshalJSON() ([]byte, error) {
	packed, err := a.Packed()
	if err != nil {
		return nil, err
	}
	return json.Marshal(base64.StdEncoding.EncodeToString(packed))
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *Assigned) UnmarshalJSON(data []byte) error {
	var packed []byte
	if err := json.Unmarshal(data, &packed); err != nil {
		return fmt.Errorf("unpack licences: %w", err)
	}
	out, err := Unpack(packed)
	if err != nil {
		return err
	}
	*a = out
	return nil
}
