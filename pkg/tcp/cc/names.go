package cc

// algorithms is every controller, in the order in which help texts list them.
var algorithms = [...]Algorithm{NewReno{}, Cubic{}, BBR{}, BBR3{}}

// ByName finds the algorithm that configuration calls name.
func ByName(name string) (Algorithm, bool) {
	for _, a := range algorithms {
		if a.Name() == name {
			return a, true
		}
	}
	return nil, false
}

// Names lists what ByName knows.
func Names() []string {
	list := make([]string, 0, len(algorithms))
	for _, a := range algorithms {
		list = append(list, a.Name())
	}
	return list
}
