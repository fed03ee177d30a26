package sqlite

import (
	"database/sql/driver"
	"fmt"
	"time"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/internal/engine"
)

// row is a document as it was read, with its outbox as it is stored.
type row struct {
	rec    *docstore.Record
	outbox []byte
}

// scan reads the values of statements.columns.
func (s *store) scan(v []driver.Value) (row, error) {
	rec := &docstore.Record{
		ID: v[0].(string), Tenant: v[1].(string), Version: v[2].(int64),
		Emitted: v[3].(int64), Published: v[4].(int64), RelayAt: timeOf(v[5]),
		Due: timeOf(v[6]), Lease: v[7].(int64), LeaseUntil: timeOf(v[8]),
	}
	v = v[9:]
	for i, name := range s.spec.Indexes {
		value, ok := v[i].(string)
		if !ok {
			continue
		}
		if rec.Index == nil {
			rec.Index = make(map[string]string, len(s.spec.Indexes))
		}
		rec.Index[name] = value
	}
	v = v[len(s.spec.Indexes):]
	rec.Body, _ = v[0].([]byte)
	outbox, _ := v[1].([]byte)
	var err error
	if rec.Outbox, err = decodeOutbox(outbox); err != nil {
		return row{}, fmt.Errorf("read %s of %s: %w", rec.ID, s.spec.Name, err)
	}
	return row{rec: rec, outbox: outbox}, nil
}

// collect reads rows of statements.columns.
func (s *store) collect(c *conn, sql string, args ...driver.Value) ([]*docstore.Record, error) {
	var found []*docstore.Record
	err := c.query(func(v []driver.Value) error {
		r, err := s.scan(v)
		found = append(found, r.rec)
		return err
	}, sql, args...)
	if err != nil {
		return nil, err
	}
	return found, nil
}

// load reads one document.
func (s *store) load(c *conn, id string) (row, error) {
	var found row
	err := c.query(func(v []driver.Value) (err error) {
		found, err = s.scan(v)
		return err
	}, s.sql.get, id)
	switch {
	case err != nil:
		return row{}, err
	case found.rec == nil:
		return row{}, docstore.ErrNotFound
	}
	return found, nil
}

// write is a statement ready to run, and the document that it stores.
type write struct {
	sql  string
	args []driver.Value
	rec  *docstore.Record
}

// run stores the document and reports whether it did.
func (w write) run(c *conn) (bool, error) {
	n, err := c.exec(w.sql, w.args...)
	return n == 1, err
}

// inserting stores a prepared record under a new id.
func (s *store) inserting(rec *docstore.Record) (write, error) {
	outbox, _, err := encodeOutbox(nil, nil, rec.Outbox)
	if err != nil {
		return write{}, fmt.Errorf("encode outbox: %w", err)
	}
	args := []driver.Value{
		rec.ID, rec.Tenant, rec.Version, rec.Emitted, rec.Published, millis(rec.RelayAt),
		millis(rec.Due), rec.Lease, millis(rec.LeaseUntil),
	}
	for _, name := range s.spec.Indexes {
		args = append(args, text(rec.Index[name]))
	}
	args = append(args, rec.Body, text(string(outbox)), millis(engine.Claimable(rec)))
	return write{s.sql.insert, args, rec}, nil
}

// replacing stores next if the document is still the one that was read. Marks
// move published and not the version, so both are compared. Columns that cost
// something, by an index or their size, are only set if they change.
func (s *store) replacing(read row, next *docstore.Record) (write, error) {
	old := read.rec
	outbox, changed, err := encodeOutbox(read.outbox, old.Outbox, next.Outbox)
	if err != nil {
		return write{}, fmt.Errorf("encode outbox: %w", err)
	}
	sql := "UPDATE " + quote(tableName(s.spec.Name)) +
		" SET version = ?, emitted = ?, published = ?, due = ?, lease = ?, lease_until = ?, body = ?"
	args := []driver.Value{
		next.Version, next.Emitted, next.Published, millis(next.Due), next.Lease, millis(next.LeaseUntil), next.Body,
	}
	set := func(column string, value driver.Value) {
		sql += ", " + column + " = ?"
		args = append(args, value)
	}
	if !next.RelayAt.Equal(old.RelayAt) {
		set("relay_at", millis(next.RelayAt))
	}
	if at := engine.Claimable(next); !at.Equal(engine.Claimable(old)) {
		set("claim_at", millis(at))
	}
	for _, name := range s.spec.Indexes {
		if next.Index[name] != old.Index[name] {
			set(quote(columnName(name)), text(next.Index[name]))
		}
	}
	if changed {
		set("outbox", text(string(outbox)))
	}
	sql += " WHERE id = ? AND version = ? AND published = ?"
	return write{sql, append(args, old.ID, old.Version, old.Published), next}, nil
}

// millis is a time as it is stored, NULL if zero.
func millis(t time.Time) driver.Value {
	if t.IsZero() {
		return nil
	}
	return engine.CeilMillis(t)
}

func timeOf(v driver.Value) time.Time {
	ms, ok := v.(int64)
	if !ok {
		return time.Time{}
	}
	return engine.FromMillis(ms)
}

// text is a string as it is stored, NULL if empty.
func text(s string) driver.Value {
	if s == "" {
		return nil
	}
	return s
}
