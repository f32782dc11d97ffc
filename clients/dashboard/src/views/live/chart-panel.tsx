/** The frame of the chart. What draws it is loaded after the first view. */

import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { useActions } from "../../data/actions";
import { useLazy } from "../../data/lazy";
import { usePreferences } from "../../data/preferences";
import { useSelect } from "../../data/store";
import { CHART_BARS } from "../../model/bars";
import { counted, day, dayClock, NONE, pair, price } from "../../model/format";
import type { Chart } from "../../model/chart";
import { isRead, isUnknownSymbol } from "../../model/state";
import type { Bar, Position } from "../../model/types";
import { Empty, Failed, Panel, Side, Skeleton } from "../../ui/parts";
import type { ChartDrawing } from "./chart-drawing";

const TABLE_ROWS = 60;
const loadDrawing = (): Promise<typeof import("./chart-drawing")> => import("./chart-drawing");

export function ChartPanel(): JSX.Element {
  const selected = useSelect((state) => state.selected);
  const chart = useSelect((state) => state.chart);
  const read = useSelect(isRead);
  const unknown = useSelect(isUnknownSymbol);
  const position = useSelect((state) => state.symbols.get(state.selected)?.position);
  const actions = useActions();
  const [hovered, setHovered] = useState<Bar | undefined>(undefined);
  const [table, setTable] = useState(false);
  const drawing = useRef<ChartDrawing | undefined>(undefined);
  const last = chart.bars.at(-1);
  const title = selected ? `${pair(selected)} ${last?.interval ?? ""}` : "Chart";
  const aside = (
    <>
      <Prices bar={hovered ?? last} />
      <div class="chart-tools">
        <button type="button" class="button button-small" aria-label="Older bars" onClick={() => drawing.current?.pan(-30)}>←</button>
        <button type="button" class="button button-small" aria-label="Newer bars" onClick={() => drawing.current?.pan(30)}>→</button>
        <button type="button" class="button button-small" aria-label="Zoom out" onClick={() => drawing.current?.zoom(1.4)}>−</button>
        <button type="button" class="button button-small" aria-label="Zoom in" onClick={() => drawing.current?.zoom(1 / 1.4)}>+</button>
        <button type="button" class="button button-small" onClick={() => drawing.current?.latest()}>Now</button>
        <button type="button" class="button button-small" aria-pressed={table} onClick={() => setTable(!table)}>Table</button>
      </div>
    </>
  );
  return (
    <Panel title={title} id="chart" aside={aside}>
      {unknown ? (
        <Empty>No bars.</Empty>
      ) : chart.error && !chart.bars.length ? (
        <Failed error={chart.error} retry={actions.retry} />
      ) : !selected && read ? (
        <Empty>No symbol yet.</Empty>
      ) : !chart.bars.length && chart.loading ? (
        <Skeleton rows={5} label="Loading bars" />
      ) : !chart.bars.length ? (
        <Empty>No bars of {pair(selected)}.</Empty>
      ) : table ? (
        <ChartTable chart={chart} />
      ) : (
        <>
          <Canvas chart={chart} position={position} onHover={setHovered} drawing={drawing} onOlder={actions.loadOlderBars} />
          {chart.older && chart.bars.length >= CHART_BARS && <p class="note below">The chart holds the newest {counted(chart.bars.length, "bar")}; there are older ones.</p>}
        </>
      )}
    </Panel>
  );
}

/** Prices of the bar under the pointer, else of the newest. */
function Prices({ bar }: { bar: Bar | undefined }): JSX.Element {
  if (!bar) return <span class="note" />;
  const tone = bar.close >= bar.open ? "gain" : "loss";
  return (
    <p class="prices num note">
      <span>O {price(bar.open, bar.close)}</span> <span>H {price(bar.high, bar.close)}</span> <span>L {price(bar.low, bar.close)}</span>{" "}
      <span class={tone}>C {price(bar.close)}</span>
    </p>
  );
}

