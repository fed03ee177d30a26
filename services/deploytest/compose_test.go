package deploytest

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// container is what this test looks at in a service of the compose file.
type container struct {
	Image string
	Build *struct {
		Context, Dockerfile string
		Args                map[string]string
	}
	NetworkMode string `yaml:"network_mode"`
	Environment map[string]string
	Ports       []string
	Volumes     []string
}

func compose(t *testing.T) (containers map[string]container, volumes map[string]any) {
	t.Helper()
	var file struct {
		Services map[string]container
		Volumes  map[string]any
	}
	if err := yaml.Unmarshal(text(t, filepath.Join(root, "docker-compose.yml")), &file); err != nil {
		t.Fatal(err)
	}
	return file.Services, file.Volumes
}

// edge is the container whose network the programs share.
const edge = "edge"

func TestComposePrograms(t *testing.T) {
	containers, _ := compose(t)
	var wanted []string
	for name := range services {
		wanted = append(wanted, name)
	}
	for _, name := range append(wanted, "sandbox") {
		c, ok := containers[name]
		if !ok {
			t.Errorf("%s is not there", name)
			continue
		}
		programs()[name].checkEnvironment(t, name, c.Environment)
		if c.Build == nil || c.Build.Args["PROGRAM"] != name || c.Image != "quittance/"+name {
			t.Errorf("%s is built as %+v, image %q", name, c.Build, c.Image)
			continue
		}
		if _, err := os.Stat(filepath.Join(root, c.Build.Context, c.Build.Dockerfile)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.NetworkMode != "service:"+edge || len(c.Ports) > 0 {
			t.Errorf("%s is in network %q with ports %v", name, c.NetworkMode, c.Ports)
		}
	}
	for name, c := range containers {
		if c.Build != nil && c.NetworkMode == "" {
			t.Errorf("%s is built and not in the network of the programs", name)
		}
		if c.Build == nil && !strings.Contains(c.Image, ":") {
			t.Errorf("%s: image %q has no version", name, c.Image)
		}
	}
}

// In one network no two programs can listen on one port; what is published must
// be listened on, beyond loopback; what programs say to each other must be
// listened on too.
func TestComposePorts(t *testing.T) {
	containers, _ := compose(t)
	listens := map[string]string{} // by port: the host listened on
	for name, c := range containers {
		if c.NetworkMode == "" {
			continue
		}
		for variable, fallback := range programs()[name].defaults(t) {
			if !isListenAddress(variable) {
				continue
			}
			address := fallback
			if set, ok := c.Environment[variable]; ok {
				address = set
			}
			if address == "" {
				continue
			}
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				t.Errorf("%s: %s: %v", name, variable, err)
				continue
			}
			if _, taken := listens[port]; taken {
				t.Errorf("%s: %s: port %s is another's", name, variable, port)
			}
			listens[port] = host
		}
	}
	published := map[string]bool{}
	for _, mapping := range containers[edge].Ports {
		parts := strings.Split(mapping, ":")
		if len(parts) != 3 || parts[0] != "127.0.0.1" || parts[1] != parts[2] {
			t.Errorf("%s: %s must be the same port of 127.0.0.1", edge, mapping)
			continue
		}
		published[parts[2]] = true
		if host, ok := listens[parts[2]]; !ok || host != "" {
			t.Errorf("%s publishes %s, where %q is listened on: %t", edge, parts[2], host, ok)
		}
	}
	for port, host := range listens {
		if host == "" && !published[port] {
			t.Errorf("port %s is listened on by all and not published", port)
		}
	}
	loopback := regexp.MustCompile(`127\.0\.0\.1:(\d+)`)
	for name, c := range containers {
		for variable, value := range c.Environment {
			for _, m := range loopback.FindAllStringSubmatch(value, -1) {
				if _, ok := listens[m[1]]; !ok {
					t.Errorf("%s: %s=%s: nobody listens there", name, variable, value)
				}
			}
			if strings.HasPrefix(value, "http://127.0.0.1:") && !published[value[len("http://127.0.0.1:"):][:4]] {
				t.Errorf("%s: %s=%s is out of a browser's reach", name, variable, value)
			}
		}
	}
	if s, d := containers["sandbox"].Environment["SANDBOX_SMTP_ADDR"], containers["delivery"].Environment; s != d["QUITTANCE_SMTP_HOST"]+":"+d["QUITTANCE_SMTP_PORT"] {
		t.Errorf("mails are sent to %s:%s, received at %s", d["QUITTANCE_SMTP_HOST"], d["QUITTANCE_SMTP_PORT"], s)
	}
	internal := containers["order"].Environment["QUITTANCE_INTERNAL_ADDR"]
	for name := range services {
		if got := containers[name].Environment["QUITTANCE_ORDER_ADDR"]; got != internal {
			t.Errorf("%s looks for orders at %s, they are at %s", name, got, internal)
		}
	}
}

