// Command certs makes the certificates of mutual TLS between services, for
// development: certs DIR NAME... See scripts/certs.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"quittance/pkg/app"
	"quittance/pkg/devcert"
)

func main() { app.Main(run) }

func run(context.Context) error {
	if len(os.Args) < 3 {
		return errors.New("needs a directory and names of services")
	}
	root, names := os.Args[1], os.Args[2:]
	authority, err := devcert.Open(filepath.Join(root, "ca"))
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := authority.Issue(filepath.Join(root, name), name, name, name+"-internal"); err != nil {
			return err
		}
		if _, err := fmt.Println(filepath.Join(root, name)); err != nil {
			return err
		}
	}
	return nil
}
