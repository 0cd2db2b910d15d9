package config

import "strings"

// meant asks whether the nearest name has been meant; where none is near, it tells those that there are.
func meant(written string, names []string) string {
	if near := nearest(written, names); near != "" {
		return "; is it to be " + near + "?"
	}
	return ": there are " + strings.Join(names, ", ")
}

// nearest is the name that somebody has most likely meant by what he wrote, or nothing: one that at most two letters, and no more
// than half of them, tell from it.
func nearest(written string, names []string) (best string) {
	least := 3
	for _, name := range names {
		d := distance(strings.ToLower(written), name)
		if d < least && d <= max(1, len(name)/2) {
			best, least = name, d
		}
	}
	return best
}

// distance is how many letters have to be put in, left out, replaced, or exchanged with the next one to make b of a.
func distance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := range len(a) {
		before, above, row := rows[0], rows[1], rows[2]
		row[0] = i + 1
		for j := range len(b) {
			replaced := above[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(replaced, above[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		rows = [3][]int{above, row, before}
	}
	return rows[1][len(b)]
}
