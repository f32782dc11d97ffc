/** A list of any length of which only the rows in sight exist. It scrolls by itself, or with the page where it has no height of its own. */

import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

const OVERSCAN = 8;

export interface VirtualListProps<T> {
  items: readonly T[];
  keyOf: (item: T) => string | number;
  rowHeight: number;
  label: string;
  /** Draw the content of a row; `active` has the keyboard. */
  row: (item: T, index: number) => JSX.Element;
  rowClass?: (item: T) => string;
  onOpen: (item: T) => void;
  /** The end of the list is near. */
  onEnd: () => void;
  onTop: (atTop: boolean) => void;
  after?: JSX.Element | undefined;
}

export function VirtualList<T>(props: VirtualListProps<T>): JSX.Element {
  const { items, keyOf, rowHeight } = props;
  const box = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLDivElement>(null);
  const [range, setRange] = useState({ from: 0, to: 40 });
  const [activeKey, setActiveKey] = useState<string | number | undefined>(undefined);
  const active = activeKey === undefined ? -1 : items.findIndex((item) => keyOf(item) === activeKey);
  const { onEnd, onTop } = props;

  const measure = (): void => {
    if (!box.current || !body.current) return;
    const seen = box.current.getBoundingClientRect();
    const top = Math.max(seen.top, 0);
    const bottom = Math.min(seen.bottom, window.innerHeight);
    const offset = top - body.current.getBoundingClientRect().top;
    const from = Math.max(0, Math.floor(offset / rowHeight) - OVERSCAN);
    const to = Math.ceil((offset + Math.max(0, bottom - top)) / rowHeight) + OVERSCAN;
    setRange((before) => (before.from === from && before.to === to ? before : { from, to }));
    onTop(offset < rowHeight);
    if (to >= items.length - 20) onEnd();
  };
  const latest = useRef(measure);
  latest.current = measure;

  useEffect(() => {
    let frame = 0;
    const soon = (): void => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => latest.current());
    };
    const element = box.current;
    element?.addEventListener("scroll", soon, { passive: true });
    window.addEventListener("scroll", soon, { passive: true });
    const resized = new ResizeObserver(soon);
    if (element) resized.observe(element);
    return () => {
      cancelAnimationFrame(frame);
      element?.removeEventListener("scroll", soon);
      window.removeEventListener("scroll", soon);
      resized.disconnect();
    };
  }, []);
  useEffect(() => latest.current(), [items]);

  // Rows that come in on top must not move those that one is reading.
  const anchor = useRef<{ key: string | number; index: number } | undefined>(undefined);
  useLayoutEffect(() => {
    const element = box.current;
    const before = anchor.current;
    if (element && before && element.scrollTop > rowHeight) {
      const now = items.findIndex((item) => keyOf(item) === before.key);
      if (now >= 0 && now !== before.index) element.scrollTop += (now - before.index) * rowHeight;
    }
    const first = element ? Math.min(items.length - 1, Math.floor(element.scrollTop / rowHeight)) : -1;
    const item = items[first];
    anchor.current = item === undefined ? undefined : { key: keyOf(item), index: first };
  }, [items, range]);

  useLayoutEffect(() => {
    body.current?.style.setProperty("height", `${items.length * rowHeight}px`);
  }, [items.length, rowHeight]);

  const go = (index: number): void => {
    const item = items[Math.min(items.length - 1, Math.max(0, index))];
    if (item === undefined) return;
    const at = items.indexOf(item);
    setActiveKey(keyOf(item));
    const element = box.current;
    if (!element) return;
    if (at * rowHeight < element.scrollTop) element.scrollTop = at * rowHeight;
    else if ((at + 1) * rowHeight > element.scrollTop + element.clientHeight) element.scrollTop = (at + 1) * rowHeight - element.clientHeight;
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const steps: Record<string, number> = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + 10, PageUp: active - 10, Home: 0, End: items.length - 1 };
    const to = steps[event.key];
    if (to !== undefined) go(to);
    else if ((event.key === "Enter" || event.key === " ") && items[active]) props.onOpen(items[active]);
    else return;
    event.preventDefault();
  };

  return (
    <div
      class="list"
      ref={box}
      role="listbox"
      tabIndex={0}
      aria-label={props.label}
      aria-activedescendant={active >= range.from && active < range.to ? `row-${activeKey}` : undefined}
      onKeyDown={onKeyDown}
      onFocus={() => activeKey === undefined && items[0] !== undefined && setActiveKey(keyOf(items[0]))}
    >
      <div class="list-body" ref={body} role="presentation">
        {items.slice(range.from, range.to).map((item, offset) => {
          const index = range.from + offset;
          return (
            <Row key={keyOf(item)} id={`row-${keyOf(item)}`} top={index * rowHeight} height={rowHeight} index={index} count={items.length}
              active={index === active} class={props.rowClass?.(item) ?? ""}
              onOpen={() => {
                setActiveKey(keyOf(item));
                props.onOpen(item);
              }}>
              {props.row(item, index)}
            </Row>
          );
        })}
      </div>
      {props.after}
    </div>
  );
}

function Row(props: {
  id: string;
  top: number;
  height: number;
  index: number;
  count: number;
  active: boolean;
  class: string;
  onOpen: () => void;
  children: JSX.Element;
}): JSX.Element {
  const row = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    row.current?.style.setProperty("transform", `translateY(${props.top}px)`);
    row.current?.style.setProperty("height", `${props.height}px`);
  }, [props.top, props.height]);
  return (
    <div ref={row} id={props.id} class={`list-row ${props.class}${props.active ? " active" : ""}`} role="option"
      aria-selected={props.active} aria-posinset={props.index + 1} aria-setsize={props.count} onClick={props.onOpen}>
      {props.children}
    </div>
  );
}
