package tasks

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseRates(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]Rate{
		"":                  nil,
		"none":              nil,
		" none ":            nil,
		"100/s":             {{100, time.Second}},
		"100/1s":            {{100, time.Second}},
		"6000/m":            {{6000, time.Minute}},
		"1/30m":             {{1, 30 * time.Minute}},
		"3/d":               {{3, 24 * time.Hour}},
		"3/24h":             {{3, 24 * time.Hour}},
		"1/1440m":           {{1, 24 * time.Hour}},
		"1/86400s":          {{1, 24 * time.Hour}},
		"1000000/h":         {{1_000_000, time.Hour}},
		"10/m, 1/s ,100/d":  {{10, time.Minute}, {1, time.Second}, {100, 24 * time.Hour}},
		"1/s,2/m,3/h,100/d": {{1, time.Second}, {2, time.Minute}, {3, time.Hour}, {100, 24 * time.Hour}},
	} {
		got, err := ParseRates(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		equal(t, text, got, want)
	}
}

func TestParseRatesRefuses(t *testing.T) {
	t.Parallel()
	const bound = "must be COUNT/TIME"
	for text, want := range map[string]string{
		"100": bound, "/s": bound, "100/": bound, "0/s": bound, "-1/s": bound, "+1/s": bound, "1.5/s": bound, "1000001/s": bound,
		"99999999999999999999/s": bound, "1/0s": bound, "1/-1s": bound, "1/+1s": bound, "1/86401s": bound, "1/25h": bound, "1/2d": bound,
		"1/99999999999999999999s": bound, "1/ms": bound, "1/w": bound, "1/S": bound, "1 / s": bound, "1/s/s": bound,
		"1/s,": bound, ",": bound, "1/s,none": bound, "unlimited": bound,
		"1/s,2/s,3/s,4/s,5/s": "at most 4 rates together",
	} {
		_, err := ParseRates(text)
		fe, ok := errors.AsType[*FieldError](err)
		if !ok || fe.Field != "rate" || !strings.Contains(fe.Bound, want) || fe.Value == "" {
			t.Errorf("%q: error %v, want a *FieldError with its value and %q", text, err, want)
		}
	}
}

func TestRateText(t *testing.T) {
	t.Parallel()
	for want, rate := range map[string]Rate{
		"100/s": {100, time.Second}, "1/90s": {1, 90 * time.Second}, "1/30m": {1, 30 * time.Minute}, "5/h": {5, time.Hour},
		"5/2h": {5, 2 * time.Hour}, "3/d": {3, 24 * time.Hour},
	} {
		if got := rate.String(); got != want {
			t.Errorf("%#v is written %s, want %s", rate, got, want)
		}
	}
}

func TestLimitText(t *testing.T) {
	t.Parallel()
	for want, limit := range map[string]Limit{
		"none":                     {},
		"100/s":                    mustLimit("100/s", ""),
		"10/m,1/s":                 mustLimit("10/m,1/s", "none"),
		"messages 6000/m":          mustLimit("", "6000/m"),
		"100/s, messages 6000/m":   mustLimit("100/s", "6000/m"),
		"1/30m,3/d, messages 20/s": mustLimit("1/30m,3/d", "20/s"),
	} {
		if got := limit.String(); got != want {
			t.Errorf("%#v is written %s, want %s", limit, got, want)
		}
	}
}

func TestLimitJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Limit{
		`{"calls":"100/s","messages":"6000/m"}`: mustLimit("100/s", "6000/m"),
		`{"calls":"1/30m,3/d"}`:                 mustLimit("1/30m,3/d", ""),
		`{"calls":"none"}`:                      {},
		`{}`:                                    {},
	} {
		var got Limit
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		equal(t, text, got, want)
	}
	for text, field := range map[string]string{
		`{"calls":"fast"}`:               "calls.rate",
		`{"calls":"1/s","messages":"0"}`: "messages.rate",
		`{"call":"1/s"}`:                 "call",
		`{"calls":100}`:                  "calls",
		`"100/s"`:                        "json",
	} {
		var got Limit
		err := json.Unmarshal([]byte(text), &got)
		if fe, ok := errors.AsType[*FieldError](err); !ok || fe.Field != field {
			t.Errorf("%s: error %v, want one of %s", text, err, field)
		}
	}
}

func TestLimitRoundTrips(t *testing.T) {
	t.Parallel()
	rate := rapid.Custom(func(t *rapid.T) Rate {
		return Rate{rapid.IntRange(1, RateCountMax).Draw(t, "count"), time.Duration(rapid.IntRange(1, 86400).Draw(t, "seconds")) * time.Second}
	})
	rates := rapid.SliceOfN(rate, 0, ratesMax)
	rapid.Check(t, func(t *rapid.T) {
		limit := Limit{Calls: rates.Draw(t, "calls"), Messages: rates.Draw(t, "messages")}
		if len(limit.Calls) == 0 {
			limit.Calls = nil
		}
		if len(limit.Messages) == 0 {
			limit.Messages = nil
		}
		raw, err := json.Marshal(limit)
		if err != nil {
			t.Fatal(err)
		}
		var again Limit
		if err := json.Unmarshal(raw, &again); err != nil {
			t.Fatalf("%v: %s", err, raw)
		}
		equal(t, string(raw), again, limit)
	})
}
