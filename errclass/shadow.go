package errclass

import (
	"slices"
	"strings"
)

// A Shadow is a row that no answer can reach.
type Shadow struct {
	Rule string // the row's ID
	By   string // the rows before it that match all that it could, comma-separated
}

// Shadowed lists the rows that can never match an answer with a status, or a
// failure without an answer, because rows before them always do. What it lists is
// certain; that a row can be reached does not mean that Easemob ever sends such an
// answer.
func (t *Table) Shadowed() []Shadow {
	var shadows []Shadow
	for i := range t.rows {
		if by := t.rows[i].coveredBy(t.rows[:i]); by != "" {
			shadows = append(shadows, Shadow{Rule: t.rows[i].ID, By: by})
		}
	}
	return shadows
}

// coveredBy cuts the row into rows with one value in each column, and looks for a
// row that covers each of them.
func (r *row) coveredBy(before []row) string {
	var ids []string
	for _, cell := range r.cells() {
		at := slices.IndexFunc(before, func(b row) bool { return b.covers(&cell) })
		if at < 0 {
			return ""
		}
		if !slices.Contains(ids, before[at].ID) {
			ids = append(ids, before[at].ID)
		}
	}
	return strings.Join(ids, ", ")
}

func (r *row) cells() []row {
	cells := []row{*r}
	cells = spreadOver(cells, r.Statuses, func(c *row, v []int) { c.Statuses = v })
	cells = spreadOver(cells, r.errors, func(c *row, v []string) { c.errors = v })
	cells = spreadOver(cells, r.contains, func(c *row, v []pattern) { c.contains = v })
	cells = spreadOver(cells, r.Kinds, func(c *row, v []string) { c.Kinds = v })
	return spreadOver(cells, r.Transports, func(c *row, v []Transport) { c.Transports = v })
}

func spreadOver[T any](cells []row, values []T, set func(*row, []T)) []row {
	if len(values) < 2 {
		return cells
	}
	more := make([]row, 0, len(cells)*len(values))
	for _, c := range cells {
		for i := range values {
			set(&c, values[i:i+1:i+1])
			more = append(more, c)
		}
	}
	return more
}

// covers reports whether r matches all that c does, which has at most one value
// in each column.
func (r *row) covers(c *row) bool {
	if r.all {
		return true
	}
	if len(r.unless) > 0 {
		return false // it leaves some to c
	}
	status := len(r.Statuses) == 0 || slices.ContainsFunc(c.Statuses, func(s int) bool {
		return slices.Contains(r.Statuses, s) || slices.Contains(r.Statuses, s/100)
	})
	kind := len(r.Kinds) == 0 || slices.ContainsFunc(c.Kinds, func(k string) bool {
		return slices.ContainsFunc(r.Kinds, func(want string) bool { return kindMatches(want, k) })
	})
	transport := len(r.Transports) == 0 && len(c.Transports) == 0 ||
		slices.ContainsFunc(c.Transports, func(f Transport) bool { return slices.Contains(r.Transports, f) })
	body := r.Body == BodyAny || r.Body == c.Body ||
		r.Body == BodyObject && len(c.errors) > 0 && c.errors[0] != "" // no other form has an error word
	return status && kind && transport && body && (!r.FreshToken || c.FreshToken) && r.coversText(c)
}

func (r *row) coversText(c *row) bool {
	// The text as far as the cell knows it, with a sign for what it does not.
	const gap = "\x00"
	texts := make([]string, 0, 2)
	var word string
	known := false
	if len(c.errors) > 0 {
		word, known = c.errors[0], true
		texts = append(texts, word+":"+gap)
	}
	if len(c.contains) > 0 {
		p := c.contains[0]
		text := strings.Join(p.parts, gap)
		if !p.start {
			text = gap + text
		} else if w, _, ok := strings.Cut(p.parts[0], ":"); ok {
			word, known = w, true
		}
		if !p.end {
			text += gap
		}
		texts = append(texts, text)
	}
	if len(r.errors) > 0 && (!known || !slices.Contains(r.errors, word)) {
		return false
	}
	if len(r.contains) > 0 && c.own && !r.own {
		return false // what c looks for may be a name, which r does not see
	}
	return len(r.contains) == 0 || slices.ContainsFunc(texts, func(text string) bool {
		return slices.ContainsFunc(r.contains, func(p pattern) bool { return p.match(text) })
	})
}
