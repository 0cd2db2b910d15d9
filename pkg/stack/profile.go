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
	if t.MSL != s.cfg.TCP.MSL {
		return 0, errors.New("stack: the MSL is the stack's: it must not be another")
	}
	if t.Congestion == nil {
		return 0, errors.New("stack: settings without congestion control: begin with tcp.Defaults")
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

// learn makes the settings of a profile known to the shard.
func (s *shard) learn(profile uint8) uint8 {
	if int(profile) >= len(s.env.Settings) {
		s.env.Settings = *s.stack.profiles.Load()
	}
	return profile
}
