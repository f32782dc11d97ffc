/** A line where each session begins, and a shade on every second one: a night takes no room on the axis, and is seen all the same. */

import type {
  IPrimitivePaneRenderer,
  IPrimitivePaneView,
  ISeriesPrimitive,
  PrimitivePaneViewZOrder,
  SeriesAttachedParameter,
  Time,
  UTCTimestamp,
} from "lightweight-charts";

import { sessions, type Session } from "../../model/bars";
import type { Bar } from "../../model/types";

type Target = Parameters<IPrimitivePaneRenderer["draw"]>[0];

export class SessionShading implements ISeriesPrimitive<Time> {
  private attachedTo: SeriesAttachedParameter<Time> | undefined;
  private bars: readonly Bar[] = [];
  private all: readonly Session[] = [];
  private shade = "transparent";
  private line = "transparent";
  private readonly view: IPrimitivePaneView = {
    zOrder: (): PrimitivePaneViewZOrder => "bottom",
    renderer: (): IPrimitivePaneRenderer => ({ draw: (target) => this.paint(target) }),
  };

  attached(to: SeriesAttachedParameter<Time>): void {
    this.attachedTo = to;
  }

  detached(): void {
    this.attachedTo = undefined;
  }

  paneViews(): readonly IPrimitivePaneView[] {
    return [this.view];
  }

  setBars(bars: readonly Bar[]): void {
    this.bars = bars;
    this.all = sessions(bars);
    this.attachedTo?.requestUpdate();
  }

  setColours(shade: string, line: string): void {
    this.shade = shade;
    this.line = line;
    this.attachedTo?.requestUpdate();
  }

  private paint(target: Target): void {
    const scale = this.attachedTo?.chart.timeScale();
    if (!scale) return;
    target.useBitmapCoordinateSpace(({ context, bitmapSize, horizontalPixelRatio }) => {
      for (const { from, to } of this.all) {
        const left = scale.timeToCoordinate((this.bars[from]!.time / 1000) as UTCTimestamp);
        const right = scale.timeToCoordinate((this.bars[to - 1]!.time / 1000) as UTCTimestamp);
        if (left === null || right === null) continue;
        const half = scale.options().barSpacing / 2;
        const start = Math.round((left - half) * horizontalPixelRatio);
        context.fillStyle = this.line;
        context.fillRect(start, 0, Math.max(1, Math.floor(horizontalPixelRatio)), bitmapSize.height);
        // Counted by day, so that a session keeps its shade when older bars are read.
        if (Math.floor(this.bars[from]!.time / 86_400_000) % 2) continue;
        context.fillStyle = this.shade;
        context.fillRect(start, 0, Math.round((right + half) * horizontalPixelRatio) - start, bitmapSize.height);
      }
    });
  }
}
