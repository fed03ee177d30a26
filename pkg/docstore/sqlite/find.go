package sqlite

import (
	"context"
	"database/sql/driver"
	"strings"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/internal/engine"
)

// upTo ends a statement. SQLite looks at a bound limit while it plans, and so
// would make the plan anew whenever it is bound; it doesn't look at a sum.
const upTo = " LIMIT 0 + ?"

// Find implements docstore.Store. Each page is a query of its own that starts
// where the page before ended; it holds nothing between pages.
func (s *store) Find(ctx context.Context, q docstore.Query) (docstore.Page, error) {
	scan, err := engine.Parse(s.spec, q)
	if err != nil {
		return docstore.Page{}, err
	}
	sql, args := s.find(scan)
	found, err := read(ctx, s.engine, func(c *conn) ([]*docstore.Record, error) { return s.collect(c, sql, args...) })
	if err != nil {
		return docstore.Page{}, err
	}
	return scan.Page(found), nil
}

// find makes the statement of a scan. There is a dozen or two of texts per
// index, so that statements stay prepared. Each has one bound at either end,
// so that the walk along the index starts where the page does.
func (s *store) find(scan engine.Scan) (string, []driver.Value) {
	var where []string
	var args []driver.Value
	need := func(condition string, values ...driver.Value) {
		where, args = append(where, condition), append(args, values...)
	}
	start, ascending := scan.Start, !scan.Descending
	beyond, direction := " > ", ""
	if scan.Descending {
		beyond, direction = " < ", " DESC"
	}
	column, order := "id", "id"+direction
	if scan.Index != "" {
		column = quote(columnName(scan.Index))
		order = column + direction + ", " + order
	}
	if !scan.AllTenants {
		need("tenant = ?", scan.Tenant)
	}
	if scan.Equal != "" {
		need(column+" = ?", scan.Equal)
	}
	switch {
	case start == nil:
	case scan.Equal != "" || scan.Index == "":
		need("id"+beyond+"?", start.ID)
	default:
		need("("+column+", id)"+beyond+"(?, ?)", start.Value, start.ID)
	}
	if scan.Equal == "" && (start == nil || !ascending) {
		need(column+" >= ?", scan.From) // even if empty: it leaves out NULL
	}
	if scan.To != "" && (start == nil || ascending) {
		need(column+" < ?", scan.To)
	}
	return "SELECT " + s.sql.columns + " FROM " + quote(tableName(s.spec.Name)) +
			" WHERE " + strings.Join(where, " AND ") + " ORDER BY " + order + upTo,
		append(args, int64(scan.Limit)+1)
}
