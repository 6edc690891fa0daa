package simulator

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// firstMessageID makes ids of the length of real ones: above 2^53, so that a
// client that reads them as floating point sees neighbours as equal.
const firstMessageID = 1029257500870543736

// outbox gives out message ids and remembers what was sent under them, for
// recalls.
type outbox struct {
	mu    sync.Mutex
	first int64 // the id of the first one sent
	sent  journal[sentMessage]
}

type sentMessage struct {
	app      *app
	to       string
	chatType string
	at       time.Time
	recalled bool
}

// send gives one id to each target.
func (o *outbox) send(c *call, chatType string, targets []string) []string {
	ids := make([]string, len(targets))
	o.mu.Lock()
	next := o.first + int64(o.sent.n)
	if c.sim.cfg.NoRecord {
		o.first += int64(len(targets))
	} else {
		for _, to := range targets {
			o.sent.add(sentMessage{app: c.app, to: to, chatType: chatType, at: c.start})
		}
	}
	o.mu.Unlock()
	for i := range ids {
		ids[i] = strconv.FormatInt(next+int64(i), 10)
	}
	return ids
}

// clear forgets what was sent; ids are not used again.
func (o *outbox) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.first += int64(o.sent.n)
	o.sent = journal[sentMessage]{}
}

// recallMessage answers POST /messages/msg_recall.
func recallMessage(c *call) (*result, *refusal) {
	var in struct {
		MsgID    string `json:"msg_id"`
		To       string `json:"to"`
		ChatType string `json:"chat_type"`
		From     string `json:"from"`
		Force    *bool  `json:"force"`
	}
	if no := c.decode(&in, badMessageBody); no != nil {
		return nil, no
	}
	empty := ""
	switch {
	case in.MsgID == "":
		empty = "msg_id"
	case in.To == "":
		empty = "to"
	case in.ChatType == "":
		empty = "chat_type"
	case in.Force == nil:
		empty = "force"
	}
	if empty != "" {
		return nil, refusef(http.StatusBadRequest, "message_recall_error", "param %s can't be empty", empty)
	}
	to := in.To
	if in.ChatType == usersTarget.chatType {
		to = distinct([]string{to}, true)[0]
	}
	if no := c.sim.outbox.recall(c, in.MsgID, in.ChatType, to, *in.Force); no != nil {
		return nil, no
	}
	from := in.From
	if from == "" {
		from = "admin"
	}
	return &result{
		path: c.path,
		data: map[string]string{"recalled": "yes", "chattype": in.ChatType, "from": from, "to": to, "msg_id": in.MsgID},
		done: &change{targets: []string{to}, ids: []string{in.MsgID}},
	}, nil
}

// recall marks a message as recalled. A message that is not there, and one
// recalled before, read alike.
func (o *outbox) recall(c *call, id, chatType, to string, force bool) *refusal {
	notFound := refuse(http.StatusForbidden, "message_recall_error", "not_found msg")
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return notFound
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if n < o.first || n-o.first >= int64(o.sent.n) {
		return notFound
	}
	m := o.sent.at(int(n - o.first))
	switch {
	case m.app != c.app, m.chatType != chatType, m.recalled:
		return notFound
	case m.to != to:
		return refuse(http.StatusBadRequest, "message_recall_error", "can’t find msg to")
	case !force && c.start.Sub(m.at) > c.sim.cfg.RecallWindow:
		return refuse(http.StatusForbidden, "message_recall_error", "exceed recall time limit")
	}
	m.recalled = true
	return nil
}
