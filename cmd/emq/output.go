package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/rivo/uniseg"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/imqueue/emq/tasks"
)

// cellBytes bounds one cell of a table.
const cellBytes = 400

// A sentence is a cell that may be long.
type sentence string

// A list prints rows: as an aligned table with relative times for a person, as
// tab-separated lines under a header, with RFC 3339 times, for a pipe, or as
// JSON Lines. A column whose name ends in ":" holds sentences: a person gets
// them in lines of their own below the row.
type list struct {
	to      io.Writer
	person  bool
	json    *json.Encoder // nil unless asked for
	now     time.Time
	columns []string
	table   [][]string // for a person, who waits for the last row to see any
	rows    int
	err     error // the first failure to write
}

// newList begins a list with these columns.
func (e *env) newList(asJSON bool, columns ...string) *list {
	l := &list{to: e.out, now: e.now(), columns: columns}
	switch {
	case asJSON:
		l.json = newJSONEncoder(e.out)
	case e.outTTY:
		l.person = true
	default:
		l.print("%s\n", strings.ReplaceAll(strings.Join(columns, "\t"), ":", ""))
	}
	return l
}

func (l *list) print(format string, args ...any) {
	if l.err == nil {
		_, l.err = fmt.Fprintf(l.to, format, args...)
	}
}

// row prints one row: value as JSON, or the cells, one for each column.
func (l *list) row(value any, cells ...any) {
	l.rows++
	if l.json != nil {
		if l.err == nil {
			l.err = l.json.Encode(value)
		}
		return
	}
	texts := make([]string, len(cells))
	for i, cell := range cells {
		texts[i] = l.text(cell)
	}
	if l.person {
		l.table = append(l.table, texts)
		return
	}
	l.print("%s\n", strings.Join(texts, "\t"))
}

// end writes what is left and returns the first failure.
func (l *list) end() error {
	if l.person {
		l.align()
	}
	return l.err
}

// align prints the table for a person.
func (l *list) align() {
	heads := make([]string, len(l.columns))
	for i, name := range l.columns {
		heads[i] = strings.ToUpper(strings.ReplaceAll(name, "_", " "))
	}
	widths := make([]int, len(heads))
	rows := append([][]string{heads}, l.table...)
	for _, row := range rows {
		for i, text := range row {
			widths[i] = max(widths[i], uniseg.StringWidth(text))
		}
	}
	for n, row := range rows {
		var line, below strings.Builder
		for i, text := range row {
			switch name, sentence := strings.CutSuffix(l.columns[i], ":"); {
			case !sentence:
				line.WriteString(text + strings.Repeat(" ", widths[i]-uniseg.StringWidth(text)+2))
			case n > 0 && text != "-":
				below.WriteString("    " + name + ": " + text + "\n")
			}
		}
		l.print("%s\n%s", strings.TrimRight(line.String(), " "), below.String())
	}
}

// text is a cell on one line. What a server sent may hold anything, so control
// characters never reach the terminal.
func (l *list) text(cell any) string {
	var s string
	switch v := cell.(type) {
	case time.Time:
		switch {
		case v.IsZero():
		case l.person:
			s = relative(l.now, v)
		default:
			s = v.UTC().Format(time.RFC3339)
		}
	case time.Duration:
		if s = v.Round(time.Millisecond).String(); l.person {
			s = brief(v)
		}
	case int:
		s = strconv.Itoa(v)
	case bool:
		s = strconv.FormatBool(v)
	case sentence:
		s = oneLine(string(v), maxErrorBytes)
	default:
		s = oneLine(fmt.Sprint(v), cellBytes)
	}
	if s == "" && l.person {
		return "-"
	}
	return s
}

// endList ends l; what says what a person misses in an empty one.
func (e *env) endList(l *list, what string) error {
	if l.rows == 0 && l.json == nil && e.errTTY {
		e.say("no %s", what)
	}
	return l.end()
}

// number is n, or nothing for zero.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// fields prints the fields of one thing: aligned for a person, with tabs for a
// pipe. Its first failure stays in err.
type fields struct {
	to     io.Writer
	person bool
	err    error
}

func (e *env) newFields() *fields { return &fields{to: e.out, person: e.outTTY} }

// fieldWidth is the column where values begin for a person.
const fieldWidth = 13

// field prints one field; an empty one is left out.
func (p *fields) field(name, text string) {
	if text = oneLine(text, maxErrorBytes); text == "" {
		return
	}
	if p.person {
		p.print("%-*s %s\n", fieldWidth, name, text)
		return
	}
	p.print("%s\t%s\n", name, text)
}

func (p *fields) print(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.to, format, args...)
	}
}

// progressItems is from how many items on a person wants to see progress.
const progressItems = 1000

// A bar shows progress on standard error. The nil bar shows none.
type bar struct{ *progressbar.ProgressBar }

// newBar begins a progress bar if it is wanted and there is a person to see
// it. total is -1 when it is not known.
func (e *env) newBar(wanted bool, total int64, what string, bytes bool) *bar {
	if !wanted || !e.errTTY {
		return nil
	}
	return &bar{progressbar.NewOptions64(total, progressbar.OptionSetWriter(e.err), progressbar.OptionSetDescription(what),
		progressbar.OptionShowBytes(bytes), progressbar.OptionClearOnFinish(), progressbar.OptionShowCount(),
		progressbar.OptionThrottle(barEvery))}
}

// barEvery is how often a progress bar is drawn.
const barEvery = 100 * time.Millisecond

// advance moves the bar; safe for concurrent use.
func (b *bar) advance(n int) {
	if b != nil {
		_ = b.Add(n)
	}
}

// clear takes the bar away, until it is drawn again.
func (b *bar) clear() {
	if b != nil {
		_ = b.Clear()
	}
}

// newJSONEncoder writes JSON Lines with '<' and '&' as they are.
func newJSONEncoder(w io.Writer) *json.Encoder {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc
}

// jsonFlag adds --json.
func jsonFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "json", false, "print JSON Lines, one object a line")
}

// oneLine makes text fit for a cell.
func oneLine(text string, most int) string {
	return strings.Join(strings.Fields(tasks.Printable(text, most)), " ")
}

// relative is how long t is away from now, to the largest unit.
func relative(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case d < -time.Second:
		return "in " + brief(-d)
	case d < time.Second:
		return "now"
	default:
		return brief(d) + " ago"
	}
}

// brief is a duration in its largest unit: 12ms, 3s, 5m, 2h, 4d.
func brief(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	default:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
}

// plural counts things: "1 task", "2 tasks".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// oneOf completes a flag's value from a fixed list.
func oneOf(cmd *cobra.Command, flag string, values ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // fails for an unknown flag only
}

// words turns typed words into plain ones.
func words[T ~string](typed []T) []string {
	plain := make([]string, len(typed))
	for i, w := range typed {
		plain[i] = string(w)
	}
	return plain
}
