package tasks

import (
	"slices"
	"strings"
)

// A Batch is a payload about several targets, each of which may be done or not
// by itself: recipients, names, fields of an update.
type Batch interface {
	Payload
	// Targets are the targets in the order of the call, spelled as the answer
	// spells them, but for case; nil when the payload is about one thing only.
	// The caller may change the slice.
	Targets() []string
	// Only is the same call for just those of its targets, in its own order and
	// spelling.
	Only(targets []string) Payload
}

// Targets are the targets of a payload; nil when it is about one thing only.
func Targets(p Payload) []string {
	if b, ok := p.(Batch); ok && !isNil(p) {
		return b.Targets()
	}
	return nil
}

// only picks those of a list's items whose name is among targets. Easemob does
// not tell upper from lower case in names.
func only[T any](list []T, name func(T) string, targets []string) []T {
	wanted := make(map[string]bool, len(targets))
	for _, target := range targets {
		wanted[strings.ToLower(target)] = true
	}
	picked := make([]T, 0, len(targets)) // never nil, which may mean everybody
	for _, item := range list {
		if wanted[strings.ToLower(name(item))] {
			picked = append(picked, item)
		}
	}
	return picked
}

// onlyNames is only for plain names.
func onlyNames(names, targets []string) []string {
	return only(names, func(name string) string { return name }, targets)
}

// given names those of an update's fields that are set.
func given(fields ...field) []string {
	var names []string
	for _, f := range fields {
		if f.set {
			names = append(names, f.name)
		}
	}
	return names
}

// field is a field of an update: its name in the answer, and whether the update sets it.
type field struct {
	name string
	set  bool
}

// onlyField keeps a field of an update if it is among targets.
func onlyField[T any](value *T, name string, targets []string) *T {
	if slices.Contains(targets, name) {
		return value
	}
	return nil
}
