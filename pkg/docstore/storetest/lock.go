package storetest

import (
	"database/sql"
	"testing"

	_ "modernc.org/sqlite" // the driver
)

// Lock holds the write lock of an SQLite file, as another process might, until
// unlock is called.
func Lock(t *testing.T, path string) (unlock func()) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	noError(t, err)
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	noError(t, err)
	return func() {
		t.Helper()
		_, err := db.ExecContext(t.Context(), "ROLLBACK")
		noError(t, err)
		noError(t, db.Close())
	}
}
