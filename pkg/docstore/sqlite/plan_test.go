package sqlite

import (
	"database/sql/driver"
	"fmt"
	"strings"
	"testing"
	"time"

	"quittance/pkg/docstore"
)

// TestEveryStatementUsesAnIndex runs every kind of call and query, and then
// has SQLite explain all statements that the connections have prepared. Each
// must go through an index, in the order of it, with all conditions of a query
// bounding the walk; only an id is enough by itself.
func TestEveryStatementUsesAnIndex(t *testing.T) {
	e := openTest(t, Options{Readers: 1})
	s := openStore(t, e, "color", "size")
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i := range 3 {
		rec := &docstore.Record{ID: fmt.Sprint(i), Index: map[string]string{"color": "red", "size": "1"}, Due: now, RelayAt: now, Emitted: 1}
		must(t, s.Insert(t.Context(), rec))
	}
	_, err := s.Update(t.Context(), "0", func(rec *docstore.Record) error {
		rec.Index, rec.Due, rec.RelayAt, rec.Outbox = nil, time.Time{}, time.Time{}, []docstore.Entry{{Seq: 1}}
		return nil
	})
	must(t, err)
	_, err = s.Claim(t.Context(), now, time.Second, 1)
	must(t, err)
	_, err = s.Unpublished(t.Context(), now, 1)
	must(t, err)
	_, err = s.NextDue(t.Context())
	must(t, err)
	_, err = s.Delete(t.Context(), "0", 1)
	must(t, err)
	must(t, s.MarkPublished(t.Context(), []docstore.Mark{{ID: "1", Emitted: 1}}))
	must(t, e.Ping(t.Context()))
	for _, index := range []string{"", "color"} {
		for _, bounds := range []docstore.Query{{}, {Equal: "red"}, {Equal: "1"}, {From: "0"}, {To: "z"}, {From: "0", To: "z"}} {
			for _, all := range []bool{true, false} {
				for _, descending := range []bool{true, false} {
					q := bounds
					q.Index, q.AllTenants, q.Descending, q.Limit = index, all, descending, 1
					page, err := s.Find(t.Context(), q)
					must(t, err)
					if q.After = page.Next; q.After != "" {
						_, err = s.Find(t.Context(), q)
						must(t, err)
					}
				}
			}
		}
	}

	explained := 0
	explain := func(c *conn) error {
		for sql := range c.stmts {
			verb, _, _ := strings.Cut(sql, " ")
			if verb == "BEGIN" || verb == "COMMIT" || verb == "PRAGMA" || strings.Contains(sql, "pragma_table_info") {
				continue
			}
			explained++
			if strings.Contains(sql, "LIMIT ?") {
				t.Errorf("%s: planned anew at each call, see upTo", sql)
			}
			args := make([]driver.Value, strings.Count(sql, "?"))
			rows, err := c.raw.(driver.Queryer).Query("EXPLAIN QUERY PLAN "+sql, args) //nolint:staticcheck // no named values needed
			if err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
			plan := make([]driver.Value, 4)
			for rows.Next(plan) == nil {
				detail := plan[3].(string)
				_, where, _ := strings.Cut(strings.TrimSuffix(sql, upTo), "WHERE")
				bounded := strings.Count(detail, "?") == strings.Count(where, "?") || strings.Contains(detail, "id=?)")
				if !strings.HasPrefix(detail, "SEARCH ") || !strings.Contains(detail, " USING ") || !bounded {
					t.Errorf("%s\n  %s", sql, detail)
				}
			}
			if err := rows.Close(); err != nil {
				return err
			}
		}
		return nil
	}
	_, err = read(t.Context(), e, func(c *conn) (any, error) { return nil, explain(c) })
	must(t, err)
	must(t, e.submit(t.Context(), func(w *conn, _ *op) error { return explain(w) }))
	if explained < 40 {
		t.Fatalf("only %d statements were explained", explained)
	}
}