interface CanvasProps {
  chart: Chart;
  position: Position | undefined;
  onHover: (bar: Bar | undefined) => void;
  drawing: { current: ChartDrawing | undefined };
  onOlder: () => void;
}

function Canvas({ chart, position, onHover, drawing, onOlder }: CanvasProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const { zone, theme } = usePreferences().preferences;
  const { loaded, failed } = useLazy(loadDrawing);
  const current = useRef({ chart, position, zone, onHover, onOlder });
  current.current = { chart, position, zone, onHover, onOlder };
  useLayoutEffect(() => {
    if (!loaded || !box.current) return undefined;
    drawing.current = new loaded.ChartDrawing(box.current, current.current.zone, {
      onHover: (bar) => current.current.onHover(bar),
      onOlder: () => current.current.onOlder(),
    });
    drawing.current.draw(current.current.chart, current.current.position);
    return () => {
      drawing.current?.remove();
      drawing.current = undefined;
    };
  }, [loaded]);
  useLayoutEffect(() => drawing.current?.draw(chart, position), [chart, position]); // in the frame of the rest of the page
  useEffect(() => drawing.current?.setZone(zone), [zone]);
  useEffect(() => drawing.current?.setTheme(), [theme]);
  if (failed) return <Failed error="The chart could not be loaded. It is loaded when the service responds again." />;
  const keys: Record<string, () => void> = {
    ArrowLeft: () => drawing.current?.pan(-10),
    ArrowRight: () => drawing.current?.pan(10),
    "+": () => drawing.current?.zoom(1 / 1.4),
    "-": () => drawing.current?.zoom(1.4),
    End: () => drawing.current?.latest(),
  };
  return (
    <div
      class="canvas"
      ref={box}
      tabIndex={0}
      role="group"
      aria-label={summary(chart, position)}
      onKeyDown={(event) => {
        const action = keys[event.key];
        if (!action) return;
        action();
        event.preventDefault();
      }}
    />
  );
}

function summary(chart: Chart, position: Position | undefined): string {
  const last = chart.bars.at(-1)?.close;
  const held = position ? ` ${position.action === "BUY" ? "Long" : "Short"} from ${price(position.entry, last)}, stop ${price(position.stop, last)}, target ${price(position.target, last)}.` : " No position.";
  return `Chart of ${pair(chart.symbol)}: ${counted(chart.bars.length, "bar")}, last close ${price(last)}.${held} Arrow keys move it, plus and minus zoom; the button Table shows its numbers.`;
}

/** The same in numbers. */
function ChartTable({ chart }: { chart: Chart }): JSX.Element {
  const { zone } = usePreferences().preferences;
  const marks = new Map(chart.marks.map((mark) => [mark.barTime ?? mark.time, mark]));
  const bars = chart.bars.slice(-TABLE_ROWS).reverse();
  return (
    <div class="scroll-x chart-table" role="region" aria-label="Bars and signals as a table" tabIndex={0}>
      <table class="table">
        <caption class="visually-hidden">The newest {counted(bars.length, "bar")}, from {day(bars.at(-1)?.time ?? 0, zone)}</caption>
        <thead>
          <tr>
            <th scope="col">Bar</th>
            <th scope="col" class="right">Open</th>
            <th scope="col" class="right">High</th>
            <th scope="col" class="right">Low</th>
            <th scope="col" class="right">Close</th>
            <th scope="col">Signal</th>
          </tr>
        </thead>
        <tbody>
          {bars.map((bar) => {
            const mark = marks.get(bar.time);
            return (
              <tr key={bar.time} data-bar={bar.time} data-sequence={mark?.sequence}>
                <th scope="row" class="num">{dayClock(bar.time, zone)}</th>
                <td class="right num">{price(bar.open, bar.close)}</td>
                <td class="right num">{price(bar.high, bar.close)}</td>
                <td class="right num">{price(bar.low, bar.close)}</td>
                <td class="right num">{price(bar.close)}</td>
                <td>{mark ? <Side action={mark.action} /> : <span class="quiet">{NONE}</span>}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
