package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// conn is one connection with its prepared statements. It is used by one
// goroutine at a time. Going through the driver directly instead of
// database/sql saves a third of the time of a small statement.
type conn struct {
	raw   driver.Conn
	stmts map[string]statement
	args  []driver.NamedValue
	// failed is the first failure of the database since it was last cleared.
	failed error
}

type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// dial opens a connection to the absolute path and applies the pragmas.
func dial(path string, pragmas ...string) (*conn, error) {
	name := url.URL{Scheme: "file", Path: path}
	raw, err := (&sqlite.Driver{}).Open(name.String())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	c := &conn{raw: raw, stmts: map[string]statement{}}
	for _, p := range pragmas {
		if err := c.script("PRAGMA " + p); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	return c, nil
}

// close finalizes the statements and closes the connection.
func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.raw.Close())...)
}

// whole is the context of every statement: one in a batch of several callers'
// writes must not end because one caller has gone.
func whole() context.Context { return context.Background() } //nolint:forbidigo // see above

// script runs a statement once, without keeping it prepared.
func (c *conn) script(sql string) error {
	if _, err := c.raw.(driver.ExecerContext).ExecContext(whole(), sql, nil); err != nil {
		return c.fail(sql, err)
	}
	return nil
}

// exec runs a statement and returns how many rows it changed.
func (c *conn) exec(sql string, args ...driver.Value) (int64, error) {
	s, err := c.prepare(sql)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(whole(), c.name(args))
	if err != nil {
		return 0, c.fail(sql, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, c.fail(sql, err)
	}
	return n, nil
}

// query calls scan for each row, whose values are only valid until it returns.
func (c *conn) query(scan func([]driver.Value) error, sql string, args ...driver.Value) (err error) {
	s, err := c.prepare(sql)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(whole(), c.name(args))
	if err != nil {
		return c.fail(sql, err)
	}
	defer func() {
		if e := rows.Close(); e != nil && err == nil {
			err = c.fail(sql, e)
		}
	}()
	values := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(values); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return c.fail(sql, err)
		}
		if err := scan(values); err != nil {
			return err
		}
	}
}

func (c *conn) prepare(sql string) (statement, error) {
	if s := c.stmts[sql]; s != nil {
		return s, nil
	}
	s, err := c.raw.Prepare(sql)
	if err != nil {
		return nil, c.fail(sql, err)
	}
	c.stmts[sql] = s.(statement)
	return c.stmts[sql], nil
}

// fail notes a failure of the database and says in what it happened: the
// statement's first words, as values are never part of a statement.
func (c *conn) fail(sql string, err error) error {
	if words := strings.Fields(sql); len(words) > 3 {
		sql = strings.Join(words[:3], " ") + " …"
	}
	err = fmt.Errorf("sqlite: %s: %w", sql, err)
	if c.failed == nil {
		c.failed = err
	}
	return err
}

func (c *conn) name(args []driver.Value) []driver.NamedValue {
	c.args = c.args[:0]
	for i, v := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return c.args
}

// busy tells whether the database refused because somebody else uses it.
func busy(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_PROTOCOL:
		return true
	}
	return false
}

// quote makes a name an identifier; names have no quotes in them.
func quote(name string) string { return `"` + name + `"` }

// list joins what f makes of each name.
func list(names []string, f func(string) string) string {
	parts := make([]string, len(names))
	for i, n := range names {
		parts[i] = f(n)
	}
	return strings.Join(parts, ", ")
}
