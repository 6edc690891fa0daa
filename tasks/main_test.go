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

// samples has one valid payload of each kind. The lines of testdata/wire-v1.jsonl
// hold them, so that they never change.
func samples() map[Kind]Payload {
	users := []string{"u1", "u2"}
	list := []Payload{
		Message{
			Target: Users, To: users, From: "admin",
			Body: Text{Msg: secretText}, Ext: map[string]any{"order": "8812"},
		},
		Recall{MsgID: "1028442084794698104", To: "u1", ChatType: "chat", Force: true},
		Broadcast{Target: Online, From: "admin", Body: Text{Msg: secretText}, Ext: map[string]any{"order": "8812"}},

		GroupCreate{Name: "team", Public: true, Owner: "u1", Members: []string{"u2"}},
		GroupUpdate{GroupID: "4065", Name: new("team"), MaxUsers: new(300), Public: new(false)},
		GroupDelete{GroupID: "4065"},
		GroupTransferOwner{GroupID: "4065", NewOwner: "u2"},
		GroupAddMembers{GroupID: "4065", Usernames: users},
		GroupRemoveMembers{GroupID: "4065", Usernames: users},
		GroupAddAdmin{GroupID: "4065", NewAdmin: "u2"},
		GroupRemoveAdmin{GroupID: "4065", OldAdmin: "u2"},
		GroupMuteMembers{GroupID: "4065", Usernames: users, MuteDuration: 60_000},
		GroupUnmuteMembers{GroupID: "4065", Usernames: users},
		GroupMuteAll{GroupID: "4065"},
		GroupUnmuteAll{GroupID: "4065"},
		GroupBlockMembers{GroupID: "4065", Usernames: users},
		GroupUnblockMembers{GroupID: "4065", Usernames: users},
		GroupAllowMembers{GroupID: "4065", Usernames: users},
		GroupDisallowMembers{GroupID: "4065", Usernames: users},
		GroupSetAnnouncement{GroupID: "4065", Announcement: "closed"},

		RoomCreate{Name: "lobby", Description: "for all", MaxUsers: 10_000, Owner: "u1", Members: []string{"u2"}},
		RoomUpdate{RoomID: "662", Name: new("lobby"), MaxUsers: new(300)},
		RoomDelete{RoomID: "662"},
		RoomTransferOwner{RoomID: "662", NewOwner: "u2"},
		RoomAddMembers{RoomID: "662", Usernames: users},
		RoomRemoveMembers{RoomID: "662", Usernames: users},
		RoomAddAdmin{RoomID: "662", NewAdmin: "u2"},
		RoomRemoveAdmin{RoomID: "662", OldAdmin: "u2"},
		RoomMuteMembers{RoomID: "662", Usernames: users, MuteDuration: MuteForever},
		RoomUnmuteMembers{RoomID: "662", Usernames: users},
		RoomMuteAll{RoomID: "662"},
		RoomUnmuteAll{RoomID: "662"},
		RoomBlockMembers{RoomID: "662", Usernames: users},
		RoomUnblockMembers{RoomID: "662", Usernames: users},
		RoomAllowMembers{RoomID: "662", Usernames: users},
		RoomDisallowMembers{RoomID: "662", Usernames: users},
		RoomSetAnnouncement{RoomID: "662", Announcement: "closed"},

		UserRegister{Users: []NewUser{{Username: "u1", Password: secretPassword}}},
		UserDelete{Username: "u1"},
		UserResetPassword{Username: "u1", NewPassword: secretPassword},
		UserSetNickname{Username: "u1", Nickname: "Ann"},
		UserDeactivate{Username: "u1"},
		UserActivate{Username: "u1"},
		UserForceOffline{Username: "u1"},
		UserAddContact{OwnerUsername: "u1", FriendUsername: "u2"},
		UserRemoveContact{OwnerUsername: "u1", FriendUsername: "u2"},
		UserBlock{OwnerUsername: "u1", Usernames: []string{"u2", "u3"}},
		UserUnblock{OwnerUsername: "u1", BlockedUsername: "u2"},
		UserMute{Username: "u1", Chat: new(3600), GroupChat: new(MuteForever), ChatRoom: new(0)},
		UserSetAttributes{Username: "u1", MetaData: map[string]string{"nickname": "Ann"}},

		RawCall{Method: "POST", Path: "/users/u1/deactivate", Body: []byte(`{}`)},
	}
	byKind := make(map[Kind]Payload, len(list))
	for _, p := range list {
		byKind[p.Kind()] = p
	}
	return byKind
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

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
