package standalone

import (
	"context"
	"fmt"
	"strings"

	"quittance/pkg/id"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/sandbox/client"
)

// The demonstration merchant as the simulated e-wallet and bank know it.
const (
	demoAccno = "MERCHANT-DE4321"
	demoStore = "11111111-2222-4333-8444-555555555555"
	demoLater = "aaaaaaaa-1111-4222-8333-444444444444"
	demoParts = "bbbbbbbb-1111-4222-8333-444444444444"
)

// simulated registers the merchant with the sandbox's other providers and gives
// the accounts there.
func simulated(ctx context.Context, with Seeding) ([]*orderv1.PutProviderAccountRequest, error) {
	if with.SandboxURL == "" {
		return nil, nil
	}
	// Credentials are the same at every start, as those of a real provider.
	word := func(of string) string { return id.Derived("demo", with.SignatureKey, of) }
	sandbox := client.New(with.SandboxURL)
	err := sandbox.PutVendorShop(ctx, client.KontoCloud, demoAccno, map[string]string{
		"user": "demo-api", "password": word("wallet"), "notificationURL": with.CallbackURL + "/callbacks/kontocloud/" + DemoWallet,
		"notificationUser": "kontocloud", "notificationPassword": word("notifications"),
	})
	if err != nil {
		return nil, fmt.Errorf("register with the e-wallet: %w", err)
	}
	err = sandbox.PutVendorShop(ctx, client.Resurs, demoStore, map[string]string{
		"clientID": "demo-client", "clientSecret": word("bank"), "methods": demoLater + "," + demoParts, "currency": "EUR",
	})
	if err != nil {
		return nil, fmt.Errorf("register with the bank: %w", err)
	}
	return []*orderv1.PutProviderAccountRequest{{
		Account: &orderv1.ProviderAccount{
			Id: DemoWallet, MerchantId: DemoMerchant, Provider: "kontocloud", DisplayName: "E-wallet",
			Settings: with.askOften(map[string]string{
				"portal_url": with.SandboxURL + "/kontocloud", "base_url": with.SandboxURL + "/kontocloud/api", "merchant_accno": demoAccno, "user_id": "demo-api",
				"notification_auth": "basic", "notification_user": "kontocloud", "status.pending": "CREATED", "status.on_hold": "REVIEW",
				"status.failed": "DECLINED", "status.canceled": "CANCELED", "status.refunded": "REFUNDED", "status.charged_back": "CHARGEBACK",
			}),
		},
		Secrets: map[string]string{"password": word("wallet"), "notification_password": word("notifications")},
	}, {
		Account: &orderv1.ProviderAccount{
			Id: DemoInvoice, MerchantId: DemoMerchant, Provider: "resurs", DisplayName: "Invoice",
			Settings: with.askOften(map[string]string{
				"base_url": with.SandboxURL + "/resurs", "client_id": "demo-client", "store_id": demoStore, "currency": "EUR",
				"payment_methods": demoLater + "=Pay later," + demoParts + "=Pay in parts", "deliver_on": "authorized",
			}),
		},
		Secrets: map[string]string{"client_secret": word("bank")},
	}}, nil
}

// askOften has a provider asked as often as the seeding says.
func (with Seeding) askOften(settings map[string]string) map[string]string {
	if with.Ask != "" {
		settings["first"], _, _ = strings.Cut(with.Ask, ",")
		settings["then"] = with.Ask
	}
	return settings
}
