// Doing one thing to many dead letters: what will be done is shown and counted
// before anything moves.

import { Action, list, path, query } from "/api.js";
import { t } from "/i18n.js";
import { about, announce, code, dialog, field, h, known, meter, number, problem, reason, say, select, time, tr } from "/ui.js";

// from is the state that an action starts from.
const from = { resend: "dead", discard: "dead", restore: "discarded" };

// filterWords shows a filter as its fields.
export function filterWords(filter) {
  const fields = Object.entries(filter).filter(([, v]) => v);
  if (!fields.length) return h("p.muted", {}, t("filter.none"));
  return h("ul.chips", {}, fields.map(([k, v]) => h("li", {}, h("span.muted", {}, t("f." + k) + " "), ["state", "class"].includes(k) ? known(k, v) : code(v))));
}

// bulk asks about an operation on all that a filter selects, and makes it.
export async function bulk(ctx, action, filter) {
  const chosen = { ...filter, state: from[action] };
  const act = new Action();
  const apps = ctx.session.apps ?? [];
  const rest = Object.entries(filter).some(([k, v]) => v && k !== "app" && k !== "state");
  const shown = h("div", {});
  const counted = h("p.count", { "aria-live": "polite" }, t("bulk.counting"));
  const samples = h("div", {});
  const max = h("input", { name: "max", type: "number", min: 1, step: 1, inputmode: "numeric", autocomplete: "off" });
  const rate = h("input", { name: "rate", type: "number", min: 0, step: "any", inputmode: "decimal", autocomplete: "off" });
  const app = select("app", [["", rest ? t("any") : t("choose")], ...apps.map((a) => [a, a])], chosen.app, { required: !rest });
  const risky = h("input", { type: "checkbox" });
  const unknown = h("label.check", { hidden: true }, risky, h("span", {}));
  let dialogBox;
  let yes;
  let turn = 0;

  async function preview() {
    const mine = ++turn;
    chosen.app = app.value || filter.app;
    if (!chosen.app) delete chosen.app;
    shown.replaceChildren(filterWords(chosen));
    samples.replaceChildren();
    yes.disabled = true;
    if (!chosen.app && !rest) {
      counted.replaceChildren(t("bulk.choose_app"));
      return;
    }
    counted.replaceChildren(t("bulk.counting"));
    try {
      const [answer, page] = await Promise.all([
        act.send("POST", "/operations/preview", { action, filter: chosen, ...limits() }),
        list("/dead-letters" + query({ ...chosen, limit: 3 })).catch(() => ({ items: [] })),
      ]);
      if (mine !== turn || !dialogBox.open) return;
      const n = answer?.count ?? 0;
      counted.replaceChildren(tr(`bulk.count.${action}`, { n, count: h("strong", {}, number(n)) }));
      samples.replaceChildren(page.items.length ? h("div", {}, h("p.muted", {}, t("bulk.sample")), h("ul.samples", {}, page.items.map(sample))) : "");
      yes.textContent = t(`bulk.do.${action}`, { n: number(n) });
      yes.disabled = n === 0;
      if (answer?.left_out_unknown > 0) {
        unknown.hidden = false;
        unknown.lastChild.textContent = t("bulk.unknown", { n: number(answer.left_out_unknown) });
      }
    } catch (e) {
      if (mine === turn && dialogBox.open) counted.replaceChildren(problem(e));
    }
  }

  const limits = () => ({ ...(Number(max.value) > 0 && { max: Number(max.value) }), ...(Number(rate.value) > 0 && { rate: Number(rate.value) }), ...(risky.checked && { include_unknown: true }) });
  app.addEventListener("change", preview);
  max.addEventListener("change", preview);
  risky.addEventListener("change", preview);

  const made = await dialog({
    title: t(`bulk.title.${action}`), danger: action === "discard", confirm: t(action), wide: true, ready: false,
    opened(box, button) {
      dialogBox = box;
      yes = button;
      preview();
    },
    body: [shown, !filter.app && apps.length > 0 && field(t("f.app"), app), counted, samples, reason(),
      h("div.row", {}, action === "resend" && field(t("rate"), rate, { hint: t("rate.hint") }), field(t("max"), max, { hint: t("max.hint") })),
      unknown],
    submit: (data) => act.send("POST", "/operations", { action, filter: chosen, ...limits(), reason: data.get("reason").trim() }),
  });
  if (!made) return;
  announce(t("bulk.started"), "good");
  const [op, more] = made.items;
  ctx.go(op && !more ? path`/operations/${op.app}/${op.id}` : "/operations");
}

const sample = (e) => h("li", {}, time(e.last_failed_at), " ", code(e.id), " ", about(e.payload) ?? known("kind", e.kind));

// each does one thing to the dead letters that were chosen one by one.
export async function each(ctx, action, entries) {
  const meterBox = h("div", { "aria-live": "polite" });
  let done = 0;
  const refused = [];
  const finished = await dialog({
    title: t(`bulk.title.${action}`), danger: action === "discard", confirm: t(`bulk.do.${action}`, { n: number(entries.length) }), wide: true,
    body: [h("p.count", {}, tr(`bulk.count.${action}`, { n: entries.length, count: h("strong", {}, number(entries.length)) })),
      h("ul.samples", {}, entries.slice(0, 3).map(sample), entries.length > 3 && h("li.muted", {}, t("more", { n: entries.length - 3 }))), reason(), meterBox],
    async submit(data, box) {
      const queue = entries.slice(done);
      const work = async () => {
        for (let e = queue.shift(); e && box.open; e = queue.shift()) {
          try {
            await new Action().send("POST", path`/dead-letters/${e.app}/${e.id}/` + action, { reason: data.get("reason").trim() });
          } catch (error) {
            if (error.status === 0 || error.status === 401) throw error;
            refused.push([e, error]);
          }
          done++;
          meterBox.replaceChildren(meter(done, entries.length, t("progress")), " ", t("of", { n: number(done), total: number(entries.length) }));
        }
      };
      await Promise.all([work(), work(), work()]);
    },
  });
  if (done) announce(finished && !refused.length ? t("bulk.done", { n: number(done) }) : t("bulk.partly", { n: number(done - refused.length), refused: number(refused.length), left: number(entries.length - done) }), refused.length ? "bad" : "good");
  if (refused.length) {
    await dialog({ title: t("refused"), confirm: t("close"), wide: true, submit: () => true, body: h("ul", {}, refused.slice(0, 20).map(([e, error]) => h("li", {}, code(e.id), ": ", say(error.message)))) });
  }
  if (done) await ctx.reload();
}

