package attack

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tcpd-project/tcpd/test/space"
)

// tool is a command line that everybody can type, and what is to come of it.
type tool struct {
	line    string
	n       int      // packets that it sends, for which the line has $N; a fifth unless -full is given
	counted []string // what these are dropped as
	says    []string // what it writes, among others
	long    bool     // it takes so long that it is left out unless -full is given
	timed   bool     // it may have to be repeated where the machine is busy
}

// command is the tool's command line.
func (l tool) command() []string {
	seconds := "8"
	if !*full {
		seconds = "3"
	}
	return strings.Fields(strings.NewReplacer("$N", strconv.Itoa(l.sent()), "$S", seconds, "$T", daemonIP.String()).Replace(l.line))
}

// sent is how many packets it sends.
func (l tool) sent() int {
	if *full {
		return l.n
	}
	return max(l.n/5, 20)
}

// scanners are the command lines of nmap.
var scanners = []tool{
	{line: "nmap -n -Pn -sS -p 1-1024 -T4 --max-retries 1 --host-timeout 30s $T", says: []string{
		"1019 closed tcp ports (reset)", "7/tcp  open", "9/tcp  open", "13/tcp open", "19/tcp open", "80/tcp open",
	}},
	{line: "nmap -n -Pn -O --osscan-limit --max-os-tries 1 -p 80,81 --host-timeout 30s -v $T", says: []string{
		"80/tcp open", "81/tcp closed", "(Good luck!)", "IP ID Sequence Generation: All zeros",
	}, timed: true},
	{line: "nmap -n -Pn -sV --version-light -p 80 --host-timeout 30s $T", says: []string{"80/tcp open  http"}, long: true},
	{line: "nmap -n -Pn -sN -p 79-81 -T4 --max-retries 1 --host-timeout 20s $T", says: []string{"79/tcp closed", "80/tcp open|filtered", "81/tcp closed"}},
	{line: "nmap -n -Pn -sF -p 79-81 -T4 --max-retries 1 --host-timeout 20s $T", says: []string{"79/tcp closed", "80/tcp open|filtered", "81/tcp closed"}},
	{line: "nmap -n -Pn -sX -p 79-81 -T4 --max-retries 1 --host-timeout 20s $T", says: []string{"79/tcp closed", "80/tcp open|filtered", "81/tcp closed"}},
	{line: "nmap -n -Pn -sA -p 79-81 -T4 --max-retries 1 --host-timeout 20s $T", says: []string{"79/tcp unfiltered", "80/tcp unfiltered", "81/tcp unfiltered"}},
	{line: "nmap -n -Pn -sM -p 79-81 -T4 --max-retries 1 --host-timeout 20s $T", says: []string{"79/tcp closed", "80/tcp closed", "81/tcp closed"}},
	{line: "nmap -n -Pn -sW -p 79-81 -T4 --max-retries 1 --host-timeout 20s $T", says: []string{"79/tcp closed", "80/tcp closed", "81/tcp closed"}},
}

// floods are those of hping3. They take answers to each other for their own, so that they have to come one after the other.
var floods = []tool{
	{line: "hping3 -q -n -S -p 80 -c $N -i u50 --rand-source $T", n: 20_000},
	{line: "hping3 -q -n -S -p 80 -c $N -i u100 $T", n: 5000},
	{line: "hping3 -q -n -F -S -R -P -A -U -X -Y -p 80 -c $N -i u100 $T", n: 2000, counted: []string{"tcp_rst", "tcp_blind_rst"}},
	{line: "hping3 -q -n -S -p 80 -O 3 -c $N -i u500 $T", n: 200, counted: []string{"tcp_data_offset"}},
	{line: "hping3 -q -n -A -p 80 -b -d 100 -c $N -i u200 $T", n: 500, counted: []string{"tcp_checksum"}},
	{line: "hping3 -q -n -S -f -p 80 -d 1000 -c $N -i u500 $T", n: 200, counted: []string{"ip_fragment_condemned"}},
	{line: "hping3 -q -n -C 3 -K 4 -c $N $T -i u500", n: 200, counted: []string{"icmp_ignored"}},
	{line: "hping3 -q -n --rawip --ipproto 6 -d 7 -c $N -i u200 $T", n: 500, counted: []string{"tcp_checksum"}},
}

// crowds are those that open connections.
var crowds = []tool{
	{line: "nping --tcp-connect -p 80 -c $N --rate 200 -q $T", n: 500, says: []string{"Failed: 0 "}},
	{line: "slowhttptest -c 200 -H -i 2 -r 100 -l $S -u http://$T/", says: []string{"YES"}},
	{line: "ab -q -n $N -c 20 http://$T/hello", n: 500, says: []string{"Failed requests:        0"}},
}

// TestScanners: what nmap finds out about the daemon.
func TestScanners(t *testing.T) {
	space.Need(t, "nmap")
	x := newTarget(t, "")
	x.honest.stop() // nmap takes times, and looks at every packet to find its own
	x.let(scanners[:1], scanners[1:2], scanners[2:3], scanners[3:])
	x.honest = startHonest(x)
	x.survived()
}

// TestTools lets the other tools loose, each with what it is to see and to be counted as.
func TestTools(t *testing.T) {
	space.Need(t, "hping3", "nping", "slowhttptest", "ab")
	x := newTarget(t, "")
	x.let(floods, crowds[:1], crowds[1:2], crowds[2:])
	x.survived()
}

// let runs lists of tools, the lists side by side, and waits until what the tools have sent has been counted.
func (x *target) let(lists ...[]tool) {
	x.t.Helper()
	space.InParallel(x.t, len(lists), len(lists), func(i int) error {
		for _, l := range lists[i] {
			if l.long && !*full {
				continue
			}
			err := x.run(l)
			for tries := 0; err != nil && l.timed && tries < 4; tries++ {
				err = x.run(l)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	for _, l := range slices.Concat(lists...) {
		if len(l.counted) > 0 {
			x.dropped(l.sent(), l.counted...)
		}
	}
}

func (x *target) run(l tool) error {
	command := l.command()
	ctx, cancel := context.WithTimeout(x.t.Context(), 2*time.Minute)
	defer cancel()
	out, _ := x.space.Output(ctx, command[0], command[1:]...) // its exit code says little
	if ctx.Err() != nil {
		return fmt.Errorf("%v has not ended: %w\n%s", command, ctx.Err(), out)
	}
	for _, words := range l.says {
		if !strings.Contains(out, words) {
			return fmt.Errorf("%v does not say %q:\n%s", command, words, out)
		}
	}
	return nil
}
