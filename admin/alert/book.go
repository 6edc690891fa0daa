package alert

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/imqueue/emq/tasks"
)

// bookKey is what was told about an app (a hash: newToldField, and what the prefixes
// begin).
func bookKey(app string) string { return tasks.AppKey(app, "alerts") }

const (
	newToldField = "new_told" // when new causes were last told of, in ms
	recordPrefix = "record:"  // and a fingerprint: a record in JSON
	unsentPrefix = "unsent:"  // and an ID: a notice in JSON that is not known to be sent
)

// A book is what was told about an app.
type book struct {
	app     string
	records map[string]*record // by fingerprint
	unsent  map[string]Notice  // by ID
	newTold time.Time
	read    map[string]string // as Redis has it
}

func readBook(ctx context.Context, rdb redis.UniversalClient, app string) (*book, error) {
	fields, err := rdb.HGetAll(ctx, bookKey(app)).Result()
	if err != nil {
		return nil, fmt.Errorf("read what was told about %s: %w", app, err)
	}
	b := &book{app: app, records: map[string]*record{}, unsent: map[string]Notice{}, read: fields}
	for field, value := range fields {
		if fingerprint, ok := strings.CutPrefix(field, recordPrefix); ok {
			r := &record{}
			if json.Unmarshal([]byte(value), r) == nil { // else it is told once more
				b.records[fingerprint] = r
			}
		} else if id, ok := strings.CutPrefix(field, unsentPrefix); ok {
			var n Notice
			if json.Unmarshal([]byte(value), &n) == nil {
				b.unsent[id] = n
			}
		} else if ms, err := strconv.ParseInt(value, 10, 64); field == newToldField && err == nil {
			b.newTold = time.UnixMilli(ms)
		}
	}
	return b, nil
}

// write writes what has changed, all of it or nothing.
func (b *book) write(ctx context.Context, rdb redis.UniversalClient) error {
	fields := map[string]string{}
	for fingerprint, r := range b.records {
		raw, err := json.Marshal(r)
		if err != nil {
			return err
		}
		fields[recordPrefix+fingerprint] = string(raw)
	}
	for id, n := range b.unsent {
		raw, err := json.Marshal(n)
		if err != nil {
			return err
		}
		fields[unsentPrefix+id] = string(raw)
	}
	if !b.newTold.IsZero() {
		fields[newToldField] = strconv.FormatInt(b.newTold.UnixMilli(), 10)
	}
	var set []any
	var gone []string
	for field, value := range fields {
		if was, ok := b.read[field]; !ok || was != value {
			set = append(set, field, value)
		}
	}
	for field := range b.read {
		if _, ok := fields[field]; !ok {
			gone = append(gone, field)
		}
	}
	if len(set)+len(gone) == 0 {
		return nil
	}
	pipe := rdb.TxPipeline()
	if len(set) > 0 {
		pipe.HSet(ctx, bookKey(b.app), set...)
	}
	if len(gone) > 0 {
		pipe.HDel(ctx, bookKey(b.app), gone...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("note what is told about %s: %w", b.app, err)
	}
	return nil
}

// forget notes that a notice was sent.
func forget(ctx context.Context, rdb redis.UniversalClient, app string, n Notice) error {
	return rdb.HDel(ctx, bookKey(app), unsentPrefix+n.ID).Err()
}

// Open lists what is told about an app and not over, the oldest first.
func Open(ctx context.Context, rdb redis.UniversalClient, app string) ([]Notice, error) {
	if err := tasks.CheckApp(app); err != nil {
		return nil, err
	}
	b, err := readBook(ctx, rdb, app)
	if err != nil {
		return nil, err
	}
	var open []Notice
	for _, r := range b.records {
		open = append(open, r.Notice)
	}
	slices.SortFunc(open, func(a, b Notice) int { return a.Since.Compare(b.Since) })
	return open, nil
}
