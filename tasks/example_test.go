package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/alicebob/miniredis/v2"

	"github.com/imqueue/emq/tasks"
)

func Example() {
	server, err := miniredis.Run() // yours is a real one
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	rdb, err := tasks.OpenRedis("redis://" + server.Addr())
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = rdb.Close() }()
	client, err := tasks.NewClient(tasks.ClientConfig{Redis: rdb})
	if err != nil {
		log.Fatal(err)
	}

	shipped := tasks.Message{
		Target: tasks.Users,
		To:     []string{"u1"},
		Body:   tasks.Text{Msg: "shipped"},
	}
	receipt, err := client.Enqueue(context.Background(), shipped, tasks.ID("order-8812-shipped"))
	fmt.Println(receipt.Queue, err)

	_, err = client.Enqueue(context.Background(), shipped, tasks.ID("order-8812-shipped"))
	fmt.Println(errors.Is(err, tasks.ErrDuplicate))

	shipped.To = nil
	_, err = client.Enqueue(context.Background(), shipped)
	fmt.Println(err)

	// Output:
	// default:messages.users:default <nil>
	// true
	// payload.to: must hold at least one id
}

// A list that one call can't take is queued as several tasks.
func ExampleClient_Enqueue_longList() {
	server, err := miniredis.Run() // yours is a real one
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	rdb, err := tasks.OpenRedis("redis://" + server.Addr())
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = rdb.Close() }()
	client, err := tasks.NewClient(tasks.ClientConfig{Redis: rdb})
	if err != nil {
		log.Fatal(err)
	}

	class := tasks.GroupAddMembers{GroupID: "4065"}
	for i := range 130 {
		class.Usernames = append(class.Usernames, fmt.Sprintf("pupil%d", i))
	}
	receipt, err := client.Enqueue(context.Background(), class, tasks.ID("class-4b"))
	fmt.Println(len(receipt.Parts), err)
	for _, part := range receipt.Parts {
		fmt.Println(part.ID, part.Queue)
	}

	// Output:
	// 3 <nil>
	// class-4b.part1 default:groups.add_members:default
	// class-4b.part2 default:groups.add_members:default
	// class-4b.part3 default:groups.add_members:default
}

// The table of kinds tells what a payload takes.
func ExampleKind_Info() {
	info, _ := tasks.KindGroupMuteMembers.Info()
	fmt.Println(info.Summary, info.Repeatable)
	for _, f := range info.Fields {
		fmt.Printf("%s (%s): %s\n", f.Name, f.Type, f.Bound)
	}

	// Output:
	// mute members of a group true
	// group_id (string): 1 to 64 letters, digits, '_' and '-'
	// usernames (array): user ids; 60 in one call, more are split into several tasks
	// mute_duration (number): milliseconds, 1 to 2147483647000; -1 for good
}
