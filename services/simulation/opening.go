package simulation

import (
	"fmt"
	"time"

	"quittance/pkg/rpc"
	deliveryv1 "quittance/proto/gen/go/quittance/delivery/v1"
	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
)

// open sets the merchant up through the public API, before anything goes wrong.
func (w *world) open() bool {
	err := w.putMerchant()
	if err == nil {
		err = w.putProducts()
	}
	for _, product := range pools {
		if err == nil && w.plan.Stock[product] > 0 {
			err = w.importKeys(product, w.plan.Stock[product])
		}
	}
	if err != nil {
		w.fail("the shop does not open: %v", err)
		return false
	}
	for i, o := range w.plan.Orders {
		if o.BadAddress {
			w.mails.refused[fmt.Sprintf("customer%d@example.com", i+1)] = true
		}
	}
	pause(2 * time.Second) // what it published is where it belongs
	return true
}

func (w *world) putMerchant() error {
	operator := &conn{to: w.nodes[orderName], as: rpc.Principal{Role: rpc.RoleOperator}}
	merchants := orderv1.NewMerchantServiceClient(operator)
	if _, err := merchants.PutMerchant(w.ctx, &orderv1.PutMerchantRequest{Merchant: &orderv1.Merchant{
		Id: merchantID, Name: "Acme", MailFrom: "shop@acme.example", ReturnUrlAllowList: []string{"https://shop.sim.example/"},
	}}); err != nil {
		return fmt.Errorf("merchant: %w", err)
	}
	for _, account := range []*orderv1.ProviderAccount{
		{Id: cardsID, Provider: "flexpay", DisplayName: "Cards", Settings: cardSettings(cardsID, "captured")},
		{Id: earlyID, Provider: "flexpay", DisplayName: "Cards, delivered at once", Settings: cardSettings(earlyID, "authorized")},
		{Id: bankID, Provider: "offline", DisplayName: "Bank transfer", Settings: map[string]string{
			"bank_account": "DE89 3704 0044 0532 0130 00", "beneficiary": "Acme",
		}},
	} {
		account.MerchantId = merchantID
		req := &orderv1.PutProviderAccountRequest{Account: account}
		if account.GetProvider() == "flexpay" {
			req.Secrets = map[string]string{"signature_key": signatureKey.Reveal()}
		}
		if _, err := merchants.PutProviderAccount(w.ctx, req); err != nil {
			return fmt.Errorf("account %s: %w", account.GetId(), err)
		}
	}
	endpoint, err := notificationv1.NewNotificationServiceClient(w.merchant(notificationName)).PutEndpoint(w.ctx,
		&notificationv1.PutEndpointRequest{Endpoint: &notificationv1.Endpoint{Id: "shop", Url: "https://shop.sim.example/hooks"}})
	if err != nil {
		return fmt.Errorf("endpoint: %w", err)
	}
	w.hooks.secret = endpoint.GetSecret()
	return nil
}

func cardSettings(account, deliverOn string) map[string]string {
	return map[string]string{
		"shop_id": shops[account], "base_url": providerURL, "refund_window": refundWindow.String(), "deliver_on": deliverOn,
		"first": "30s", "then": "30s,2m,10m,1h", "life": "4h",
		"status.pending": wordPending, "status.failed": wordDeclined, "status.refunded": wordRefunded,
		"status.charged_back": wordChargeback, "status.on_hold": wordFrozen, "status.authorized": wordReserved,
		"status.canceled": wordVoid,
	}
}

func (w *world) putProducts() error {
	catalog := orderv1.NewCatalogServiceClient(w.merchant(orderName))
	for _, p := range []*orderv1.Product{
		{Id: productA, DeliveryMethod: orderv1.DeliveryMethod_DELIVERY_METHOD_POOL, Prices: []*orderv1.Money{{Minor: 1999, Currency: "EUR"}}},
		{Id: productB, DeliveryMethod: orderv1.DeliveryMethod_DELIVERY_METHOD_POOL, Prices: []*orderv1.Money{{Minor: 500, Currency: "EUR"}}},
		{Id: letter, DeliveryMethod: orderv1.DeliveryMethod_DELIVERY_METHOD_MAIL, Prices: []*orderv1.Money{{Minor: 900, Currency: "EUR"}}},
	} {
		p.Name, p.MailText = p.GetId(), "Order {ORDER}: {PRODUCT}"
		if p.GetDeliveryMethod() == orderv1.DeliveryMethod_DELIVERY_METHOD_POOL {
			p.MailText += "\n{KEY}\n"
		}
		if _, err := catalog.PutProduct(w.ctx, &orderv1.PutProductRequest{Product: p}); err != nil {
			return fmt.Errorf("product %s: %w", p.GetId(), err)
		}
	}
	return nil
}

// refill adds keys to a pool later on.
func (w *world) refill(r Refill) {
	w.rest(r.At)
	added := w.insist(40, func() bool { return w.importKeys(r.Product, r.Count) == nil })
	w.note("%d keys for %s: %v", r.Count, r.Product, added)
}

// importKeys adds keys of the same names each time it is repeated with one count.
func (w *world) importKeys(product string, count int) error {
	stream, err := deliveryv1.NewDeliveryServiceClient(w.merchant(deliveryName)).ImportLicenses(w.ctx)
	if err != nil {
		return err
	}
	req := &deliveryv1.ImportLicensesRequest{ProductId: product}
	w.mu.Lock()
	first := w.imported[product]
	w.mu.Unlock()
	for i := range count {
		req.Keys = append(req.Keys, fmt.Sprintf("KEY-%s-%04d", product, first+i))
	}
	if err := stream.Send(req); err != nil {
		return err
	}
	if _, err := stream.CloseAndRecv(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.imported[product] = first + count
	return nil
}
