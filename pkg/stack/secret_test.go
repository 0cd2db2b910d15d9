package stack

import (
	"testing"

	"github.com/tcpd-project/tcpd/pkg/tcp"
)

// TestSecrets: they are drawn, and no two are the same.
func TestSecrets(t *testing.T) {
	a, b := drawSecrets(), drawSecrets()
	for _, s := range []tcp.Secret{a[1], b[0], b[1], {}} {
		if a[0] == s {
			t.Errorf("%v and %v", a, b)
		}
	}
}
