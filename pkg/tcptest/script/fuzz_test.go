package script

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// scripts are the files of testdata.
func scripts(t testing.TB) (list []string) {
	t.Helper()
	err := filepath.WalkDir("testdata", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".pkt") {
			list = append(list, path)
		}
		return err
	})
	if err != nil || len(list) == 0 {
		t.Fatalf("%d scripts: %v", len(list), err)
	}
	return list
}

// addScripts begins with the texts of the scripts.
func addScripts(f *testing.F) {
	f.Helper()
	for _, file := range scripts(f) {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
}

// FuzzParse: no text makes the parser panic, and what it has read it prints so that it reads the same again.
func FuzzParse(f *testing.F) {
	addScripts(f)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("f", text, nil)
		if err != nil {
			return
		}
		printed := s.String()
		again, err := Parse("f", printed, nil)
		if err != nil {
			t.Fatalf("%v in what was printed:\n%s", err, printed)
		}
		if twice := again.String(); twice != printed {
			t.Errorf("printed\n%s, then\n%s", printed, twice)
		}
	})
}

// FuzzRun: no script makes the runner, or the stack beneath it, panic.
func FuzzRun(f *testing.F) {
	addScripts(f)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("f", text, nil)
		if err != nil || len(text) > 4096 {
			return
		}
		if transcript, err := Run(s, RunOptions{}); err != nil && strings.Contains(err.Error(), "panicked") {
			t.Errorf("%s%v", transcript, err)
		}
	})
}
