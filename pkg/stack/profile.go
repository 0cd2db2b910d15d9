package stack

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// maxProfiles is how many different settings the connections of a stack may have.
const maxProfiles = 256

var errProfiles = fmt.Errorf("stack: more than %d different settings", maxProfiles)

// profile is the number of settings t, nil for the stack's, which connections keep instead of the settings. What has a
// number keeps it: connections may outlive whoever brought their settings.
func (s *Stack) profile(t *tcp.Settings) (uint8, error) {
	if t == nil {
		return 0, nil
	}
	if err := checkSettings(t); err != nil {
		return 0, err
	}
	if t.MSL != s.cfg.TCP.MSL {
		return 0, errors.New("stack: the MSL is the stack's: it must not be another")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := *s.profiles.Load()
	for i := range all {
		if reflect.DeepEqual(&all[i], t) {
			return uint8(i), nil
		}
	}
	if len(all) == maxProfiles {
		return 0, errProfiles
	}
	all = append(slices.Clone(all), *t)
	s.profiles.Store(&all)
	return uint8(len(all) - 1), nil
}

// checkSettings finds what no connection can live with, such as settings that were set in part.
func checkSettings(t *tcp.Settings) error {
	switch {
	case t.Congestion == nil:
		return errors.New("stack: TCP settings without congestion control: begin with tcp.Defaults(), or Stack.Settings")
	case t.MSL <= 0 || t.RTOMin <= 0 || t.RTOMax < t.RTOMin:
		return fmt.Errorf("stack: TCP settings with MSL %v, RTOMin %v and RTOMax %v: begin with tcp.Defaults(), or Stack.Settings", t.MSL, t.RTOMin, t.RTOMax)
	case t.SendBuffer <= 0 || t.ReceiveBuffer <= 0:
		return fmt.Errorf("stack: TCP settings with buffers of %d and %d bytes: begin with tcp.Defaults(), or Stack.Settings", t.SendBuffer, t.ReceiveBuffer)
	case t.DSCP > 63:
		return fmt.Errorf("stack: DSCP %d: 0 to 63 are wanted", t.DSCP)
	}
	return nil
}

// learn makes the settings of a profile known to the shard.
func (s *shard) learn(profile uint8) uint8 {
	if int(profile) >= len(s.env.Settings) {
		s.env.Settings = *s.stack.profiles.Load()
	}
	return profile
}
