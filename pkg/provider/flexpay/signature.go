package flexpay

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"quittance/pkg/seal"
)

// signatureParam carries the signature; it never signs itself.
const signatureParam = "signature"

// Params are the parameters of one request: names and decoded UTF-8 values, each name once.
type Params map[string]string

// signable are the parameters that the signature of a request covers. Not covered by the vendor's definition: email,
// oneClickToken, origin and whatever it doesn't know.
var signable = map[string]bool{
	"version": true, "shopID": true, "type": true, "priceAmount": true, "priceCurrency": true, "paymentMethod": true,
	"description": true, "referenceID": true, "saleID": true, "custom1": true, "custom2": true, "custom3": true,
	"subscriptionType": true, "period": true, "name": true, "trialAmount": true, "trialPeriod": true,
	"cancelDiscountPercentage": true, "successURL": true, "backURL": true, "declineURL": true,
	"precedingSaleID": true, "upgradeOption": true,
	"mcc": true, "subCreditorName": true, "subCreditorId": true, "subCreditorCountry": true,
}

// Signature errors.
var (
	errNoSignature  = errors.New("no signature")
	errBadSignature = errors.New("signature does not match")
)

// ParamsOf takes each parameter's only value. A repeated parameter is an error: which of its values was signed would be
// a guess.
func ParamsOf(values url.Values) (Params, error) {
	params := make(Params, len(values))
	for name, all := range values {
		if len(all) != 1 {
			return nil, fmt.Errorf("parameter %.40q comes %d times", name, len(all))
		}
		params[name] = all[0]
	}
	return params, nil
}

// Query encodes the parameters as the vendor's libraries do: empty ones dropped, names in byte order, the signature
// last.
func (p Params) Query() string {
	values := make(url.Values, len(p))
	for name, value := range p {
		if name != signatureParam && value != "" {
			values.Set(name, value)
		}
	}
	query := values.Encode()
	if signature := p[signatureParam]; signature != "" {
		query += "&" + url.Values{signatureParam: {signature}}.Encode()
	}
	return query
}

// SignRequest returns p with the signature of a request to the vendor, which covers the signable parameters only.
func SignRequest(key seal.Secret, p Params) Params {
	return signed(p, requestSignature(key, p))
}

// VerifyRequest checks the signature of a request to the vendor, as the vendor does.
func VerifyRequest(key seal.Secret, p Params) error {
	return compare(p[signatureParam], requestSignature(key, p))
}

// SignData returns p with the signature of the vendor's "OK data", which covers every parameter.
func SignData(key seal.Secret, p Params) Params {
	return signed(p, hexSHA256(signingString(key, p)))
}

// VerifyData checks the signature of the vendor's "OK data" over all received parameters, of whatever name, adding
// shopID if it is missing. The comparison ignores letter case and takes constant time. acceptSHA1 also admits the hash
// of protocol versions up to 3.4.
func VerifyData(key seal.Secret, shopID string, p Params, acceptSHA1 bool) error {
	if _, ok := p["shopID"]; !ok {
		p = maps.Clone(p)
		p["shopID"] = shopID
	}
	text := signingString(key, p)
	err := compare(p[signatureParam], hexSHA256(text))
	if err == nil || !acceptSHA1 {
		return err
	}
	sum := sha1.Sum([]byte(text))
	return compare(p[signatureParam], hex.EncodeToString(sum[:]))
}

// requestSignature drops what a request's signature doesn't cover and hashes the rest.
func requestSignature(key seal.Secret, p Params) string {
	covered := make(Params, len(p))
	for name, value := range p {
		if signable[name] && value != "" {
			covered[name] = value
		}
	}
	return hexSHA256(signingString(key, covered))
}

// signingString joins the key and all parameters but the signature: key:name1=value1:name2=value2, names in byte order.
func signingString(key seal.Secret, p Params) string {
	parts := []string{key.Reveal()}
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if name != signatureParam {
			parts = append(parts, name+"="+p[name])
		}
	}
	return strings.Join(parts, ":")
}

func signed(p Params, signature string) Params {
	p = maps.Clone(p)
	p[signatureParam] = signature
	return p
}

func compare(got, want string) error {
	if got == "" {
		return errNoSignature
	}
	if subtle.ConstantTimeCompare([]byte(strings.ToLower(got)), []byte(want)) != 1 {
		return errBadSignature
	}
	return nil
}

func hexSHA256(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
