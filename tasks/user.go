package tasks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// UserRegister is the payload of user.register: POST /users with one user or
// several. As JSON it is one user ({"username","password"}), an array of
// users as in the endpoint's own body, or {"users":[…]}.
type UserRegister struct {
	Users []NewUser `json:"users"` // more than 60, or than 5 KB, are split into several tasks
}

// NewUser is one user to register.
type NewUser struct {
	Username string `json:"username"`
	Password string `json:"password"`           // at most 64 characters; hidden wherever a task is shown
	Nickname string `json:"nickname,omitempty"` // shown in pushes; at most 100 characters
}

// UnmarshalJSON reads each of the forms; unknown fields are errors.
func (u *UserRegister) UnmarshalJSON(raw []byte) error {
	if bytes.HasPrefix(raw, []byte("[")) {
		return decodeStrict(raw, &u.Users)
	}
	var in struct { // not NewUser embedded, whose Go name would stand in errors
		Users    []NewUser `json:"users"`
		Username string    `json:"username"`
		Password string    `json:"password"`
		Nickname string    `json:"nickname"`
	}
	if err := decodeStrict(raw, &in); err != nil {
		return err
	}
	single := NewUser{Username: in.Username, Password: in.Password, Nickname: in.Nickname}
	switch {
	case in.Users != nil && single != (NewUser{}):
		return &FieldError{Field: "users", Bound: "give either users or a single username, not both"}
	case in.Users != nil:
		u.Users = in.Users
	default:
		u.Users = []NewUser{single}
	}
	return nil
}

// Kind returns KindUserRegister.
func (UserRegister) Kind() Kind { return KindUserRegister }

// Validate checks names and passwords. No error shows a password.
func (u UserRegister) Validate() error {
	if err := checkNames("users", u.Targets(), TargetsMax, checkUserID); err != nil {
		return err
	}
	for i, user := range u.Users {
		at := "users[" + strconv.Itoa(i) + "]."
		if err := checkPassword(at+"password", user.Password); err != nil {
			return err
		}
		if err := checkChars(at+"nickname", user.Nickname, NicknameMaxChars); err != nil {
			return err
		}
	}
	return nil
}

// Request builds the call: an object for one user, an array for several, as
// the endpoint distinguishes them in its answers.
func (u UserRegister) Request(string) (Request, error) {
	if len(u.Users) == 1 {
		return jsonRequest("POST", "/users", u.Users[0])
	}
	return jsonRequest("POST", "/users", u.Users)
}

// Targets are the usernames.
func (u UserRegister) Targets() []string {
	names := make([]string, len(u.Users))
	for i, user := range u.Users {
		names[i] = user.Username
	}
	return names
}

// Only keeps just the users whose names are among targets.
func (u UserRegister) Only(targets []string) Payload {
	u.Users = only(u.Users, func(user NewUser) string { return user.Username }, targets)
	return u
}

func (UserRegister) perCall() (string, int) { return "users", MembersPerCall }

// checkPassword does not show the password.
func checkPassword(field, password string) error {
	if password == "" {
		return &FieldError{Field: field, Bound: "must not be empty"}
	}
	return checkChars(field, password, PasswordMaxChars)
}

// UserDelete is the payload of user.delete: DELETE /users/{username}. Groups
// and chat rooms that the user owns are deleted too (docs).
type UserDelete struct {
	Username string `json:"username"`
}

// Kind returns KindUserDelete.
func (UserDelete) Kind() Kind { return KindUserDelete }

// Validate checks the name.
func (u UserDelete) Validate() error {
	return checkUserID("username", u.Username)
}

// Request builds the call.
func (u UserDelete) Request(string) (Request, error) {
	return Request{Method: "DELETE", Path: "/users/" + u.Username}, nil
}

// UserResetPassword is the payload of user.reset_password: PUT
// /users/{username}/password.
type UserResetPassword struct {
	Username    string `json:"username"`
	NewPassword string `json:"newpassword"` // at most 64 characters; hidden wherever a task is shown
}

