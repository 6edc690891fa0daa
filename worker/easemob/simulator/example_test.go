package simulator_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/imqueue/emq/worker/easemob/simulator"
)

// A call whose answer is lost has been executed; the record knows it.
func Example() {
	sim, err := simulator.New(simulator.Config{
		Faults: []simulator.Fault{{Path: "/token", Cut: simulator.CutAfter, Times: 1}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(sim)
	defer server.Close()

	for range 2 {
		resp, err := http.Post(server.URL+"/demo/emq/token", "application/json", strings.NewReader(
			`{"grant_type":"client_credentials","client_id":"emq-client-id","client_secret":"emq-client-secret"}`))
		if err != nil {
			fmt.Println("no answer")
			continue
		}
		_ = resp.Body.Close()
		fmt.Println(resp.StatusCode)
	}
	http.DefaultClient.CloseIdleConnections()
	fmt.Println("tokens issued:", sim.Counts().TokensIssued)
	// Output:
	// no answer
	// 200
	// tokens issued: 2
}
