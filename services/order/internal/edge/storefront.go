package edge

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"quittance/pkg/fault"
	"quittance/pkg/mail"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// Limits of a storefront.
const (
	maxLogo        = 16 << 10
	maxSeller      = 1000
	maxSellerLines = 10
)

var (
	hexColor = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)
	pictures = map[string]bool{"image/png": true, "image/jpeg": true, "image/webp": true}
)

// validateStorefront checks what customers' pages show of a merchant.
func validateStorefront(v *fault.Validation, field string, s *orderv1.Storefront) {
	v.Check(s.GetColor() == "" || hexColor.MatchString(s.GetColor()), field+".color", "must look like #1b57b0")
	v.Check(len(s.GetLogo()) <= maxLogo, field+".logo", "must have at most %d bytes", maxLogo)
	v.Check(len(s.GetLogo()) == 0 || pictures[http.DetectContentType(s.GetLogo())], field+".logo", "must be a PNG, JPEG or WebP picture")
	seller := s.GetSeller()
	v.Check(utf8.ValidString(seller) && utf8.RuneCountInString(seller) <= maxSeller && strings.Count(seller, "\n") < maxSellerLines,
		field+".seller", "must have at most %d lines and %d characters", maxSellerLines, maxSeller)
	for name, raw := range map[string]string{"terms_url": s.GetTermsUrl(), "privacy_url": s.GetPrivacyUrl()} {
		u, err := url.Parse(raw)
		v.Check(raw == "" || err == nil && len(raw) <= maxURL && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http"),
			field+"."+name, "must be an absolute http or https URL")
	}
	text(v, field+".terms_version", s.GetTermsVersion(), 0, 40)
	if err := mail.ValidAddress(s.GetSupportEmail()); s.GetSupportEmail() != "" && err != nil {
		v.Check(false, field+".support_email", "%v", err)
	}
}
