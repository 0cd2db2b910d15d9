package page

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// browser is a page in Chromium, and what went wrong there.
type browser struct {
	ctx   context.Context
	shots string

	mu       sync.Mutex
	troubles []string
	expected bool // a refusal is wanted now, which the console tells of
}

// browse looks at the page as a stranger, then as one with the token.
func browse(page, home, shots string) error {
	opt := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.UserDataDir(home),
		chromedp.WindowSize(1280, 900))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), opt...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, patience)
	defer cancel()
	b := &browser{ctx: ctx, shots: shots}
	address, token, _ := strings.Cut(page, "#")
	b.listen(address)
	for _, step := range []struct {
		name string
		run  func() error
	}{
		{"a stranger sees his own connection", func() error { return b.stranger(address) }},
		{"a stranger is refused", b.refused},
		{"with the token", func() error { return b.trusted(address, token) }},
		{"the ladder of a connection", b.ladder},
		{"the machine moves", b.moves},
		{"lessons", b.lessons},
		{"keyboard", b.keyboard},
		{"dark", b.dark},
		{"narrow", b.narrow},
	} {
		if err := step.run(); err != nil {
			b.mu.Lock()
			defer b.mu.Unlock()
			return fmt.Errorf("%s: %w\n%s", step.name, err, strings.Join(b.troubles, "\n"))
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.troubles) > 0 {
		return errors.New(strings.Join(b.troubles, "\n"))
	}
	return nil
}

// listen notes errors of the page's, and requests that go elsewhere.
func (b *browser) listen(address string) {
	chromedp.ListenTarget(b.ctx, func(e any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := e.(type) {
		case *runtime.EventExceptionThrown:
			b.troubles = append(b.troubles, "exception: "+e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
				b.troubles = append(b.troubles, fmt.Sprintf("console: %s", e.Args[0].Value))
			}
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError && !b.expected {
				b.troubles = append(b.troubles, "log: "+e.Entry.Text+" "+e.Entry.URL)
			}
		case *network.EventRequestWillBeSent:
			if u := e.Request.URL; !strings.HasPrefix(u, address) && !strings.HasPrefix(u, "data:") {
				b.troubles = append(b.troubles, "a request to elsewhere: "+u)
			}
		}
	})
}

func (b *browser) run(actions ...chromedp.Action) error { return chromedp.Run(b.ctx, actions...) }

// until waits for an expression to be true; what it is then is told when it never is.
func (b *browser) until(expression string) error {
	err := b.run(chromedp.Poll(expression, nil, chromedp.WithPollingTimeout(20*time.Second)))
	if err != nil {
		var text string
		_ = b.run(chromedp.Evaluate(`document.body.innerText`, &text))
		return fmt.Errorf("%s: %w; the page says:\n%s", expression, err, text)
	}
	return nil
}

// shot keeps what is to be seen, if somebody wants it.
func (b *browser) shot(name string) error {
	if b.shots == "" {
		return nil
	}
	var png []byte
	if err := b.run(chromedp.FullScreenshot(&png, 100)); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.shots, name+".png"), png, 0o600)
}

const ownRow = `[...document.querySelectorAll("#rows tr")].some(r => /^10\.7\.0\.1:\d+\s+10\.7\.0\.2:80\s+ESTABLISHED/.test(r.innerText))`

func (b *browser) stranger(address string) error {
	if err := b.run(network.Enable(), log.Enable(), chromedp.Navigate(address)); err != nil {
		return err
	}
	for _, is := range []string{
		`document.querySelector("#who").textContent === "You are 10.7.0.1, without the token."`,
		ownRow,
		`document.querySelectorAll("#diagram .state").length === 12`,
		`document.querySelectorAll("#diagram .edge").length > 15`,
		`document.querySelectorAll("#rtt canvas, #cwnd canvas").length === 2`,
		`/segments read/.test(document.querySelector("#counts").innerText)`,
		`[...document.querySelectorAll("[data-lesson]")].length === 8 && [...document.querySelectorAll("[data-lesson]")].every(b => b.disabled)`,
	} {
		if err := b.until(is); err != nil {
			return err
		}
	}
	return b.shot("stranger")
}