// Kind returns KindUserResetPassword.
func (UserResetPassword) Kind() Kind { return KindUserResetPassword }

// Validate checks name and password.
func (u UserResetPassword) Validate() error {
	if err := checkUserID("username", u.Username); err != nil {
		return err
	}
	return checkPassword("newpassword", u.NewPassword)
}

// Request builds the call.
func (u UserResetPassword) Request(string) (Request, error) {
	return jsonRequest("PUT", "/users/"+u.Username+"/password", map[string]any{"newpassword": u.NewPassword})
}

// UserSetNickname is the payload of user.set_nickname: PUT /users/{username}.
// The nickname is shown in pushes; it is not the attribute of that name.
type UserSetNickname struct {
	Username string `json:"username"`
	Nickname string `json:"nickname"` // 1 to 100 characters
}

// Kind returns KindUserSetNickname.
func (UserSetNickname) Kind() Kind { return KindUserSetNickname }

// Validate checks name and nickname.
func (u UserSetNickname) Validate() error {
	if err := checkUserID("username", u.Username); err != nil {
		return err
	}
	if u.Nickname == "" {
		return &FieldError{Field: "nickname", Bound: "must not be empty"}
	}
	return checkChars("nickname", u.Nickname, NicknameMaxChars)
}

// Request builds the call.
func (u UserSetNickname) Request(string) (Request, error) {
	return jsonRequest("PUT", "/users/"+u.Username, map[string]any{"nickname": u.Nickname})
}

// UserDeactivate is the payload of user.deactivate: POST
// /users/{username}/deactivate. The user can't log in until activated again.
type UserDeactivate struct {
	Username string `json:"username"`
}

// Kind returns KindUserDeactivate.
func (UserDeactivate) Kind() Kind { return KindUserDeactivate }

// Validate checks the name.
func (u UserDeactivate) Validate() error {
	return checkUserID("username", u.Username)
}

// Request builds the call.
func (u UserDeactivate) Request(string) (Request, error) {
	return Request{Method: "POST", Path: "/users/" + u.Username + "/deactivate"}, nil
}

// UserActivate is the payload of user.activate: POST
// /users/{username}/activate.
type UserActivate struct {
	Username string `json:"username"`
}

// Kind returns KindUserActivate.
func (UserActivate) Kind() Kind { return KindUserActivate }

// Validate checks the name.
func (u UserActivate) Validate() error {
	return checkUserID("username", u.Username)
}

// Request builds the call.
func (u UserActivate) Request(string) (Request, error) {
	return Request{Method: "POST", Path: "/users/" + u.Username + "/activate"}, nil
}

// UserForceOffline is the payload of user.force_offline: GET
// /users/{username}/disconnect, a GET with an effect. It ends the user's
// sessions on all devices.
type UserForceOffline struct {
	Username string `json:"username"`
}

// Kind returns KindUserForceOffline.
func (UserForceOffline) Kind() Kind { return KindUserForceOffline }

// Validate checks the name.
func (u UserForceOffline) Validate() error {
	return checkUserID("username", u.Username)
}

// Request builds the call.
func (u UserForceOffline) Request(string) (Request, error) {
	return Request{Method: "GET", Path: "/users/" + u.Username + "/disconnect"}, nil
}

// UserAddContact is the payload of user.add_contact: POST
// /users/{owner_username}/contacts/users/{friend_username}. A user has at most
// 100 contacts on the free plan, 3000 on others (docs).
type UserAddContact struct {
	OwnerUsername  string `json:"owner_username"`
	FriendUsername string `json:"friend_username"`
}

// Kind returns KindUserAddContact.
func (UserAddContact) Kind() Kind { return KindUserAddContact }

