package container

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// composeService is what a container is given by configs/compose.yaml; test/deploy holds the whole file to its schema.
type composeService struct {
	Image       string   `yaml:"image"`
	Command     []string `yaml:"command"`
	Devices     []string `yaml:"devices"`
	CapDrop     []string `yaml:"cap_drop"`
	CapAdd      []string `yaml:"cap_add"`
	SecurityOpt []string `yaml:"security_opt"`
	ReadOnly    bool     `yaml:"read_only"`
	Tmpfs       []string `yaml:"tmpfs"`
	NetworkMode string   `yaml:"network_mode"`
	HealthCheck struct {
		Test []string `yaml:"test"`
	} `yaml:"healthcheck"`
}

// run are the arguments of podman run for the service, as a composer would give them, but for another image.
func (s *composeService) run(image string) (args []string) {
	each := func(flag string, values []string) {
		for _, v := range values {
			args = append(args, flag, v)
		}
	}
	each("--device", s.Devices)
	each("--cap-drop", s.CapDrop)
	each("--cap-add", s.CapAdd)
	each("--security-opt", s.SecurityOpt)
	each("--tmpfs", s.Tmpfs)
	if s.ReadOnly {
		args = append(args, "--read-only", "--read-only-tmpfs=false")
	}
	network := "none" // beside the device that the daemon makes itself, it needs none
	if name, shared := strings.CutPrefix(s.NetworkMode, "service:"); shared {
		network = "container:" + name
	}
	return append(append(args, "--network", network, image), s.Command...)
}

// composed runs the pair of containers of the compose file: the client hears the daemon, which is healthy, and ends in good order.
func composed(t *testing.T, p *podman) {
	text, err := os.ReadFile("../../configs/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]*composeService `yaml:"services"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	daemon, client := file.Services["tcpd"], file.Services["client"]
	program, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal(err)
	}
	p.importProgram(program, curl, `ENTRYPOINT ["`+program+`"]`) // the client's image does the same

	log := p.start(t, "tcpd", daemon.run(image)...)
	log.await(t, `"ready"`)
	if !strings.Contains(log.String(), `"offload":true`) || strings.Contains(log.String(), `"warn"`) {
		t.Errorf("not as it should be:\n%s", log)
	}
	health := daemon.HealthCheck.Test
	if len(health) == 0 || health[0] != "CMD" {
		t.Fatalf("health is no command, but %q", health)
	}
	p.run(patience, append([]string{"exec", "tcpd"}, health[1:]...)...)

	heard := p.start(t, "client", client.run(curl)...)
	<-heard.ended
	if heard.err != nil || heard.String() != "hello\n" {
		t.Errorf("the client hears %q, %v", heard, heard.err)
	}
	p.run(patience, "stop", "--time", "10", "tcpd")
	<-log.ended
	if log.err != nil || !strings.Contains(log.String(), `"counters"`) {
		t.Errorf("the daemon ends with %v:\n%s", log.err, log)
	}
}
