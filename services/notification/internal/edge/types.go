package edge

import (
	"context"

	notificationv1 "quittance/proto/gen/go/quittance/notification/v1"
	"quittance/services/notification/internal/payload"
)

// ListEventTypes implements NotificationService.
func (s *Server) ListEventTypes(context.Context, *notificationv1.ListEventTypesRequest) (*notificationv1.ListEventTypesResponse, error) {
	out := &notificationv1.ListEventTypesResponse{}
	for _, typ := range types() {
		schema, err := payload.Schema(typ)
		if err != nil {
			return nil, err
		}
		example, err := payload.ExampleBody(typ)
		if err != nil {
			return nil, err
		}
		out.EventTypes = append(out.EventTypes, &notificationv1.EventType{
			Type: typ, Description: payload.Descriptions[typ], SchemaVersion: payload.SchemaVersion,
			JsonSchema: string(schema), Example: string(example),
		})
	}
	return out, nil
}
