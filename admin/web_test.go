package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

func contextWith(r *http.Request, b map[string]any) context.Context {
	return context.WithValue(r.Context(), bodyKey{}, b)
}

func isTrue(v any) bool { b, _ := v.(bool); return b }

// webSources are the files of the page by name.
func webSources(t *testing.T) map[string]string {
	t.Helper()
	sources := map[string]string{}
	err := fs.WalkDir(os.DirFS("web"), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(filepath.Join("web", name))
		sources[name] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

// TestWebMakesNoMarkup: no text of the server's can become markup or code, because
// nothing in the page makes any of text.
func TestWebMakesNoMarkup(t *testing.T) {
	t.Parallel()
	bad := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|parseHTML|setHTML|srcdoc|\beval\s*\(|new Function|setTimeout\(\s*["'` + "`" + `]|import\(|\.cssText|setAttribute\(\s*["']style|javascript:`)
	for name, text := range webSources(t) {
		for i, line := range strings.Split(text, "\n") {
			if m := bad.FindString(line); m != "" {
				t.Errorf("%s:%d has %s", name, i+1, m)
			}
		}
	}
}

// TestWebStandsAlone: the page needs no other host, and no inline script or style.
func TestWebStandsAlone(t *testing.T) {
	t.Parallel()
	address := regexp.MustCompile(`(?:https?:|["'(=])//[a-z0-9.-]+\.[a-z]{2,}`)
	inline := regexp.MustCompile(`<style|<script[^>]*>\s*[^<\s]|\sstyle=|\son[a-z]+=`)
	for name, text := range webSources(t) {
		for _, m := range address.FindAllString(text, -1) {
			if m != "http://www.w3.org" { // the name of SVG
				t.Errorf("%s names %s", name, m)
			}
		}
		if strings.HasSuffix(name, ".html") && inline.MatchString(text) {
			t.Errorf("%s has an inline script or style: %q", name, inline.FindString(text))
		}
	}
}

var (
	webPair    = regexp.MustCompile(`(?m)^  "([^"]+)": \["((?:[^"\\]|\\.)*)", "((?:[^"\\]|\\.)*)"\],$`)
	webBraces  = regexp.MustCompile(`\{[a-z]+\}`)
	webUse     = regexp.MustCompile(`\btr?\("([a-z_.-]+)"[,)]`)
	webPrefix  = regexp.MustCompile(`\btr?\("([a-z_.]+\.)" \+|\btr?\(` + "`" + `([a-z_.]+\.)\$\{`)
	webSuffix  = regexp.MustCompile(`\btr?\((?:` + "`" + `\$\{action\}|action \+ ")(\.[a-z_.]+)`)
	webWordUse = regexp.MustCompile(`\b(?:known|pill|word)\("([a-z]+)"`)
)

// TestWebWords: each word has both languages with the same places to fill, each that
// is used exists, and each that exists is used.
func TestWebWords(t *testing.T) {
	t.Parallel()
	sources := webSources(t)
	words := map[string]bool{}
	for _, m := range webPair.FindAllStringSubmatch(sources["i18n.js"], -1) {
		key, en, zh := m[1], m[2], m[3]
		if words[key] {
			t.Errorf("%s is given twice", key)
		}
		words[key] = true
		if strings.TrimSpace(en) == "" || strings.TrimSpace(zh) == "" {
			t.Errorf("%s lacks a language", key)
		}
		for form := range strings.SplitSeq(en, "|") {
			a, b := webBraces.FindAllString(form, -1), webBraces.FindAllString(zh, -1)
			slices.Sort(a)
			slices.Sort(b)
			if !slices.Equal(a, b) && !strings.HasSuffix(key, ".n") {
				t.Errorf("%s: the English has %v, the Chinese %v", key, a, b)
			}
		}
	}
	begin, end := strings.Index(sources["i18n.js"], "const words = {"), strings.Index(sources["i18n.js"], "\n};")
	if lines := strings.Count(sources["i18n.js"][begin:end], `": [`); len(words) < 300 || lines != len(words) {
		t.Fatalf("read %d words of %d lines", len(words), lines)
	}
	var all strings.Builder
	var prefixes, suffixes []string
	kinds := map[string]bool{}
	for name, text := range sources {
		if !strings.HasSuffix(name, ".js") || name == "i18n.js" {
			continue
		}
		all.WriteString(text)
		for _, m := range webUse.FindAllStringSubmatch(text, -1) {
			if !words[m[1]] {
				t.Errorf("%s uses %s, which has no words", name, m[1])
			}
		}
		for _, m := range webPrefix.FindAllStringSubmatch(text, -1) {
			prefixes = append(prefixes, m[1]+m[2])
		}
		for _, m := range webSuffix.FindAllStringSubmatch(text, -1) {
			suffixes = append(suffixes, m[1])
		}
		for _, m := range webWordUse.FindAllStringSubmatch(text, -1) {
			kinds[m[1]] = true
		}
	}
	for kind := range kinds {
		if !slices.ContainsFunc(mapKeys(words), func(key string) bool { return strings.HasPrefix(key, "w."+kind+".") }) {
			t.Errorf("no words of %s", kind)
		}
	}
	for key := range words {
		if rest, ok := strings.CutPrefix(key, "w."); ok {
			if kind, _, _ := strings.Cut(rest, "."); !kinds[kind] {
				t.Errorf("%s is not used", key)
			}
			continue
		}
		used := strings.Contains(all.String(), `"`+key+`"`) ||
			slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) }) ||
			slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(key, s) })
		if !used {
			t.Errorf("%s is not used", key)
		}
	}
}

func mapKeys(m map[string]bool) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

// A tab is a page of the browser, on a fake API of its own.
type tab struct {
	t    *testing.T
	ctx  context.Context
	url  string
	api  *fakeAPI // nil where it is the server's own
	errs chan string
}

// browser starts Chromium for a test and its subtests.
func browser(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	found := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			found = p
			break
		}
	}
	if found == "" {
		const text = "no Chromium here, so the web page was not tried in a browser (apt-get install chromium)"
		if os.Getenv("CI") == "true" {
			t.Fatal(text)
		}
		t.Skip(text)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(found), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("lang", "en-US"), chromedp.UserDataDir(t.TempDir()))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal("start Chromium: ", err)
	}
	return ctx
}

