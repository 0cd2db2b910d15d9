package e2e

import "github.com/tcpd-project/tcpd/test/space"

type netspace = space.Space

// A short name for the place of each test.
var newSpace = space.ForDaemon