// isListenAddress tells from the name.
func isListenAddress(variable string) bool {
	return strings.HasSuffix(variable, "_ADDR") && variable != "QUITTANCE_ORDER_ADDR" && variable != "QUITTANCE_DELIVERY_ADDR"
}

// Each service is the user of NATS whose password the server is told.
func TestComposeNATS(t *testing.T) {
	containers, _ := compose(t)
	server := containers["nats"].Environment
	users := natsUsers(t)
	for name := range services {
		environ := containers[name].Environment
		password, ok := users[environ["QUITTANCE_NATS_USER"]]
		if !ok {
			t.Errorf("%s: deploy/nats.conf has no user %q", name, environ["QUITTANCE_NATS_USER"])
		}
		if got := environ["QUITTANCE_NATS_PASSWORD"]; got == "" || got != server[password] {
			t.Errorf("%s: its password is not %s of the server", name, password)
		}
	}
	for _, variable := range users {
		if server[variable] == "" {
			t.Errorf("deploy/nats.conf needs %s", variable)
		}
	}
	if len(server) != len(users) {
		t.Errorf("the server is told %d passwords of %d users", len(server), len(users))
	}
	if !slices.Contains(containers["nats"].Volumes, "./deploy/nats.conf:/etc/nats/quittance.conf:ro") {
		t.Errorf("deploy/nats.conf is not among %v", containers["nats"].Volumes)
	}
}

// natsUsers returns the users of deploy/nats.conf and the variables of their
// passwords. That the file works is tested in package bus.
func natsUsers(t *testing.T) map[string]string {
	t.Helper()
	users := map[string]string{}
	line := regexp.MustCompile(`user: (\w+), password: \$(\w+)`)
	for _, m := range line.FindAllStringSubmatch(string(text(t, filepath.Join(root, "deploy/nats.conf"))), -1) {
		users[m[1]] = m[2]
	}
	if len(users) != len(services) {
		t.Errorf("deploy/nats.conf has users %v", users)
	}
	return users
}

func TestComposeVolumes(t *testing.T) {
	containers, volumes := compose(t)
	for name, c := range containers {
		for _, v := range c.Volumes {
			source, _, _ := strings.Cut(v, ":")
			if _, err := os.Stat(filepath.Join(root, source)); strings.HasPrefix(source, ".") && err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if _, ok := volumes[source]; !strings.HasPrefix(source, ".") && !ok {
				t.Errorf("%s: no volume %s", name, source)
			}
		}
	}
}

// What the Dockerfile copies must be there and pass .dockerignore, and the ports
// it exposes must be those that programs listen on by themselves.
func TestDockerfile(t *testing.T) {
	file := string(text(t, filepath.Join(root, "deploy/Dockerfile")))
	kept := regexp.MustCompile(`(?m)^!(\S+)$`).FindAllStringSubmatch(string(text(t, filepath.Join(root, ".dockerignore"))), -1)
	copied := 0
	for _, m := range regexp.MustCompile(`(?m)^COPY ([^-].*) \S+$`).FindAllStringSubmatch(file, -1) {
		for source := range strings.FieldsSeq(m[1]) {
			copied++
			if _, err := os.Stat(filepath.Join(root, source)); err != nil {
				t.Error(err)
			}
			top, _, _ := strings.Cut(source, "/")
			if !slices.ContainsFunc(kept, func(k []string) bool { return k[1] == top }) {
				t.Errorf("%s is held back by .dockerignore", source)
			}
		}
	}
	if copied == 0 {
		t.Error("nothing is copied")
	}
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(text(t, filepath.Join(root, "services/go.mod"))))[1]
	if !strings.Contains(file, "FROM golang:"+goVersion+" ") {
		t.Errorf("the compiler is not that of go.mod, %s", goVersion)
	}
	var exposed []string
	defaults := services["order"].defaults(t)
	for _, variable := range []string{"QUITTANCE_HTTP_ADDR", "QUITTANCE_GRPC_ADDR", "QUITTANCE_INTERNAL_ADDR"} {
		exposed = append(exposed, strings.TrimPrefix(defaults[variable], ":"))
	}
	if want := "EXPOSE " + strings.Join(exposed, " ") + "\n"; !strings.Contains(file, want) {
		t.Errorf("no line %q", want)
	}
}
