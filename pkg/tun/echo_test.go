package tun

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tcpd-project/tcpd/pkg/link"
	"github.com/tcpd-project/tcpd/pkg/mono"
)

// roleVar makes a re-executed test binary play a part instead of testing; roles are the parts.
const roleVar = "TCPD_TUN_TEST_ROLE"

var roles = map[string]func(){"pinger": pinger, "opener": opener, "holder": holder}

func TestMain(m *testing.M) {
	if f := roles[os.Getenv(roleVar)]; f != nil {
		f()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// role starts this binary in a role, in the namespace of the calling thread.
func role(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), roleVar+"="+name)
	c.Stderr = os.Stderr
	return c
}

// pinger sends datagrams one after the other, each when the last one's echo has come, and prints how long the
// median and the 99th percentile took. Arguments: how many, and the pause between them.
func pinger() {
	n, _ := strconv.Atoi(os.Args[1])
	pause, _ := time.ParseDuration(os.Args[2])
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: 7, Addr: us.As4()})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	took := make([]time.Duration, n)
	b := make([]byte, 32)
	for i := range took {
		from := time.Now()
		_, _ = unix.Write(fd, b)
		_, _ = unix.Read(fd, b)
		took[i] = time.Since(from)
		if pause > 0 {
			time.Sleep(pause)
		}
	}
	slices.Sort(took)
	fmt.Println(took[n/2].Nanoseconds(), took[n*99/100].Nanoseconds())
}

// echo answers datagrams until the device is closed.
func echo(d link.Device) {
	for batch := link.NewBatch(); ; {
		if d.Read(batch) != nil {
			return
		}
		for i := range batch.Packets {
			if p := &batch.Packets[i]; protocol(17)(p) {
				reply := udpReply(p)
				_ = d.Write(&reply)
			}
		}
		if len(batch.Packets) == 0 && errors.Is(d.Wait(mono.Never), link.ErrClosed) {
			return
		}
	}
}

// BenchmarkEcho is the round trip of a datagram from another process, beside nothing, two busy goroutines, or two
// busy processes, and with pauses between.
func BenchmarkEcho(b *testing.B) {
	for _, c := range []struct {
		name        string
		busy, peers int
		pause       string
	}{{"alone", 0, 0, "0"}, {"goroutines", 2, 0, "0"}, {"processes", 0, 2, "0"}, {"paused", 0, 0, "200us"}} {
		b.Run(c.name, func(b *testing.B) {
			inNamespace(b)
			dev := mustOpen(b, Config{})
			go echo(dev.Link().Queues[0])
			stop := make(chan struct{})
			defer close(stop)
			for range c.busy {
				go func() {
					for n := 0; ; n++ {
						select {
						case <-stop:
							return
						default:
						}
					}
				}()
			}
			for range c.peers {
				burn := exec.Command("sh", "-c", "while :; do :; done")
				if err := burn.Start(); err != nil {
					b.Fatal(err)
				}
				defer func() { _ = burn.Process.Kill(); _ = burn.Wait() }()
			}
			before, from := cpu(), time.Now()
			out, err := role(b, "pinger", strconv.Itoa(max(b.N, 100)), c.pause).Output()
			if err != nil {
				b.Fatal(err)
			}
			var p50, p99 float64
			fmt.Sscan(string(out), &p50, &p99)
			b.ReportMetric(p50/1e3, "p50-us")
			b.ReportMetric(p99/1e3, "p99-us")
			b.ReportMetric(float64(cpu()-before)/float64(time.Since(from))*100, "cpu-%")
		})
	}
}

// cpu is what this process has used of the processors.
func cpu() time.Duration {
	var r unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
