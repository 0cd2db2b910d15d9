package config

import (
	"reflect"
	"slices"
)

// Sources are what a configuration is made of, besides its defaults. Each is over the ones before it.
type Sources struct {
	File    string   // "": none
	Environ []string // as os.Environ has it
	Flags   []Flag
}

// Flag is one that the command line has.
type Flag struct {
	Name  string // with its hyphens
	Key   string
	Value any // of the key's type
}

// Load puts the sources over the defaults c, and tells all that is wrong with them, and with what they make, at once.
func (s *Sources) Load(c Config) (Loaded, error) {
	origins := Origins{}
	var faults Faults
	if s.File != "" {
		faults = c.file(s.File, origins)
	}
	faults = append(faults, c.environ(s.Environ, origins)...)
	for _, f := range s.Flags {
		c.at(f.Key).Set(reflect.ValueOf(f.Value))
		origins.set(f.Key, Origin{Source: FromFlag, Name: f.Name, key: f.Key})
	}
	l := Loaded{c, origins}
	for _, f := range l.Validate() {
		if !slices.ContainsFunc(faults, f.follows) {
			faults = append(faults, f)
		}
	}
	slices.SortStableFunc(faults, func(a, b *Fault) int { return a.Origin.compare(b.Origin) })
	return l, faults.err()
}

// Validate is all that is wrong with the values, each with the place that it has been set at.
func (l *Loaded) Validate() Faults {
	faults := l.Config.Validate()
	for _, f := range faults {
		f.Origin = l.Origins.near(f.Key)
	}
	return faults
}

// Take gives a key, one of Keys, the value that it has in from, and its origin.
func (l *Loaded) Take(from *Loaded, key string) {
	l.Config.at(key).Set(from.Config.at(key))
	l.Origins.take(from.Origins, key)
}

// Differ are the keys that do not have the same value in c and d.
func (c *Config) Differ(d *Config) (keys []string) {
	for _, key := range Keys() {
		if !reflect.DeepEqual(c.at(key).Interface(), d.at(key).Interface()) {
			keys = append(keys, key)
		}
	}
	return keys
}
