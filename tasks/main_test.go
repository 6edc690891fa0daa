package tasks

import (
	"reflect"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Texts that stand in every sample and must never stand in an error.
const (
	secretText     = "the-text-of-a-message"
	secretPassword = "a-password-of-a-user"
)

// samples has one valid payload of each kind.
func samples() map[Kind]Payload {
	return map[Kind]Payload{
		KindMessageSend: Message{
			Target: Users, To: []string{"u1", "u2"}, From: "admin",
			Body: Text{Msg: secretText}, Ext: map[string]any{"order": "8812"},
		},
		KindMessageRecall: Recall{MsgID: "1028442084794698104", To: "u1", ChatType: "chat", Force: true},
		KindGroupCreate:   GroupCreate{Name: "team", Public: true, Owner: "u1", Members: []string{"u2"}},
		KindGroupAddMembers: GroupAddMembers{
			GroupID: "4065", Usernames: []string{"u1", "u2"},
		},
		KindGroupRemoveMembers: GroupRemoveMembers{GroupID: "4065", Usernames: []string{"u1", "u2"}},
		KindGroupTransferOwner: GroupTransferOwner{GroupID: "4065", NewOwner: "u2"},
		KindUserRegister:       UserRegister{Users: []NewUser{{Username: "u1", Password: secretPassword}}},
		KindCallRaw:            RawCall{Method: "POST", Path: "/users/u1/deactivate", Body: []byte(`{}`)},
	}
}

func TestSamplesCoverTheKinds(t *testing.T) {
	t.Parallel()
	list := samples()
	for _, info := range Kinds() {
		p, ok := list[info.Kind]
		if !ok {
			t.Errorf("no sample of %s", info.Kind)
			continue
		}
		if p.Kind() != info.Kind {
			t.Errorf("sample of %s says it is %s", info.Kind, p.Kind())
		}
		if err := (Task{Payload: p}).Validate(); err != nil {
			t.Errorf("%s: %v", info.Kind, err)
		}
	}
	if len(list) != len(Kinds()) {
		t.Errorf("%d samples of %d kinds", len(list), len(Kinds()))
	}
}

// forEachRedis runs a test on a Redis in memory and on a real one.
func forEachRedis(t *testing.T, test func(t *testing.T, rdb redis.UniversalClient)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		_, rdb := redistest.Mini(t)
		test(t, rdb)
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, redistest.Client(t, redistest.Start(t, redisserver.Options{})))
	})
}

func newClient(t testing.TB, rdb redis.UniversalClient) *Client {
	t.Helper()
	c, err := NewClient(ClientConfig{Redis: rdb})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func text(msg string) Message {
	return Message{Target: Users, To: []string{"u1"}, Body: Text{Msg: msg}}
}

// taskKeys lists asynq's keys of a task over all queues.
func taskKeys(t testing.TB, rdb redis.UniversalClient, queueID string) []string {
	t.Helper()
	keys, err := rdb.Keys(t.Context(), "asynq:{*}:t:"+queueID).Result()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// queued reads the one task under an ID, from whichever queue it is in, and
// fails when there is none or more than one.
func queued(t testing.TB, rdb redis.UniversalClient, queueID string) (*asynq.TaskInfo, Task) {
	t.Helper()
	if keys := taskKeys(t, rdb, queueID); len(keys) != 1 {
		t.Fatalf("task %s is in Redis %d times: %v", queueID, len(keys), keys)
	}
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	queues, err := inspector.Queues()
	if err != nil {
		t.Fatal(err)
	}
	for _, queue := range queues {
		info, err := inspector.GetTaskInfo(queue, queueID)
		if err != nil {
			continue // not in this queue
		}
		task, err := Decode(info.Payload)
		if err != nil {
			t.Fatal(err)
		}
		return info, task
	}
	t.Fatalf("asynq's inspector finds no task %s in %v", queueID, queues)
	return nil, Task{}
}

func equal(t interface {
	Helper()
	Errorf(string, ...any)
}, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %#v\nwant %#v", what, got, want)
	}
}

func ms(t time.Time) time.Time { return t.Truncate(time.Millisecond).UTC() }
