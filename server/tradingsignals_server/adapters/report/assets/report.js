(() => {
"use strict";
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const byId = (id) => document.getElementById(id);
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

// The inverse of packing.py.
function unpackBars(packed) {
  const scale = 10 ** packed.digits, steps = new Map();
  for (let at = 0; at < packed.t.length; at += 2) steps.set(packed.t[at], packed.t[at + 1]);
  const bars = [];
  let time = packed.start, close = 0;
  for (let at = 0; at < packed.o.length; at++) {
    if (at) time += (steps.get(at) || 1) * packed.seconds;
    const open = close + packed.o[at];
    close = open + packed.c[at];
    bars.push({ time, open: open / scale, high: (Math.max(open, close) + packed.h[at]) / scale,
      low: (Math.min(open, close) - packed.l[at]) / scale, close: close / scale });
  }
  return { symbol: packed.symbol, seconds: packed.seconds, digits: packed.digits, bars };
}
function unpackTrades(packed) {
  const trades = [];
  let entry = 0;
  for (let at = 0; at < packed.entry.length; at++) {
    entry += packed.entry[at];
    const digits = packed.digits[packed.symbol[at]], scale = 10 ** digits, price = packed.price[at];
    trades.push({ symbol: packed.symbols[packed.symbol[at]], side: packed.side[at], entry, leave: entry + packed.held[at],
      price: price / scale, exit: (price + packed.exit[at]) / scale, stop: (price + packed.stop[at]) / scale,
      target: (price + packed.target[at]) / scale, reason: packed.reasons[packed.reason[at]], pnl: packed.pnl[at] / 100,
      r: packed.r[at] / 100, confidence: packed.confidence[at], win: packed.win[at], digits });
  }
  return trades;
}

const symbols = read("bars-data").map(unpackBars), trades = unpackTrades(read("trades-data"));
let chart = null, series = null, current = null, shown = [];

// The candle that contains a time: the last that opens at or before it.
function candleAt(bars, time) {
  let low = 0, high = bars.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (bars[middle].time <= time) low = middle; else high = middle - 1;
  }
  return low;
}

// Draws the trades that are in view. A fill at the close of a bar is at the end of its candle.
class TradeMarks {
  attached(parameters) { this.update = parameters.requestUpdate; }
  updateAllViews() {}
  paneViews() { return [{ zOrder: () => "top", renderer: () => ({ draw: (target) => target.useMediaCoordinateSpace((scope) => this.paint(scope.context)) }) }]; }
  paint(context) {
    const scale = chart.timeScale(), range = scale.getVisibleLogicalRange();
    if (!range) return;
    const inView = shown.filter((one) => one.to >= range.from - 1 && one.from <= range.to + 1);
    const detailed = inView.length <= 150, size = detailed ? 6 : 3.5;
    for (const one of inView) {
      const x = scale.logicalToCoordinate(one.from), end = scale.logicalToCoordinate(one.to);
      const y = series.priceToCoordinate(one.trade.price), yEnd = series.priceToCoordinate(one.trade.exit);
      if (x === null || end === null || y === null || yEnd === null) continue;
      context.lineWidth = 1;
      if (detailed) {
        for (const [level, name] of [[one.trade.stop, "loss"], [one.trade.target, "gain"]]) {
          const height = series.priceToCoordinate(level);
          if (height === null) continue;
          context.strokeStyle = this.colors[name];
          context.setLineDash([4, 3]);
          context.beginPath(); context.moveTo(x, height); context.lineTo(Math.max(end, x + 4), height); context.stroke();
        }
      }
      context.setLineDash([]);
      context.strokeStyle = context.fillStyle = one.trade.r > 0 ? this.colors.gain : this.colors.loss;
      context.beginPath(); context.moveTo(x, y); context.lineTo(end, yEnd); context.stroke();
      context.beginPath(); context.arc(end, yEnd, size * 0.55, 0, 7); context.fill();
      context.fillStyle = one.trade.side > 0 ? this.colors.a : this.colors.c;
      context.beginPath();
      context.moveTo(x, y); context.lineTo(x - size, y + one.trade.side * size * 1.7); context.lineTo(x + size, y + one.trade.side * size * 1.7);
      context.fill();
    }
  }
  recolor() {
    this.colors = { gain: color("gain"), loss: color("loss"), a: color("a"), c: color("c") };
    if (this.update) this.update();
  }
}
const marks = new TradeMarks();

function recolor() {
  if (!chart) return;
  chart.applyOptions({ layout: { background: { color: color("card") }, textColor: color("dim") },
    grid: { vertLines: { color: color("grid") }, horzLines: { color: color("grid") } },
    timeScale: { borderColor: color("line") }, rightPriceScale: { borderColor: color("line") } });
  series.applyOptions({ upColor: color("card"), downColor: color("b"), borderColor: color("b"), wickColor: color("b"), borderUpColor: color("b"),
    borderDownColor: color("b"), wickUpColor: color("b"), wickDownColor: color("b") });
  marks.recolor();
}
function show(symbol) {
  current = symbol;
  series.applyOptions({ priceFormat: { type: "price", precision: symbol.digits, minMove: 10 ** -symbol.digits } });
  series.setData(symbol.bars);
  shown = trades.filter((trade) => trade.symbol === symbol.symbol).map((trade) => ({ trade,
    from: candleAt(symbol.bars, trade.entry - 1), to: candleAt(symbol.bars, trade.leave - 1) }));
}
function view(from, to) {
  const space = Math.max(12, (to - from) * 0.06);
  chart.timeScale().setVisibleLogicalRange({ from: from - space, to: to + space });
}
function viewAll() { view(0, current.bars.length - 1); }
function viewLast() {
  const last = shown.slice(-20);
  if (!last.length) { viewAll(); return; }
  const first = Math.min(...last.map((one) => one.from)), end = Math.max(...last.map((one) => one.to));
  view(Math.max(first, end - 900), end);
}
function makeChart() {
  const L = window.LightweightCharts, place = byId("chart");
  chart = L.createChart(place, { autoSize: true, layout: { attributionLogo: false, fontFamily: "system-ui, sans-serif", fontSize: 11 },
    timeScale: { timeVisible: true, secondsVisible: false, minBarSpacing: 0.02 }, crosshair: { mode: L.CrosshairMode.Normal },
    localization: { locale: "en-GB" }, handleScale: { mouseWheel: true } });
  series = chart.addSeries(L.CandlestickSeries, { priceLineVisible: false, lastValueVisible: false });
  series.attachPrimitive(marks);
  const choice = byId("symbol");
  symbols.forEach((symbol, at) => choice.add(new Option(symbol.symbol, String(at))));
  choice.parentElement.hidden = symbols.length < 2;
  choice.addEventListener("change", () => { show(symbols[Number(choice.value)]); viewLast(); });
  byId("view-all").addEventListener("click", viewAll);
  byId("view-last").addEventListener("click", viewLast);
  recolor();
  show(symbols[0]);
  viewLast();
}

const form = (value, digits) => value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");
const stamp = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
function addRows(from, to) {
  const body = byId("trade-rows"), rows = document.createDocumentFragment();
  for (const trade of trades.slice().reverse().slice(from, to)) {
    const row = document.createElement("tr");
    const cells = [stamp(trade.entry), trade.symbol, trade.side > 0 ? "BUY" : "SELL", form(trade.r, 2), form(trade.pnl, 2), trade.reason,
      form(trade.price, trade.digits), form(trade.exit, trade.digits), form(trade.stop, trade.digits), form(trade.target, trade.digits), trade.confidence + "%",
      trade.win === null ? "–" : trade.win + "%"];
    cells.forEach((text, at) => {
      const cell = row.insertCell();
      cell.textContent = text;
      if (at > 2 && at !== 5) cell.className = "num";
      if (at === 3 || at === 4) cell.classList.add(trade.r > 0 ? "gain" : "loss");
    });
    row.tabIndex = 0;
    const open = () => showTrade(trade);
    row.addEventListener("click", open);
    row.addEventListener("keydown", (event) => { if (event.key === "Enter") open(); });
    rows.append(row);
  }
  body.append(rows);
}
function showTrade(trade) {
  const at = symbols.findIndex((symbol) => symbol.symbol === trade.symbol);
  if (!chart || at < 0) return;
  if (current !== symbols[at]) { byId("symbol").value = String(at); show(symbols[at]); }
  const one = shown.find((candidate) => candidate.trade === trade);
  view(one.from - 15, one.to + 15);
  byId("price").scrollIntoView({ behavior: "smooth" });
}

const FIRST = 25, more = byId("more");
if (trades.length) {
  addRows(0, FIRST);
  more.hidden = trades.length <= FIRST;
  more.addEventListener("click", () => { addRows(FIRST, trades.length); more.hidden = true; });
}
if (symbols.length && symbols[0].bars.length) makeChart();

const dark = matchMedia("(prefers-color-scheme: dark)"), root = document.documentElement, toggle = byId("theme");
const isDark = () => (root.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
const label = () => { toggle.textContent = isDark() ? "Light" : "Dark"; };
toggle.hidden = false;
toggle.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; label(); recolor(); });
dark.addEventListener("change", () => { label(); recolor(); });
// Print in light colors, with every group open. The canvas of the chart repaints later, so a copy of it is printed.
let theme = "", closed = [];
addEventListener("beforeprint", () => {
  theme = root.dataset.theme || "";
  root.dataset.theme = "light";
  closed = [...document.querySelectorAll("main details:not([open])")];
  closed.forEach((group) => { group.open = true; });
  recolor();
  if (chart) byId("printed").replaceChildren(chart.takeScreenshot(true));
});
addEventListener("afterprint", () => {
  if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
  closed.forEach((group) => { group.open = false; });
  recolor();
});
label();
})();
