package tasks

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Rate is how many may be made in any span of time of that length. The span
// slides: "3/d" allows three in any 24 hours, which is stricter than Easemob's
// day from 00:00 UTC (docs).
type Rate struct {
	Count int
	Per   time.Duration
}

// Bounds of a rate.
const (
	RateCountMax = 1_000_000
	RatePerMin   = time.Second
	RatePerMax   = 24 * time.Hour
	ratesMax     = 4
)

// units are the spans that have a letter.
var units = []struct {
	letter string
	span   time.Duration
}{{"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}}

// String writes the rate as ParseRates reads it: "100/s", "1/30m".
func (r Rate) String() string {
	for _, u := range units {
		if r.Per == u.span {
			return fmt.Sprintf("%d/%s", r.Count, u.letter)
		}
	}
	for i := len(units) - 1; i >= 0; i-- {
		if u := units[i]; r.Per%u.span == 0 {
			return fmt.Sprintf("%d/%d%s", r.Count, r.Per/u.span, u.letter)
		}
	}
	return fmt.Sprintf("%d/%v", r.Count, r.Per)
}

// ParseRates reads rates such as "100/s", "10/m,1/s" or "1/30m"; units are s, m,
// h and d, and all rates hold at once, four at most. "none" and the empty text
// are no rate: unlimited. It returns a *FieldError.
func ParseRates(text string) ([]Rate, error) {
	if text = strings.TrimSpace(text); text == "" || text == "none" {
		return nil, nil
	}
	var rates []Rate
	for part := range strings.SplitSeq(text, ",") {
		rate, err := parseRate(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		rates = append(rates, rate)
	}
	if len(rates) > ratesMax {
		return nil, fieldErr("rate", text, fmt.Sprintf("at most %d rates together", ratesMax))
	}
	return rates, nil
}

func parseRate(text string) (Rate, error) {
	bound := fmt.Sprintf("must be COUNT/TIME such as 100/s, 6000/m or 1/30m, with a count from 1 to %d and a time of 1s to 1d", RateCountMax)
	count, per, _ := strings.Cut(text, "/")
	n, err := strconv.ParseUint(count, 10, 32) // which takes no sign
	if err != nil || n < 1 || n > RateCountMax {
		return Rate{}, fieldErr("rate", text, bound)
	}
	for _, u := range units {
		number, found := strings.CutSuffix(per, u.letter)
		if !found {
			continue
		}
		if number == "" {
			number = "1"
		}
		many, err := strconv.ParseUint(number, 10, 32)
		if err != nil || many < 1 || many > uint64(RatePerMax/u.span) {
			break
		}
		return Rate{Count: int(n), Per: time.Duration(many) * u.span}, nil
	}
	return Rate{}, fieldErr("rate", text, bound)
}

// A Limit bounds the calls to one endpoint, and the messages that they send: a
// call to 600 recipients is one call and 600 messages. No rate is no bound.
type Limit struct {
	Calls, Messages []Rate
}

type limitJSON struct {
	Calls    string `json:"calls"`
	Messages string `json:"messages,omitempty"`
}

// MarshalJSON writes rates as text: {"calls":"100/s","messages":"6000/m"}.
func (l Limit) MarshalJSON() ([]byte, error) {
	return json.Marshal(limitJSON{ratesText(l.Calls), ratesText(l.Messages)})
}

// UnmarshalJSON reads what MarshalJSON writes; unknown fields are errors.
func (l *Limit) UnmarshalJSON(raw []byte) error {
	var text limitJSON
	err := decodeStrict(raw, &text)
	if err != nil {
		return err
	}
	if l.Calls, err = ParseRates(text.Calls); err != nil {
		return within("calls", err)
	}
	if l.Messages, err = ParseRates(text.Messages); err != nil {
		return within("messages", err)
	}
	return nil
}

// String writes the limit for people: "100/s, messages 6000/m", "none" for no bound.
func (l Limit) String() string {
	switch {
	case len(l.Calls) == 0 && len(l.Messages) == 0:
		return "none"
	case len(l.Messages) == 0:
		return ratesText(l.Calls)
	case len(l.Calls) == 0:
		return "messages " + ratesText(l.Messages)
	}
	return ratesText(l.Calls) + ", messages " + ratesText(l.Messages)
}

func ratesText(rates []Rate) string {
	texts := make([]string, len(rates))
	for i, r := range rates {
		texts[i] = r.String()
	}
	return strings.Join(texts, ",")
}

func mustLimit(calls, messages string) Limit {
	var l Limit
	var err error
	if l.Calls, err = ParseRates(calls); err == nil {
		l.Messages, err = ParseRates(messages)
	}
	if err != nil {
		panic(err) // a constant of this package
	}
	return l
}
