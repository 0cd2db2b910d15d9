package main

import (
	"errors"
	"fmt"
	"mime"
	"path/filepath"
	"slices"
	"time"

	"github.com/landlock-lsm/go-landlock/landlock"
	landlocksys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"

	"github.com/tcpd-project/tcpd/pkg/config"
)

// Once all is set up the daemon needs little of what it may do, and gives the rest up, so that who takes it over gets little, too.
// A device of its own goes with its descriptor, and takes its address and routes along: no capability is needed for that.

// confine gives up what h needs no more. What can't be given up is told and lived with: the daemon is no worse than before.
func (h *host) confine(c *config.Config, file string, ctl *controls) {
	prepare()
	var keep []cap.Value
	if h.tun.NeedsAdmin() {
		keep = append(keep, cap.NET_ADMIN)
	}
	left, err := dropCapabilities(keep...)
	files := newAccess(c, file, ctl)
	err = errors.Join(err, files.restrict())
	if err != nil {
		h.log.Warn("not all that is needed no more could be given up", zap.Error(err))
	}
	abi, _ := landlocksys.LandlockGetABIVersion() // 0 where there is none
	h.log.Info("confined", zap.Strings("capabilities", left), zap.Int("landlock", abi), zap.Strings("reads", files.read))
}

// prepare has the runtime read what it reads once, when it is first wanted: the time zone, and which names of files are of which
// type.
func prepare() {
	_, _ = time.Now().Zone()
	_ = mime.TypeByExtension(".html")
}

// dropCapabilities leaves the process with what it has of keep, on all of its threads, and with no way to more.
func dropCapabilities(keep ...cap.Value) (left []string, err error) {
	var errs []error
	note := func(what string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
	}
	_, err = cap.Prctlw(unix.PR_SET_NO_NEW_PRIVS, 1)
	note("no_new_privs", err)
	note("ambient capabilities", cap.ResetAmbient())
	has := cap.GetProc()
	if on, err := has.GetFlag(cap.Effective, cap.SETPCAP); err == nil && on { // else no program that we become gets any
		note("bounding set", dropBound(keep))
	}
	want := cap.NewSet()
	left = []string{}
	for _, v := range keep {
		if on, err := has.GetFlag(cap.Permitted, v); err == nil && on {
			note(v.String(), want.SetFlag(cap.Permitted, true, v))
			note(v.String(), want.SetFlag(cap.Effective, true, v))
			left = append(left, v.String())
		}
	}
	note("capabilities", want.SetProc())
	return left, errors.Join(errs...)
}

func dropBound(keep []cap.Value) error {
	var drop []cap.Value
	for v := range cap.MaxBits() {
		if !slices.Contains(keep, v) {
			drop = append(drop, v)
		}
	}
	return cap.DropBound(drop...)
}

// access is which files the daemon needs while it runs.
type access struct {
	read   []string // directories, with all beneath
	remove string   // the directory of the control socket, which goes at the end; or ""
}

func newAccess(c *config.Config, file string, ctl *controls) *access {
	a := &access{read: []string{
		"/proc",          // metrics and profiles of the process; a narrower rule ends when the kernel forgets the entry
		"/sys/fs/cgroup", // how much memory there is
	}}
	if file != "" { // it may be replaced, and may be a link to where it is replaced
		a.read = append(a.read, filepath.Dir(file))
		if real, err := filepath.EvalSymlinks(file); err == nil && filepath.Dir(real) != filepath.Dir(file) {
			a.read = append(a.read, filepath.Dir(real))
		}
	}
	for _, v := range c.Services {
		if v.Static != "" {
			a.read = append(a.read, v.Static)
		}
	}
	if ctl.socket != "" {
		a.remove = filepath.Dir(ctl.socket)
	}
	return a
}

// restrict has the kernel refuse everything else, where it has landlock. Descriptors that are open stay as they are.
func (a *access) restrict() error {
	const reads = landlocksys.AccessFSReadFile | landlocksys.AccessFSReadDir
	rules := []landlock.Rule{landlock.PathAccess(reads, a.read...).IgnoreIfMissing()}
	if a.remove != "" {
		rules = append(rules, landlock.PathAccess(landlocksys.AccessFSRemoveFile, a.remove))
	}
	if err := landlock.V8.BestEffort().RestrictPaths(rules...); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	return nil
}
