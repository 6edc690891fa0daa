package admin

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/tasks/redisserver"
	"github.com/imqueue/emq/tasks/redisserver/redistest"
)

// TestPageAtAMillion measures what an operator waits for on a store of a million dead
// letters, in the API and in the page.
//
//	EMQ_EVIDENCE=1 go test ./admin -run TestPageAtAMillion -v -timeout 30m
//
// EMQ_EVIDENCE_LETTERS is another number of them. It asserts no time: a machine that is
// busy makes any of them long.
func TestPageAtAMillion(t *testing.T) {
	if os.Getenv("EMQ_EVIDENCE") == "" {
		t.Skip("fills a store with a million dead letters: set EMQ_EVIDENCE to run it")
	}
	m := newMill(t)
	m.fill()
	t.Run("api", m.api)
	t.Run("page", m.page)
	t.Run("operations", m.operations)
	t.Logf("%d dead letters of %d causes\n%s", m.count, len(m.causes), m.table.String())
}

// A mill is a server on a store of very many dead letters.
type mill struct {
	*guarded
	count  int
	causes []millCause
	sizes  []atomic.Int64 // of the causes: how many were put
	since  time.Time
	table  strings.Builder
}

// A millCause is what makes dead letters of one cause.
type millCause struct {
	app     string
	payload func(r *rand.Rand) tasks.Payload
	verdict errclass.Verdict
	reason  dlq.Reason
}

const (
	millCauses = 40
	millDays   = 3
)

var (
	millApps  = []string{"chat", "market", "shop"}
	millWords = strings.Fields("address balance coupon courier delayed flight gallery harbour invoice journey kitchen lesson market number orchard parcel quarter refund station ticket")
)

func newMill(t *testing.T) *mill {
	t.Helper()
	count := 1_000_000
	if text := os.Getenv("EMQ_EVIDENCE_LETTERS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 100_000 {
			t.Fatalf("EMQ_EVIDENCE_LETTERS=%s: must be a number from 100000 on", text)
		}
		count = n
	}
	rdb := redistest.Client(t, redistest.Start(t, redisserver.Options{}))
	m := &mill{guarded: guard(t, newWorldOn(t, rdb)), count: count, sizes: make([]atomic.Int64, millCauses), since: time.Now().AddDate(0, 0, -millDays)}
	name := func(r *rand.Rand) string { return fmt.Sprintf("user%07d", r.IntN(2_000_000)) }
	group := func(r *rand.Rand) string { return fmt.Sprintf("2%014d", r.IntN(300_000)) }
	message := func(r *rand.Rand) tasks.Payload {
		words := make([]string, 8+r.IntN(30))
		for i := range words {
			words[i] = millWords[r.IntN(len(millWords))]
		}
		return tasks.Message{
			Target: tasks.Users, To: []string{name(r)}, From: "service", Body: tasks.Text{Msg: strings.Join(words, " ")},
			Ext: map[string]any{"order": r.IntN(100_000_000), "trace": fmt.Sprintf("%016x", r.Uint64())},
		}
	}
	payloads := []func(r *rand.Rand) tasks.Payload{
		message,
		func(r *rand.Rand) tasks.Payload {
			return tasks.GroupAddMembers{GroupID: group(r), Usernames: []string{name(r), name(r)}}
		},
		func(r *rand.Rand) tasks.Payload { return tasks.UserSetNickname{Username: name(r), Nickname: name(r)} },
		message,
		func(r *rand.Rand) tasks.Payload {
			return tasks.RoomMuteMembers{RoomID: group(r), Usernames: []string{name(r)}, MuteDuration: 60_000}
		},
		func(r *rand.Rand) tasks.Payload {
			return tasks.GroupRemoveMembers{GroupID: group(r), Usernames: []string{name(r)}}
		},
		func(r *rand.Rand) tasks.Payload {
			return tasks.Recall{MsgID: strconv.FormatUint(r.Uint64(), 10), To: name(r), ChatType: "chat", Force: true}
		},
	}
	classes := []errclass.Class{errclass.ClassPermanent, errclass.ClassNeedsHuman, errclass.ClassRetryable}
	for i := range millCauses {
		v := verdict([]int{403, 404, 400, 503, 429}[i%5], fmt.Sprintf("odd_%d", i))
		v.Class = classes[i/2%len(classes)]
		v.Description = fmt.Sprintf("the %s of user %%s is not there", millWords[i%len(millWords)])
		c := millCause{app: millApps[(i+2)%len(millApps)], payload: payloads[i%len(payloads)], verdict: v, reason: dlq.ReasonVerdict}
		switch {
		case i == 7:
			c.reason = dlq.ReasonUnknownOutcome
		case v.Class == errclass.ClassRetryable:
			c.reason = dlq.ReasonExhausted
		}
		m.causes = append(m.causes, c)
	}
	return m
}

