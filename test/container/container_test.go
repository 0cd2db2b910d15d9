// Package container builds the image and talks to a daemon in a container, as a stranger on another host would and as a container
// beside it does.
package container

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/test/space"
)

const (
	buildTime = 10 * time.Minute
	patience  = 30 * time.Second

	image = "localhost/tcpd-under-test"
	base  = "localhost/tcpd-base"
	curl  = "localhost/tcpd-curl"
	// inside is where the build sees the toolchain and the caches of this host.
	inside = "/opt/host"
)

// TestImage builds the Dockerfile without a network, and runs the image in both ways that the README has.
func TestImage(t *testing.T) {
	space.Need(t, "podman", "runc", "ip", "curl", "go")
	if testing.Short() {
		t.Skip("too big for -short")
	}
	p := newPodman(t)
	p.importBase()
	p.build()
	t.Run("across a router", func(t *testing.T) { acrossRouter(t, p.in(t)) })
	t.Run("compose.yaml", func(t *testing.T) { composed(t, p.in(t)) })
}

// acrossRouter runs the image with --privileged and nothing else, and curls it from another network namespace.
func acrossRouter(t *testing.T, p *podman) {
	client, host := newNetwork(t)
	log := p.start(t, "tcpd", "--privileged", "--network", "ns:/run/netns/"+host, image)
	log.await(t, `"ready"`)
	out := command(t, patience, "ip", "netns", "exec", client, "curl", "-sS", "--max-time", "10", "http://10.7.0.2/hello")
	if out != "hello\n" {
		t.Errorf("the container answers %q", out)
	}
	out = command(t, patience, "ip", "netns", "exec", client, "curl", "-sS", "--max-time", "10", "http://10.7.0.2/")
	if !strings.Contains(out, clientIP) {
		t.Errorf("the page lacks the caller, %s:\n%s", clientIP, out)
	}
	p.run(patience, "stop", "--time", "10", "tcpd")
	log.await(t, `"counters"`)
	if out := command(t, patience, "ip", "-n", host, "-brief", "link"); strings.Contains(out, "tcpd0") {
		t.Errorf("the device is still there:\n%s", out)
	}
}

// command runs a command that must succeed and returns its output.
func command(t *testing.T, limit time.Duration, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// podman keeps its images and containers in a folder of the test's.
type podman struct {
	t   *testing.T
	dir string
}

func newPodman(t *testing.T) *podman { return &podman{t: t, dir: t.TempDir()} }

// in is the same for a part of the test.
func (p *podman) in(t *testing.T) *podman { return &podman{t: t, dir: p.dir} }

func (p *podman) args(args ...string) []string {
	return append([]string{"--root", filepath.Join(p.dir, "root"), "--runroot", filepath.Join(p.dir, "run"),
		"--tmpdir", filepath.Join(p.dir, "tmp"), "--storage-driver", "vfs", "--runtime", "runc",
		"--cgroup-manager", "cgroupfs", "--events-backend", "none"}, args...)
}

func (p *podman) run(limit time.Duration, args ...string) string {
	p.t.Helper()
	return command(p.t, limit, "podman", p.args(args...)...)
}

// importBase makes an image that can run a shell and the Go toolchain, which is mounted when it is used.
func (p *podman) importBase() {
	p.t.Helper()
	p.importProgram("/bin/sh", base, "ENV PATH="+inside+"/go/bin:/bin", "ENV GOCACHE="+inside+"/cache")
}

// importProgram makes an image of one of this host's programs.
func (p *podman) importProgram(program, name string, changes ...string) {
	p.t.Helper()
	rootfs := filepath.Join(p.dir, "rootfs.tar")
	file, err := os.Create(rootfs)
	if err != nil {
		p.t.Fatal(err)
	}
	err = writeRootFS(file, program)
	if err := file.Close(); err != nil {
		p.t.Fatal(err)
	}
	if err != nil {
		p.t.Fatalf("image of %s: %v", program, err)
	}
	args := []string{"import"}
	for _, c := range changes {
		args = append(args, "--change", c)
	}
	p.run(patience, append(args, rootfs, name)...)
}

// writeRootFS writes a program with the libraries that it needs, and the places that every program expects.
func writeRootFS(w io.Writer, program string) error {
	out := tar.NewWriter(w)
	for _, dir := range []string{"bin/", "tmp/", "root/", "etc/", "proc/", "sys/", "dev/"} {
		if err := out.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
			return err
		}
	}
	libraries, err := exec.Command("ldd", program).Output()
	if err != nil {
		return fmt.Errorf("ldd %s: %w", program, err)
	}
	for _, file := range append(regexp.MustCompile(`/\S+`).FindAllString(string(libraries), -1), program) {
		if err := addFile(out, file); err != nil {
			return err
		}
	}
	return out.Close()
}