func openTab(parent context.Context, t *testing.T, set ...func(*fakeAPI)) *tab {
	t.Helper()
	api := newFakeAPI(t, set...)
	w := openTabAt(parent, t, api.url)
	w.api = api
	return w
}

func openTabAt(parent context.Context, t *testing.T, url string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, chromedp.WithNewBrowserContext())
	ctx, cancelTime := context.WithTimeout(ctx, 3*time.Minute)
	w := &tab{t: t, ctx: ctx, url: url, errs: make(chan string, 100)}
	watched := make(chan struct{})
	w.must(chromedp.EmulateViewport(1280, 860))
	go func() {
		defer close(watched)
		for m, err := range chromedp.Console(ctx) {
			if err != nil {
				return
			}
			if (m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleException) && !strings.Contains(m.Text, "Failed to load resource") {
				select {
				case w.errs <- m.Text:
				default:
				}
			}
		}
	}()
	t.Cleanup(func() {
		w.clean()
		cancelTime()
		cancel()
		<-watched
	})
	return w
}

// clean fails for what the page wrote to the console, a breach of the CSP included.
func (w *tab) clean() {
	w.t.Helper()
	for {
		select {
		case text := <-w.errs:
			w.t.Errorf("the console has: %s", text)
		default:
			return
		}
	}
}

func (w *tab) must(actions ...chromedp.Action[chromedp.Void]) {
	w.t.Helper()
	if err := chromedp.Do(w.ctx, actions...); err != nil {
		w.t.Fatal(err)
	}
}

func eval[T any](w *tab, js string) T {
	w.t.Helper()
	v, err := chromedp.Run(w.ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		w.t.Fatalf("%s: %v", js, err)
	}
	return v
}

// wait waits until a condition holds in the page.
func (w *tab) wait(js string) {
	w.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		ok, err := chromedp.Run(w.ctx, chromedp.Evaluate[bool](`Boolean(`+js+`)`))
		if err == nil && ok {
			return
		}
		if time.Now().After(end) {
			w.shot("failed-" + regexp.MustCompile(`\W+`).ReplaceAllString(w.t.Name(), "-"))
			text, _ := chromedp.Run(w.ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
			w.clean()
			w.t.Fatalf("never held: %s (%v)\n%.3000s", js, err, text)
		}
	}
}

func (w *tab) open(path, ready string) {
	w.t.Helper()
	w.must(chromedp.Navigate(w.url + path))
	w.wait(fmt.Sprintf(`document.querySelector(%q)`, ready))
}

func (w *tab) path() string { return eval[string](w, `location.pathname + location.search`) }

// text is what main shows.
func (w *tab) text() string { return eval[string](w, `document.querySelector("main").innerText`) }

// press clicks the button, link or summary that has this label in what is on top.
func (w *tab) press(label string) {
	w.t.Helper()
	w.wait(fmt.Sprintf(`(() => { const root = document.querySelector("dialog[open]") ?? document.body;
		const el = [...root.querySelectorAll("button, a, summary")].find((e) => e.innerText.trim().startsWith(%q) && e.offsetParent !== null || e.getAttribute("aria-label") === %[1]q);
		if (!el || el.disabled) return false; el.focus(); el.click(); return true; })()`, label))
}

