package sqlite

import (
	"database/sql/driver"
	"fmt"
	"maps"
	"slices"
	"strings"

	"quittance/pkg/docstore"
)

// layout is the version of the tables below; it is kept in user_version.
const layout = 1

// setUp brings a new database into being; run within a transaction.
func setUp(w *conn) error {
	var version int64
	err := w.query(func(v []driver.Value) error {
		version = v[0].(int64)
		return nil
	}, "PRAGMA user_version")
	switch {
	case err != nil:
		return err
	case version == layout:
		return nil
	case version != 0:
		return fmt.Errorf("database has layout %d, this program knows %d", version, layout)
	}
	for _, sql := range []string{
		"CREATE TABLE ping (id INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT",
		"INSERT INTO ping VALUES (1, 0)",
		fmt.Sprintf("PRAGMA user_version = %d", layout),
	} {
		if err := w.script(sql); err != nil {
			return err
		}
	}
	return nil
}

// pingSQL changes something, so that its commit has to reach the disk.
const pingSQL = "UPDATE ping SET n = n + 1 WHERE id = 1"

func tableName(collection string) string { return "c_" + collection }

func columnName(index string) string { return "ix_" + index }

// declare creates what is missing of a collection; run within a transaction.
//
// claim_at is when the document can be claimed, the later of due and
// lease_until. There is a column per index field; documents without a value
// have NULL there. Indexes are plain: not unique, not partial.
func declare(w *conn, spec docstore.StoreSpec) error {
	table := tableName(spec.Name)
	err := w.script("CREATE TABLE IF NOT EXISTS " + quote(table) + ` (
		id TEXT NOT NULL PRIMARY KEY,
		tenant TEXT NOT NULL,
		version INTEGER NOT NULL,
		emitted INTEGER NOT NULL,
		published INTEGER NOT NULL,
		relay_at INTEGER,
		due INTEGER,
		claim_at INTEGER,
		lease INTEGER NOT NULL,
		lease_until INTEGER,
		body BLOB,
		outbox TEXT
	) STRICT`)
	if err != nil {
		return err
	}
	columns, err := columnsOf(w, table)
	if err != nil {
		return err
	}
	for _, index := range spec.Indexes {
		if slices.Contains(columns, columnName(index)) {
			continue
		}
		if err := w.script("ALTER TABLE " + quote(table) + " ADD COLUMN " + quote(columnName(index)) + " TEXT"); err != nil {
			return err
		}
	}
	indexes := map[string]string{
		"tenant": "tenant, id",
		"claim":  "claim_at, id",
		"relay":  "relay_at, id",
	}
	for _, index := range spec.Indexes {
		column := quote(columnName(index))
		indexes["all:"+index] = column + ", id"
		indexes["tenant:"+index] = "tenant, " + column + ", id"
	}
	for _, name := range slices.Sorted(maps.Keys(indexes)) {
		// Names of tables and columns have no colon, so these are nobody else's.
		if err := w.script("CREATE INDEX IF NOT EXISTS " + quote(table+":"+name) + " ON " + quote(table) + " (" + indexes[name] + ")"); err != nil {
			return err
		}
	}
	return nil
}

func columnsOf(w *conn, table string) ([]string, error) {
	var columns []string
	err := w.query(func(v []driver.Value) error {
		columns = append(columns, v[0].(string))
		return nil
	}, "SELECT name FROM pragma_table_info(?)", table)
	return columns, err
}

// statements are the fixed statements of a collection.
type statements struct {
	columns, insert, get, delete  string
	due, claimable, claim         string
	unpublished, publish, nextDue string
}

func newStatements(spec docstore.StoreSpec) statements {
	table := quote(tableName(spec.Name))
	fields := []string{"id", "tenant", "version", "emitted", "published", "relay_at", "due", "lease", "lease_until"}
	for _, index := range spec.Indexes {
		fields = append(fields, quote(columnName(index)))
	}
	fields = append(fields, "body", "outbox")
	inserted := append(slices.Clone(fields), "claim_at")

	var s statements
	// As a blob the outbox takes one copy less on its way through the driver.
	s.columns = strings.Replace(strings.Join(fields, ", "), "outbox", "CAST(outbox AS BLOB)", 1)
	s.insert = "INSERT INTO " + table + " (" + strings.Join(inserted, ", ") + ") VALUES (" +
		list(inserted, func(string) string { return "?" }) + ") ON CONFLICT (id) DO NOTHING"
	s.get = "SELECT " + s.columns + " FROM " + table + " WHERE id = ?"
	s.delete = "DELETE FROM " + table + " WHERE id = ? AND version = ?"

	s.due = "SELECT 1 FROM " + table + " WHERE claim_at <= ? LIMIT 1"
	s.claimable = "SELECT " + s.columns + " FROM " + table + " WHERE claim_at <= ? ORDER BY claim_at, id" + upTo
	s.claim = "UPDATE " + table + " SET version = ?, lease = ?, lease_until = ?, claim_at = ? WHERE id = ?"
	s.nextDue = "SELECT claim_at FROM " + table + " WHERE claim_at >= ? ORDER BY claim_at LIMIT 1"

	s.unpublished = "SELECT " + s.columns + " FROM " + table + " WHERE relay_at <= ? ORDER BY relay_at, id" + upTo
	s.publish = "UPDATE " + table + ` SET published = max(published, min(?1, emitted)),
		relay_at = CASE WHEN max(published, ?1) >= emitted THEN NULL ELSE relay_at END
		WHERE id = ?2 AND (published < min(?1, emitted) OR (relay_at IS NOT NULL AND max(published, ?1) >= emitted))`
	return s
}
