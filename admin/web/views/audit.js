// Who did what, when and why.

import { path, query } from "/api.js";
import { t } from "/i18n.js";
import { code, empty, h, known, link, number, say, table, time } from "/ui.js";
import { filterBar } from "/views/letters.js";

const names = ["app", "by", "action", "since", "until"];

export async function audit(ctx) {
  const filter = Object.fromEntries(names.map((n) => [n, ctx.query.get(n) ?? ""]));
  const cursor = ctx.query.get("cursor") ?? "";
  const { items, next } = await ctx.list("/audit" + query({ ...filter, limit: 50, cursor }));
  return {
    title: t("nav.audit"),
    body: [
      h("h1", {}, t("nav.audit")), filterBar(ctx, "/audit", names),
      items.length ? table(t("nav.audit"), [{ label: t("when"), cls: "when" }, { label: t("by") }, { label: t("f.action") }, { label: t("what") }, { label: t("count"), cls: "num" }, { label: t("reason") }], items.map((l) => ({
        cells: [time(l.at), say(l.by), known("action", l.action), h("div", {}, target(l), " ", h("span.muted", {}, code(l.app))), number(l.count ?? 1), l.why ? say(l.why) : "–"],
      }))) : empty(t("audit.none")),
      h("nav.pager", { "aria-label": t("pages") }, cursor && link("/audit" + query(filter), t("newest.first")), next && link("/audit" + query({ ...filter, cursor: next }), t("older"))),
    ],
  };
}

// target links what a line is about, where the page has something of that name.
function target(l) {
  const what = code(l.what);
  if (!l.what || !l.app) return what;
  if (["start", "cancel", "rate"].includes(l.action)) return h("a", { href: path`/operations/${l.app}/${l.what}`, "data-open": true }, what);
  if (["ack", "ignore", "reopen"].includes(l.action)) return h("a", { href: path`/causes/${l.app}/${l.what}`, "data-open": true }, what);
  if (["resend", "discard", "restore", "edit", "settled"].includes(l.action) && l.count === 1) return h("a", { href: path`/dead-letters/${l.app}/${l.what}`, "data-open": true }, what);
  return what;
}
