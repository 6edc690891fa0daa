package simulator

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// docs: above this many bytes of body and ext together a message is too large.
const messageMax = 5 << 10

// docs: at most this many users in a directed message and in roam_ignore_users.
const directedMax = 20

// sendTarget is what differs between the sends.
type sendTarget struct {
	chatType string // as a recall names it
	max      int    // docs: targets a call
	users    bool   // targets are user ids
	directed bool   // to some members of one group or room
}

var (
	usersTarget        = sendTarget{chatType: "chat", max: 600, users: true}
	groupsTarget       = sendTarget{chatType: "groupchat", max: 3}
	roomsTarget        = sendTarget{chatType: "chatroom", max: 10}
	groupMembersTarget = sendTarget{chatType: "groupchat", max: 1, directed: true}
	roomMembersTarget  = sendTarget{chatType: "chatroom", max: 1, directed: true}
)

func messageRefused(text string) *refusal {
	return refuse(http.StatusBadRequest, "message_send_error", text)
}

// badMessageBody is the message service's own wording for a body it can't read.
var badMessageBody = refuse(http.StatusBadRequest, "invalid_request_body", "Request body is invalid. Please check body is correct.")

// sendTo answers the sends. Neither the sender nor a target has to exist (docs:
// the server does not check, and answers with an id).
func sendTo(t sendTarget) func(*call) (*result, *refusal) {
	return func(c *call) (*result, *refusal) {
		var in struct {
			From       *string         `json:"from"`
			To         []string        `json:"to"`
			Type       string          `json:"type"`
			Body       json.RawMessage `json:"body"`
			Ext        json.RawMessage `json:"ext"`
			Users      []string        `json:"users"`
			RoamIgnore []string        `json:"roam_ignore_users"`
		}
		if no := c.decode(&in, badMessageBody); no != nil {
			return nil, no
		}
		switch {
		case in.From != nil && *in.From == "": // absent is admin
			return nil, messageRefused("param from can't be empty")
		case len(in.To) == 0:
			return nil, messageRefused("param to can't be empty")
		case len(in.To) > t.max:
			return nil, messageRefused("params to's size can't exceed limit " + strconv.Itoa(t.max))
		case in.Type == "":
			return nil, messageRefused("param type can't be empty")
		case emptyObject(in.Body):
			return nil, messageRefused("param body can't be empty")
		case in.Body[0] != '{':
			return nil, badMessageBody
		case in.Ext != nil && in.Ext[0] != '{': // null is not allowed either
			return nil, messageRefused("param ext must be JSONObject")
		case t.directed && len(in.Users) == 0:
			return nil, messageRefused("param users can't be empty")
		case t.directed && len(in.Users) > directedMax: // text by analogy with to
			return nil, messageRefused("params users's size can't exceed limit " + strconv.Itoa(directedMax))
		case !t.users && len(in.RoamIgnore) > directedMax: // text by analogy with to
			return nil, messageRefused("params roam_ignore_users's size can't exceed limit " + strconv.Itoa(directedMax))
		case len(in.Body)+len(in.Ext) > messageMax:
			return nil, tooLargeMessage
		}

		if no := c.globallyMuted(in.From, t.chatType); no != nil {
			return nil, no
		}
		// Whether the vendor merges repeated targets is not documented; an object
		// keyed by target can't hold both.
		targets := distinct(in.To, t.users)
		units := len(targets)
		if t.directed {
			units = len(in.Users)
		}
		if no := c.sim.allowMessages(c, units); no != nil {
			return nil, no
		}
		targets = c.spare(targets)
		ids := c.sim.outbox.send(c, t.chatType, targets)
		data := make(map[string]string, len(ids))
		for i, target := range targets {
			data[target] = ids[i]
		}
		return &result{path: c.path, data: data, done: &change{targets: targets, emqID: emqID(in.Ext), ids: ids}}, nil
	}
}

