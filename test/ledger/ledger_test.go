package ledger

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var write = flag.Bool("write", false, "write the pages")

// standards are those that there is a ledger of, the first with the largest.
var standards = []int{9293, 1122, 2018, 5927, 5961, 6298, 6675, 7323, 8985}

const root = "../.."

// read reads all that the ledger is made of.
func read(root fs.FS, rfcs []int) (all []*standard, by proofs, err error) {
	for _, n := range rfcs {
		s, err := readStandard(root, n)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, s)
	}
	if err := resolve(all); err != nil {
		return nil, nil, err
	}
	by, err = scan(root)
	return all, by, err
}

func mustRead(t *testing.T) ([]*standard, proofs) {
	t.Helper()
	all, by, err := read(os.DirFS(root), standards)
	if err != nil {
		t.Fatal(err)
	}
	return all, by
}

// check holds entries, markers and code against each other.
func check(root fs.FS, all []*standard, by proofs) error {
	var errs []error
	required := map[string]*entry{}
	files := map[string]map[string]bool{}
	for _, s := range all {
		for _, e := range s.entries() {
			name := s.name() + " " + e.id
			required[name] = e
			switch proven := len(by[name]) > 0; {
			case proven && e.as != nil:
				errs = append(errs, fmt.Errorf("%s is %s: that is what %s has to prove", name, e.same, by[name][0].name()))
			case !proven && e.kind() == 0 && e.as == nil:
				errs = append(errs, fmt.Errorf("%s (%s): no test proves it, and there is no reason", name, e.level))
			case proven && e.kind() != 0:
				errs = append(errs, fmt.Errorf("%s is %s, and yet %s proves it", name, kinds[e.kind()], by[name][0].name()))
			}
			for _, p := range e.code {
				errs = append(errs, checkPlace(root, files, name, p))
			}
		}
	}
	for name, list := range by {
		if required[name] == nil {
			errs = append(errs, fmt.Errorf("%s names %s, which is no requirement", list[0].name(), name))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return errors.Join(errs...)
}

func checkPlace(root fs.FS, files map[string]map[string]bool, name string, p place) error {
	if files[p.file] == nil {
		names, err := declared(root, p.file)
		if err != nil {
			return fmt.Errorf("%s: %v", name, err)
		}
		files[p.file] = names
	}
	if !files[p.file][p.symbol] {
		return fmt.Errorf("%s: %s declares no %s", name, p.file, p.symbol)
	}
	return nil
}

// Every requirement has a proof or a reason, every marker a requirement, every place its function.
func TestLedger(t *testing.T) {
	all, by := mustRead(t)
	if err := check(os.DirFS(root), all, by); err != nil {
		t.Error(err)
	}
}

// The pages are what entries and markers make of them.
func TestPages(t *testing.T) {
	all, by := mustRead(t)
	for _, s := range all {
		page := path.Join(root, s.page())
		text := s.write(all, by)
		if *write {
			if err := os.MkdirAll(path.Dir(page), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(page)
		if err != nil || string(have) != text {
			t.Errorf("%s is not what the ledger is now (%v): go generate ./test/ledger", s.page(), err)
		}
	}
}

// RFC 9293 has numbered its requirements: 119 of them, none left out here. The level is the number's, or its negation.
func TestNumbersOfRFC9293(t *testing.T) {
	s, err := readStandard(os.DirFS(root), 9293)
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	levels := map[string]string{"MUST": "MUST", "SHLD": "SHOULD", "MAY": "MAY", "REC": "RECOMMENDED"}
	for _, e := range s.entries() {
		have[e.id] = true
		kind, _, _ := strings.Cut(e.id, "-")
		if strings.TrimSuffix(e.level, " NOT") != levels[kind] {
			t.Errorf("%s is a %s", e.id, e.level)
		}
	}
	for kind, last := range map[string]int{"MUST": 69, "SHLD": 31, "MAY": 18, "REC": 1} {
		for n := range last {
			id := kind + "-" + strconv.Itoa(n+1)
			if !have[id] {
				t.Errorf("%s is missing", id)
			}
			delete(have, id)
		}
	}
	for id := range have {
		t.Errorf("%s is no number of RFC 9293's", id)
	}
}