func addFile(out *tar.Writer, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := out.WriteHeader(&tar.Header{Name: strings.TrimPrefix(file, "/"), Mode: 0o755, Size: int64(len(text))}); err != nil {
		return err
	}
	_, err = out.Write(text)
	return err
}

// build builds the repository's Dockerfile. Modules come from this host's cache and are checked against go.sum.
func (p *podman) build() {
	p.t.Helper()
	repository, err := filepath.Abs("../..")
	if err != nil {
		p.t.Fatal(err)
	}
	command(p.t, buildTime, "go", "mod", "download")
	p.run(buildTime, "build", "--network", "none", "--layers=false", "--tag", image,
		"--build-arg", "BUILD_IMAGE="+base, "--build-arg", "RUNTIME_IMAGE=scratch",
		"--build-arg", "GOPROXY=file://"+inside+"/modules/cache/download", "--build-arg", "GOFLAGS=-buildvcs=false",
		"--volume", goEnv(p.t, "GOROOT")+":"+inside+"/go:ro",
		"--volume", goEnv(p.t, "GOMODCACHE")+":"+inside+"/modules:ro",
		"--volume", goEnv(p.t, "GOCACHE")+":"+inside+"/cache",
		repository)
}

func goEnv(t *testing.T, key string) string {
	t.Helper()
	return strings.TrimSpace(command(t, patience, "go", "env", key))
}

const clientIP = "192.0.2.2"

// newNetwork makes two network namespaces, a client and the container's host, which routes between them.
func newNetwork(t *testing.T) (client, host string) {
	t.Helper()
	client, host = fmt.Sprintf("tcpd-client-%d", os.Getpid()), fmt.Sprintf("tcpd-host-%d", os.Getpid())
	for _, ns := range []string{client, host} {
		command(t, patience, "ip", "netns", "add", ns)
		t.Cleanup(func() { command(t, patience, "ip", "netns", "del", ns) })
		command(t, patience, "ip", "-n", ns, "link", "set", "lo", "up")
	}
	command(t, patience, "ip", "-n", client, "link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", host)
	for ns, cidr := range map[string]string{client: clientIP + "/24", host: "192.0.2.1/24"} {
		command(t, patience, "ip", "-n", ns, "addr", "add", cidr, "dev", "veth0")
		command(t, patience, "ip", "-n", ns, "link", "set", "veth0", "up")
	}
	command(t, patience, "ip", "-n", client, "route", "add", "10.7.0.0/24", "via", "192.0.2.1")
	command(t, patience, "ip", "netns", "exec", host, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
	return client, host
}

// start runs a container of that name and returns its log. Podman would raise two limits, which not every host allows.
func (p *podman) start(t *testing.T, name string, args ...string) *log {
	t.Helper()
	l := &log{more: make(chan struct{}, 1), ended: make(chan struct{})}
	cmd := exec.Command("podman", append(p.args("run", "--rm", "--name", name, "--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"),
		args...)...)
	cmd.Stdout, cmd.Stderr = l, l
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		l.err = cmd.Wait()
		close(l.ended)
	}()
	t.Cleanup(func() {
		exec.Command("podman", p.args("rm", "--force", "--time", "0", "--ignore", name)...).Run()
		<-l.ended
	})
	return l
}
