package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"quittance/services/sandbox/client"
	"quittance/services/standalone"
)

// TestAnAccountFromAFile: an account whose credentials are in files sells as soon
// as they are there.
func TestAnAccountFromAFile(t *testing.T) {
	dir := t.TempDir()
	w := start(t, setup{config: func(c *standalone.Config) { c.AccountsDir = dir }})
	const account, key = "demo-file", "a signature key in a file"
	if err := w.sandbox.PutShop(t.Context(), client.Shop{
		ID: "70001", SignatureKey: key, PostbackURL: w.edge + "/callbacks/flexpay/" + account,
	}); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"signature-key": key + "\n",
		"cards.yaml": fmt.Sprintf("id: %s\nmerchant_id: %s\nprovider: flexpay\ndisplay_name: Cards of a file\n"+
			"settings: {shop_id: \"70001\", base_url: %s/flexpay}\nsecret_files: {signature_key: signature-key}\n",
			account, standalone.DemoMerchant, w.shop),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := w.order(item("notepad", 1))
	w.offered(o, account)
	w.pay(o, client.Pay{Method: account})
	w.awaitDelivered(o.GetId())
}
