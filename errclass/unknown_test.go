package errclass

import "testing"

func TestUnknownWords(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		status int
		body   string
		want   bool
	}{
		{"words nobody knows", 400, `{"error":"flux_overrun","error_description":"the flux is over its brim"}`, true},
		{"a text alone", 403, `{"desc":"the moon is bright"}`, true},
		{"words nobody knows, 5xx", 500, `{"error":"flux_overrun"}`, true},
		{"known words", 404, `{"error":"resource_not_found","error_description":"grpID 1 does not exist!"}`, false},
		{"no words", 404, "", false},
		{"a gateway's page", 502, "<html><h1>502 Bad Gateway</h1></html>", false},
		{"a success", 200, `{"data":{"u1":"1"}}`, false},
		{"no such status", 612, `{"error":"flux_overrun"}`, true},
	} {
		if v := Classify(Evidence{Kind: "group.update", Status: tc.status, Body: []byte(tc.body), Written: true}); v.Unknown != tc.want {
			t.Errorf("%s: unknown %v, want %v (rule %s)", tc.name, v.Unknown, tc.want, v.Rule)
		}
	}
}