// causeOf says of which cause the n-th dead letter is: more than half are of the first
// one, and of each further one there are fewer, down to a few thousandths.
func (m *mill) causeOf(r *rand.Rand, n int) int {
	if n < millCauses {
		return n
	}
	if r.IntN(100) < 55 {
		return 0
	}
	share := r.Float64()
	return 1 + int(share*share*share*float64(millCauses-1))
}

func millID(n int) string { return fmt.Sprintf("order-%08d", n) }

func (m *mill) put(n int) error {
	r := rand.New(rand.NewPCG(20260301, uint64(n)))
	i := m.causeOf(r, n)
	c := m.causes[i]
	end := m.since.Add(time.Duration(float64(time.Since(m.since)) * float64(n) / float64(m.count)))
	v := c.verdict
	v.Description = fmt.Sprintf(v.Description, fmt.Sprintf("user%07d", r.IntN(2_000_000)))
	d := dlq.Death{
		Task: tasks.Task{
			ID: millID(n), App: c.app, Payload: c.payload(r), Priority: tasks.Default, OnUnknown: tasks.Retry,
			MaxAttempts: 20, MaxAge: time.Hour, EnqueuedAt: end.Add(-time.Minute),
		},
		Reason: c.reason, Verdict: v, At: end,
	}
	if n == 0 { // the only one of u1, and the last one that is come by
		d.Task.Payload = tasks.Message{Target: tasks.Users, To: []string{"u1"}, From: "service", Body: tasks.Text{Msg: "shipped"}}
	}
	tries := 1 + r.IntN(3)
	for try := range tries {
		d.Attempts = append(d.Attempts, dlq.Attempt{
			Number: try + 1, At: end.Add(time.Duration(try-tries) * time.Second), LatencyMS: int64(5 + r.IntN(400)), Status: v.Status, Class: v.Class,
			Rule: v.Rule, Error: v.Error, Description: v.Description, Counted: true,
			Body: fmt.Sprintf(`{"error":%q,"timestamp":%d,"duration":0,"error_description":%q}`, v.Error, end.UnixMilli(), v.Description),
		})
	}
	m.sizes[i].Add(1)
	return m.store.Put(context.Background(), d)
}

