package admin

import (
	"context"
	"testing"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
)

// TestPageOnItsServer has a person work with the page on the server and the store as they
// are: log in, find, look, correct, resend one and many, cancel, hold and clear, in both
// languages and as a viewer.
func TestPageOnItsServer(t *testing.T) {
	parent := browser(t)
	g := newGuarded(t, func(c *Config) {
		c.CheckRules = func(text []byte) (RulesCheck, *errclass.Table) {
			if string(text) != "sound" {
				return RulesCheck{Faults: []string{"rules:1: no"}}, nil
			}
			return RulesCheck{Rules: 1}, errclass.Default()
		}
	})
	for i, id := range []string{"order-1", "order-2", "order/3"} {
		g.die("shop", id, message(), verdict(400, "odd"), i)
	}
	g.die("shop", "strange-1", message(), verdict(403, "strange"), 9)
	causes, err := g.store.Causes(t.Context(), dlq.Filter{Error: "odd"})
	if err != nil || len(causes) != 1 {
		t.Fatal(causes, err)
	}
	state := func(id string) dlq.State {
		t.Helper()
		entry, err := g.store.Get(context.Background(), "shop", id)
		if err != nil {
			t.Fatal(err)
		}
		return entry.State
	}
	login := func(t *testing.T, role Role) *tab {
		t.Helper()
		w := openTabAt(parent, t, g.http.URL)
		w.open("/causes", ".login input")
		w.fill(".login input", "emq_wrong")
		w.press("Sign in")
		w.wait(`document.querySelector(".login .notice.bad")`)
		w.fill(".login input", g.tokens[role])
		w.press("Sign in")
		w.wait(`document.querySelector(".cause")`)
		return w
	}

	w := login(t, RoleOperator)
	w.shot("server-causes")
	w.open("/", ".app")
	w.shot("server-overview")
	w.wait(`document.querySelector(".app").innerText.includes("shop")`)

	w.open("/dead-letters?app=shop&state=dead", "main tbody tr")
	w.wait(`document.querySelectorAll("main tbody tr").length === 4`)
	w.shot("server-letters")
	w.open("/dead-letters/shop/strange-1", ".timeline")
	w.shot("server-letter")
	w.press("Edit and resend")
	w.wait(`document.querySelector(".editor textarea")`)
	change := func(from, to string) {
		t.Helper()
		eval[bool](w, `(() => { const el = document.querySelector("textarea"); el.value = el.value.replace('`+from+`', '`+to+`'); el.dispatchEvent(new Event("input")); return true; })()`)
	}
	change(`"u1"`, `"not an ID"`)
	w.press("Save and resend")
	w.wait(`document.querySelector(".editor .errors .notice").innerText.includes("to[0]")`)
	w.shot("server-edit")
	if got := state("strange-1"); got != dlq.StateDead {
		t.Errorf("after a refused edit it is %s", got)
	}
	change(`"not an ID"`, `"u2"`)
	w.press("Save and resend")
	w.wait(`!document.querySelector(".editor") && document.querySelector("main .pill").innerText === "resending"`)
	if got := state("strange-1"); got != dlq.StateResending {
		t.Errorf("after an edit and a resend it is %s", got)
	}

	w.open("/dead-letters/shop/order%2F3", ".timeline")
	w.press("Discard")
	w.wait(`document.querySelector("dialog")`)
	w.press("Discard")
	w.wait(`!document.querySelector("dialog") && document.querySelector("main .pill").innerText === "discarded"`)
	if got := state("order/3"); got != dlq.StateDiscarded {
		t.Errorf("after a discard it is %s", got)
	}

	w.open("/causes/shop/"+causes[0].ID, "main h1")
	w.press("Resend all 2")
	w.wait(`document.querySelector("dialog .count").innerText.includes("2 dead letters will be resent")`)
	w.fill(`dialog input[name=reason]`, "mended")
	w.press("Resend 2")
	w.wait(`location.pathname.startsWith("/operations/shop/") && document.querySelector("main progress")`)
	ops, err := g.store.Operations(t.Context(), "shop")
	if err != nil || len(ops) != 1 || ops[0].Members != 2 || ops[0].By != "the-operator" || ops[0].Reason != "mended" {
		t.Fatalf("%+v, %v", ops, err)
	}
	w.shot("server-operation")
	w.press("Cancel operation")
	w.wait(`document.querySelector("dialog")`)
	w.press("Cancel operation")
	w.wait(`document.querySelector("main .pill").innerText.startsWith("cancel")`)

	w.open("/holds", "main h1")
	w.press("Hold an app")
	w.fill(`dialog select[name=app]`, "shop")
	w.fill(`dialog input[name=reason]`, "moving hosts")
	w.press("Hold")
	w.wait(`document.querySelector("main .held")`)
	if holds, err := g.store.Holds(t.Context(), "shop"); err != nil || len(holds) != 1 || holds[0].By != "the-operator" {
		t.Errorf("holds %+v, %v", holds, err)
	}
	w.press("Clear hold")
	w.wait(`document.querySelector("dialog")`)
	w.press("Clear hold")
	w.wait(`document.querySelector("main .empty")`)

	for path, ready := range map[string]string{"/queues": "main h1", "/limits": "main h1", "/rules": "main tbody tr", "/audit": "main tbody tr", "/alerts": "main h1", "/operations": "main tbody tr"} {
		w.open(path, ready)
		w.axe(path)
	}
	w.open("/rules", "main tbody tr")
	w.fill(`.explain textarea`, `{"error":"forbidden_op","error_description":"users [u1] are not members of this group!"}`)
	w.fill(`.explain input[name=status]`, "403")
	w.press("Explain")
	w.wait(`document.querySelector(".verdict .pill")`)
	w.press("中文")
	w.wait(`document.documentElement.lang.startsWith("zh") && document.querySelector("main h1").innerText === "规则"`)
	w.shot("server-rules-zh")

	w.press("English")
	w.wait(`document.documentElement.lang.startsWith("en") && document.querySelector("main h1").innerText === "Rules"`)
	w.fill(`.explain input[name=status]`, "403")
	w.press("Try rules of your own")
	w.fill(`.explain textarea[name=rules]`, "sound")
	w.press("Explain")
	w.wait(`document.querySelector(".verdict").innerText.includes("The rules are sound: 1 rules") && document.querySelector(".verdict .pill")`)
	w.fill(`.explain textarea[name=rules]`, "odd")
	w.press("Explain")
	w.wait(`document.querySelector(".verdict").innerText.includes("rules:1: no")`)
	w.shot("server-rules-own")

	a := login(t, RoleAdmin)
	a.open("/dead-letters?app=shop&state=discarded", "main tbody tr")
	a.press("Export")
	a.wait(`document.querySelector("dialog")`)
	a.press("Export")
	a.wait(`!document.querySelector("dialog")`)
	a.press("Import")
	eval[bool](a, `(() => { const data = new DataTransfer(); data.items.add(new File(['{"no":1}\n'], "x.jsonl")); document.querySelector("dialog input[type=file]").files = data.files; return true; })()`)
	a.press("See what would be done")
	a.wait(`document.querySelector("dialog").innerText.includes("refused 1")`)
	a.axe("import")
	a.shot("server-import")
	a.press("Import")
	a.wait(`!document.querySelector("dialog")`)
	lines, _, err := g.store.Audit(t.Context(), dlq.AuditFilter{App: "shop", Action: "export"}, "", 10)
	if err != nil || len(lines) != 1 || lines[0].By != "the-admin" {
		t.Errorf("audit of the export: %+v, %v", lines, err)
	}

	v := login(t, RoleViewer)
	v.open("/dead-letters/shop/order-1", ".timeline")
	if got := v.text(); eval[bool](v, `[...document.querySelectorAll("main button")].some((b) => /Resend|Discard|Edit/.test(b.innerText))`) {
		t.Errorf("a viewer is offered to act: %s", got)
	}
}
