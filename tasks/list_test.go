package tasks

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

// memberList is a list of members that takes more than one call.
func memberList(n int) GroupAddMembers { return GroupAddMembers{GroupID: "1", Usernames: idsOf(n, 5)} }

// TestEnqueueSplitsOnce holds that a list enqueued again under its ID makes no
// second set of tasks, and that what asynq has is the list.
func TestEnqueueSplitsOnce(t *testing.T) {
	t.Parallel()
	forEachRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
		c, due := newClient(t, rdb), ms(time.Now().Add(time.Hour))
		p := memberList(130)
		enqueue := func() (Receipt, error) {
			return c.Enqueue(t.Context(), p, ID("list"), At(due), WithPriority(High), OnUnknownOutcome(Hold))
		}
		receipt, err := enqueue()
		if err != nil {
			t.Fatal(err)
		}
		const queue = "default:groups.add_members:high"
		equal(t, "receipt", receipt, Receipt{ID: "list", App: "default", Queue: queue, Parts: []Receipt{
			{ID: "list.part1", App: "default", Queue: queue},
			{ID: "list.part2", App: "default", Queue: queue},
			{ID: "list.part3", App: "default", Queue: queue},
		}})
		for i, want := range [][]string{p.Usernames[:60], p.Usernames[60:120], p.Usernames[120:]} {
			_, got := queued(t, rdb, receipt.Parts[i].ID)
			equal(t, receipt.Parts[i].ID, got, Task{
				ID: receipt.Parts[i].ID, App: "default", Payload: GroupAddMembers{GroupID: "1", Usernames: want}, Priority: High, ProcessAt: due,
				OnUnknown: Hold, MaxAttempts: MaxAttemptsDefault, MaxAge: MaxAgeDefault, EnqueuedAt: got.EnqueuedAt, nonce: got.nonce, given: true,
			})
		}

		again, err := enqueue()
		if !errors.Is(err, ErrDuplicate) || !errors.Is(again.Err, ErrDuplicate) || len(again.Parts) != 3 {
			t.Errorf("second time: %+v, %v", again, err)
		}
		for _, part := range again.Parts {
			if !errors.Is(part.Err, ErrDuplicate) {
				t.Errorf("second time, %s: %v", part.ID, part.Err)
			}
		}
		if n := len(taskKeys(t, rdb, "*")); n != 3 {
			t.Errorf("%d tasks in Redis, want 3", n)
		}
	})
}

func TestEnqueueSplitsUnderAMadeUpID(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	receipt, err := newClient(t, rdb).Enqueue(t.Context(), memberList(61))
	if err != nil {
		t.Fatal(err)
	}
	if len(receipt.ID) != generatedIDBytes || len(receipt.Parts) != 2 {
		t.Fatalf("receipt %+v", receipt)
	}
	for i, part := range receipt.Parts {
		if part.ID != fmt.Sprintf("%s.part%d", receipt.ID, i+1) {
			t.Errorf("part %d is %s", i+1, part.ID)
		}
		if _, task := queued(t, rdb, part.ID); task.IDGiven() {
			t.Errorf("%s counts as the caller's ID", part.ID)
		}
	}
}

