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
	// default:messages:default <nil>
	// true
	// payload.to: must hold at least one id
}
