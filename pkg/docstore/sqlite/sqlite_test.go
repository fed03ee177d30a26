package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"quittance/pkg/docstore"
	"quittance/pkg/docstore/sqlite"
	"quittance/pkg/docstore/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) docstore.Engine { return openEngine(t, t.TempDir()) })
}

func openEngine(t *testing.T, dir string) docstore.Engine {
	t.Helper()
	e, err := sqlite.Open(t.Context(), filepath.Join(dir, "test.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestPersistence(t *testing.T) {
	storetest.RunPersistent(t, storetest.Persistent{Open: openEngine, Check: checkIntegrity})
}

// checkIntegrity lets SQLite go over the whole file.
func checkIntegrity(t *testing.T, dir string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var result string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&result); err != nil || result != "ok" {
		t.Fatalf("integrity check: %s, %v", result, err)
	}
}
