package openapi

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tcpd-project/tcpd/pkg/config"
)

// newSchema is the configuration's, as others read it.
func newSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("tcpd.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("tcpd.schema.json") // against the draft's own schema, too
	if err != nil {
		t.Fatal(err)
	}
	if s.DraftVersion != 2020 {
		t.Errorf("draft %d", s.DraftVersion)
	}
	return s
}

// validate holds a file against the schema, as an editor does.
func validate(t *testing.T, s *jsonschema.Schema, text string) error {
	t.Helper()
	b, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return s.Validate(v)
}

// load is what the daemon says of a file.
func load(text string) error {
	c, _, err := config.Parse("f", []byte(text))
	if err != nil {
		return err
	}
	if faults := c.Validate(); len(faults) > 0 {
		return faults[0]
	}
	return nil
}

// TestSchemaTakesWhatIsLoaded: the example, what its comments show, and each value in the ways in which it can be written.
func TestSchemaTakesWhatIsLoaded(t *testing.T) {
	s := newSchema(t)
	example, err := os.ReadFile("../../configs/tcpd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	for _, line := range regexp.MustCompile(`(?m)^#   (.*)$`).FindAllStringSubmatch(string(example), -1) {
		if !strings.HasPrefix(line[1], "tcpd ") {
			fmt.Fprintln(&shown, strings.Replace(line[1], "/srv/www", t.TempDir(), 1))
		}
	}
	texts := []string{
		string(example), shown.String(), "tcp:\n", "listeners: []\n", "host: \"\"\ndevice: \"\"\n", "services: []\n", "metrics: 10.7.0.2:9100\n",
		"services: [{port: 7, service: proxy, to: \"[::1]:80\"}]\n", "tcp: {mss: 0, send_buffer: 65536, send_buffer_max: 0}\n", "tcp: {rto_min: 1ms, rto_max: 1.5s}\n",
		"tcp: {send_buffer: 4 KiB, send_buffer_max: 5000}\n", "limits: {memory: 1073741824}\n", "tcp: {user_timeout: 1h2m3.5s, delayed_ack: 0s}\n",
		"addresses: [0.0.0.0/0]\nhost: 192.0.2.1/30\n", "listeners: [{port: 80, tcp: {ecn: off, pacing: false}}]\n",
	}
	for _, text := range texts {
		if err := load(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if err := validate(t, s, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestSchemaRefusesWhatIsNot: unknown keys, other types, ranges, choices, and what is missing.
func TestSchemaRefusesWhatIsNot(t *testing.T) {
	s := newSchema(t)
	for _, text := range []string{
		"mut: 1500\n", "tcp: {mls: 30s}\n", "log: {levl: info}\n", "services: [{prot: 7, service: echo}]\n", "listeners: [{port: 80, tcp: {sak: true}}]\n",
		"mtu: many\n", "mtu: 15.5\n", "mtu: \"1500\"\n", "mtu:\n", "mtu: [1500]\n", "tcp: 3\n", "tcp: {sack: 1}\n", "tcp: {keepalive: \"true\"}\n", "addresses: 10.7.0.2\n",
		"tcp: {msl: 30}\n", "tcp: {msl: 30x}\n", "tcp: {msl: \"\"}\n", "limits: {memory: 1MB}\n", "limits: {memory: true}\n", "host: 10.7.0.1\n", "- a\n", "services: {port: 7}\n",
		"mtu: 67\n", "mtu: 65536\n", "queues: -1\n", "queues: 65\n", "tcp: {retries2: 254}\n", "tcp: {retries1: 0}\n", "tcp: {ttl: 0}\n", "tcp: {dscp: 64}\n", "tcp: {mss: 47}\n",
		"tcp: {syn_retries: -1}\n", "limits: {time_wait: 0}\n", "limits: {fragments: 1024}\n", "limits: {memory: 1000}\n", "listeners: [{port: 80, backlog: -1}]\n",
		"log: {level: loud}\n", "offload: maybe\n", "tcp: {congestion: fast}\n", "tcp: {ecn: \"yes\"}\n", "services: [{port: 7, service: ehco}]\n", "services: [{port: 7, service: echo, through: wire}]\n",
		"addresses: []\n", "addresses: [here]\n", "services: [{port: 7}]\n", "services: [{service: echo}]\n", "services: [{port: 0, service: echo}]\n", "services: [{port: 65536, service: echo}]\n",
		"routes: [{to: 10.0.0.0/8}]\n", "routes: [{mss: 1000}]\n", "listeners: [{backlog: 7}]\n", "listeners: [{port: 80, tcp: {msl: 1s}}]\n", "services: [{port: 7, service: proxy, to: here}]\n",
	} {
		if load(text) == nil {
			t.Errorf("%s: is loaded", text)
		}
		if validate(t, s, text) == nil {
			t.Errorf("%s: the schema takes it", text)
		}
	}
}