// fill makes the dead letters, and some lines of the audit.
func (m *mill) fill() {
	m.t.Helper()
	began := time.Now()
	var next atomic.Int64
	var group sync.WaitGroup
	failed := make(chan error, 16)
	for range cap(failed) {
		group.Go(func() {
			for n := int(next.Add(1)) - 1; n < m.count; n = int(next.Add(1)) - 1 {
				if err := m.put(n); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(failed)
	if err := <-failed; err != nil {
		m.t.Fatal(err)
	}
	for i := range 5000 {
		app := millApps[i%len(millApps)]
		if err := m.store.NoteAudit(m.t.Context(), dlq.ActionExport, app, millID(i), 1, dlq.Actor{Name: "the-operator"}); err != nil {
			m.t.Fatal(err)
		}
	}
	took := time.Since(began)
	m.t.Logf("filled in %v, %.0f a second", took.Round(time.Second), float64(m.count)/took.Seconds())
	for i := range m.sizes {
		m.t.Logf("cause %d of %s: %d", i, m.causes[i].app, m.sizes[i].Load())
	}
}

// total is how many dead letters are of the causes that match.
func (m *mill) total(matches func(c millCause) bool) int {
	n := 0
	for i, c := range m.causes {
		if matches(c) {
			n += int(m.sizes[i].Load())
		}
	}
	return n
}

func all(millCause) bool { return true }

func (c millCause) kind() tasks.Kind { return c.payload(rand.New(rand.NewPCG(1, 1))).Kind() }

const millTimes = 5

// row measures what do does, five times, and adds it to the table.
func (m *mill) row(what string, do func()) {
	took := make([]time.Duration, millTimes)
	for i := range took {
		began := time.Now()
		do()
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	fmt.Fprintf(&m.table, "%-62s median %8.1f ms   worst %8.1f ms\n", what, ms(took[millTimes/2]), ms(took[millTimes-1]))
}

// list asks for a list and measures that.
func (m *mill) list(t *testing.T, what, path string, check func(p page)) {
	t.Helper()
	m.row(what, func() {
		t.Helper()
		var p page
		m.ask(RoleViewer, http.MethodGet, path, "").into(t, http.StatusOK, &p)
		check(p)
	})
}

// dead adds up how many dead letters causes have.
func (p page) dead() int {
	n := 0
	for _, item := range p.Items {
		counts, _ := item["counts"].(map[string]any)
		f, _ := counts["dead"].(float64)
		n += int(f)
	}
	return n
}

func (m *mill) api(t *testing.T) {
	wants := func(what string, got, want int) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	m.list(t, "overview", "/overview", func(p page) {
		n, causes := 0, 0
		for _, item := range p.Items {
			dead, _ := item["dead"].(float64)
			of, _ := item["causes"].(float64)
			n, causes = n+int(dead), causes+int(of)
		}
		wants("apps", len(p.Items), len(millApps))
		wants("dead letters of the overview", n, m.count)
		wants("causes of the overview", causes, millCauses)
	})
	m.row("the first event", func() { m.firstEvent(t) })

	var largest string
	kind := m.causes[1].kind()
	m.list(t, "causes", "/causes", func(p page) {
		wants("causes", len(p.Items), millCauses)
		wants("dead letters of the causes", p.dead(), m.count)
		largest, _ = p.Items[0]["id"].(string)
		wants("the largest cause", page{Items: p.Items[:1]}.dead(), int(m.sizes[0].Load()))
	})
	m.list(t, "causes, of a kind", "/causes?kind="+string(kind), func(p page) {
		wants("dead letters of a kind", p.dead(), m.total(func(c millCause) bool { return c.kind() == kind }))
	})
	m.list(t, "causes, since a day ago", "/causes?since=1d", func(p page) {
		if got, want := p.dead(), m.count/millDays; got < want*9/10 || got > want*11/10 {
			t.Errorf("since a day ago: %d, want about %d", got, want)
		}
	})
	m.list(t, "causes, of one target", "/causes?target=u1", func(p page) { wants("dead letters of u1", p.dead(), 1) })
	m.row("one cause, the largest", func() {
		var c dlq.Cause
		m.ask(RoleViewer, http.MethodGet, "/causes/shop/"+largest, "").into(t, http.StatusOK, &c)
		wants("dead letters of the cause", c.Counts[dlq.StateDead], int(m.sizes[0].Load()))
	})

	full := func(p page) {
		t.Helper()
		wants("rows", len(p.Items), dlq.PageDefault)
		if p.NextCursor == "" {
			t.Error("there is no next page")
		}
	}
	m.list(t, "dead letters, first page", "/dead-letters?state=dead", func(p page) {
		full(p)
		if got := p.all("id")[0]; got != millID(m.count-1) {
			t.Errorf("the newest is %s", got)
		}
	})
	middle, err := m.store.List(t.Context(), dlq.Filter{Until: m.since.Add(millDays * 12 * time.Hour)}, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	m.list(t, "dead letters, a page in the middle", "/dead-letters?state=dead&cursor="+middle.Next, full)
	m.list(t, "dead letters, of the largest cause", "/dead-letters?app=shop&cause="+largest, full)
	m.list(t, "dead letters, of the largest cause, in the middle", "/dead-letters?app=shop&cause="+largest+"&cursor="+middle.Next, full)
	m.list(t, "dead letters, of a kind", "/dead-letters?kind="+string(kind), full)
	m.list(t, "dead letters, since a day ago, of a kind", "/dead-letters?since=1d&kind="+string(kind), full)
	m.list(t, "dead letters, since a day ago", "/dead-letters?since=1d", full)
	m.list(t, "dead letters, of one target: first answer", "/dead-letters?target=u1", func(page) {})
	m.search(t, "dead letters, of one target: all answers", "target", "u1", 1)
	m.list(t, "dead letters, a frequent text", "/dead-letters?text=parcel", full)
	m.list(t, "dead letters, a text that is nowhere: first answer", "/dead-letters?text=nowhere+at+all", func(p page) {
		wants("rows", len(p.Items), 0)
		if p.NextCursor == "" {
			t.Error("the search can't go on")
		}
	})
	m.list(t, "dead letters, 1000 of them", "/dead-letters?limit=1000", func(p page) { wants("rows", len(p.Items), 1000) })
	m.row("one dead letter", func() {
		var e dlq.Entry
		m.ask(RoleViewer, http.MethodGet, "/dead-letters/"+m.causes[1].app+"/"+millID(1), "").into(t, http.StatusOK, &e)
		if e.ID != millID(1) || e.Error != m.causes[1].verdict.Error {
			t.Errorf("%+v", e)
		}
	})

	preview := func(what, filter string, want int) {
		m.row("preview, "+what, func() {
			var p previewAnswer
			m.ask(RoleOperator, http.MethodPost, "/operations/preview", `{"action":"resend","filter":`+filter+`}`).into(t, http.StatusOK, &p)
			wants("preview, "+what, p.Count, want)
		})
	}
	known := func(c millCause) bool { return c.reason != dlq.ReasonUnknownOutcome }
	preview("all", `{}`, m.total(known))
	preview("of an app", `{"app":"shop"}`, m.total(func(c millCause) bool { return known(c) && c.app == "shop" }))
	preview("of the largest cause", `{"app":"shop","cause":"`+largest+`"}`, int(m.sizes[0].Load()))
	m.list(t, "audit", "/audit", func(p page) { wants("rows", len(p.Items), dlq.PageDefault) })
	m.list(t, "audit, by nobody", "/audit?by=nobody", func(p page) { wants("rows", len(p.Items), 0) })
	m.list(t, "operations", "/operations", func(p page) { wants("rows", len(p.Items), 0) })
	m.list(t, "queues", "/queues", func(page) {})
	m.row("metrics", func() {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.http.URL+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+m.tokens[RoleViewer])
		m.once(t, r)
	})
}

// once makes a request that must succeed, and reads the answer's first line.
func (m *mill) once(t *testing.T, r *http.Request) string {
	t.Helper()
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	line, err := bufio.NewReader(response.Body).ReadString('\n')
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response.StatusCode, err)
	}
	return line
}

func (m *mill) firstEvent(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, m.http.URL+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+m.tokens[RoleViewer])
	if line := m.once(t, r); line != "event: counts\n" {
		t.Errorf("the first line is %q", line)
	}
}

// search asks for page after page until there is none.
func (m *mill) search(t *testing.T, what, field, value string, want int) {
	t.Helper()
	m.row(what, func() {
		found, answers := 0, 0
		for cursor := ""; ; answers++ {
			var p page
			m.ask(RoleViewer, http.MethodGet, "/dead-letters?"+url.Values{field: {value}, "cursor": {cursor}}.Encode(), "").into(t, http.StatusOK, &p)
			found += len(p.Items)
			if cursor = p.NextCursor; cursor == "" {
				break
			}
		}
		if found != want {
			t.Errorf("%s: found %d in %d answers, want %d", what, found, answers, want)
		}
	})
}

// page measures in the browser, from the navigation until the content is there.
func (m *mill) page(t *testing.T) {
	parent := browser(t)
	w := openTabAt(parent, t, m.http.URL)
	w.open("/", ".login input")
	w.fill(".login input", m.tokens[RoleOperator])
	w.press("Sign in")
	w.wait(`document.querySelector(".app")`)
	open := func(what, path, ready string) {
		m.row("page: "+what, func() {
			w.must(chromedp.Navigate(m.http.URL + path))
			w.wait(ready)
		})
	}
	rows := func(n int) string {
		return fmt.Sprintf(`document.querySelectorAll("main tbody tr").length === %d`, n)
	}
	open("overview", "/", fmt.Sprintf(`document.querySelectorAll(".app").length === %d`, len(millApps)))
	open("causes", "/causes", fmt.Sprintf(`document.querySelectorAll(".cause").length === %d`, millCauses))
	open("causes of a kind", "/causes?kind="+string(m.causes[1].kind()), `document.querySelector(".cause")`)
	w.open("/causes", ".cause")
	w.wait(fmt.Sprintf(`document.querySelectorAll(".cause").length === %d`, millCauses))
	largest := eval[string](w, `new URL(document.querySelector(".cause h2 a").href).pathname`)
	open("one cause, the largest", largest, `document.querySelector("main tbody tr")`)
	open("dead letters", "/dead-letters?state=dead", rows(50))
	if got := eval[string](w, `document.querySelector(".selection").innerText`); !strings.Contains(strings.ReplaceAll(got, ",", ""), strconv.Itoa(m.count)) {
		t.Errorf("the page counts %q", got)
	}
	open("dead letters of a kind, since a day ago", "/dead-letters?state=dead&since=1d&kind="+string(m.causes[1].kind()), rows(50))
	open("dead letters of one target", "/dead-letters?target=u1", rows(1))
	open("dead letters with a frequent text", "/dead-letters?text=parcel", rows(50))
	open("dead letters with a text that is nowhere", "/dead-letters?text=nowhere+at+all", `document.querySelector("main .empty")`)
	if got := w.text(); !strings.Contains(got, "None among those looked at so far") || !strings.Contains(got, "Older") {
		t.Errorf("of a search that is not at its end the page says: %s", got)
	}
	open("one dead letter", "/dead-letters/"+m.causes[1].app+"/"+millID(1), `document.querySelector(".timeline li")`)
	open("audit", "/audit", rows(50))

	counted := func(what, path, button string, wants ...string) {
		w.open(path, "main tbody tr")
		m.row("page: "+what, func() {
			w.press(button)
			w.wait(`/\d/.test(document.querySelector("dialog .count")?.innerText) || document.querySelector("dialog .notice")`)
			if text := eval[string](w, `document.querySelector("dialog .count").innerText`); !slices.ContainsFunc(wants, func(want string) bool { return strings.Contains(text, want) }) {
				t.Errorf("%s: %s", what, text)
			}
			w.press("Back")
			w.wait(`!document.querySelector("dialog")`)
		})
	}
	counted("dialog: resend all of the largest cause", largest, "Resend all", "dead letters will be")
	counted("dialog: resend all of an app", "/dead-letters?state=dead&app=shop", "Resend all that match", "dead letters will be")
	counted("dialog: resend all with a text", "/dead-letters?state=dead&app=shop&text=parcel", "Resend all that match", "dead letters will be", "This took too long")
}

// operations measures making operations, which are cancelled: no worker is there to do
// anything.
func (m *mill) operations(t *testing.T) {
	frozen := func(what, filter string, want int) {
		m.row("operation made, "+what, func() {
			var ops page
			m.ask(RoleOperator, http.MethodPost, "/operations", `{"action":"resend","reason":"mended","include_unknown":true,"filter":`+filter+`}`).into(t, http.StatusOK, &ops)
			members := 0
			for _, op := range ops.Items {
				n, _ := op["members"].(float64)
				members += int(n)
				m.wants(m.ask(RoleOperator, http.MethodPost, fmt.Sprintf("/operations/%s/%s/cancel", op["app"], op["id"]), `{}`), http.StatusOK)
			}
			if members != want {
				t.Errorf("%s: %d members, want %d", what, members, want)
			}
		})
	}
	frozen("of the largest cause", `{"app":"shop","error":"odd_0"}`, int(m.sizes[0].Load()))
	frozen("all", `{}`, m.total(all))
}
