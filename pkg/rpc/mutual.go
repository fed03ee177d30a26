package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// Names of the files of a MutualTLS directory: those of a Kubernetes secret of
// type kubernetes.io/tls as cert-manager fills it.
const (
	fileCA   = "ca.crt"
	fileCert = "tls.crt"
	fileKey  = "tls.key"
)

// lookEvery is how often the files are looked at, by handshakes.
const lookEvery = 5 * time.Second

// MutualTLS is how services know each other on internal listeners: each end
// shows a certificate, and takes only those that the same authority signed. The
// client also checks the name or IP address that it has dialed. Both ends read
// their files again when these have changed, so that certificates are renewed
// without a restart.
type MutualTLS struct {
	dir string
	log *slog.Logger

	mu     sync.Mutex
	looked time.Time
	stamp  string
	roots  *x509.CertPool
	cert   tls.Certificate
}

// LoadMutualTLS reads ca.crt, tls.crt and tls.key of a directory: PEM files of
// the authorities to trust, and of the own certificate with its key. Its errors
// name the file.
func LoadMutualTLS(dir string, log *slog.Logger) (*MutualTLS, error) {
	m := &MutualTLS{dir: dir, log: log}
	stamp, err := m.stat()
	if err != nil {
		return nil, err
	}
	return m, m.load(stamp)
}

// stat tells files that have changed from those that were read.
func (m *MutualTLS) stat() (string, error) {
	stamp := ""
	for _, name := range []string{fileCA, fileCert, fileKey} {
		info, err := os.Stat(filepath.Join(m.dir, name))
		if err != nil {
			return "", fmt.Errorf("mutual TLS: %w", err)
		}
		stamp += fmt.Sprint(info.ModTime().UnixNano(), " ", info.Size(), "/")
	}
	return stamp, nil
}

func (m *MutualTLS) load(stamp string) error {
	ca, err := os.ReadFile(filepath.Join(m.dir, fileCA))
	if err != nil {
		return fmt.Errorf("mutual TLS: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return fmt.Errorf("mutual TLS: %s has no certificate in PEM", filepath.Join(m.dir, fileCA))
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(m.dir, fileCert), filepath.Join(m.dir, fileKey))
	if err != nil {
		return fmt.Errorf("mutual TLS: %s and %s of %s: %w", fileCert, fileKey, m.dir, err)
	}
	m.stamp, m.roots, m.cert = stamp, roots, cert
	return nil
}

// config is that of the next handshake. Files that can't be read leave the last
// ones in force: they may be in the middle of a change.
func (m *MutualTLS) config() *tls.Config {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := time.Now(); now.Sub(m.looked) >= lookEvery {
		m.looked = now
		stamp, err := m.stat()
		if err == nil && stamp != m.stamp {
			err = m.load(stamp)
		}
		if err != nil {
			m.log.Error("certificates are not renewed", "error", err)
		}
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{m.cert},
		RootCAs: m.roots, ClientCAs: m.roots, ClientAuth: tls.RequireAndVerifyClientCert,
	}
}

// mutual makes each handshake with the configuration of its moment.
type mutual struct{ *MutualTLS }

var _ credentials.TransportCredentials = mutual{}

// ClientHandshake implements credentials.TransportCredentials.
func (m mutual) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return credentials.NewTLS(m.config()).ClientHandshake(ctx, authority, conn)
}

// ServerHandshake implements credentials.TransportCredentials.
func (m mutual) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secure, info, err := credentials.NewTLS(m.config()).ServerHandshake(conn)
	var unknown x509.UnknownAuthorityError
	if err != nil && (errors.As(err, &unknown) || isNoCertificate(err)) {
		m.log.Warn("a caller of the internal listener was refused", "remote", conn.RemoteAddr().String(), "error", err)
	}
	return secure, info, err
}

// isNoCertificate: crypto/tls has no type for it.
func isNoCertificate(err error) bool {
	return err != nil && err.Error() == "tls: client didn't provide a certificate"
}

// Info implements credentials.TransportCredentials.
func (m mutual) Info() credentials.ProtocolInfo { return credentials.NewTLS(m.config()).Info() }

// Clone implements credentials.TransportCredentials.
func (m mutual) Clone() credentials.TransportCredentials { return m }

// OverrideServerName implements credentials.TransportCredentials.
func (mutual) OverrideServerName(string) error {
	return errors.New("mutual TLS: the name is the one that was dialed")
}
