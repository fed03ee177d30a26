package deploytest

import (
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"testing"

	"quittance/services/standalone"
)

// TestSeed: scripts/seed fills the deployment of docker-compose.yml if it is told
// of no other, with settings that the command takes.
func TestSeed(t *testing.T) {
	defaults := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^export (SEED_\w+)=\$\{SEED_\w+:-(\S+)\}$`).FindAllSubmatch(text(t, filepath.Join(root, "scripts/seed")), -1) {
		defaults[string(m[1])] = string(m[2])
	}
	read[standalone.Deployment](standalone.SeedPrefix).checkEnvironment(t, "scripts/seed", maps.Clone(defaults))

	containers, _ := compose(t)
	port := func(container, variable string) string {
		return "127.0.0.1" + containers[container].Environment[variable]
	}
	sandbox := containers["sandbox"].Environment
	callbacks, err := url.Parse(sandbox["SANDBOX_POSTBACK_URL"])
	if err != nil {
		t.Fatal(err)
	}
	for variable, want := range map[string]string{
		"SEED_ORDER_ADDR":        port("order", "QUITTANCE_GRPC_ADDR"),
		"SEED_DELIVERY_ADDR":     port("delivery", "QUITTANCE_GRPC_ADDR"),
		"SEED_NOTIFICATION_ADDR": port("notification", "QUITTANCE_GRPC_ADDR"),
		"SEED_OPERATOR_KEY":      containers["order"].Environment["QUITTANCE_OPERATOR_KEY"],
		"SEED_CALLBACK_URL":      callbacks.Scheme + "://" + callbacks.Host,
		"SEED_SANDBOX_URL":       sandbox["SANDBOX_PUBLIC_URL"],
		"SEED_SHOP_ID":           sandbox["SANDBOX_SHOP_ID"],
		"SEED_SIGNATURE_KEY":     sandbox["SANDBOX_SIGNATURE_KEY"],
	} {
		if want == "" || defaults[variable] != want {
			t.Errorf("scripts/seed has %s=%q, docker-compose.yml %q", variable, defaults[variable], want)
		}
	}
	if want := "/callbacks/flexpay/" + standalone.DemoAccount; callbacks.Path != want {
		t.Errorf("postbacks go to %s, the seeded account takes them at %s", callbacks.Path, want)
	}
}
