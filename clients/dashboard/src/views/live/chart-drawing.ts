/** Draws candles, marks and levels with Lightweight Charts. */

import {
  CandlestickSeries,
  createChart,
  createSeriesMarkers,
  CrosshairMode,
  LineStyle,
  TickMarkType,
  type CandlestickData,
  type IChartApi,
  type IPriceLine,
  type ISeriesApi,
  type ISeriesMarkersPluginApi,
  type SeriesMarker,
  type Time,
  type UTCTimestamp,
} from "lightweight-charts";

import { intervalMs } from "../../model/bars";
import { weighed, type Chart } from "../../model/chart";
import { clock, day, dayClock, decimals, month, number, signed, year, type Zone } from "../../model/format";
import type { Bar, Position } from "../../model/types";
import { SessionShading } from "./session-shading";

const OLDER_AT = 40;
/** Bars of room at the right end, where the names of the levels stand. */
const RIGHT_BARS = 9;
const FIRST_BARS = 110;

export interface ChartEvents {
  readonly onHover: (bar: Bar | undefined) => void;
  /** Older bars are wanted. */
  readonly onOlder: () => void;
}

interface Colours {
  readonly [name: string]: string;
}

export class ChartDrawing {
  private readonly api: IChartApi;
  private readonly series: ISeriesApi<"Candlestick">;
  private readonly markers: ISeriesMarkersPluginApi<Time>;
  private readonly shading = new SessionShading();
  private readonly media = window.matchMedia("(prefers-color-scheme: light)");
  private lines: IPriceLine[] = [];
  private colours: Colours;
  private chart: Chart | undefined;
  private position: Position | undefined;
  private readonly onMedia = (): void => this.setTheme();