// Validate checks the names.
func (u UserAddContact) Validate() error {
	if err := checkUserID("owner_username", u.OwnerUsername); err != nil {
		return err
	}
	return checkUserID("friend_username", u.FriendUsername)
}

// Request builds the call.
func (u UserAddContact) Request(string) (Request, error) {
	return Request{Method: "POST", Path: "/users/" + u.OwnerUsername + "/contacts/users/" + u.FriendUsername}, nil
}

// UserRemoveContact is the payload of user.remove_contact: DELETE
// /users/{owner_username}/contacts/users/{friend_username}.
type UserRemoveContact struct {
	OwnerUsername  string `json:"owner_username"`
	FriendUsername string `json:"friend_username"`
}

// Kind returns KindUserRemoveContact.
func (UserRemoveContact) Kind() Kind { return KindUserRemoveContact }

// Validate checks the names.
func (u UserRemoveContact) Validate() error {
	if err := checkUserID("owner_username", u.OwnerUsername); err != nil {
		return err
	}
	return checkUserID("friend_username", u.FriendUsername)
}

// Request builds the call.
func (u UserRemoveContact) Request(string) (Request, error) {
	return Request{Method: "DELETE", Path: "/users/" + u.OwnerUsername + "/contacts/users/" + u.FriendUsername}, nil
}

// UserBlock is the payload of user.block: POST
// /users/{owner_username}/blocks/users. Who is blocked can't write to the owner.
// A block list holds at most 500 (docs); how many one call takes is not
// documented, so more than 60 are split as for members.
type UserBlock struct {
	OwnerUsername string   `json:"owner_username"`
	Usernames     []string `json:"usernames"` // more than 60 are split into several tasks
}

// Kind returns KindUserBlock.
func (UserBlock) Kind() Kind { return KindUserBlock }

// Validate checks the names.
func (u UserBlock) Validate() error {
	if err := checkUserID("owner_username", u.OwnerUsername); err != nil {
		return err
	}
	return checkNames("usernames", u.Usernames, BlockListMax, checkUserID)
}

// Request builds the call.
func (u UserBlock) Request(string) (Request, error) {
	return jsonRequest("POST", "/users/"+u.OwnerUsername+"/blocks/users", map[string]any{"usernames": u.Usernames})
}

// Targets are the usernames.
func (u UserBlock) Targets() []string { return slices.Clone(u.Usernames) }

// Only keeps just the usernames among targets.
func (u UserBlock) Only(targets []string) Payload {
	u.Usernames = onlyNames(u.Usernames, targets)
	return u
}

func (UserBlock) perCall() (string, int) { return "usernames", MembersPerCall }

// UserUnblock is the payload of user.unblock: DELETE
// /users/{owner_username}/blocks/users/{blocked_username}.
type UserUnblock struct {
	OwnerUsername   string `json:"owner_username"`
	BlockedUsername string `json:"blocked_username"`
}

// Kind returns KindUserUnblock.
func (UserUnblock) Kind() Kind { return KindUserUnblock }

// Validate checks the names.
func (u UserUnblock) Validate() error {
	if err := checkUserID("owner_username", u.OwnerUsername); err != nil {
		return err
	}
	return checkUserID("blocked_username", u.BlockedUsername)
}

// Request builds the call.
func (u UserUnblock) Request(string) (Request, error) {
	return Request{Method: "DELETE", Path: "/users/" + u.OwnerUsername + "/blocks/users/" + u.BlockedUsername}, nil
}

// UserMute is the payload of user.mute: POST /mutes. It mutes a user in the
// whole app, for each sort of chat by itself: a number of seconds, 0 to lift the
// mute, MuteForever for good, nil to leave it as it is. REST sends in the user's
// name are refused too (docs).
type UserMute struct {
	Username  string `json:"username"`
	Chat      *int   `json:"chat,omitempty"`
	GroupChat *int   `json:"groupchat,omitempty"`
	ChatRoom  *int   `json:"chatroom,omitempty"`
}

