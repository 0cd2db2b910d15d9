package deploy

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/tcpd-project/tcpd/pkg/config"
)

const repository = "../.."

// The image of the Dockerfile, as the README has it built.
const (
	image   = "tcpd"
	program = "/tcpd"
)

// TestCompose: the file is valid, and the daemon gets the driver and CAP_NET_ADMIN, the client nothing but the daemon's network.
func TestCompose(t *testing.T) {
	options, err := cli.NewProjectOptions([]string{repository + "/configs/compose.yaml"}, cli.WithName("tcpd"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	daemon, client := p.Services["tcpd"], p.Services["client"]
	if _, err := os.Stat(daemon.Build.Context + "/Dockerfile"); err != nil || daemon.Image != image {
		t.Errorf("image %s, %v", daemon.Image, err)
	}
	if !slices.Equal(daemon.Command, types.ShellCommand{"run"}) || daemon.Entrypoint != nil {
		t.Errorf("it runs %q %q", daemon.Entrypoint, daemon.Command)
	}
	if !slices.Equal(daemon.CapAdd, []string{"NET_ADMIN"}) || !slices.Equal(daemon.CapDrop, []string{"ALL"}) || daemon.Privileged {
		t.Errorf("capabilities %v but %v, privileged: %v", daemon.CapAdd, daemon.CapDrop, daemon.Privileged)
	}
	if len(daemon.Devices) != 1 || daemon.Devices[0].Source != tunNode || daemon.Devices[0].Target != tunNode {
		t.Errorf("devices %v", daemon.Devices)
	}
	if !slices.Equal(daemon.Tmpfs, types.StringList{"/run/tcpd"}) || !daemon.ReadOnly {
		t.Errorf("it may write to %v, and elsewhere: %v", daemon.Tmpfs, !daemon.ReadOnly)
	}
	if limit := config.Defaults().DrainTimeout; daemon.StopGracePeriod == nil || *daemon.StopGracePeriod <= types.Duration(limit) {
		t.Errorf("it is killed after %v, when its connections may go on for %v", daemon.StopGracePeriod, limit)
	}
	if !slices.Equal(daemon.HealthCheck.Test, types.HealthCheckTest{"CMD", program, "counters"}) {
		t.Errorf("its health is %v", daemon.HealthCheck.Test)
	}
	url := fmt.Sprintf("http://%s/hello", config.Defaults().Addresses[0])
	if client.NetworkMode != "service:tcpd" || client.Command[len(client.Command)-1] != url || len(client.CapAdd)+len(client.Devices) > 0 {
		t.Errorf("the client: %q in %s", client.Command, client.NetworkMode)
	}
	if on := client.DependsOn["tcpd"].Condition; on != types.ServiceConditionHealthy {
		t.Errorf("the client begins when the daemon is %s", on)
	}
}