func (w *tab) fill(selector, value string) {
	w.t.Helper()
	w.wait(fmt.Sprintf(`document.querySelector(%q)`, selector))
	eval[bool](w, fmt.Sprintf(`(() => { const el = document.querySelector(%q); el.focus(); el.value = %q; el.dispatchEvent(new Event("input", {bubbles: true})); el.dispatchEvent(new Event("change", {bubbles: true})); return true; })()`, selector, value))
}

func (w *tab) keys(keys string) {
	w.t.Helper()
	w.must(chromedp.KeyEvent(keys))
}

// shot keeps what the page looks like, in the directory SCREENSHOTS.
func (w *tab) shot(name string) {
	w.t.Helper()
	dir := os.Getenv("SCREENSHOTS")
	if dir == "" {
		return
	}
	size := eval[[]float64](w, `[innerWidth, Math.min(2400, Math.max(innerHeight, document.documentElement.scrollHeight))]`)
	png, err := chromedp.Run(w.ctx, func(ctx context.Context, t *chromedp.Target) ([]byte, error) {
		beyond := true
		r, err := cdp.Call(ctx, t, cdppage.CaptureScreenshot, cdppage.CaptureScreenshotParams{CaptureBeyondViewport: &beyond, Clip: &cdppage.Viewport{Width: size[0], Height: size[1], Scale: 1}})
		return r.Data, err
	})
	if err != nil {
		w.t.Error(err)
		return
	}
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)); err != nil {
		w.t.Error(err)
	}
}

// axe fails for what keeps people with a screen reader, a keyboard or weak eyes out.
func (w *tab) axe(where string) {
	w.t.Helper()
	source, err := os.ReadFile("testdata/axe.min.js")
	if err != nil {
		w.t.Fatal(err)
	}
	if !eval[bool](w, `Boolean(window.axe)`) {
		if err := chromedp.Do(w.ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := chromedp.Evaluate[chromedp.Void](string(source)+"; undefined")(ctx, t)
			return err
		})); err != nil {
			w.t.Fatal(err)
		}
	}
	raw := eval[string](w, `axe.run(document, {resultTypes: ["violations"]}).then((r) => JSON.stringify(r.violations.map((v) => ({id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.slice(0, 4).map((n) => n.html.slice(0, 240) + " :: " + n.failureSummary)}))))`)
	var found []struct {
		ID, Impact, Help string
		Nodes            []string
	}
	if err := json.Unmarshal([]byte(raw), &found); err != nil {
		w.t.Fatal(err)
	}
	for _, v := range found {
		say := w.t.Logf
		if v.Impact == "serious" || v.Impact == "critical" {
			say = w.t.Errorf
		}
		say("%s: axe: %s (%s): %s\n%s", where, v.ID, v.Impact, v.Help, strings.Join(v.Nodes, "\n"))
	}
}

// webPages are paths and what is there when they are drawn.
var webPages = []struct{ name, path, ready string }{
	{"overview", "/", ".app"},
	{"causes", "/causes", ".cause"},
	{"letters", "/dead-letters?state=dead", "main tbody tr"},
	{"operations", "/operations", "main tbody tr"},
	{"queues", "/queues", "main tbody tr"},
	{"holds", "/holds", ".held"},
	{"limits", "/limits", "main tbody tr"},
	{"rules", "/rules", "main tbody tr"},
	{"alerts", "/alerts", ".alert"},
	{"audit", "/audit", "main tbody tr"},
}