// sendLegacy answers the send of the old documentation, whose texts are other
// ones and whose success carries no ids.
func sendLegacy(c *call) (*result, *refusal) {
	var in struct {
		TargetType string          `json:"target_type"`
		Target     []string        `json:"target"`
		Msg        json.RawMessage `json:"msg"`
		From       *string         `json:"from"`
		Ext        json.RawMessage `json:"ext"`
	}
	if no := c.decode(&in, nil); no != nil {
		return nil, no
	}
	var chatType string
	switch in.TargetType {
	case "users":
		chatType = usersTarget.chatType
	case "chatgroups":
		chatType = groupsTarget.chatType
	case "chatrooms":
		chatType = roomsTarget.chatType
	default:
		return nil, refuse(http.StatusBadRequest, "illegal_argument", "target_type can only be 'users' or 'chatgroups' or 'chatrooms'")
	}
	switch {
	case in.From != nil && *in.From == "":
		return nil, refuse(http.StatusBadRequest, "illegal_argument", "from can't be empty")
	case len(in.Target) == 0, emptyObject(in.Msg):
		return nil, refuse(http.StatusBadRequest, "illegal_argument", "this is an invalid request.")
	case len(in.Msg)+len(in.Ext) > messageMax: // the old page: more than 5 KB is 413
		return nil, errTooLarge
	}
	targets := distinct(in.Target, in.TargetType == "users")
	if no := c.sim.allowMessages(c, len(targets)); no != nil {
		return nil, no
	}
	ids := c.sim.outbox.send(c, chatType, targets)
	data := make(map[string]string, len(targets))
	for _, target := range targets {
		data[target] = "success"
	}
	return &result{data: data, entities: noEntities, done: &change{targets: targets, emqID: emqID(in.Ext), ids: ids}}, nil
}

// broadcast answers the three broadcasts. docs: the id is a number above 2^53.
func broadcast(c *call) (*result, *refusal) {
	var in struct {
		From *string         `json:"from"`
		Msg  json.RawMessage `json:"msg"`
		Ext  json.RawMessage `json:"ext"`
	}
	if no := c.decode(&in, badMessageBody); no != nil {
		return nil, no
	}
	switch {
	case in.From != nil && *in.From == "":
		return nil, refuse(http.StatusBadRequest, "illegal_argument", "from can't be empty")
	case in.Ext != nil && in.Ext[0] != '{':
		return nil, refuse(http.StatusBadRequest, "illegal_argument", "ext must be JSONObject")
	case emptyObject(in.Msg) || in.Msg[0] != '{':
		return nil, badMessageBody
	case typeOf(in.Msg) == "": // text by analogy with a send
		return nil, refuse(http.StatusBadRequest, "message_send_error", "param type can't be empty")
	case len(in.Msg)+len(in.Ext) > messageMax:
		return nil, tooLargeMessage
	}
	if no := c.sim.allowMessages(c, 1); no != nil {
		return nil, no
	}
	ids := c.sim.outbox.send(c, "broadcast", []string{"*"})
	return &result{
		path: c.path, data: map[string]json.Number{"id": json.Number(ids[0])},
		done: &change{emqID: emqID(in.Ext), ids: ids},
	}, nil
}

var tooLargeMessage = &refusal{status: http.StatusBadRequest, code: "message_send_error", text: "message is too large", number: 14007}

// typeOf is the type of a broadcast message.
func typeOf(msg json.RawMessage) string {
	var in struct {
		Type string `json:"type"`
	}
	_ = json.Unmarshal(msg, &in)
	return in.Type
}

// emptyObject reports whether a field is absent, null, an empty text or an
// object without fields.
func emptyObject(raw json.RawMessage) bool {
	switch {
	case len(raw) == 0, string(raw) == "null", string(raw) == `""`:
		return true
	case raw[0] == '{':
		return len(bytes.TrimSpace(raw[1:len(raw)-1])) == 0
	}
	return false
}

// emqID reads the id that emq puts into a message's ext.
func emqID(ext json.RawMessage) string {
	if !bytes.Contains(ext, []byte(`"emq_id"`)) {
		return ""
	}
	var in struct {
		EmqID string `json:"emq_id"`
	}
	if json.Unmarshal(ext, &in) != nil {
		return "" // not a text: somebody else's field
	}
	return in.EmqID
}

// distinct returns names without repetition, in lower case for user ids.
func distinct(names []string, users bool) []string {
	if len(names) == 1 && !users {
		return names
	}
	out := make([]string, 0, len(names))
	seen := make(map[string]struct{}, len(names))
	for _, n := range names {
		if users {
			n = strings.ToLower(n)
		}
		if _, ok := seen[n]; !ok {
			seen[n] = struct{}{}
			out = append(out, n)
		}
	}
	return out
}
