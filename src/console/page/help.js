// Help: what each cause, reason and hint means and what to do, where hints link to.

import { card, code, h, p } from "./dom.js";
import { named, t } from "./words.js";

/** Entries of [id, name, cure, code?]. */
const entries = (title, all) =>
  card(title, h("dl", { class: "words" }, all.flatMap(([id, name, cure, word]) =>
    [h("dt", { id, tabindex: "-1" }, name, word && [" ", code(word)]), h("dd", {}, cure)])));

export function help(app) {
  const known = (key) => named(key).map((name) => [`help-${name}`, t(`${key}.${name}`), t(`${key}.${name}.cure`), name]);
  const causes = named("cause");
  const hints = named("hintname").map((name) =>
    [`${causes.includes(name) ? "hint" : "help"}-${name}`, t(`hintname.${name}`), t(`cure.${name}`, { cure: "" })]);
  const element = h("div", {},
    p(t("help.intro")),
    entries(t("help.alarms"), named("alarmname").map((name) => [`help-${name}`, t(`alarmname.${name}`), t(`alarmcure.${name}`)])),
    entries(t("help.causes"), known("cause")),
    entries(t("help.reasons"), known("reason")),
    entries(t("help.hints"), hints));
  const load = async () => {
    const wanted = app.parameters.get("entry");
    const found = wanted && element.querySelector(`#help-${CSS.escape(wanted)}`);
    found?.focus();
    found?.scrollIntoView({ block: "center" });
  };
  return { element, load };
}
