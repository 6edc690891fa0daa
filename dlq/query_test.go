package dlq

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imqueue/emq/tasks"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                          {},
		"90m":                       now.Add(-90 * time.Minute),
		"7d":                        now.AddDate(0, 0, -7),
		"0s":                        now,
		"2026-05-01T10:00:00+08:00": time.Date(2026, 5, 1, 2, 0, 0, 0, time.UTC),
		"2026-05-01":                time.Date(2026, 5, 1, 0, 0, 0, 0, time.Local),
	} {
		got, err := ParseTime("since", text, now)
		if err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"now", "-1h", "-3d", "2026-13-01", "1w", "d", "99999d"} {
		if _, err := ParseTime("since", text, now); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestParseFilter(t *testing.T) {
	t.Parallel()
	all := map[string]string{
		"app": "shop", "kind": "message.send", "class": "permanent", "error": "forbidden_op", "status": "403", "cause": "forbidden-1",
		"state": "dead", "target": "4065", "text": "it's \"late\"", "since": "2026-05-01T00:00:00Z", "until": "2026-05-02T00:00:00Z",
	}
	if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, slices.Sorted(slices.Values(FilterFields()))) {
		t.Fatalf("fields %v", got)
	}
	f, err := ParseFilter(func(field string) string { return all[field] }, epoch)
	want := Filter{
		App: "shop", Kind: tasks.KindMessageSend, Class: "permanent", Error: "forbidden_op", Status: 403, Cause: "forbidden-1", State: StateDead,
		Target: "4065", Text: `it's "late"`, Since: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), Until: time.Date(2026, 5, 2, 0, 0, 0, 0, time.UTC),
	}
	if err != nil || f != want || f.Empty() {
		t.Errorf("got %+v, %v", f, err)
	}
	line := `--app shop --kind message.send --class permanent --error forbidden_op --status 403 --cause forbidden-1 --target 4065 ` +
		`--text 'it'\''s "late"' --since 2026-05-01T00:00:00Z --until 2026-05-02T00:00:00Z`
	if got := f.String(); got != line {
		t.Errorf("got  %s\nwant %s", got, line)
	}
	if f, err := ParseFilter(func(string) string { return "" }, epoch); err != nil || !f.Empty() || f.String() != "--all" {
		t.Errorf("nothing given: %+v, %v", f, err)
	}
	for field, values := range map[string][]string{
		"app":    {"Shop!"},
		"kind":   {"message.sent"},
		"class":  {"success", "fatal"},
		"status": {"0", "99", "600", "abc", "-1"},
		"cause":  {"abc", strings.Repeat("x", 257)},
		"state":  {"gone", "all"},
		"error":  {"a\x00b", strings.Repeat("x", 257)},
		"target": {strings.Repeat("x", 256), "\xff"},
		"text":   {strings.Repeat("x", 257), "a\nb"},
		"since":  {"tomorrow"},
		"until":  {"2026-05-01", "soon"},
	} {
		for _, value := range values {
			_, err := ParseFilter(func(name string) string {
				switch name {
				case field:
					return value
				case "since":
					return "2026-05-01T23:00:00Z"
				}
				return ""
			}, epoch)
			if refused := (*tasks.FieldError)(nil); !errors.As(err, &refused) || refused.Field != field || refused.Bound == "" {
				t.Errorf("%s %q: %v", field, value, err)
			}
		}
	}
}