// TestEnqueueManySplitsSome holds that each task given has one receipt, in its place.
func TestEnqueueManySplitsSome(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	c := newClient(t, rdb)
	list := []Task{
		{ID: "a", Payload: text("x")},
		{ID: "b", Payload: memberList(60)},
		{ID: "c", Payload: memberList(61)},
		{ID: "c", Payload: memberList(61)},
		{ID: "d", Payload: Message{Target: Groups, To: idsOf(4, 5), Body: Text{Msg: "x"}}},
		{ID: "c", Payload: memberList(62)},
		{ID: "c", Payload: text("another call under the ID of a list")},
	}
	bad := append(slices.Clone(list), Task{Payload: text("")})
	if _, err := c.EnqueueMany(t.Context(), bad); err == nil || err.(*TaskError).Index != len(list) { //nolint:errorlint // itself
		t.Errorf("error %v, want one of task %d", err, len(list))
	}
	if n := len(taskKeys(t, rdb, "*")); n != 0 {
		t.Fatalf("%d tasks queued beside a bad one", n)
	}
	receipts, err := c.EnqueueMany(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	show := func(indent string, r Receipt) {
		line := indent + r.ID + " " + r.Queue
		if errors.Is(r.Err, ErrDuplicate) {
			line += " duplicate"
		} else if r.Err != nil {
			line += " " + r.Err.Error()
		}
		got = append(got, line)
	}
	for _, r := range receipts {
		show("", r)
		for _, part := range r.Parts {
			show("  ", part)
		}
	}
	equal(t, "receipts", got, []string{
		"a default:messages.users:default",
		"b default:groups.add_members:default",
		"c default:groups.add_members:default",
		"  c.part1 default:groups.add_members:default",
		"  c.part2 default:groups.add_members:default",
		"c default:groups.add_members:default duplicate",
		"  c.part1 default:groups.add_members:default duplicate",
		"  c.part2 default:groups.add_members:default duplicate",
		"d default:messages.groups:default",
		"  d.part1 default:messages.groups:default",
		"  d.part2 default:messages.groups:default",
		"c default:groups.add_members:default duplicate",
		"  c.part1 default:groups.add_members:default duplicate",
		"  c.part2 default:groups.add_members:default duplicate",
		"c default:messages.users:default duplicate",
	})
}

// TestListComesComplete holds that a part which is queued already keeps none of the
// others back: a list whose enqueue was interrupted comes complete when repeated.
func TestListComesComplete(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	c := newClient(t, rdb)
	enqueue := func() (Receipt, error) { return c.Enqueue(t.Context(), memberList(190), ID("list")) }
	if _, err := enqueue(); err != nil {
		t.Fatal(err)
	}
	const queue = "default:groups.add_members:default"
	// Of part 2 not even the ID was claimed when the producer died, of part 3 only that.
	must(t, rdb.Del(t.Context(), TaskKey(queue, "list.part2"), TaskKey(queue, "list.part3"), ClaimKey("default", "list.part2")).Err())
	receipt, err := enqueue()
	if !errors.Is(err, ErrDuplicate) {
		t.Errorf("error %v, want ErrDuplicate", err)
	}
	for i, taken := range []bool{true, false, false, true} {
		part := receipt.Parts[i]
		if errors.Is(part.Err, ErrDuplicate) != taken {
			t.Errorf("%s: %v", part.ID, part.Err)
		}
		if _, task := queued(t, rdb, part.ID); task.Kind() != KindGroupAddMembers {
			t.Errorf("%s is %s", part.ID, task.Kind())
		}
	}
}

// TestListHoldsItsID holds that an ID is unique whether or not what it was given to
// was split: of the second call under it nothing is queued.
func TestListHoldsItsID(t *testing.T) {
	t.Parallel()
	const queue = "default:groups.add_members:default"
	dead := func(id string) func(*testing.T, redis.UniversalClient) {
		return func(t *testing.T, rdb redis.UniversalClient) {
			deliver(t, rdb, queue, "list.part1", 0)
			deliver(t, rdb, queue, "list.part2", 0)
			must(t, rdb.Set(t.Context(), EntryKey("default", id), "x", 0).Err())
		}
	}
	for name, tc := range map[string]struct {
		first, second Payload
		between       func(*testing.T, redis.UniversalClient)
		free          bool // the second is queued
	}{
		"a list, then one call": {memberList(61), memberList(2), nil, false},
		"a list that is being queued": {memberList(61), memberList(2), func(t *testing.T, rdb redis.UniversalClient) {
			deliver(t, rdb, queue, "list.part1", 0)
			deliver(t, rdb, queue, "list.part2", 0)
			must(t, rdb.PExpire(t.Context(), ClaimKey("default", "list"), claimSpare-listSettles/2).Err())
		}, false},
		"one call, then a list":  {memberList(2), memberList(61), nil, false},
		"a list, then a longer":  {memberList(61), memberList(130), nil, false},
		"a list, then a shorter": {memberList(130), memberList(61), nil, false},
		"the last part waits": {memberList(61), memberList(62), func(t *testing.T, rdb redis.UniversalClient) {
			deliver(t, rdb, queue, "list.part1", 0)
		}, false},
		"the last part was delivered not long ago": {memberList(61), memberList(62), func(t *testing.T, rdb redis.UniversalClient) {
			deliver(t, rdb, queue, "list.part1", 0)
			deliver(t, rdb, queue, "list.part2", time.Hour)
		}, false},
		"a part is a dead letter": {memberList(61), memberList(62), dead("list.part2"), false},
		"all parts were delivered long ago": {memberList(61), memberList(62), func(t *testing.T, rdb redis.UniversalClient) {
			deliver(t, rdb, queue, "list.part1", 0)
			deliver(t, rdb, queue, "list.part2", 0)
		}, true},
		"the same, then one call": {memberList(61), memberList(1), func(t *testing.T, rdb redis.UniversalClient) {
			deliver(t, rdb, queue, "list.part1", 0)
			deliver(t, rdb, queue, "list.part2", 0)
		}, true},
		"the one call was never queued": {memberList(2), memberList(61), func(t *testing.T, rdb redis.UniversalClient) {
			must(t, rdb.Del(t.Context(), TaskKey(queue, "list")).Err())
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forEachRedis(t, func(t *testing.T, rdb redis.UniversalClient) {
				c := newClient(t, rdb)
				_, err := c.Enqueue(t.Context(), tc.first, ID("list"))
				must(t, err)
				if tc.between != nil {
					must(t, rdb.PExpire(t.Context(), ClaimKey("default", "list"), claimSpare-listSettles).Err()) // it was a while ago
					tc.between(t, rdb)
				}
				before := len(taskKeys(t, rdb, "*"))
				receipt, err := c.Enqueue(t.Context(), tc.second, ID("list"))
				if errors.Is(err, ErrDuplicate) == tc.free || err != nil && tc.free {
					t.Errorf("error %v", err)
				}
				if after := len(taskKeys(t, rdb, "*")); after > before != tc.free {
					t.Errorf("%d tasks, before %d; receipt %+v", after, before, receipt)
				}
			})
		})
	}
}

// deliver ends a task as a worker does that keeps its ID for a while.
func deliver(t *testing.T, rdb redis.UniversalClient, queue, id string, keep time.Duration) {
	t.Helper()
	must(t, rdb.Del(t.Context(), TaskKey(queue, id)).Err())
	if keep > 0 {
		must(t, rdb.Set(t.Context(), ClaimKey("default", id), claimDone, keep).Err())
	} else {
		must(t, rdb.Del(t.Context(), ClaimKey("default", id)).Err())
	}
}

func TestEnqueueRefusesIDsOfParts(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	c := newClient(t, rdb)
	for id, refused := range map[string]bool{"a.part1": true, "a.part12": true, "a.part": false, "a.part1b": false, "part1": false, "a.part1.x": false} {
		_, err := c.Enqueue(t.Context(), text("x"), ID(id))
		if (err != nil) != refused {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// TestReceiptIsNoDuplicateWhilePartsFail holds that whoever takes ErrDuplicate
// for "it is queued" loses no part.
func TestReceiptIsNoDuplicateWhilePartsFail(t *testing.T) {
	t.Parallel()
	taken, failed := fmt.Errorf("a: %w", ErrDuplicate), errors.New("redis is away")
	for name, test := range map[string]struct {
		parts            []error
		duplicate, fails bool
	}{
		"all queued":         {[]error{nil, nil}, false, false},
		"one taken":          {[]error{nil, taken}, true, false},
		"all taken":          {[]error{taken, taken}, true, false},
		"one failed":         {[]error{failed, nil}, false, true},
		"one taken, failed":  {[]error{taken, failed, nil}, false, true},
		"one failed, taken":  {[]error{failed, taken}, false, true},
		"two failed, queued": {[]error{failed, failed, nil}, false, true},
	} {
		r := Receipt{}
		for _, err := range test.parts {
			r.Parts = append(r.Parts, Receipt{Err: err})
		}
		r.join()
		if errors.Is(r.Err, ErrDuplicate) != test.duplicate || errors.Is(r.Err, failed) != test.fails ||
			(r.Err != nil) != (test.duplicate || test.fails) {
			t.Errorf("%s: %v", name, r.Err)
		}
	}
}

func TestEnqueueRefusesAnIDThatIsTooLongToSplit(t *testing.T) {
	t.Parallel()
	_, rdb := redistest.Mini(t)
	_, err := newClient(t, rdb).Enqueue(t.Context(), memberList(61), ID(strings.Repeat("l", IDMaxBytes)))
	if fe, ok := errors.AsType[*FieldError](err); !ok || fe.Field != "id" {
		t.Errorf("error %v", err)
	}
	if keys := rdb.Keys(t.Context(), "*").Val(); len(keys) != 0 {
		t.Errorf("queued all the same: %v", keys)
	}
}
