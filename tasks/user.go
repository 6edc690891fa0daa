package tasks

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// UserRegister is the payload of user.register: POST /users with one user or
// several. As JSON it is one user ({"username","password"}), an array of
// users as in the endpoint's own body, or {"users":[…]}.
type UserRegister struct {
	Users []NewUser `json:"users"` // 1 to 60
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
	names := make([]string, len(u.Users))
	for i, user := range u.Users {
		names[i] = user.Username
	}
	if err := checkNames("users", names, MembersPerCall, checkUserID); err != nil {
		return err
	}
	for i, user := range u.Users {
		at := "users[" + strconv.Itoa(i) + "]."
		if user.Password == "" {
			return &FieldError{Field: at + "password", Bound: "must not be empty"}
		}
		if err := checkChars(at+"password", user.Password, PasswordMaxChars); err != nil {
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

// redact hides secrets in place and says whether there were any.
func redact(v any) (found bool) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			switch strings.ToLower(key) { // a raw call may spell them anyhow
			case "password", "newpassword", "client_secret", "access_token":
				v[key] = hidden
				found = true
			default:
				found = redact(value) || found
			}
		}
	case []any:
		for _, value := range v {
			found = redact(value) || found
		}
	}
	return found
}