  constructor(
    private readonly box: HTMLElement,
    private zone: Zone,
    private readonly events: ChartEvents,
  ) {
    this.colours = coloursOf(box);
    this.api = createChart(box, {
      autoSize: true,
      // The logo brings a style element, which the content security policy refuses; the settings menu names TradingView.
      layout: { attributionLogo: false },
      crosshair: { mode: CrosshairMode.Normal },
      timeScale: { timeVisible: true, rightOffset: RIGHT_BARS, minBarSpacing: 1.5, borderVisible: false },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.12, bottom: 0.1 } },
    });
    this.series = this.api.addSeries(CandlestickSeries, { priceLineVisible: true });
    this.series.attachPrimitive(this.shading);
    this.markers = createSeriesMarkers(this.series, []);
    this.setZone(zone);
    this.setTheme();
    this.media.addEventListener("change", this.onMedia);
    this.api.timeScale().subscribeVisibleLogicalRangeChange((range) => {
      if (range && range.from < OLDER_AT) this.events.onOlder();
    });
    this.api.subscribeCrosshairMove(({ time }) => {
      const at = typeof time === "number" ? time * 1000 : undefined;
      this.events.onHover(at === undefined ? undefined : this.chart?.bars.find((bar) => bar.time === at));
    });
  }

  draw(chart: Chart, position: Position | undefined): void {
    const before = this.chart;
    this.chart = chart;
    if (before?.bars !== chart.bars) this.drawBars(before?.symbol === chart.symbol ? before.bars : undefined, chart.bars);
    const opened = this.position?.id !== position?.id;
    if (this.position !== position) this.drawLevels(position);
    if (opened || before?.marks !== chart.marks || before?.closed !== chart.closed || before?.bars.length !== chart.bars.length) this.drawMarks();
    this.box.dataset["bars"] = String(chart.bars.length);
    this.box.dataset["newest"] = String(chart.bars.at(-1)?.time ?? "");
    this.box.dataset["mark"] = String(chart.marks.at(-1)?.sequence ?? "");
  }

  setZone(zone: Zone): void {
    this.zone = zone;
    this.api.applyOptions({
      localization: { timeFormatter: (time: Time) => dayClock((time as number) * 1000, this.zone) },
      timeScale: { tickMarkFormatter: (time: Time, type: TickMarkType) => tickMark((time as number) * 1000, type, this.zone) },
    });
  }

  setTheme(): void {
    const colours = coloursOf(this.box);
    this.colours = colours;
    const font = getComputedStyle(this.box).fontFamily;
    this.api.applyOptions({
      layout: { background: { color: "transparent" }, textColor: colours["quiet"]!, fontFamily: font, fontSize: 11 },
      grid: { vertLines: { visible: false }, horzLines: { color: colours["grid"]! } },
      crosshair: { vertLine: { color: colours["quiet"]!, labelBackgroundColor: colours["label"]! }, horzLine: { color: colours["quiet"]!, labelBackgroundColor: colours["label"]! } },
    });
    const [up, down] = [colours["up"]!, colours["down"]!];
    this.series.applyOptions({ upColor: up, downColor: down, borderUpColor: up, borderDownColor: down, wickUpColor: up, wickDownColor: down });
    this.shading.setColours(colours["shade"]!, colours["grid"]!);
    this.drawMarks();
    this.drawLevels(this.position);
  }

  pan(bars: number): void {
    const range = this.api.timeScale().getVisibleLogicalRange();
    if (range) this.api.timeScale().setVisibleLogicalRange({ from: range.from + bars, to: range.to + bars });
  }

  /** Show `factor` times as many bars, up to the same right end. */
  zoom(factor: number): void {
    const range = this.api.timeScale().getVisibleLogicalRange();
    if (range) this.api.timeScale().setVisibleLogicalRange({ from: range.to - (range.to - range.from) * factor, to: range.to });
  }

  latest(): void {
    this.api.timeScale().scrollToRealTime();
  }

  remove(): void {
    this.media.removeEventListener("change", this.onMedia);
    this.api.remove();
  }

  private drawBars(before: readonly Bar[] | undefined, bars: readonly Bar[]): void {
    const grown = before?.length && bars.length - before.length <= 5 && bars.length > before.length && bars[before.length - 1] === before.at(-1) && bars[0] === before[0];
    if (grown) for (const bar of bars.slice(before.length)) this.series.update(candle(bar));
    else this.series.setData(bars.map(candle));
    this.shading.setBars(bars);
    const last = bars.at(-1);
    if (!before?.length && last) {
      const digits = decimals(last.close);
      this.series.applyOptions({ priceFormat: { type: "custom", minMove: 10 ** -digits, formatter: (price: number) => number(price, digits) } });
      const wide = Math.max(40, Math.min(FIRST_BARS, Math.floor(this.box.clientWidth / 7)));
      this.api.timeScale().setVisibleLogicalRange({ from: bars.length - wide, to: bars.length + RIGHT_BARS });
    }
  }

  private drawMarks(): void {
    const { chart, colours } = this;
    const first = chart?.bars[0]?.time;
    if (!chart || first === undefined) return;
    const marks: SeriesMarker<Time>[] = [];
    const interval = intervalMs(chart.bars.at(-1)!.interval);
    for (const { signal, weight } of weighed(chart, this.position, interval)) {
      const buy = signal.action === "BUY";
      const colour = buy ? colours["buy"]! : colours["sell"]!;
      const time = seconds(signal.barTime ?? signal.time);
      const position = buy ? "belowBar" : "aboveBar";
      const arrow = buy ? "arrowUp" : "arrowDown";
      if (weight === "entry") marks.push({ time, position, color: colour, shape: arrow, text: signal.action, size: 1.4 });
      else if (weight === "first") marks.push({ time, position, color: colour, shape: arrow, size: 0.8 });
      else marks.push({ time, position, color: `${colour}66`, shape: "circle", size: 0.2 });
    }
    for (const closed of chart.closed) {
      if (closed.exitTime === undefined || closed.exitTime < first) continue;
      const time = barAt(chart.bars, closed.exitTime - 1);
      if (time === undefined) continue;
      const long = closed.action === "BUY";
      marks.push({ time: seconds(time), position: long ? "aboveBar" : "belowBar", color: closed.pnl > 0 ? colours["buy"]! : colours["sell"]!, shape: "square", size: 0.6, text: signed(closed.r, 1) });
    }
    marks.sort((a, b) => (a.time as number) - (b.time as number));
    this.markers.setMarkers(marks);
  }

  private drawLevels(position: Position | undefined): void {
    this.position = position;
    for (const line of this.lines) this.series.removePriceLine(line);
    this.lines = [];
    this.box.dataset["levels"] = position ? `${position.stop} ${position.entry} ${position.target}` : "";
    if (!position) return;
    const side = position.action === "BUY" ? "long" : "short";
    const levels = [
      [position.target, "target", this.colours["buy"]!, LineStyle.Dashed],
      [position.entry, side, this.colours["accent"]!, LineStyle.Solid],
      [position.stop, "stop", this.colours["sell"]!, LineStyle.Dashed],
    ] as const;
    this.lines = levels.map(([price, title, color, lineStyle]) => this.series.createPriceLine({ price, title, color, lineStyle, lineWidth: 1, axisLabelVisible: true, axisLabelColor: color, axisLabelTextColor: this.colours["on"]! }));
  }
}

function seconds(ms: number): UTCTimestamp {
  return Math.floor(ms / 1000) as UTCTimestamp;
}

function candle(bar: Bar): CandlestickData<Time> {
  const { open, high, low, close } = bar;
  return { time: seconds(bar.time), open, high, low, close };
}

/** Open of the bar that contains a time. */
function barAt(bars: readonly Bar[], time: number): number | undefined {
  let low = 0;
  let high = bars.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (bars[middle]!.time <= time) low = middle + 1;
    else high = middle;
  }
  return bars[low - 1]?.time;
}

function tickMark(time: number, type: TickMarkType, zone: Zone): string {
  if (type === TickMarkType.Year) return year(time, zone);
  if (type === TickMarkType.Month) return month(time, zone);
  if (type === TickMarkType.DayOfMonth) return day(time, zone);
  return clock(time, zone);
}

/** Colours of the theme, from the custom properties of the style sheet. */
function coloursOf(element: HTMLElement): Colours {
  const style = getComputedStyle(element);
  const read = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    quiet: read("quiet"), grid: read("grid"), shade: read("shade"), label: read("raised"), accent: read("accent"),
    buy: read("buy"), sell: read("sell"), up: read("candle-up"), down: read("candle-down"), on: read("on-colour"),
  };
}
