package tasks

import (
	"fmt"
	"strconv"
	"strings"
)

// A place is what the calls about groups and those about chat rooms have in
// common: they differ in the path's first word only.
type place struct {
	field string // of the payload, that holds the id
	root  string // of the paths
	id    string
}

func group(id string) place { return place{"group_id", "/chatgroups", id} }
func room(id string) place  { return place{"chatroom_id", "/chatrooms", id} }

func (p place) check() error { return checkTargetID(p.field, p.id) }

func (p place) path(rest string) string { return p.root + "/" + p.id + rest }

// checkMember checks a call about one member.
func (p place) checkMember(field, name string) error {
	if err := p.check(); err != nil {
		return err
	}
	return checkUserID(field, name)
}

// checkMembers checks a call about some members.
func (p place) checkMembers(names []string) error {
	if err := p.check(); err != nil {
		return err
	}
	return checkNames("usernames", names, TargetsMax, checkUserID)
}

// checkMute checks a call that mutes some members. Zero is refused: it is what
// a duration left out reads as, and what lifting a mute has a kind of its own for.
func (p place) checkMute(names []string, duration int64) error {
	if err := p.checkMembers(names); err != nil {
		return err
	}
	if duration < MuteForever || duration == 0 || duration > MuteMaxSeconds*1000 {
		return &FieldError{
			Field: "mute_duration", Value: strconv.FormatInt(duration, 10),
			Bound: fmt.Sprintf("must be 1 to %d ms, or -1 for good (unmute_members lifts a mute)", int64(MuteMaxSeconds*1000)),
		}
	}
	return nil
}

// checkAnnouncement checks an announcement. An empty one takes the announcement away.
func (p place) checkAnnouncement(text string) error {
	if err := p.check(); err != nil {
		return err
	}
	return checkChars("announcement", text, AnnouncementMaxChars)
}

// post is a call with a body.
func (p place) post(rest string, body any) (Request, error) {
	return jsonRequest("POST", p.path(rest), body)
}

// postNothing is a call without a body.
func (p place) postNothing(rest string) (Request, error) {
	return Request{Method: "POST", Path: p.path(rest)}, nil
}

// postMembers is a call about some members with their names in the body.
func (p place) postMembers(rest string, names []string) (Request, error) {
	return p.post(rest, map[string]any{"usernames": names})
}

// postMute is the call that mutes some members.
func (p place) postMute(names []string, duration int64) (Request, error) {
	return p.post("/mute", map[string]any{"usernames": names, "mute_duration": duration})
}

// remove is a DELETE. Names stand in the path, where the user-id grammar makes
// escaping needless.
func (p place) remove(rest string, names ...string) (Request, error) {
	return Request{Method: "DELETE", Path: p.path(rest + strings.Join(names, ","))}, nil
}