// Kind returns KindUserMute.
func (UserMute) Kind() Kind { return KindUserMute }

// Validate checks the name and the durations, of which there must be one.
func (u UserMute) Validate() error {
	if err := checkUserID("username", u.Username); err != nil {
		return err
	}
	if u.Chat == nil && u.GroupChat == nil && u.ChatRoom == nil {
		return &FieldError{Field: "chat", Bound: "give chat, groupchat or chatroom"}
	}
	for _, f := range []struct {
		name    string
		seconds *int
	}{{"chat", u.Chat}, {"groupchat", u.GroupChat}, {"chatroom", u.ChatRoom}} {
		if n := deref(f.seconds); n < MuteForever || n > MuteMaxSeconds {
			return &FieldError{Field: f.name, Value: strconv.Itoa(n), Bound: fmt.Sprintf("0 to %d seconds, or -1 for good", MuteMaxSeconds)}
		}
	}
	return nil
}

// Request builds the call.
func (u UserMute) Request(string) (Request, error) {
	return jsonRequest("POST", "/mutes", u)
}

// UserSetAttributes is the payload of user.set_attributes: PUT
// /metadata/user/{username}, with a form as its body.
type UserSetAttributes struct {
	Username string            `json:"username"`
	MetaData map[string]string `json:"metaData"` // such as nickname or avatarurl; names and values at most 2 KB together (docs: of one user)
}

// Kind returns KindUserSetAttributes.
func (UserSetAttributes) Kind() Kind { return KindUserSetAttributes }

// Validate checks the name and the size.
func (u UserSetAttributes) Validate() error {
	if err := checkUserID("username", u.Username); err != nil {
		return err
	}
	if len(u.MetaData) == 0 {
		return &FieldError{Field: "metaData", Bound: "give at least one attribute"}
	}
	size := 0
	for name, value := range u.MetaData {
		if name == "" {
			return &FieldError{Field: "metaData", Bound: "an attribute must have a name"}
		}
		size += len(name) + len(value)
	}
	return checkBytes("metaData", size, AttributesMaxBytes)
}

// Request builds the call.
func (u UserSetAttributes) Request(string) (Request, error) {
	form := url.Values{}
	for name, value := range u.MetaData {
		form.Set(name, value)
	}
	return Request{Method: "PUT", Path: "/metadata/user/" + u.Username, Body: []byte(form.Encode()), Form: true}, nil
}

// hidden stands for a secret wherever a payload is shown.
const hidden = "[hidden]"

// Redact returns a payload's JSON with passwords replaced, for people to read.
// What can't be read as JSON comes back as it is.
func Redact(payload json.RawMessage) json.RawMessage {
	var v any
	if decodeStrict(payload, &v) != nil || !redact(v) {
		return payload
	}
	out, err := encodeJSON(v)
	if err != nil {
		return payload
	}
	return out
}

// Secrets returns the values that Redact would hide, each once.
func Secrets(payload json.RawMessage) []string {
	var v any
	if decodeStrict(payload, &v) != nil {
		return nil
	}
	var found []string
	eachSecret(v, func(object map[string]any, key string) {
		if secret, ok := object[key].(string); ok && secret != "" && !slices.Contains(found, secret) {
			found = append(found, secret)
		}
	})
	return found
}

// redact hides secrets in place and says whether there were any.
func redact(v any) (found bool) {
	eachSecret(v, func(object map[string]any, key string) {
		object[key] = hidden
		found = true
	})
	return found
}

// eachSecret calls do for each member of an object that is a secret by its name.
func eachSecret(v any, do func(object map[string]any, key string)) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			switch strings.ToLower(key) { // a raw call may spell them anyhow
			case "password", "newpassword", "client_secret", "access_token":
				do(v, key)
			default:
				eachSecret(value, do)
			}
		}
	case []any:
		for _, value := range v {
			eachSecret(value, do)
		}
	}
}