// TestWeb tries the page in Chromium.
func TestWeb(t *testing.T) {
	parent := browser(t)
	run := func(name string, test func(t *testing.T)) { t.Run(name, test) }

	run("every page is accessible, in both themes, and at phone width", func(t *testing.T) {
		w := openTab(parent, t)
		c := w.api.causes()[0]
		pages := slices.Clone(webPages)
		pages = append(pages, []struct{ name, path, ready string }{
			{"cause", "/causes/shop/" + c.ID, ".card"},
			{"letter", "/dead-letters/shop/" + strings.ReplaceAll(c.Sample, "/", "%2F"), ".timeline"},
		}...)
		for _, p := range pages {
			w.open(p.path, p.ready)
			w.axe(p.name)
			w.shot(p.name)
			eval[bool](w, `document.documentElement.dataset.theme = "dark", true`)
			w.axe(p.name + " by night")
			if slices.Contains([]string{"overview", "causes", "letter"}, p.name) {
				w.shot(p.name + "-dark")
			}
			w.must(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile))
			eval[bool](w, `document.documentElement.dataset.theme = "light", true`)
			w.axe(p.name + " on a phone")
			if wide := eval[int](w, `document.documentElement.scrollWidth`); wide > 360 {
				t.Errorf("%s is %d wide on a phone of 360: %s", p.name, wide, eval[string](w, `[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > 361 && !e.closest(".hide, thead")).slice(0, 5).map((e) => e.outerHTML.slice(0, 120)).join("\n")`))
			}
			w.shot(p.name + "-phone")
			w.must(chromedp.EmulateViewport(1280, 860))
		}
	})

	run("navigation by mouse, by keys and back", func(t *testing.T) {
		w := openTab(parent, t)
		w.open("/", ".app")
		w.press("Causes")
		w.wait(`document.querySelector(".cause") && document.activeElement.tagName === "H1"`)
		if got, want := eval[string](w, `document.title`), "Causes · emq"; got != want {
			t.Errorf("title %q, want %q", got, want)
		}
		w.keys("gd")
		w.wait(`location.pathname === "/dead-letters" && document.querySelector("main tbody tr")`)
		w.keys("jj\r")
		w.wait(`document.querySelector(".timeline")`)
		if got := w.path(); !strings.HasPrefix(got, "/dead-letters/shop/message%2Fsend-") {
			t.Errorf("at %s", got)
		}
		eval[bool](w, `history.back(), true`)
		w.wait(`location.pathname === "/dead-letters" && document.querySelector("main tbody tr")`)
		w.keys("?")
		w.wait(`document.querySelector("dialog[open] .keys")`)
		w.axe("keys")
		w.keys("\u001b")
		w.wait(`!document.querySelector("dialog")`)
		w.keys("/")
		if got := eval[string](w, `document.activeElement.name`); got != "app" {
			t.Errorf("the focus is on %q", got)
		}
		w.open("/nowhere", "main h1")
		if got := w.text(); !strings.Contains(got, "No such page") {
			t.Error(got)
		}
		w.open("/dead-letters/shop/not-there", "main .notice")
		if got := w.text(); !strings.Contains(got, "not-there of shop: not found") {
			t.Error(got)
		}
		// The skip link is the first stop, and leads past the menu.
		w.open("/", ".app")
		eval[bool](w, `document.activeElement.blur(), getSelection().removeAllRanges(), document.body.focus(), true`)
		eval[bool](w, `document.getElementById("skip").focus(), true`)
		w.keys("\r")
		w.wait(`document.activeElement.id === "main"`)
	})

	run("filters are in the address", func(t *testing.T) {
		w := openTab(parent, t)
		w.open("/dead-letters?state=dead", "main tbody tr")
		w.wait(`document.querySelector(".selection").innerText.includes("1,000,003 dead letters match")`)
		w.fill(`.filters select[name=app]`, "live")
		w.wait(`location.search === "?app=live&state=dead" && document.querySelector(".selection").innerText.includes("2,682")`)
		w.wait(`document.activeElement.name === "app"`)
		w.press("More filters")
		w.fill(`.filters input[name=kind]`, "user.register")
		w.wait(`location.search.includes("kind=user.register") && document.querySelector(".selection").innerText.startsWith("82 ")`)
		if n := eval[int](w, `document.querySelectorAll("main tbody tr").length`); n != 50 {
			t.Errorf("%d rows", n)
		}
		w.press("Older")
		w.wait(`location.search.includes("cursor=") && document.querySelectorAll("main tbody tr").length === 32`)
		// Somebody else opens the same address.
		at := w.path()
		other := openTab(parent, t)
		other.open(at, "main tbody tr")
		if got := eval[string](other, `document.querySelector("[name=kind]").value + document.querySelector("[name=app]").value`); got != "user.registerlive" {
			t.Errorf("the filters there are %q", got)
		}
		eval[bool](w, `history.back(), true`)
		w.wait(`document.querySelectorAll("main tbody tr").length === 50`)
		eval[bool](w, `history.go(-2), true`)
		w.wait(`location.search === "?state=dead"`)
		// A free filter: the server looks at few an answer, the page asks on.
		w.open("/dead-letters?state=dead&text=troll-7", "main tbody tr")
		w.wait(`document.querySelectorAll("main tbody tr").length >= 50 && document.querySelector("a[rel=next]")`)
		w.open("/dead-letters?text=nothing-like-it", "main .empty")
	})

	run("resend a cause, with preview, progress and cancel", func(t *testing.T) {
		w := openTab(parent, t)
		w.open("/causes", ".cause")
		w.press("Resend all 991K")
		w.press("Back")
		w.wait(`!document.querySelector("dialog")`)
		w.press("Resend all")
		w.wait(`document.querySelector("dialog .count").innerText.includes("991,000 dead letters will be resent")`)
		w.wait(`document.querySelectorAll("dialog .samples li").length === 3`)
		w.axe("bulk")
		w.shot("bulk")
		if sent := w.api.sent("/operations/preview"); len(sent) == 0 || sent[0].body["action"] != "resend" {
			t.Errorf("the count came of %v", sent)
		}
		w.press("Resend 991,000")
		w.wait(`document.querySelector("dialog input[name=reason]:invalid")`) // a reason is asked for
		w.fill(`dialog input[name=max]`, "40000")
		w.wait(`document.querySelector("dialog .count").innerText.includes("40,000")`)
		w.fill(`dialog input[name=reason]`, "accounts are back")
		w.fill(`dialog input[name=rate]`, "500")
		w.api.with(func() { w.api.fail = http.StatusServiceUnavailable })
		w.press("Resend 40,000")
		w.wait(`document.querySelector("dialog .notice.bad")`)
		w.press("Resend 40,000")
		w.wait(`location.pathname === "/operations/shop/op-2" && document.querySelector("main progress")`)
		sent := w.api.sent("/operations")
		a, b := sent[len(sent)-2], sent[len(sent)-1]
		if a.key != b.key || a.raw != b.raw {
			t.Errorf("the repeat has key %s, the first one %s", b.key, a.key)
		}
		if b.body["action"] != "resend" || b.body["reason"] != "accounts are back" || b.body["rate"] != 500.0 || b.body["max"] != 40000.0 {
			t.Errorf("sent %s", b.raw)
		}
		w.wait(`document.querySelector("main progress").value > 0`)
		w.shot("operation")
		w.axe("operation")
		w.press("Cancel operation")
		w.wait(`document.querySelector("dialog")`)
		w.press("Cancel operation")
		w.wait(`document.querySelector("main .pill").innerText === "cancelled"`)
	})

	run("select on a page, and all that match", func(t *testing.T) {
		w := openTab(parent, t)
		w.open("/dead-letters?app=live&state=dead", "main tbody tr")
		eval[bool](w, `[...document.querySelectorAll("tbody input[type=checkbox]")].slice(0, 4).forEach((e) => e.click()), true`)
		w.wait(`document.querySelector(".selection").innerText.includes("4 selected")`)
		w.shot("selected")
		w.press("Resend")
		w.fill(`dialog input[name=reason]`, "try")
		w.press("Resend 4")
		w.wait(`!document.querySelector("dialog") && document.getElementById("toasts").innerText.includes("Done: 4")`)
		if n := len(w.api.sent("/resend")); n != 4 {
			t.Errorf("%d were resent", n)
		}
		w.press("Discard all that match")
		w.wait(`document.querySelector("dialog .count").innerText.includes("2,682 dead letters will be discarded")`)
		w.press("Back")
		// What may have been carried out is resent only when asked for.
		w.open("/dead-letters?app=shop&state=dead", "main tbody tr")
		w.press("Resend all that match")
		w.wait(`document.querySelector("dialog .count").innerText.includes("997,104") && document.querySelector("dialog .check").innerText.includes("214")`)
		w.shot("bulk-unknown")
		w.must(chromedp.Click(chromedp.CSS(`dialog .check input`)))
		w.wait(`document.querySelector("dialog .count").innerText.includes("997,318")`)
		w.press("Back")
		// Without any filter, an app has to be chosen.
		w.open("/dead-letters", "main tbody tr")
		w.press("Resend all that match")
		w.wait(`document.querySelector("dialog .count").innerText.includes("Choose an app")`)
		if !eval[bool](w, `document.querySelector("dialog button[type=submit]").disabled`) {
			t.Error("it can be confirmed")
		}
	})

	run("edit and resend, with an error in place", func(t *testing.T) {
		w := openTab(parent, t)
		c := w.api.causes()[0]
		w.open("/dead-letters/shop/"+strings.ReplaceAll(c.Sample, "/", "%2F"), ".timeline")
		w.press("Edit and resend")
		w.wait(`document.querySelector(".editor textarea")`)
		if got := eval[string](w, `document.querySelector("textarea").value`); !strings.Contains(got, "8812345678901234567,") || !strings.Contains(got, `"priority": 1.0`) {
			t.Errorf("the numbers are not what they were: %s", got)
		}
		eval[bool](w, `(() => { const el = document.querySelector("textarea"); el.value = el.value.replace('"u1",', '"not an ID",'); el.dispatchEvent(new Event("input")); return true; })()`)
		w.press("Save and resend")
		w.wait(`document.querySelector(".editor .errors .notice")`)
		if got := eval[string](w, `document.querySelector(".editor .errors").innerText`); !strings.Contains(got, "Line 4") || !strings.Contains(got, "to[0]") {
			t.Errorf("the error is %q", got)
		}
		if got := eval[string](w, `document.querySelector(".gutter .bad").textContent + getSelection().toString() + document.activeElement.value.slice(document.activeElement.selectionStart, document.activeElement.selectionEnd)`); !strings.HasPrefix(got, "4") || !strings.HasSuffix(got, `"not an ID"`) {
			t.Errorf("marked is %q", got)
		}
		w.shot("edit-error")
		w.axe("edit")
		eval[bool](w, `(() => { const el = document.querySelector("textarea"); el.value = el.value.replace('"not an ID",', '"u9",,'); el.dispatchEvent(new Event("input")); return true; })()`)
		w.wait(`document.querySelector(".editor .errors").innerText.includes("Line 4")`) // the syntax, without asking
		n := len(w.api.sent("/edit"))
		w.press("Save and resend")
		if got := len(w.api.sent("/edit")); got != n {
			t.Error("broken JSON was sent")
		}
		eval[bool](w, `(() => { const el = document.querySelector("textarea"); el.value = el.value.replace('"u9",,', '"u9",'); el.dispatchEvent(new Event("input")); return true; })()`)
		w.press("Save and resend")
		w.wait(`!document.querySelector(".editor") && document.querySelector("main .pill").innerText === "resending"`)
		sent := w.api.sent("/edit")
		last := sent[len(sent)-1]
		if !strings.Contains(last.raw, `8812345678901234567,`) || !isTrue(last.body["resend"]) {
			t.Errorf("sent %s", last.raw)
		}
	})

	run("one dead letter: resolve, discard, restore", func(t *testing.T) {
		w := openTab(parent, t)
		c := w.api.causes()[1]
		at := "/dead-letters/shop/" + strings.ReplaceAll(c.Sample, "/", "%2F")
		w.open(at, ".timeline")
		w.shot("unknown")
		w.press("Settle")
		w.wait(`document.querySelector("dialog input[value=sent]")`)
		w.axe("resolve")
		w.shot("resolve")
		w.must(chromedp.Click(chromedp.CSS(`dialog input[value=sent]`)))
		w.fill(`dialog input[name=reason]`, "the buyer has it")
		w.must(chromedp.Click(chromedp.CSS(`dialog button[type=submit]`)))
		w.wait(`!document.querySelector("dialog") && document.querySelector("main .pill").innerText === "resolved"`)
		if sent := w.api.sent("/resolve"); len(sent) != 1 || sent[0].body["outcome"] != "sent" || sent[0].body["reason"] != "the buyer has it" || !strings.Contains(sent[0].path, "message%2Fsend") {
			t.Errorf("sent %v", sent)
		}
		c = w.api.causes()[2]
		w.open("/dead-letters/shop/"+strings.ReplaceAll(c.Sample, "/", "%2F"), ".timeline")
		w.press("Discard")
		w.wait(`document.querySelector("dialog")`)
		w.press("Discard")
		w.wait(`!document.querySelector("dialog") && document.querySelector("main .pill").innerText === "discarded"`)
		w.press("Restore")
		w.wait(`document.querySelector("dialog")`)
		w.press("Restore")
		w.wait(`!document.querySelector("dialog") && document.querySelector("main .pill").innerText === "dead"`)
	})

	run("holds, limits, queues, causes, silences", func(t *testing.T) {
		w := openTab(parent, t)
		w.open("/limits", "main tbody tr")
		if eval[bool](w, `Boolean(document.querySelector("main .head button, main tbody button"))`) {
			t.Error("an operator may change limits")
		}
		w.api.with(func() { w.api.role = "admin" })
		w.open("/", ".app")
		w.wait(`document.querySelector("#nav [data-page=holds] .badge").innerText.includes("1")`)
		w.open("/holds", ".held")
		w.press("Clear hold support ")
		w.press("Clear hold")
		w.wait(`document.querySelector("main .empty")`)
		w.press("Hold an app")
		w.fill(`dialog select[name=app]`, "shop")
		w.fill(`dialog input[name=reason]`, "moving hosts")
		w.press("Hold")
		w.wait(`document.querySelector("main .held")`)
		if sent := w.api.sent("/holds"); len(sent) != 1 || sent[0].body["app"] != "shop" || sent[0].body["family"] != nil {
			t.Errorf("sent %v", sent)
		}
		w.open("/limits", "main tbody tr")
		w.press("Change shop messages.users")
		w.fill(`dialog input[name=calls]`, "fast")
		w.fill(`dialog input[name=reason]`, "x")
		w.press("Set")
		w.wait(`document.querySelector("dialog .notice.bad").innerText.includes("must be COUNT/TIME")`)
		w.fill(`dialog input[name=calls]`, "50/s")
		w.press("Set")
		w.wait(`!document.querySelector("dialog")`)
		w.open("/queues", "main tbody tr")
		w.press("Pause shop:messages.groups:default")
		w.fill(`dialog input[name=reason]`, "x")
		w.press("Pause")
		w.wait(`!document.querySelector("dialog")`)
		if sent := w.api.sent("/pause"); len(sent) != 1 || !strings.Contains(sent[0].path, "/queues/shop%3Amessages.groups%3Adefault/pause") {
			t.Errorf("sent %v", sent)
		}
		w.open("/causes", ".cause")
		w.press("Acknowledge")
		w.fill(`dialog input[name=note]`, "on it")
		w.press("Acknowledge")
		w.wait(`!document.querySelector("dialog") && document.querySelectorAll(".cause").length === 5`)
		w.press("acknowledged")
		w.wait(`document.querySelectorAll(".cause").length === 1 && document.querySelector(".cause").innerText.includes("on it")`)
		w.open("/alerts", ".alert")
		w.press("Silence alerts")
		w.fill(`dialog input[name=reason]`, "load test")
		w.press("Silence")
		w.wait(`!document.querySelector("dialog")`)
		if sent := w.api.sent("/silences"); len(sent) != 1 || sent[0].body["for_seconds"] != 7200.0 {
			t.Errorf("sent %v", sent)
		}
	})

	run("explain an answer", func(t *testing.T) {
		w := openTab(parent, t)
		w.open("/rules", "main tbody tr")
		w.fill(`.explain textarea`, `{"error":"forbidden_op","error_description":"users [u1] are not members of this group!"}`)
		w.fill(`.explain input[name=status]`, "403")
		w.fill(`.explain input[name=kind]`, "group.mute_members")
		w.press("Explain")
		w.wait(`document.querySelector(".verdict .pill")`)
		w.shot("explain")
		w.axe("explain")
		if got := eval[string](w, `document.querySelector(".verdict").innerText`); !strings.Contains(got, "permanent") {
			t.Error(got)
		}
		w.fill(`main input[name=q]`, "teapot")
		w.wait(`document.querySelectorAll("main .card .empty").length === 1`)
	})

	run("both languages", func(t *testing.T) {
		w := openTab(parent, t)
		for _, p := range webPages {
			w.open(p.path, p.ready)
			if eval[string](w, `document.documentElement.lang`) == "en" {
				w.press("中文")
				w.wait(`document.documentElement.lang === "zh-CN"`)
				w.wait(fmt.Sprintf(`document.querySelector(%q)`, p.ready))
			}
			w.shot(p.name + "-zh")
			if got := eval[string](w, `document.querySelector("h1").innerText`); !regexp.MustCompile(`\p{Han}`).MatchString(got) {
				t.Errorf("%s: the heading is %q", p.name, got)
			}
			if p.name == "causes" || p.name == "letters" {
				w.axe(p.name + " in Chinese") // the words differ, the elements don't
			}
		}
		c := w.api.causes()[0]
		w.open("/dead-letters/shop/"+strings.ReplaceAll(c.Sample, "/", "%2F"), ".timeline")
		w.shot("letter-zh")
		if got := w.text(); !strings.Contains(got, strings.ReplaceAll(c.Advice.Zh, "`", "")) || strings.Contains(got, "Register the user") {
			t.Error("the advice is not in Chinese")
		}
		w.press("English")
		w.wait(`document.documentElement.lang === "en" && document.activeElement.id === "language"`)
	})

	run("sign in and out", func(t *testing.T) {
		w := openTab(parent, t, func(f *fakeAPI) { f.signedIn = false })
		w.open("/causes", ".login input")
		w.axe("login")
		w.shot("login")
		w.fill(".login input", "wrong")
		w.press("Sign in")
		w.wait(`document.querySelector(".login .notice.bad").innerText.includes("not known")`)
		w.fill(".login input", "good-token")
		w.press("Sign in")
		w.wait(`document.querySelector(".cause")`)
		w.api.with(func() { w.api.signedIn = false }) // it has ended elsewhere
		w.press("Audit")
		w.wait(`document.querySelector(".login input")`)
		w.fill(".login input", "good-token")
		w.press("Sign in")
		w.wait(`location.pathname === "/audit" && document.querySelector("main tbody tr")`)
		w.press("Sign out")
		w.wait(`document.querySelector(".login input")`)
	})

	run("a viewer sees no button that is not for viewers", func(t *testing.T) {
		for name, set := range map[string]func(*fakeAPI){
			"viewer": func(f *fakeAPI) { f.role, f.masked = "viewer", true }, "read only": func(f *fakeAPI) { f.readOnly, f.role = true, "admin" },
		} {
			w := openTab(parent, t, set)
			c := w.api.causes()[1]
			for _, p := range append(slices.Clone(webPages), struct{ name, path, ready string }{"letter", "/dead-letters/shop/" + strings.ReplaceAll(c.Sample, "/", "%2F"), ".timeline"}) {
				w.open(p.path, p.ready)
				if got := eval[string](w, `[...document.querySelectorAll("main button")].map((e) => e.innerText).filter((x) => !/^(Copy|Filter|Explain|Show \d+ more)$/.test(x)).join()`); got != "" {
					t.Errorf("%s: %s has the buttons %s", name, p.name, got)
				}
			}
			w.keys("er")
			if eval[bool](w, `Boolean(document.querySelector("dialog, .editor"))`) {
				t.Error("a key opened what is hidden")
			}
			w.shot("viewer")
		}
	})

	run("nothing that a text says is done", func(t *testing.T) {
		w := openTab(parent, t, func(f *fakeAPI) { f.hostile = true })
		pages := slices.Clone(webPages)
		for _, c := range w.api.causes()[:3] {
			pages = append(pages, struct{ name, path, ready string }{"cause", "/causes/" + c.App + "/" + c.ID, ".card"})
			for i := range 3 {
				pages = append(pages, struct{ name, path, ready string }{"letter", "/dead-letters/" + c.App + "/" + strings.ReplaceAll(letterID(c.Cause, i), "/", "%2F"), ".timeline"})
			}
		}
		for _, p := range pages {
			w.open(p.path, p.ready)
			if p.name == "letter" {
				w.press("Edit and resend")
				w.wait(`document.querySelector(".editor textarea")`)
				w.shot("hostile-letter")
			}
			eval[bool](w, `document.querySelectorAll("details").forEach((d) => { d.open = true; }), true`)
			if p.name == "letters" {
				w.shot("hostile-letters")
			}
			if got := eval[string](w, `[...document.querySelectorAll("main script, main img, main iframe, main style, main link, main object, main [onload], main [onerror], a[href^='javascript' i]")].map((e) => e.outerHTML).join() + (window.pwned ?? "")`); got != "" {
				t.Errorf("%s made %s", p.path, got)
			}
			// What overrides the order of text is shown as what it is.
			if got := w.text(); strings.ContainsAny(got, "\u202e\u202b\u2066\u200b\u0000") {
				t.Errorf("%s shows a hidden character", p.path)
			}
			if wide := eval[int](w, `document.documentElement.scrollWidth`); wide > 1280 {
				t.Errorf("%s is %d wide", p.path, wide)
			}
		}
		w.must(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile))
		w.open("/dead-letters?state=dead", "main tbody tr")
		if wide := eval[int](w, `document.documentElement.scrollWidth`); wide > 360 {
			t.Errorf("%d wide on a phone", wide)
		}
		w.shot("hostile-phone")
		c := w.api.causes()[0]
		w.open("/dead-letters/shop/"+strings.ReplaceAll(c.Sample, "/", "%2F"), ".timeline")
		w.shot("hostile-letter-phone")
	})

	run("an empty store says how to begin", func(t *testing.T) {
		w := openTab(parent, t, func(f *fakeAPI) { f.empty = true; f.held = nil })
		w.open("/", ".first")
		w.shot("empty")
		w.axe("empty")
		for _, p := range webPages[1:] {
			if p.name != "rules" && p.name != "limits" {
				w.open(p.path, ".empty")
			}
		}
	})

	run("a million dead letters", func(t *testing.T) {
		w := openTab(parent, t)
		w.open("/", ".app")
		start := time.Now()
		w.press("Dead letters")
		w.wait(`document.querySelectorAll("main tbody tr").length >= 50`)
		took := time.Since(start)
		t.Logf("the first page of %d took %v, the nodes of it are %d", fakeMany, took.Round(time.Millisecond), eval[int](w, `document.querySelectorAll("*").length`))
		if took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
		if n := eval[int](w, `document.querySelectorAll("main tbody tr").length`); n > 60 {
			t.Errorf("%d rows", n)
		}
	})

	run("what the server pushes is shown", func(t *testing.T) {
		w := openTab(parent, t)
		w.open("/dead-letters?state=dead", "main tbody tr")
		w.wait(`document.querySelector("#nav [data-page=dead-letters] .badge").innerText.includes("1M")`)
		w.api.pushed <- "event: counts\ndata: {\"apps\":[{\"app\":\"shop\",\"dead\":7}]}\n\n"
		w.wait(`document.querySelector("main .head button")?.innerText.includes("Refresh")`)
		w.press("The list has changed")
	})

	run("dark when the system is, unless told otherwise", func(t *testing.T) {
		w := openTab(parent, t)
		media := func(scheme string) {
			w.must(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
				_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
				return err
			}))
		}
		background := `getComputedStyle(document.documentElement).backgroundColor`
		w.open("/", ".app")
		media("light")
		light := eval[string](w, background)
		media("dark")
		dark := eval[string](w, background)
		if light == dark {
			t.Errorf("both are %s", light)
		}
		w.press("Auto")
		w.wait(`document.documentElement.dataset.theme === "light"`)
		if got := eval[string](w, background); got != light {
			t.Errorf("%s, want %s", got, light)
		}
		w.open("/causes", ".cause") // it is kept
		if got := eval[string](w, background); got != light {
			t.Errorf("%s, want %s", got, light)
		}
	})
}
