package engine

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"quittance/pkg/docstore"
)

// maxPage is the largest page of a query.
const maxPage = 1000

// Scan is a query that was found to be in order.
type Scan struct {
	docstore.Query
	// From which the page continues; nil: the first page.
	Start *Position
}

// Position is a place in the order of (index value, id).
type Position struct{ Value, ID string }

// cursor is a position as it leaves the engine. It remembers the order it
// belongs to, because in another one it would point anywhere.
type cursor struct {
	Index      string `json:"i,omitempty"`
	Descending bool   `json:"d,omitempty"`
	Value      string `json:"v,omitempty"`
	ID         string `json:"k"`
}

// Parse checks a query against the collection it is for.
func Parse(spec docstore.StoreSpec, q docstore.Query) (Scan, error) {
	s := Scan{Query: q}
	fail := func(format string, args ...any) (Scan, error) {
		return Scan{}, fmt.Errorf("query of "+spec.Name+": "+format, args...)
	}
	if q.Limit < 1 || q.Limit > maxPage {
		return fail("limit %d is not 1 to %d", q.Limit, maxPage)
	}
	if q.Index != "" {
		if _, declared := slices.BinarySearch(spec.Indexes, q.Index); !declared {
			return fail("index %q is not declared", q.Index)
		}
	}
	if q.Equal != "" && (q.From != "" || q.To != "") {
		return fail("Equal and From or To exclude each other")
	}
	if q.After == "" {
		return s, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(q.After)
	if err != nil {
		return fail("After: %w", docstore.ErrCursor)
	}
	var c cursor
	if err := json.Unmarshal(raw, &c); err != nil || c.ID == "" {
		return fail("After: %w", docstore.ErrCursor)
	}
	if c.Index != q.Index || c.Descending != q.Descending {
		return fail("After: %w", docstore.ErrCursor)
	}
	s.Start = &Position{Value: c.Value, ID: c.ID}
	switch value := s.value(*s.Start); {
	case q.Equal != "" && q.Equal != value:
		return fail("After: %w", docstore.ErrCursor)
	case !q.Descending && value < q.From, q.Descending && q.To != "" && value >= q.To:
		s.Start = nil // the range begins after it
	}
	return s, nil
}

// value is what the query's bounds are about.
func (s Scan) value(at Position) string {
	if s.Index == "" {
		return at.ID
	}
	return at.Value
}

// Within tells whether a document at this position is in the query's bounds
// and after its start.
func (s Scan) Within(at Position) bool {
	value := s.value(at)
	switch {
	case value == "",
		s.Equal != "" && value != s.Equal,
		value < s.From,
		s.To != "" && value >= s.To:
		return false
	}
	return s.Start == nil || s.Order(*s.Start, at) < 0
}

// Order compares two positions in the order of the query.
func (s Scan) Order(a, b Position) int {
	c := cmp.Or(strings.Compare(a.Value, b.Value), strings.Compare(a.ID, b.ID))
	if s.Descending {
		return -c
	}
	return c
}

// At is where the record is in the order of the query. By id alone, the value
// is empty.
func (s Scan) At(rec *docstore.Record) Position {
	p := Position{ID: rec.ID}
	if s.Index != "" {
		p.Value = rec.Index[s.Index]
	}
	return p
}

// Page cuts what was found, up to one record more than the limit, to a page.
func (s Scan) Page(found []*docstore.Record) docstore.Page {
	if len(found) <= s.Limit {
		return docstore.Page{Records: found}
	}
	found = found[:s.Limit]
	at := s.At(found[s.Limit-1])
	raw, err := json.Marshal(cursor{Index: s.Index, Descending: s.Descending, Value: at.Value, ID: at.ID})
	if err != nil {
		panic(err) // strings and a bool always encode
	}
	return docstore.Page{Records: found, Next: base64.RawURLEncoding.EncodeToString(raw)}
}

// CheckClaim refuses a claim that could not be meant.
func CheckClaim(lease time.Duration, limit int) error {
	if lease <= 0 {
		return errors.New("lease is not positive")
	}
	return CheckLimit(limit)
}

// CheckLimit refuses a limit that could not be meant.
func CheckLimit(limit int) error {
	if limit < 1 {
		return fmt.Errorf("limit %d is less than 1", limit)
	}
	return nil
}
