package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"
)

// What the service manager is told (sd_notify(3)), where there is one: NOTIFY_SOCKET names its socket, and WATCHDOG_USEC how often
// it wants to hear that all is well.

// tellManager sends assignments. A manager that does not listen is no reason to end.
func tellManager(log *zap.Logger, assignments ...string) {
	if _, err := sd.SdNotify(false, strings.Join(assignments, "\n")); err != nil {
		log.Warn("the service manager does not listen", zap.Error(err))
	}
}

// managerReady tells that the data path runs, and from then on that it still does, until the function returned is called.
func (h *host) managerReady(addresses []string) (end func()) {
	tellManager(h.log, sd.SdNotifyReady, fmt.Sprintf("STATUS=Serving %s on %s", strings.Join(addresses, " "), h.tun.Name()))
	limit, err := sd.SdWatchdogEnabled(false)
	if err != nil {
		h.log.Warn("the service manager's watchdog gets no answers", zap.Error(err))
	}
	if limit == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		watchdog(ctx, limit/2, h.Progress, func(err error) {
			if err == nil {
				tellManager(h.log, sd.SdNotifyWatchdog)
			} else {
				h.log.Error("the data path does not get on, and the watchdog hears nothing", zap.Error(err))
			}
		})
	}()
	return func() {
		cancel()
		<-ended
	}
}

// managerReloading tells that the configuration is read again, until the function returned is called.
func managerReloading(log *zap.Logger) (done func()) {
	tellManager(log, sd.SdNotifyReloading, sd.SdNotifyMonotonicUsec())
	return func() { tellManager(log, sd.SdNotifyReady) }
}

// endsLate is how much longer than its connections the daemon may take to end.
const endsLate = 10 * time.Second

// managerStopping tells that the daemon is about to end, and that it may take limit for its connections.
func (h *host) managerStopping(limit time.Duration) {
	tellManager(h.log, sd.SdNotifyStopping, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", (limit+endsLate).Microseconds()),
		fmt.Sprintf("STATUS=Ending: connections may go on for %v", limit))
}

// watchdog asks the data path at intervals whether it gets on, and passes on what it says. An answer that takes longer than an
// interval is none: the one who hears of it must not be told that all is well.
func watchdog(ctx context.Context, every time.Duration, progress func(context.Context) error, tell func(error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		patience, cancel := context.WithTimeout(ctx, every)
		err := progress(patience)
		cancel()
		if ctx.Err() != nil {
			return
		}
		tell(err)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
