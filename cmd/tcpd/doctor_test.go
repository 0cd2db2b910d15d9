package main

import (
	"bytes"
	"testing"
)

// TestDoctorReport: remedies stand below what they are for, in both forms; only what fails is an error.
func TestDoctorReport(t *testing.T) {
	d := &doctor{}
	d.ok("one", "all is well with %d", 1)
	d.warn("another", "not so good", "do this")
	for _, c := range []struct{ output, want string }{
		{outputTable, "ok    one      all is well with 1\nwarn  another  not so good\n               do this\n"},
		{outputJSON, `[{"check":"one","status":"ok","found":"all is well with 1"},{"check":"another","status":"warn","found":"not so good","remedy":"do this"}]` + "\n"},
	} {
		var b bytes.Buffer
		if err := d.report(&b, c.output); err != nil || b.String() != c.want {
			t.Errorf("%s: %v\n%s", c.output, err, &b)
		}
	}
	d.fail("third", "bad", "do that")
	var b bytes.Buffer
	if err := d.report(&b, outputTable); err == nil || err.Error() != "1 of 3 checks fails" || exitCode(err) != 1 {
		t.Error(err)
	}
	d.fail("fourth", "bad", "do that")
	if err := d.report(&b, outputTable); err == nil || err.Error() != "2 of 4 checks fail" {
		t.Error(err)
	}
	if _, err := output(t, "doctor", "-o", "wide"); err == nil || exitCode(err) != exitUsage {
		t.Error(err)
	}
}
