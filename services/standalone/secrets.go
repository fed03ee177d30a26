package standalone

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"quittance/pkg/id"
	"quittance/pkg/seal"
)

// secrets are made at the first start and kept in the data directory, readable
// by the owner only. Whoever runs more than a demo gives them by configuration.
type secrets struct {
	keyring     *seal.Keyring
	operatorKey seal.Secret
	service     seal.Secret
}

func loadSecrets(cfg Config) (secrets, error) {
	spec, err := secret(cfg, "keyring", cfg.Keyring.Reveal(), seal.Generate)
	if err != nil {
		return secrets{}, err
	}
	keyring, err := seal.ParseKeyring(spec)
	if err != nil {
		return secrets{}, fmt.Errorf("keyring: %w", err)
	}
	operator, err := secret(cfg, "operator-key", cfg.OperatorKey.Reveal(), id.Token)
	if err != nil {
		return secrets{}, err
	}
	// Service credentials never leave the process.
	return secrets{keyring: keyring, operatorKey: seal.Secret(operator), service: seal.Secret(id.Token())}, nil
}

// secret returns the given value, or the one in the data directory, which is
// made with fresh if there is none.
func secret(cfg Config, name, given string, fresh func() string) (string, error) {
	if given != "" {
		return given, nil
	}
	value, err := recall(cfg.DataDir, name)
	if err != nil || value != "" {
		return value, err
	}
	value = fresh()
	return value, keep(cfg.DataDir, name, value)
}

// recall reads a value from the data directory, empty if there is none.
func recall(dir, name string) (string, error) {
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// keep writes a value to the data directory.
func keep(dir, name, value string) error {
	if err := writeDurably(filepath.Join(dir, name), value+"\n"); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// writeDurably writes a whole file or nothing: data sealed under a key that a
// crash has lost would be lost too.
func writeDurably(path, content string) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
