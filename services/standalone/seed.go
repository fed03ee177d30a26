package standalone

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"google.golang.org/grpc"

	"quittance/pkg/rpc"
	"quittance/pkg/seal"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// What the demonstration sells, and how many licences it starts with.
const (
	DemoMerchant = "demo"
	DemoAccount  = "demo-cards"
	DemoWallet   = "demo-wallet"
	DemoInvoice  = "demo-invoice"
	DemoOffline  = "demo-transfer"
	DemoEndpoint = "demo"
	// DemoBundle is the code by which the demo shop sells products together.
	DemoBundle   = "BUNDLE"
	demoLicenses = 100
)

// Demo is a merchant with everything it needs to sell, as the public API made it.
type Demo struct {
	APIKey seal.Secret
	// WebhookSecret verifies what the endpoint receives.
	WebhookSecret seal.Secret
}

// Seeding says where the demonstration merchant's partners are.
type Seeding struct {
	// FlexPayURL is the provider's base URL, and FlexPay its account there.
	FlexPayURL   string
	FlexPayShop  string
	SignatureKey string
	RefundWindow string
	// SandboxURL is where the other providers are simulated, which know
	// CallbackURL as the base URL of callbacks; empty: there are none.
	SandboxURL  string
	CallbackURL string
	// Ask are the pauses before the questions to a provider, separated by commas,
	// as long as its answers aren't final; empty: the provider's.
	Ask string
	// Rate is how many calls a second go to the card provider at most; empty: the
	// default of accounts.
	Rate       string
	WebhookURL string
	ReturnURL  string
}

// Addresses are where the public gRPC APIs of services listen: one for all in
// one process, one each in processes of their own.
type Addresses struct {
	Order, Payment, Callback, Verification, Delivery, Notification string
}

// At is one address for all services.
func At(addr string) Addresses { return Addresses{addr, addr, addr, addr, addr, addr} }

// Seed creates the demonstration merchant through the public gRPC API, as an
// operator and a merchant would. What is shown only once it keeps in dir.
// Repeating it is harmless.
func Seed(ctx context.Context, at Addresses, operatorKey seal.Secret, dir string, with Seeding) (Demo, error) {
	operator, err := rpc.Dial(at.Order, rpc.DialOptions{APIKey: operatorKey})
	if err != nil {
		return Demo{}, err
	}
	defer operator.Close()
	merchants := orderv1.NewMerchantServiceClient(operator)
	key, err := recall(dir, demoKeyFile)
	if err != nil {
		return Demo{}, err
	}
	if err := putMerchant(ctx, merchants, key != "", with); err != nil {
		return Demo{}, err
	}
	if key == "" {
		key, err = newDemoKey(ctx, merchants, dir)
	}
	if err != nil {
		return Demo{}, err
	}
	if err := putAccounts(ctx, merchants, with); err != nil {
		return Demo{}, err
	}
	if err := putProducts(ctx, at, seal.Secret(key)); err != nil {
		return Demo{}, err
	}
	notification, err := rpc.Dial(at.Notification, rpc.DialOptions{APIKey: seal.Secret(key)})
	if err != nil {
		return Demo{}, err
	}
	defer func() { _ = notification.Close() }()
	endpoint, err := notificationv1.NewNotificationServiceClient(notification).PutEndpoint(ctx, &notificationv1.PutEndpointRequest{
		Endpoint: &notificationv1.Endpoint{Id: DemoEndpoint, Url: with.WebhookURL},
	})
	if err != nil {
		return Demo{}, fmt.Errorf("put endpoint: %w", err)
	}
	if endpoint.GetSecret() != "" { // shown once, so keep it
		if err := keep(dir, "demo-webhook-secret", endpoint.GetSecret()); err != nil {
			return Demo{}, err
		}
	}
	webhookSecret, err := recall(dir, "demo-webhook-secret")
	return Demo{APIKey: seal.Secret(key), WebhookSecret: seal.Secret(webhookSecret)}, err
}

// demoKeyFile keeps the merchant's API key, which is shown only once.
const demoKeyFile = "demo-api-key"

// putMerchant makes the merchant. One that is there stays what somebody has made of
// it; it only learns where its shop is now. One that may not be there isn't asked
// for: replicas remember for seconds who is unknown.
func putMerchant(ctx context.Context, merchants orderv1.MerchantServiceClient, there bool, with Seeding) error {
	m := &orderv1.Merchant{
		Id: DemoMerchant, Name: "Demo Software", MailFrom: "shop@demo.example",
		Storefront: &orderv1.Storefront{
			Color: "#0b6e5c", Seller: "Demo Software GmbH\nMusterstrasse 1\n10115 Berlin, Germany\nVAT number: DE000000000",
			TermsUrl: with.ReturnURL + "/terms", PrivacyUrl: with.ReturnURL + "/privacy", TermsVersion: "2026-11",
			SupportEmail: "help@demo.example", ShowLicenses: true,
		},
	}
	if there {
		var err error
		if m, err = merchants.GetMerchant(ctx, &orderv1.GetMerchantRequest{MerchantId: DemoMerchant}); err != nil {
			return fmt.Errorf("get merchant: %w", err)
		}
	}
	if slices.Contains(m.GetReturnUrlAllowList(), with.ReturnURL) {
		return nil
	}
	m.ReturnUrlAllowList = append(m.ReturnUrlAllowList, with.ReturnURL)
	if _, err := merchants.PutMerchant(ctx, &orderv1.PutMerchantRequest{Merchant: m}); err != nil {
		return fmt.Errorf("put merchant: %w", err)
	}
	return nil
}

