package script

import (
	"path"
	"strings"
)

// A script's commands are for the shell of a machine whose kernel is tested. Those that set up that kernel's TCP set up
// the stack here; those that have nothing to do where packets go nowhere do nothing; all others are outside the subset.

// run does what a command says.
func (s *settings) run(text string, line int) error {
	for _, words := range shellCommands(text) {
		if !s.command(words) {
			return outside(line, "the command %s", strings.Join(words, " "))
		}
	}
	return nil
}

// command runs one command; it reports false for one that is outside.
func (s *settings) command(words []string) bool {
	args := words[1:]
	switch path.Base(words[0]) {
	case "defaults.sh":
		for _, d := range defaults {
			s.sysctl(d[0], d[1])
		}
		return true
	case "sysctl":
		return s.sysctlCommand(args)
	case "set_sysctls.py":
		return s.assignAll(args)
	case "echo":
		return len(args) == 3 && args[1] == ">" && s.assign(args[2]+"="+args[0])
	case "true", ":", "ethtool":
		return true
	case "ip":
		return len(args) > 1 && args[0] == "tcp_metrics" && args[1] == "flush"
	case "tc":
		return len(args) > 1 && args[0] == "qdisc" && !strings.Contains(strings.Join(args, " "), " limit")
	}
	return strings.HasPrefix(path.Base(words[0]), "sysctl_restore_")
}

// sysctlCommand is the program of that name, with what it may be told.
func (s *settings) sysctlCommand(args []string) bool {
	var assignments []string
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			assignments = append(assignments, a)
		}
	}
	return len(assignments) > 0 && s.assignAll(assignments)
}

func (s *settings) assignAll(list []string) bool {
	for _, a := range list {
		if !s.assign(a) {
			return false
		}
	}
	return len(list) > 0
}

// assign sets net.ipv4.name=value; the name may be a path, too.
func (s *settings) assign(a string) bool {
	name, value, ok := strings.Cut(a, "=")
	name = strings.ReplaceAll(strings.TrimPrefix(name, "/proc/sys/"), "/", ".")
	name, ours := strings.CutPrefix(name, "net.ipv4.")
	return ok && ours && strings.TrimSpace(value) != "" && s.sysctl(name, strings.TrimSpace(value))
}

// shellCommands cuts text into commands, and these into words. Redirections to /dev/null and what follows || are left out.
func shellCommands(text string) (list [][]string) {
	text = strings.ReplaceAll(text, "\\\n", " ")
	var words []string
	finish := func() {
		if words = quiet(words); len(words) > 0 {
			list = append(list, words)
		}
		words = nil
	}
	for text != "" {
		n := run(text, func(c byte) bool { return c == ' ' || c == '\t' || c == '\r' })
		text = text[n:]
		switch {
		case text == "":
		case strings.HasPrefix(text, "&&"), strings.HasPrefix(text, "||"):
			words = append(words, text[:2])
			text = text[2:]
			if words[len(words)-1] == "&&" {
				words = words[:len(words)-1]
				finish()
			}
		case text[0] == '\n' || text[0] == ';':
			finish()
			text = text[1:]
		case text[0] == '#':
			text = text[run(text, func(c byte) bool { return c != '\n' }):]
		default:
			var w string
			w, text = shellWord(text)
			words = append(words, w)
		}
	}
	finish()
	return list
}

// shellWord reads a word, without its quotes.
func shellWord(text string) (w, rest string) {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && strings.IndexByte(" \t\r\n;", c) >= 0:
			return b.String(), text[i:]
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}

// quiet drops what stands behind ||, and where output goes that nobody reads.
func quiet(words []string) (list []string) {
	for i := 0; i < len(words); i++ {
		switch w := words[i]; {
		case w == "||":
			return list
		case (w == ">" || w == "&>" || w == "2>") && i+1 < len(words) && words[i+1] == "/dev/null":
			i++
		case w == "2>&1", strings.HasSuffix(w, ">/dev/null"):
		default:
			list = append(list, w)
		}
	}
	return list
}
