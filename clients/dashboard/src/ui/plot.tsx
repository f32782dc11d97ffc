/** Lines over time or over a number, as SVG. Positions are attributes, so no style is needed. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

export interface Line {
  readonly points: readonly (readonly [number, number])[];
  /** Class of the line: plot-a, plot-b, plot-c, plot-loss. */
  readonly class: string;
  /** Also fill what is between the line and 0. */
  readonly area?: boolean;
  readonly name?: string;
}

const LEFT = 8;
const RIGHT = 64;
const TOP = 8;
const BOTTOM = 20;
const MOST_POINTS = 800;

export function useWidth(): { ref: { current: HTMLDivElement | null }; width: number } {
  const ref = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(600);
  useEffect(() => {
    if (!ref.current) return undefined;
    const observer = new ResizeObserver(([entry]) => entry && setWidth(Math.max(160, Math.floor(entry.contentRect.width))));
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return { ref, width };
}

/** Round numbers that divide a range into some four parts. */
export function ticks(low: number, high: number, count = 4): readonly number[] {
  const span = high - low;
  if (!(span > 0)) return [low];
  const raw = span / count;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * size).find((each) => each >= raw) ?? raw;
  const found: number[] = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) found.push(Math.abs(value) < step / 1e6 ? 0 : value);
  return found;
}

/** Leave out points so that some 800 are left, the extremes of each part among them. */
export function thinned(points: Line["points"]): Line["points"] {
  if (points.length <= MOST_POINTS) return points;
  const size = Math.ceil(points.length / (MOST_POINTS / 2));
  const kept: (readonly [number, number])[] = [];
  for (let start = 0; start < points.length; start += size) {
    const part = points.slice(start, start + size);
    const low = part.reduce((best, point) => (point[1] < best[1] ? point : best));
    const high = part.reduce((best, point) => (point[1] > best[1] ? point : best));
    kept.push(...(low[0] <= high[0] ? [low, high] : [high, low]));
  }
  kept.push(points.at(-1)!);
  return kept;
}

export function Plot(props: {
  lines: readonly Line[];
  /** What tests know it by. */
  name?: string;
  height: number;
  label: string;
  formatX: (x: number) => string;
  /** Writes a mark of the axis with as many decimals as tell it from the next one. */
  formatY: (y: number, digits: number) => string;
  /** Include 0 in the range. */
  zero?: boolean;
}): JSX.Element {
  const { ref, width } = useWidth();
  const all = props.lines.flatMap((line) => line.points);
  const xs = all.map(([x]) => x);
  const ys = all.map(([, y]) => y).concat(props.zero ? [0] : []);
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  const pad = (high - low || Math.abs(high) || 1) * 0.06;
  const [y0, y1] = [low - (low === 0 ? 0 : pad), high + (high === 0 ? 0 : pad)];
  const px = (x: number): number => LEFT + ((x - x0) / (x1 - x0 || 1)) * (width - LEFT - RIGHT);
  const py = (y: number): number => TOP + (1 - (y - y0) / (y1 - y0 || 1)) * (props.height - TOP - BOTTOM);
  const path = (line: Line): string => thinned(line.points).map(([x, y], index) => `${index ? "L" : "M"}${px(x).toFixed(1)} ${py(y).toFixed(1)}`).join("");
  const marks = ticks(y0, y1);
  const digits = Math.max(0, Math.ceil(-Math.log10((marks[1] ?? 1) - (marks[0] ?? 0)) - 1e-9));
  const times = width < 420 ? [x0, x1] : [x0, x0 + (x1 - x0) / 3, x0 + ((x1 - x0) * 2) / 3, x1];
  return (
    <div class="plot" ref={ref} data-plot={props.name} data-points={props.lines[0]?.points.length}>
      <svg width={width} height={props.height} viewBox={`0 0 ${width} ${props.height}`} role="img" aria-label={props.label}>
        {marks.map((tick) => (
          <g key={tick}>
            <line class={tick === 0 ? "plot-zero" : "plot-grid"} x1={LEFT} x2={width - RIGHT} y1={py(tick)} y2={py(tick)} />
            <text class="plot-text" x={width - RIGHT + 6} y={py(tick) + 4}>
              {props.formatY(tick, digits)}
            </text>
          </g>
        ))}
        {times.map((time, index) => (
          <text key={index} class="plot-text" x={px(time)} y={props.height - 4} text-anchor={index === 0 ? "start" : index === times.length - 1 ? "end" : "middle"}>
            {props.formatX(time)}
          </text>
        ))}
        {props.lines.map((line, index) =>
          line.points.length ? (
            <g key={index}>
              {line.area && <path class={`${line.class} plot-area`} d={`${path(line)}L${px(line.points.at(-1)![0]).toFixed(1)} ${py(0).toFixed(1)}L${px(line.points[0]![0]).toFixed(1)} ${py(0).toFixed(1)}Z`} />}
              <path class={`${line.class} plot-line`} d={path(line)} />
            </g>
          ) : null,
        )}
      </svg>
    </div>
  );
}
