// Line charts over time (uPlot), each with its legend and the same numbers as a table.

import { h, table } from "./dom.js";
import { clock, minute, number, t } from "./words.js";

const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3], [12, 4]];
/** A latency's axis, which is logarithmic, in milliseconds. */
const POWERS = [1, 10, 100, 1000, 4000];
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);

/** `lines` are {name, of(series) → column}; `log` is for latencies, with a line at `limit`. */
export class Chart {
  constructor({ title, lines, log, limit, show = (value) => number(value, 1) }) {
    Object.assign(this, { title, lines, log, limit, show });
    this.box = h("div", { class: "chart", role: "img", "aria-label": title });
    this.rows = h("div");
    this.details = h("details", { "data-key": title, ontoggle: () => this.list() }, h("summary", {}, t("chart.table")), this.rows);
    this.element = h("div", {}, this.box, this.legend(), this.details);
    this.observer = new ResizeObserver(() => this.plot?.setSize(this.size()));
    this.observer.observe(this.box);
  }

  size() {
    return { width: Math.max(this.box.clientWidth, 120), height: 210 };
  }

  legend() {
    const entry = ({ name }, place) => {
      const line = { x1: 0, y1: 5, x2: 26, y2: 5, stroke: `var(--c${place + 1})`, "stroke-width": 2.5, "stroke-dasharray": DASHES[place].join(" ") };
      return h("li", {}, h("svg", { width: 26, height: 10, "aria-hidden": "true" }, h("line", line)), name);
    };
    return h("ul", { class: "legend" }, this.lines.map(entry));
  }

  draw(series) {
    this.series = series;
    const columns = [series.t, ...this.lines.map((line) => line.of(series))];
    if (this.limit) columns.push(series.t.map(() => this.limit));
    if (this.plot) this.plot.setData(columns);
    else this.make(columns);
    this.list();
  }

  make(columns) {
    const axis = { stroke: colour("muted"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "12px sans-serif" };
    const lines = this.lines.map((_, place) => {
      const stroke = colour(`c${place + 1}`);
      return { stroke, width: 1.8, dash: DASHES[place], points: { show: this.log ?? false, size: 3, fill: stroke } };
    });
    if (this.limit) lines.push({ stroke: colour("error"), width: 1, dash: [3, 5], points: { show: false } });
    const [y, values] = this.log
      ? [{ distr: 3, range: [0.1, 10000] }, { splits: () => POWERS, values: () => POWERS.map(this.show) }]
      : [{ range: (_, low, high) => [0, Math.max(high ?? 0, 1) * 1.1] }, { values: (_, ticks) => ticks.map((tick) => number(tick, 1)) }];
    const times = (_, ticks) => ticks.map((tick) => (ticks[1] - ticks[0] < 60 ? clock : minute)(tick * 1000));
    const options = {
      ...this.size(),
      legend: { show: false },
      cursor: { show: false },
      padding: [10, 26, 0, 0],
      scales: { y },
      series: [{}, ...lines],
      axes: [{ ...axis, size: 26, gap: 4, space: 70, values: times }, { ...axis, size: 52, ...values }],
    };
    this.plot = new uPlot(options, columns, this.box);
  }

  /** At most 20 rows, the newest first, each over as many points as needed. */
  list() {
    if (!this.details.open || !this.series) return;
    const { t: times } = this.series;
    const step = Math.max(1, Math.ceil(times.length / 20));
    const rows = [];
    for (let end = times.length; end > 0; end -= step) {
      const start = Math.max(0, end - step);
      const worst = (line) => {
        const values = line.of(this.series).slice(start, end).filter((value) => value !== null);
        return values.length ? this.show(Math.max(...values)) : "–";
      };
      rows.push([minute(times[start] * 1000), ...this.lines.map(worst)]);
    }
    const heads = [["w", t("time")], ...this.lines.map(({ name }) => ["n", name])];
    this.rows.replaceChildren(table(`${this.title}, ${t("chart.highest")}`, heads, rows, t("chart.empty")));
  }

  destroy() {
    this.observer.disconnect();
    this.plot?.destroy();
  }
}
