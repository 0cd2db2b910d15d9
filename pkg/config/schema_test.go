package config

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/tcpd-project/tcpd/pkg/tcp/cc"
)

// TestSchemaFollows: what it tells of some keys of each kind. That it takes and refuses what Load does is tested in test/openapi,
// by other people's validator.
func TestSchemaFollows(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	at := func(path string) any {
		var v any = root
		for name := range strings.SplitSeq(path, "/") {
			v = v.(map[string]any)[name]
		}
		return v
	}
	for path, want := range map[string]any{
		"$schema":                                                              "https://json-schema.org/draft/2020-12/schema",
		"properties/mtu/minimum":                                               68.0,
		"properties/mtu/default":                                               1500.0,
		"properties/log/properties/level/enum":                                 anyOf(Levels),
		"properties/addresses/minItems":                                        1.0,
		"properties/services/items/required":                                   anyOf([]string{"port", "service"}),
		"properties/services/default":                                          []any{pairs("port", 7.0, "service", "echo"), pairs("port", 9.0, "service", "discard"), pairs("port", 13.0, "service", "daytime"), pairs("port", 19.0, "service", "chargen"), pairs("port", 80.0, "service", "http")},
		"properties/routes/items/required":                                     anyOf([]string{"to", "mss"}),
		"properties/listeners/items/required":                                  anyOf([]string{"port"}),
		"properties/tcp/properties/msl/$comment":                               "from 1ms to 1h",
		"properties/tcp/properties/mss/anyOf":                                  []any{pairs("const", 0.0), pairs("minimum", 48.0, "maximum", 65495.0)},
		"properties/tcp/properties/congestion/enum":                            anyOf(cc.Names()),
		"properties/tcp/properties/retries2/maximum":                           253.0,
		"properties/tcp/properties/rto_max/$comment":                           "from 1s to 1h",
		"properties/listeners/items/properties/tcp/properties/dscp/maximum":    63.0,
		"properties/listeners/items/properties/tcp/properties/msl":             nil,
		"properties/listeners/items/properties/tcp/properties/dscp/default":    nil,
		"properties/listeners/items/properties/tcp/properties/congestion/enum": anyOf(cc.Names()),
		"properties/services/items/properties/through/enum":                    anyOf(Throughs),
		"properties/limits/properties/memory/default":                          "1GiB",
		"properties/limits/properties/half_open/minimum":                       0.0,
		"properties/tcp/properties/ttl/description":                            "Time to live of the packets.",
		"properties/limits/properties/connections/maximum":                     float64(mostRecords),
		"properties/services/items/properties/service/enum":                    anyOf(ServiceNames),
	} {
		if got := at(path); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
}

func anyOf(names []string) (list []any) {
	for _, n := range names {
		list = append(list, n)
	}
	return list
}

func pairs(list ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(list); i += 2 {
		m[list[i].(string)] = list[i+1]
	}
	return m
}

// TestSchemaDescribesEveryKey, and each text or number that has bounds, or a choice, is held to them.
func TestSchemaDescribesEveryKey(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var look func(path string, v any) int
	look = func(path string, v any) (n int) {
		m, _ := v.(map[string]any)
		for name, p := range m {
			n += look(path+"/"+name, p)
			if !strings.HasSuffix(path, "properties") {
				continue
			}
			n++
			p := p.(map[string]any)
			if s, _ := p["description"].(string); len(s) < 10 || !strings.HasSuffix(s, ".") {
				t.Errorf("%s/%s is described by %q", path, name, s)
			}
		}
		return n
	}
	var root any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	if n := look("", root); n < len(Keys())+20 {
		t.Errorf("%d keys", n)
	}
}
