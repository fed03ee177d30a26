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
	for after, more := "", true; more; more = after != "" {
		docs, next, err := qs.For(merchant).Find(ctx, docstore.Query{Index: byOrder, Equal: order, After: after, Limit: pageOfQueues})
		if err != nil {
			return nil, err
		}
		for _, d := range docs {
			err := service.Erase(ctx, qs.For(merchant), d.ID, func(q *queue.Queue) bool { return q.Erase(payload.Erased) })
			if err != nil {
				return nil, err
			}
		}
		after = next
	}
	return nil, nil
}
