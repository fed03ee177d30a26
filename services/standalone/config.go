package standalone

import (
	"net/netip"
	"time"

	"quittance/pkg/mail"
	"quittance/pkg/seal"
	"quittance/pkg/telemetry"
	"quittance/services/notification"
)

// EnvPrefix begins the names of all settings.
const EnvPrefix = "QUITTANCE_"

// Config is all that one process needs. The zero value of a secret means that
// one is made at the first start and kept in the data directory.
type Config struct {
	DataDir string `env:"DATA_DIR" envDefault:".data" doc:"directory of databases, bus and secrets"`

	GRPCAddr string `env:"GRPC_ADDR" envDefault:"127.0.0.1:9090" doc:"listen address of the public gRPC API"`
	HTTPAddr string `env:"HTTP_ADDR" envDefault:"127.0.0.1:8080" doc:"listen address of pay pages and provider callbacks"`
	// AdminAddr keeps metrics and readiness from those who reach HTTPAddr.
	AdminAddr string `env:"ADMIN_ADDR" doc:"listen address of /metrics, /readyz and /healthz, for operators only; the HTTP address if empty, else that has only /healthz"`
	// PublicURL is how customers and providers reach HTTPAddr.
	PublicURL string `env:"PUBLIC_URL" doc:"base URL at which customers and providers reach the HTTP address; http://<HTTP_ADDR> if empty"`

	Proxies []netip.Prefix `env:"TRUSTED_PROXIES" doc:"networks of the reverse proxies in front of the HTTP address, such as 10.0.0.0/8: only they may say who the client is (X-Forwarded-For)"`

	AccountsDir string `env:"ACCOUNTS_DIR" doc:"directory of provider accounts, a YAML file each, read every 5 s (docs/providers.md); none if empty"`

	CallbackKeep       time.Duration `env:"CALLBACK_KEEP" envDefault:"2160h" doc:"how long the raw requests of callbacks are kept; refused callbacks are deleted then"`
	CallbacksPerSecond int           `env:"CALLBACKS_PER_SECOND" envDefault:"1000" doc:"how many callbacks of one account are taken from one address, twice as many at once; the others are told to come again"`

	Keyring     seal.Secret `env:"KEYRING" doc:"key-encryption keys, kid:base64,…; made and kept in the data directory if empty"`
	OperatorKey seal.Secret `env:"OPERATOR_KEY" doc:"the operator's API key; made and kept in the data directory if empty"`

	ReturnWait   time.Duration `env:"RETURN_WAIT" envDefault:"5s" doc:"how long a returning customer waits for the provider's answer"`
	AccessFor    time.Duration `env:"ACCESS_FOR" envDefault:"30m" doc:"how long after the payment the access token of a customer who came back paid holds"`
	ServiceAllow []string      `env:"LICENSE_SERVICE_ALLOW_CIDRS" doc:"networks that merchants' licence web services may be in beside the public internet"`
	Notification notification.Config

	DeliveryReconcile bool `env:"DELIVERY_RECONCILE" doc:"compare licences and deliveries with the orders' records before any work, after delivery.db was restored from a copy"`

	SMTP mail.Config `envPrefix:"SMTP_"`

	// Sandbox runs the simulated providers, demo shop, webhook receiver and mail
	// sink in this process.
	Sandbox     bool   `env:"SANDBOX" doc:"run the sandbox in this process (development)"`
	SandboxAddr string `env:"SANDBOX_ADDR" envDefault:"127.0.0.1:8090" doc:"listen address of the sandbox"`
	SandboxURL  string `env:"SANDBOX_URL" doc:"base URL at which browsers reach the sandbox; http://<SANDBOX_ADDR> if empty"`
	SandboxSMTP string `env:"SANDBOX_SMTP_ADDR" envDefault:"127.0.0.1:2525" doc:"listen address of the sandbox's mail sink"`

	Telemetry telemetry.Config
}
