package simulator

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// docs: bounds of attributes. A user's are counted in bytes of keys and values,
// a room's in characters.
const (
	attributesMax    = 2 << 10
	roomKeysMax      = 10 // a call
	roomAttributeMax = 100
	roomKeyMax       = 128
	roomValueMax     = 4096
)

// setAttributes answers PUT /metadata/user/{user}, which takes a form (docs).
func setAttributes(c *call) (*result, *refusal) {
	form, err := url.ParseQuery(string(c.body))
	if err != nil || len(form) == 0 || c.body[0] == '{' { // JSON, announced as a form
		return nil, &refusal{status: http.StatusBadRequest, empty: true} // recorded: 400 without a body
	}
	given := make(map[string]string)
	for k := range form {
		given[k] = form.Get(k)
	}
	return c.withUser(0, func(u *user) (*result, *refusal) {
		after := maps.Clone(u.attributes)
		maps.Copy(after, given)
		size := 0
		for k, v := range after {
			size += len(k) + len(v)
		}
		if size > attributesMax {
			return nil, refuse(http.StatusForbidden, "FORBIDDEN",
				"size of metadata for this single user exceeds the user defined limit, "+strconv.Itoa(attributesMax)+"Bytes")
		}
		u.attributes = after
		return &result{bare: true, data: given, done: &change{targets: []string{u.name}}}, nil
	})
}

func getAttributes(c *call) (*result, *refusal) {
	return c.withUser(0, func(u *user) (*result, *refusal) {
		return &result{bare: true, data: maps.Clone(u.attributes)}, nil
	})
}

func deleteAttributes(c *call) (*result, *refusal) {
	return c.withUser(0, func(u *user) (*result, *refusal) {
		u.attributes = make(map[string]string)
		return &result{bare: true, data: true, done: &change{targets: []string{u.name}}}, nil
	})
}

// roomAttribute is one of a room's attributes, and whose it is.
type roomAttribute struct{ value, owner string }

// roomOf finds the room of the path, and for a change the member of the path.
func (c *call) roomOf() (*chat, *refusal) {
	ch := c.app.chats[c.arg(0)]
	switch {
	case ch == nil || !ch.room:
		return nil, refuse(http.StatusNotFound, "metadata_error", "chatroom not exists") // documented for groups
	case len(c.args) > 1 && !ch.isMember(c.user(1)): // a 401 that is not about the token
		return nil, refuse(http.StatusUnauthorized, "MetadataException", "user is not in chatroom")
	}
	return ch, nil
}

var errBatchSize = refuse(http.StatusBadRequest, "", "exceed allowed batch size "+strconv.Itoa(roomKeysMax))

// changeRoomAttributes applies a change to each key that it is possible for. All
// failures stand inside the 200, even when nothing else does (docs).
func (c *call) changeRoomAttributes(keys []string, wrong func(ch *chat, key string) string, apply func(ch *chat, key string)) (*result, *refusal) {
	if len(keys) > roomKeysMax {
		return nil, errBatchSize
	}
	c.app.mu.Lock()
	defer c.app.mu.Unlock()
	ch, no := c.roomOf()
	if no != nil {
		return nil, no
	}
	forced := strings.HasSuffix(c.path, "/forced")
	done, failed := []string{}, make(map[string]string)
	slices.Sort(keys)
	for _, key := range keys {
		old, there := ch.attributes[key]
		reason := wrong(ch, key)
		switch {
		case reason != "":
		case there && old.owner != c.user(1) && !forced:
			reason = "others are not allowed to be set"
		case c.fails(key):
			reason = "internal error" // not documented
		default:
			apply(ch, key)
			done = append(done, key)
			continue
		}
		failed[key] = reason
	}
	return changed(map[string]any{"successKeys": done, "errorKeys": failed}, done...), nil
}

// setRoomAttributes answers PUT /metadata/chatroom/{id}/user/{user}, forced or
// not.
func setRoomAttributes(c *call) (*result, *refusal) {
	var in struct {
		MetaData map[string]string `json:"metaData"`
	}
	if no := c.decode(&in, nil); no != nil {
		return nil, no
	}
	return c.changeRoomAttributes(slices.Collect(maps.Keys(in.MetaData)), func(ch *chat, key string) string {
		_, there := ch.attributes[key]
		switch {
		case utf8.RuneCountInString(key) > roomKeyMax:
			return "properties key '" + key + "' is exceeding maximum limit " + strconv.Itoa(roomKeyMax)
		case utf8.RuneCountInString(in.MetaData[key]) > roomValueMax: // this text and the next by analogy
			return "properties value of key '" + key + "' is exceeding maximum limit " + strconv.Itoa(roomValueMax)
		case !there && len(ch.attributes) >= roomAttributeMax:
			return "properties are exceeding maximum limit " + strconv.Itoa(roomAttributeMax)
		}
		return ""
	}, func(ch *chat, key string) {
		if ch.attributes == nil {
			ch.attributes = make(map[string]roomAttribute)
		}
		ch.attributes[key] = roomAttribute{in.MetaData[key], c.user(1)}
	})
}

// deleteRoomAttributes answers the same paths' DELETE. A key that is not there is
// no failure here (not documented).
func deleteRoomAttributes(c *call) (*result, *refusal) {
	keys, no := c.keys()
	if no != nil {
		return nil, no
	}
	return c.changeRoomAttributes(keys, func(*chat, string) string { return "" },
		func(ch *chat, key string) { delete(ch.attributes, key) })
}

func (c *call) keys() ([]string, *refusal) {
	var in struct {
		Keys []string `json:"keys"`
	}
	no := c.decode(&in, nil)
	return distinct(in.Keys, false), no
}

func getRoomAttributes(c *call) (*result, *refusal) {
	keys, no := c.keys()
	if no != nil {
		return nil, no
	}
	c.app.mu.Lock()
	defer c.app.mu.Unlock()
	ch, no := c.roomOf()
	if no != nil {
		return nil, no
	}
	data := make(map[string]string)
	for key, a := range ch.attributes {
		if len(keys) == 0 || slices.Contains(keys, key) {
			data[key] = a.value
		}
	}
	return &result{data: data}, nil
}
