package flexpay

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	wire "quittance/pkg/provider/flexpay"
	"quittance/services/sandbox/internal/vendor"
)

// saleStatus answers the signed status question in YAML. The words are ours where the vendor's are not public; a wrong
// signature is answered like any other error, in the body.
func (s *Simulator) saleStatus(w http.ResponseWriter, r *http.Request) {
	params, err := wire.ParamsOf(r.URL.Query())
	if err != nil {
		answerYAML(w, "response", "ERROR", "error", "Repeated parameter")
		return
	}
	shop, ok := s.book.shop(params["shopID"])
	if !ok || wire.VerifyRequest(shop.key(), params) != nil {
		answerYAML(w, "response", "ERROR", "error", "Invalid signature")
		return
	}
	reference, saleID := params["referenceID"], params["saleID"]
	if params["version"] != "4" || (reference == "") == (saleID == "") {
		answerYAML(w, "response", "ERROR", "error", "Want version 4 and either saleID or referenceID")
		return
	}
	sale, found := s.book.named(saleName{shop.ID, reference, saleID})
	key := reference
	if found {
		key = sale.key()
	}
	fault, faults := s.book.faults.Spoil(key)
	if vendor.Spoil(w, r, fault, faults) {
		return
	}
	found = found && fault != vendor.StatusNotFound
	if !found {
		answerYAML(w, "response", "NOTFOUND")
		return
	}
	answerYAML(w, s.fieldsOf(sale, fault)...)
}

// fieldsOf gives names and values in turn. The billing address is the same fake for all.
func (s *Simulator) fieldsOf(sale Sale, fault vendor.StatusFault) []string {
	state, amount := sale.State, vendor.Told(sale.Amount, fault)
	if fault == vendor.StatusPending {
		state = Pending
	}
	fields := []string{
		"response", "FOUND", "saleResult", string(state), "saleID", sale.SaleID, "referenceID", sale.ReferenceID,
		"priceAmount", amount.Decimal(), "priceCurrency", amount.Currency, "paymentMethod", sale.PaymentMethod,
		"createdOn", sale.CreatedOn.UTC().Format(time.DateTime),
	}
	if state != Pending {
		fields = append(fields, "billingAddr_fullName", "Jo Doe", "billingAddr_addressLine1", "Main Street 1: rear",
			"billingAddr_city", "Utrecht", "billingAddr_country", "NL", "oneClickToken", sale.OneClickToken)
	}
	return fields
}

// answerYAML writes names and values in turn, leaving out empty values. Amounts and dates stand there without quotes, as
// a vendor's YAML writer that knows no types would put them.
func answerYAML(w http.ResponseWriter, fields ...string) {
	var text strings.Builder
	text.WriteString("---\n")
	for i := 0; i < len(fields); i += 2 {
		name, value := fields[i], fields[i+1]
		if value == "" {
			continue
		}
		text.WriteString(name + ": ")
		if plain(value) {
			text.WriteString(value + "\n")
			continue
		}
		quoted, err := json.Marshal(value) // a JSON string is a YAML one
		if err != nil {
			http.Error(w, "Internal Server Error", http.StatusInternalServerError)
			return
		}
		text.WriteString(string(quoted) + "\n")
	}
	w.Header().Set("Content-Type", "text/yaml; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(text.String())) // a reader that left needs no word
}

// plain accepts what YAML reads back as the same text, or number, without quotes.
func plain(value string) bool {
	return strings.Trim(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._ ") == "" &&
		strings.TrimSpace(value) == value
}
