package deploy

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/tcpd-project/tcpd/pkg/config"
)

const tunNode = "/dev/net/tun"

// objects reads the documents of a manifest into objects, one for each, and refuses fields that these do not have.
func objects(t *testing.T, name string, into ...any) {
	t.Helper()
	text, err := os.ReadFile(repository + "/configs/kubernetes/" + name)
	if err != nil {
		t.Fatal(err)
	}
	docs := bytes.Split(text, []byte("\n---\n"))
	if len(docs) != len(into) {
		t.Fatalf("%s has %d documents, want %d", name, len(docs), len(into))
	}
	for i, doc := range docs {
		if err := yaml.UnmarshalStrict(doc, into[i]); err != nil {
			t.Errorf("%s, document %d: %v", name, i+1, err)
		}
	}
}

// expectDaemon checks that a container of a pod can run the daemon, and may do nothing besides.
func expectDaemon(t *testing.T, p *core.PodSpec, c *core.Container) {
	t.Helper()
	if c.Image != image || len(c.Command) > 0 || c.Args[0] != "run" {
		t.Errorf("%s runs %q %q", c.Image, c.Command, c.Args)
	}
	s := c.SecurityContext
	if !slices.Equal(s.Capabilities.Add, []core.Capability{"NET_ADMIN"}) || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) {
		t.Errorf("capabilities %v", s.Capabilities)
	}
	if s.Privileged != nil || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || *s.RunAsUser != 0 || s.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
		t.Errorf("%+v", s)
	}
	for _, probe := range []*core.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if probe != nil && !slices.Equal(probe.Exec.Command, []string{program, "counters"}) {
			t.Errorf("a probe runs %q", probe.Exec.Command)
		}
	}
	if c.LivenessProbe == nil {
		t.Error("no liveness probe")
	}
	sources := map[string]core.VolumeSource{}
	for _, v := range p.Volumes {
		for _, m := range c.VolumeMounts {
			if m.Name == v.Name {
				sources[m.MountPath] = v.VolumeSource
			}
		}
	}
	if h := sources[tunNode].HostPath; h == nil || h.Path != tunNode || *h.Type != core.HostPathCharDev {
		t.Errorf("%s is %+v", tunNode, h)
	}
	if sources["/run/tcpd"].EmptyDir == nil {
		t.Error("no place for the control socket")
	}
	if p.EnableServiceLinks == nil || *p.EnableServiceLinks {
		t.Error("services bring variables that the daemon takes for settings")
	}
	if grace := time.Duration(*p.TerminationGracePeriodSeconds) * time.Second; grace <= config.Defaults().DrainTimeout {
		t.Errorf("it is killed after %v", grace)
	}
}

func TestSidecar(t *testing.T) {
	var pod core.Pod
	objects(t, "sidecar.yaml", &pod)
	if len(pod.Spec.InitContainers) != 1 || len(pod.Spec.Containers) != 1 || pod.Spec.HostNetwork {
		t.Fatalf("%+v", pod.Spec)
	}
	c := &pod.Spec.InitContainers[0]
	expectDaemon(t, &pod.Spec, c)
	if c.RestartPolicy == nil || *c.RestartPolicy != core.ContainerRestartPolicyAlways || c.StartupProbe == nil {
		t.Error("it is an init container that ends, not a sidecar")
	}
	client := &pod.Spec.Containers[0]
	if text := strings.Join(client.Command, " "); !strings.Contains(text, "http://"+config.Defaults().Addresses[0].String()+"/hello") {
		t.Error(text)
	}
	if len(client.SecurityContext.Capabilities.Add)+len(client.VolumeMounts) > 0 || !*client.SecurityContext.RunAsNonRoot {
		t.Errorf("the client may too much: %+v", client.SecurityContext)
	}
}

func TestDaemonSet(t *testing.T) {
	var ns core.Namespace
	var file core.ConfigMap
	var set apps.DaemonSet
	objects(t, "daemonset.yaml", &ns, &file, &set)
	if ns.Labels["pod-security.kubernetes.io/enforce"] != "privileged" || file.Namespace != ns.Name || set.Namespace != ns.Name {
		t.Errorf("namespaces %q %q %q", ns.Name, file.Namespace, set.Namespace)
	}
	spec := &set.Spec.Template.Spec
	if len(spec.Containers) != 1 || !spec.HostNetwork {
		t.Fatalf("%+v", spec)
	}
	for k, v := range set.Spec.Selector.MatchLabels {
		if set.Spec.Template.Labels[k] != v {
			t.Errorf("the template has no label %s=%s", k, v)
		}
	}
	if u := set.Spec.UpdateStrategy.RollingUpdate; u.MaxSurge.IntValue() != 0 {
		t.Error("two at a time on a node, which has room for one device")
	}
	c := &spec.Containers[0]
	expectDaemon(t, spec, c)
	if !slices.Equal(c.Args, []string{"run", "-c", "/etc/tcpd/tcpd.yaml"}) {
		t.Errorf("it runs %q", c.Args)
	}
	for _, v := range spec.Volumes {
		if v.Name == "config" && v.ConfigMap.Name != file.Name {
			t.Errorf("its configuration is %s", v.ConfigMap.Name)
		}
	}
	parsed, _, err := config.Parse("tcpd.yaml", []byte(file.Data["tcpd.yaml"]))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range parsed.Validate() {
		t.Error(f)
	}
	if limit := c.Resources.Limits.Memory().Value(); int64(parsed.Limits.Memory) > limit/2 {
		t.Errorf("buffers may have %v of %d bytes", parsed.Limits.Memory, limit)
	}
}
