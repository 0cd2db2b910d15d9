package main

import (
	"io"
	"net/http"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/tcpd-project/tcpd/pkg/link/pipe"
)

// TestCloseLeavesHandlersBehind: a handler that hears of nothing does not keep the daemon from its end, which says so; all others
// have ended.
func TestCloseLeavesHandlersBehind(t *testing.T) {
	c := loaded(t, "services: [{port: 7, service: echo, through: conn}, {port: 80, service: http}]\n")
	a, b := pipe.New(1, pipe.Options{})
	there, here := newStack(t, a, server, c, 1), newStack(t, b, client, c, 2)
	core, logs := observer.New(zap.WarnLevel)
	busy, release, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	stuck := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		defer close(ended)
		close(busy)
		<-release
	})
	run, err := serve(there, c, stuck, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	echoed, web := dial(t, here, 7), dial(t, here, 80)
	echo(t, echoed)
	if _, err := io.WriteString(web, "GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-busy
	run.close(time.Millisecond)
	said := logs.FilterMessage("handlers have not ended: they are left behind").All()
	if len(said) != 1 || said[0].ContextMap()["handlers"] == int64(0) {
		t.Errorf("the log has %v", logs.All())
	}
	if _, err := echoed.Read(make([]byte, 1)); err == nil {
		t.Error("the echo goes on")
	}
	close(release)
	<-ended
	logs.TakeAll()
	run.close(patience)
	if logs.Len() > 0 {
		t.Errorf("the log has %v", logs.All())
	}
}
