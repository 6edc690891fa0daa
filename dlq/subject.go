package dlq

import (
	"hash/fnv"
	"slices"
	"strings"

	"github.com/imqueue/emq/tasks"
)

// The index of subjects finds the entries about a user, group or room. Each
// subject falls into one of an app's buckets: a sorted set of the entries about any
// of the bucket's subjects, by the time of the last failure. With so many buckets,
// one holds few entries even in a store of a million, which Redis keeps in a third
// of the memory that a large set takes; and what a bucket lists is looked at, so
// that an entry about another of its subjects is not found.
const (
	buckets = 1 << 14
	// wideBucket lists the entries with more subjects than subjectsListed. They
	// are listed under the first of their subjects as well, which for a call about
	// members is the group or room.
	wideBucket     = buckets
	subjectsListed = 64
)

// bucketOf is the bucket of a subject. Easemob does not tell upper from lower
// case in names.
func bucketOf(subject string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(strings.ToLower(subject)))
	return int(h.Sum32() % buckets)
}

// about lists the record under the subjects of a payload, which is what it is
// about from now on.
func (r *record) about(p tasks.Payload) {
	r.body.Buckets = nil
	if p == nil {
		return
	}
	subjects := tasks.Subjects(p)
	if len(subjects) > subjectsListed {
		subjects = subjects[:subjectsListed]
		r.body.Buckets = append(r.body.Buckets, wideBucket)
	}
	for _, subject := range subjects {
		r.body.Buckets = append(r.body.Buckets, bucketOf(subject))
	}
	slices.Sort(r.body.Buckets)
	r.body.Buckets = slices.Compact(r.body.Buckets)
}

func bucketKeys(app string, list []int) []string {
	keys := make([]string, len(list))
	for i, bucket := range list {
		keys[i] = bucketKey(app, bucket)
	}
	return keys
}