// refused: a button that somebody has enabled himself does nothing.
func (b *browser) refused() error {
	b.expect(true)
	defer b.expect(false)
	var status int
	err := b.run(chromedp.Evaluate(`fetch("/.tcpd/api/lessons/reset", {method: "POST"}).then(a => a.status)`, &status,
		func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	if err == nil && status != 401 {
		err = fmt.Errorf("a lesson without the token: %d", status)
	}
	return err
}

func (b *browser) expect(refusal bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected = refusal
}

// trusted: the token comes behind the #, and does not stay in the address.
func (b *browser) trusted(address, token string) error {
	if err := b.run(chromedp.Navigate("about:blank"), chromedp.Navigate(address+"#"+token)); err != nil {
		return err
	}
	return errors.Join(
		b.until(`document.querySelector("#who").textContent === "You are 10.7.0.1, and have the token."`),
		b.until(`location.href === "`+address+`"`),
		b.until(`[...document.querySelectorAll("[data-lesson]")].every(b => !b.disabled)`),
	)
}

// ladder: the connection that is looked at shows its segments; the questions of the page itself are such.
func (b *browser) ladder() error {
	return errors.Join(
		b.until(`document.querySelectorAll("#ladder svg .wire").length > 2`),
		b.until(`/^10\.7\.0\.1:\d+ to 10\.7\.0\.2:80, ESTABLISHED/.test(document.querySelector("#chosen").textContent)`),
		b.until(`document.querySelectorAll("#rtt .u-legend, #cwnd .u-legend").length === 2`),
		b.shot("light"),
	)
}

// moves: a connection that comes and goes is seen on its way.
func (b *browser) moves() error {
	c, err := net.Dial("tcp4", "10.7.0.2:7")
	if err != nil {
		return err
	}
	if err := c.Close(); err != nil {
		return err
	}
	for _, move := range []string{"SYN-RECEIVED → ESTABLISHED", "ESTABLISHED → CLOSE-WAIT", "LAST-ACK → CLOSED"} {
		if err := b.until(`document.querySelector("#moves").innerText.includes("` + move + `")`); err != nil {
			return err
		}
	}
	return nil
}

func (b *browser) lessons() error {
	for name, want := range map[string]string{
		"handshake": "server 192.0.2.2:80 sends SYN ACK", "close": "→ LAST-ACK", "half-close": "user: close write", "time-wait": "(TwoMSL)",
		"late-segment": "stays TIME-WAIT", "simultaneous-close": "→ CLOSING", "reset": "sends RST", "isn": "Its first number",
	} {
		err := b.run(chromedp.Click(`[data-lesson="` + name + `"]`))
		if err == nil {
			err = b.until(`/this is what happened/.test(document.querySelector("#told").textContent) && document.querySelector("#lesson").textContent.includes("` + want + `")`)
		}
		if err == nil {
			err = b.shot("lesson-" + name)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// keyboard: Tab reaches every link, field and button, and Enter presses one.
func (b *browser) keyboard() error {
	if err := b.run(chromedp.Evaluate(`document.activeElement.blur(); window.reached = new Set(); document.addEventListener("focusin", e => reached.add(e.target.dataset.lesson || e.target.dataset.id?.split("-")[1] || e.target.id || e.target.hash || e.target.className)); 0`, nil)); err != nil {
		return err
	}
	const all = `["#connections", "#machine", "#one", "#lessons", "#counters", "pause", "handshake", "isn"].every(x => reached.has(x)) && [...reached].some(x => /^10\.7\.0\.1:/.test(x))`
	for range 60 {
		var done bool
		if err := b.run(chromedp.KeyEvent(kb.Tab), chromedp.Evaluate(all, &done)); err != nil {
			return err
		}
		if done {
			err := b.run(chromedp.Evaluate(`document.querySelector("#told").textContent = ""`, nil), chromedp.Focus(`[data-lesson="handshake"]`), chromedp.KeyEvent(kb.Enter))
			return errors.Join(err, b.until(`/Three-way handshake: this is what happened/.test(document.querySelector("#told").textContent)`))
		}
	}
	var names []string
	_ = b.run(chromedp.Evaluate(`[...reached]`, &names))
	return fmt.Errorf("Tab reaches only %q", names)
}

func (b *browser) dark() error {
	err := b.run(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}))
	return errors.Join(err, b.until(`getComputedStyle(document.body).backgroundColor === "rgb(20, 23, 28)"`), b.shot("dark"))
}

// narrow: on a telephone nothing but what is too wide by nature scrolls sideways, and that in a box of its own.
func (b *browser) narrow() error {
	return errors.Join(
		b.run(emulation.SetDeviceMetricsOverride(390, 844, 1, true)),
		b.until(`innerWidth === 390 && document.documentElement.scrollWidth <= 390`),
		b.until(`document.querySelectorAll("#rtt canvas, #cwnd canvas").length === 2 && [...document.querySelectorAll("canvas")].every(c => c.getBoundingClientRect().right <= 390)`),
		b.shot("narrow"),
	)
}
