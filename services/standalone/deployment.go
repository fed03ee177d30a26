package standalone

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"quittance/pkg/seal"
	"quittance/services/sandbox/client"
)

// SeedPrefix begins the names of the settings of [SeedDeployment].
const SeedPrefix = "SEED_"

// Deployment is a running one, with a sandbox as its outside world.
type Deployment struct {
	OrderAddr        string      `env:"ORDER_ADDR,required" doc:"address of the order service's public gRPC API"`
	DeliveryAddr     string      `env:"DELIVERY_ADDR,required" doc:"that of the delivery service"`
	NotificationAddr string      `env:"NOTIFICATION_ADDR,required" doc:"that of the notification service"`
	OperatorKey      seal.Secret `env:"OPERATOR_KEY,required" doc:"the operator's API key"`
	CallbackURL      string      `env:"CALLBACK_URL,required" doc:"base URL at which the sandbox reaches callback-ingest"`
	SandboxURL       string      `env:"SANDBOX_URL,required" doc:"base URL of the sandbox, for services, browsers and this command alike"`
	ShopID           string      `env:"SHOP_ID,required" doc:"shop at the simulated FlexPay"`
	SignatureKey     seal.Secret `env:"SIGNATURE_KEY,required" doc:"its signature key"`
	Dir              string      `env:"DIR" envDefault:".data/seed" doc:"where to keep the merchant's API key and webhook secret, which are shown only once"`
}

// SeedDeployment creates the demonstration merchant in a running deployment and
// sets the sandbox's shop up to sell its products. Repeating it is harmless as
// long as Dir is kept.
func SeedDeployment(ctx context.Context, d Deployment, w io.Writer) error {
	if err := os.MkdirAll(d.Dir, 0o700); err != nil {
		return fmt.Errorf("directory of secrets: %w", err)
	}
	at := Addresses{Order: d.OrderAddr, Delivery: d.DeliveryAddr, Notification: d.NotificationAddr}
	if _, err := SeedWithSandbox(ctx, at, d.OperatorKey, d.Dir, d.SandboxURL, Seeding{
		FlexPayURL: d.SandboxURL + "/flexpay", FlexPayShop: d.ShopID, SignatureKey: d.SignatureKey.Reveal(), RefundWindow: "1h",
		SandboxURL: d.SandboxURL, CallbackURL: d.CallbackURL,
		WebhookURL: d.SandboxURL + "/webhooks/" + DemoEndpoint, ReturnURL: d.SandboxURL + "/shop",
	}); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "Merchant %q is set up; its API key is in %s. Buy at %s/shop/, read mails at %s/mails.\n",
		DemoMerchant, filepath.Join(d.Dir, demoKeyFile), d.SandboxURL, d.SandboxURL)
	return err
}

// SeedWithSandbox seeds the demonstration merchant and tells the sandbox at the
// URL the secrets it shares with the merchant.
func SeedWithSandbox(ctx context.Context, at Addresses, operatorKey seal.Secret, dir, sandboxURL string, with Seeding) (Demo, error) {
	seeded, err := Seed(ctx, at, operatorKey, dir, with)
	if err != nil {
		return Demo{}, err
	}
	sandbox := client.New(sandboxURL)
	if err := sandbox.PutWebhook(ctx, DemoEndpoint, seeded.WebhookSecret.Reveal()); err != nil {
		return Demo{}, err
	}
	return seeded, sandbox.SetAPIKey(ctx, seeded.APIKey.Reveal())
}
