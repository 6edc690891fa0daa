package tasks

import (
	"fmt"
	"sort"
	"strings"
)

// SendBodyMaxBytes bounds the body of a message.send to several recipients.
// [ListBodyMaxBytes] can't hold there: the 600 user ids that one send may have
// (docs) take up to 40 KB by themselves. Above 40 KB Easemob's older pages
// (docs) refuse a send.
const SendBodyMaxBytes = 40 * 1024

// splittable is a batch that may have more targets than one call.
type splittable interface {
	Batch
	// perCall is the JSON field of the targets, and how many of them one call may
	// have (docs); 0 for a payload that is never split.
	perCall() (field string, most int)
}

// split checks the task as Enqueue does. It returns the tasks that make its
// calls, in the order of its targets, or nil when one call is enough; then payload
// is the payload's JSON.
func (t Task) split() (parts []Task, payload []byte, _ error) {
	if err := t.validateFields(); err != nil {
		return nil, nil, err
	}
	payload, err := encodePayload(t.Payload)
	if err == nil && len(payload) <= smallPayload && checkCall(t.Payload, len(payload)) == nil {
		return nil, payload, nil // nearly all are: their request need not be built to be measured
	}
	if fits, err := fitsCall(t.Payload, t.ID); fits || err != nil {
		return nil, payload, err
	}
	parts, err = t.cut(nil, t.Payload)
	return parts, nil, err
}

// smallPayload is the size of a payload's JSON up to which its request keeps every
// bound on sizes: a path and a form at most treble it, and a message's body takes
// the task's ID besides.
const smallPayload = 640

// cut appends the parts of t that make the calls of p, a piece of its payload.
// They follow from ID and payload alone, so that the same task enqueued again
// gives the same parts.
func (t Task) cut(parts []Task, p Payload) ([]Task, error) {
	part := t
	part.ID, part.Payload = partID(t.ID, len(parts)+1), p
	if len(part.ID) > IDMaxBytes {
		return nil, fieldErr("id", t.ID, fmt.Sprintf("too long for a list that takes several calls: each adds an ending such as %s, and an ID has at most %d bytes",
			part.ID[len(t.ID):], IDMaxBytes))
	}
	fits, err := fitsCall(p, part.ID)
	if err != nil {
		return nil, err
	}
	list, ok := p.(splittable)
	if fits || !ok {
		return append(parts, part), nil
	}
	targets := list.Targets()
	var n int
	if _, most := list.perCall(); len(targets) > most {
		n = (len(targets)/most + 1) / 2 * most // about half, in full calls
	} else {
		// As many as fit. One target always does, so the search begins at two.
		n = 1 + sort.Search(len(targets)-1, func(i int) bool {
			fits, err := fitsCall(list.Only(targets[:i+2]), part.ID)
			return !fits || err != nil
		})
	}
	if parts, err = t.cut(parts, list.Only(targets[:n])); err != nil {
		return nil, err
	}
	return t.cut(parts, list.Only(targets[n:]))
}

// partID is the ID of the nth part of a list, from 1.
func partID(id string, n int) string { return fmt.Sprintf("%s.part%d", id, n) }

// isPartID says whether an ID is one that only a part may have. Given to another
// task, it would make that part a duplicate, and its targets would be lost.
func isPartID(id string) bool {
	at := strings.LastIndex(id, ".part")
	if at < 0 {
		return false
	}
	digits := id[at+len(".part"):]
	return digits != "" && strings.Trim(digits, "0123456789") == ""
}

// fitsCall says whether one call is enough for a payload. A single target fits
// whatever its size, since nothing is left to split.
func fitsCall(p Payload, id string) (bool, error) {
	req, err := p.Request(id)
	if err != nil {
		return false, within("payload", err)
	}
	if over := checkCall(p, len(req.Path)+len(req.Body)); over != nil {
		return false, nil
	}
	bodyMax := ListBodyMaxBytes
	if p.Kind() == KindMessageSend {
		bodyMax = SendBodyMaxBytes
	}
	if len(req.Body) <= bodyMax && len(req.Path) <= PathMaxBytes {
		return true, nil
	}
	_, most := perCall(p)
	return most == 0 || len(Targets(p)) <= 1, nil
}

// checkCall refuses a payload with more targets than one call may have, which
// whoever queues it must have split. size is that of its JSON or its request:
// a target takes at least two bytes there, so that the targets of a short one,
// which is what most are, need not be listed.
func checkCall(p Payload, size int) error {
	field, most := perCall(p)
	if most == 0 || size <= 2*most {
		return nil
	}
	if n := len(Targets(p)); n > most {
		return &FieldError{Field: "payload." + field, Value: fmt.Sprintf("%d given", n), Bound: fmt.Sprintf("at most %d in one call", most)}
	}
	return nil
}

// perCall is what a payload's own perCall says; 0 for one that has none.
func perCall(p Payload) (field string, most int) {
	if list, ok := p.(splittable); ok {
		return list.perCall()
	}
	return "", 0
}
