package queues

import (
	"context"

	"quittance/pkg/docstore"
	"quittance/pkg/service"
	"quittance/services/notification/internal/payload"
	"quittance/services/notification/internal/queue"
)

// byOrder is the index of queues by their order, also of endpoints that were
// deleted.
const byOrder = "order"

// pageOfQueues is how many queues are erased together.
const pageOfQueues = 100

// Erase takes the customer of a merchant's order out of what waits to be sent, and
// out of what receivers said.
func (qs *Queues) Erase(ctx context.Context, merchant, order string) ([]string, error) {
	for d, err := range qs.For(merchant).All(ctx, docstore.Query{Index: byOrder, Equal: order, Limit: pageOfQueues}) {
		if err != nil {
			return nil, err
		}
		if err := service.Erase(ctx, qs.For(merchant), d.ID, func(q *queue.Queue) bool { return q.Erase(payload.Erased) }); err != nil {
			return nil, err
		}
	}
	return nil, nil
}
