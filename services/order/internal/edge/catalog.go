package edge

import (
	"context"

	"quittance/pkg/reference"
	"quittance/pkg/rpc"
	orderv1 "quittance/proto/gen/go/quittance/order/v1"
	"quittance/services/order/internal/discounts"
)

// Catalog implements CatalogService.
type Catalog struct {
	orderv1.UnimplementedCatalogServiceServer
	Reference *reference.Owner
	Discounts *discounts.Discounts
}

var _ orderv1.CatalogServiceServer = (*Catalog)(nil)

// PutProduct implements CatalogService.
func (s *Catalog) PutProduct(ctx context.Context, req *orderv1.PutProductRequest) (*orderv1.Product, error) {
	if err := validateProduct(req.GetProduct()); err != nil {
		return nil, err
	}
	merchantID := rpc.MerchantID(ctx)
	ref, err := s.Reference.Put(ctx, reference.KindProduct, reference.ProductID(merchantID, req.GetProduct().GetId()),
		func(*orderv1.Reference) (*orderv1.Reference, error) {
			return &orderv1.Reference{Item: &orderv1.Reference_Product{
				Product: &orderv1.MerchantProduct{MerchantId: merchantID, Product: req.GetProduct()},
			}}, nil
		})
	return ref.GetProduct().GetProduct(), err
}

// GetProduct implements CatalogService.
func (s *Catalog) GetProduct(ctx context.Context, req *orderv1.GetProductRequest) (*orderv1.Product, error) {
	return s.Reference.Product(ctx, rpc.MerchantID(ctx), req.GetProductId())
}

// ListProducts implements CatalogService.
func (s *Catalog) ListProducts(ctx context.Context, req *orderv1.ListProductsRequest) (*orderv1.ListProductsResponse, error) {
	size, err := rpc.PageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	products, next, err := s.Reference.Products(ctx, rpc.MerchantID(ctx), req.GetPageToken(), size)
	return &orderv1.ListProductsResponse{Products: products, NextPageToken: next}, badToken(err, "page_token")
}
