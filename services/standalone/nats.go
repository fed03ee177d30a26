package standalone

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// natsStart is how long the embedded server may take to recover its files.
const natsStart = 30 * time.Second

// StartNATS starts a server that is reached in process only and keeps its
// streams below dir. The directory may be lost: the stores bring everything
// about again (P5).
func StartNATS(dir string) (*server.Server, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: "quittance", DontListen: true, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: filepath.Join(dir, "nats"),
	})
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(natsStart) {
		s.Shutdown()
		return nil, fmt.Errorf("embedded NATS was not ready within %s", natsStart)
	}
	return s, nil
}