// newDemoKey has an API key made for the merchant, and keeps it.
func newDemoKey(ctx context.Context, merchants orderv1.MerchantServiceClient, dir string) (string, error) {
	answer, err := merchants.RotateAPIKey(ctx, &orderv1.RotateAPIKeyRequest{MerchantId: DemoMerchant})
	if err != nil {
		return "", fmt.Errorf("create API key: %w", err)
	}
	return answer.GetApiKey(), keep(dir, demoKeyFile, answer.GetApiKey())
}

func putAccounts(ctx context.Context, merchants orderv1.MerchantServiceClient, with Seeding) error {
	others, err := simulated(ctx, with)
	if err != nil {
		return err
	}
	cards := map[string]string{
		"shop_id": with.FlexPayShop, "base_url": with.FlexPayURL, "refund_window": with.RefundWindow, "status.pending": "PENDING",
		"status.on_hold": "REVIEW", "status.failed": "DECLINED", "status.refunded": "REFUNDED", "status.charged_back": "CHARGEBACK",
	}
	if with.Rate != "" {
		cards["status_rate"] = with.Rate
	}
	with.askOften(cards)
	for _, req := range append([]*orderv1.PutProviderAccountRequest{{
		Account: &orderv1.ProviderAccount{
			Id: DemoAccount, MerchantId: DemoMerchant, Provider: "flexpay", DisplayName: "Credit card",
			Settings: cards,
		},
		Secrets: map[string]string{"signature_key": with.SignatureKey},
	}, {
		Account: &orderv1.ProviderAccount{
			Id: DemoOffline, MerchantId: DemoMerchant, Provider: "offline", DisplayName: "Bank transfer",
			Settings: map[string]string{"beneficiary": "Demo Software", "bank_account": "XX00 0000 0000 0000"},
		},
	}}, others...) {
		if _, err := merchants.PutProviderAccount(ctx, req); err != nil {
			return fmt.Errorf("put provider account %s: %w", req.GetAccount().GetId(), err)
		}
	}
	return nil
}

func putProducts(ctx context.Context, at Addresses, key seal.Secret) error {
	order, err := rpc.Dial(at.Order, rpc.DialOptions{APIKey: key})
	if err != nil {
		return err
	}
	defer func() { _ = order.Close() }()
	delivery, err := rpc.Dial(at.Delivery, rpc.DialOptions{APIKey: key})
	if err != nil {
		return err
	}
	defer func() { _ = delivery.Close() }()
	catalog := orderv1.NewCatalogServiceClient(order)
	for _, p := range []*orderv1.Product{{
		Id: "notepad", Name: "Notepad Pro", DeliveryMethod: orderv1.DeliveryMethod_DELIVERY_METHOD_POOL,
		Prices: []*orderv1.Money{{Minor: 1999, Currency: "EUR"}, {Minor: 2199, Currency: "USD"}},
	}, {
		Id: "backup", Name: "Backup, one key per computer", DeliveryMethod: orderv1.DeliveryMethod_DELIVERY_METHOD_POOL,
		Prices:   []*orderv1.Money{{Minor: 4900, Currency: "EUR"}, {Minor: 5200, Currency: "USD"}},
		MailText: "Hello {CUSTOMER},\n\nthank you for buying {PRODUCT} (order {ORDER}). Your keys, one per computer:\n\n{KEY}\n",
	}, {
		Id: "handbook", Name: "Handbook (by e-mail)", DeliveryMethod: orderv1.DeliveryMethod_DELIVERY_METHOD_MAIL,
		Prices:   []*orderv1.Money{{Minor: 900, Currency: "EUR"}},
		MailText: "Hello {CUSTOMER},\n\nthe handbook of your order {ORDER} is at https://demo.example/handbook\n",
	}} {
		if _, err := catalog.PutProduct(ctx, &orderv1.PutProductRequest{Product: p}); err != nil {
			return fmt.Errorf("put product %s: %w", p.GetId(), err)
		}
		if p.GetDeliveryMethod() == orderv1.DeliveryMethod_DELIVERY_METHOD_POOL {
			if err := importKeys(ctx, delivery, p.GetId()); err != nil {
				return err
			}
		}
	}
	if _, err := catalog.PutDiscount(ctx, &orderv1.PutDiscountRequest{Discount: &orderv1.Discount{Code: DemoBundle, Percent: 20}}); err != nil {
		return fmt.Errorf("put discount: %w", err)
	}
	return nil
}

// importKeys fills a pool with keys that are the same at every start, so that
// repeating the import adds nothing.
func importKeys(ctx context.Context, conn grpc.ClientConnInterface, product string) error {
	stream, err := deliveryv1.NewDeliveryServiceClient(conn).ImportLicenses(ctx)
	if err != nil {
		return fmt.Errorf("import licences: %w", err)
	}
	req := &deliveryv1.ImportLicensesRequest{ProductId: product}
	for i := range demoLicenses {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", product, i))
		h := hex.EncodeToString(sum[:8])
		req.Keys = append(req.Keys, fmt.Sprintf("DEMO-%s-%s-%s-%s", h[:4], h[4:8], h[8:12], h[12:]))
	}
	if err := stream.Send(req); err != nil && !errors.Is(err, io.EOF) { // the reason comes with the answer
		return fmt.Errorf("import licences: %w", err)
	}
	if _, err := stream.CloseAndRecv(); err != nil {
		return fmt.Errorf("import licences: %w", err)
	}
	return nil
}
