// Bulk operations: how far they are, and what became of their members.

import { Action, path } from "/api.js";
import { t } from "/i18n.js";
import { announce, button, card, code, dialog, duration, empty, facts, field, h, known, link, meter, number, pill, say, table, time } from "/ui.js";
import { throttle } from "/views/overview.js";

const live = (o) => ["running", "waiting", "frozen"].includes(o.state);
const where = (o) => path`/operations/${o.app}/${o.id}`;

export async function operations(ctx) {
  const { items } = await ctx.list("/operations");
  items.sort((a, b) => Number(live(b)) - Number(live(a)) || String(b.made_at).localeCompare(String(a.made_at)));
  if (items.some(live)) ctx.every(5, ctx.reload);
  ctx.on("operations", throttle(ctx.reload, 1500));
  return {
    title: t("nav.operations"),
    body: [h("h1", {}, t("nav.operations")), h("p.muted", {}, t("operations.text")),
      items.length ? table(t("nav.operations"), [{ label: t("made") }, { label: t("what") }, { label: t("progress"), cls: "wide" }, { label: t("by") }, { label: t("f.state"), cls: "state" }], items.slice(0, 200).map((o) => ({
        cells: [time(o.made_at), h("div", {}, h("a", { href: where(o), "data-open": true }, known("action", o.action)), " ", code(o.app), h("div.clip.muted", {}, code(o.filter))), progress(o), h("div", {}, say(o.by), o.reason && h("div.clip.muted", {}, say(o.reason))), pill("op", o.state)],
      }))) : empty(t("operations.none"))],
  };
}

function progress(o) {
  const total = o.members ?? 0;
  const says = t("of", { n: number(o.worked ?? 0), total: number(total) });
  return h("div.progress", {}, meter(o.worked ?? 0, total, says), h("span", {}, says));
}

export async function operation(ctx) {
  const o = await ctx.get(path`/operations/${ctx.app}/${ctx.id}`);
  const box = h("div.stack", {});
  const said = h("p.hide", { "aria-live": "polite" });
  let last = 0;
  draw(o);

  async function refresh() {
    try {
      const now = await ctx.get(path`/operations/${ctx.app}/${ctx.id}`);
      if (!ctx.active()) return;
      if (JSON.stringify(now) === JSON.stringify(o)) return;
      const ended = live(o) && !live(now);
      Object.assign(o, now);
      draw(o);
      if (ended || Date.now() - last > 10000) {
        last = Date.now();
        said.textContent = `${t("of", { n: number(o.worked), total: number(o.members) })}. ${known("op", o.state)}`;
      }
    } catch { /* the next one tells */ }
  }

  ctx.every(2, () => live(o) && refresh());
  ctx.on("operations", throttle(refresh, 500));

  function draw(op) {
    const focused = box.contains(document.activeElement) ? document.activeElement.dataset.do : null;
    const left = (op.members ?? 0) - (op.worked ?? 0);
    const atWork = op.action === "resend" ? Math.max(0, (op.changed ?? 0) - (op.delivered ?? 0) - (op.dead_again ?? 0)) : 0;
    const account = [
      [t("members"), op.members], [t("worked"), op.worked], [t("op.changed." + op.action), op.changed], [t("op.refused"), op.refused], [t("op.skipped"), op.skipped],
      ...(op.action === "resend" ? [[t("op.delivered"), op.delivered], [t("op.dead_again"), op.dead_again], [t("op.at_work"), atWork]] : []),
    ];
    box.replaceChildren(
      h("div.head", {}, h("h1", { tabindex: "-1" }, known("action", op.action), " ", code(op.app)), pill("op", op.state)),
      h("p.muted", {}, code(op.filter)),
      h("div.progress.big", {}, meter(op.worked ?? 0, op.members ?? 0, t("progress")), h("span", {}, t("of", { n: number(op.worked ?? 0), total: number(op.members ?? 0) }), op.rate > 0 && left > 0 && live(op) && " · " + t("left.about", { time: duration(left / op.rate) }))),
      ctx.can("operate") && live(op) && op.state !== "waiting" && h("div.actions.start", {},
        button(t("op.cancel"), () => cancel(ctx, op, refresh), { tone: "danger", "data-do": "cancel" }), button(t("op.rate"), () => setRate(ctx, op, refresh), { "data-do": "rate" })),
      h("div.columns", {},
        card(t("account"), h("div.figures", {}, account.map(([label, n]) => h("div.figure", {}, h("span.label", {}, label), h("b", {}, number(n ?? 0))))), op.refusal && h("p", {}, t("op.refusal"), " ", say(op.refusal))),
        card(t("about"), facts([[t("by"), say(op.by)], [t("reason"), op.reason && say(op.reason)], [t("made"), time(op.made_at)], [t("ended"), op.ended_at && time(op.ended_at)], [t("rate"), op.rate > 0 ? t("rate.n", { n: number(op.rate) }) : t("rate.none")], [t("priority"), op.priority && say(op.priority)], [t("worker"), op.worker && code(op.worker)], ["ID", code(op.id)]]))));
    if (focused) box.querySelector(`[data-do="${focused}"]`)?.focus();
  }

  return { title: `${t("operation")} ${ctx.id}`, body: [h("p.crumbs", {}, link("/operations", t("nav.operations"))), box, said] };
}

async function cancel(ctx, o, refresh) {
  const act = new Action();
  const ok = await dialog({ title: t("op.cancel"), confirm: t("op.cancel"), danger: true, body: h("p", {}, t("op.cancel.text")), submit: () => act.send("POST", where(o) + "/cancel") });
  if (ok) {
    announce(t("op.cancelled"), "good");
    await refresh();
  }
}

async function setRate(ctx, o, refresh) {
  const act = new Action();
  const ok = await dialog({
    title: t("op.rate"), confirm: t("set"),
    body: field(t("rate"), h("input", { name: "rate", type: "number", min: 0, step: "any", value: o.rate || "", "data-first": true }), { hint: t("rate.hint"), wide: true }),
    submit: (data) => act.send("PATCH", where(o), { rate: Number(data.get("rate")) || 0 }),
  });
  if (ok) {
    announce(t("op.rated"), "good");
    await refresh();
  }
}
