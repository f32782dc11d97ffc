/** Small parts that all views share. */

import type { ComponentChildren, JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

import { useSelect } from "../data/store";
import { usePreferences } from "../data/preferences";
import { isCurrent } from "../model/connection";
import { clockSeconds, dayClock, fullDay, offset, SIDE_MARKS } from "../model/format";
import type { Action } from "../model/types";
import { useModal } from "./focus";

export function classes(...names: (string | false | undefined)[]): string {
  return names.filter(Boolean).join(" ");
}

/** A titled part of a view. Old content loses its colour when the stream is not live. */
export function Panel(props: {
  title: string;
  id: string;
  class?: string;
  aside?: ComponentChildren;
  children: ComponentChildren;
}): JSX.Element {
  const current = useSelect((state) => isCurrent(state.connection));
  return (
    <section class={classes("panel", props.class, !current && "old")} aria-labelledby={`${props.id}-title`} id={props.id}>
      <header class="panel-head">
        <h2 id={`${props.id}-title`}>{props.title}</h2>
        {props.aside}
      </header>
      {props.children}
    </section>
  );
}

/** ▲ BUY, ▼ SELL or ■ HOLD. */
export function Side({ action, long }: { action: Action; long?: boolean }): JSX.Element {
  const words = { BUY: long ? "LONG" : "BUY", SELL: long ? "SHORT" : "SELL", HOLD: "HOLD" };
  return (
    <span class={`side side-${action.toLowerCase()}`}>
      <span aria-hidden="true">{SIDE_MARKS[action]}</span> {words[action]}
    </span>
  );
}

/** Class for a profit or a loss. */
export function gain(value: number | undefined): string {
  return value === undefined || Math.abs(value) < 1e-9 ? "" : value > 0 ? "gain" : "loss";
}

export function Skeleton({ rows, label }: { rows: number; label: string }): JSX.Element {
  return (
    <div class="skeleton" role="status" aria-label={label}>
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} />
      ))}
    </div>
  );
}

export function Empty({ children }: { children: ComponentChildren }): JSX.Element {
  return <p class="empty">{children}</p>;
}

export function Failed({ error, retry }: { error: string; retry?: () => void }): JSX.Element {
  return (
    <p class="failed" role="alert">
      {error}
      {/[.!?]$/.test(error) ? "" : "."}{" "}
      {retry && (
        <button type="button" class="link" onClick={retry}>
          Try again
        </button>
      )}
    </p>
  );
}

/** A moment in the chosen zone. Of one by the clock of this device `useClockOffset` makes one by that of the service. */
export function Time({ at, seconds }: { at: number; seconds?: boolean }): JSX.Element {
  const { zone } = usePreferences().preferences;
  return (
    <time class="num" dateTime={new Date(at).toISOString()} title={`${fullDay(at, zone)} ${clockSeconds(at, zone)}, ${offset(at, zone)}`}>
      {seconds ? clockSeconds(at, zone) : dayClock(at, zone)}
    </time>
  );
}

/** A bar of `share`, 0..1, with an optional mark on it. Widths are set by script, which the content policy allows. */
export function Meter(props: { share: number; mark?: number | undefined; tone?: string; label: string }): JSX.Element {
  const fill = useStyle({ "--share": String(Math.min(1, Math.max(0, props.share))) });
  const mark = useStyle({ "--at": String(Math.min(1, Math.max(0, props.mark ?? 0))) });
  return (
    <span class={classes("meter", props.tone && `meter-${props.tone}`)} role="img" aria-label={props.label}>
      <span class="meter-fill" ref={fill} />
      {props.mark !== undefined && <span class="meter-mark" ref={mark} />}
    </span>
  );
}

/** Set CSS properties of an element by script: attributes with styles are refused by the content security policy. */
export function useStyle(properties: Readonly<Record<string, string>>): { current: HTMLSpanElement | null } {
  const ref = useRef<HTMLSpanElement>(null);
  const text = JSON.stringify(properties);
  // Before the frame is drawn: a mark and the price beside it change together.
  useLayoutEffect(() => {
    for (const [name, value] of Object.entries(properties)) ref.current?.style.setProperty(name, value);
  }, [text]);
  return ref;
}

/** A question before something is done. It has the focus until it is closed; Escape means no. Without an action there is nothing to do any more. */
export function Confirm(props: {
  title: string;
  action: string | undefined;
  busy: boolean;
  error: string;
  danger?: boolean;
  onConfirm: () => void;
  onCancel: () => void;
  children: ComponentChildren;
}): JSX.Element {
  const dialog = useModal();
  return (
    <dialog class="dialog" ref={dialog} aria-labelledby="confirm-title" onClose={props.onCancel}>
      <h2 id="confirm-title">{props.title}</h2>
      <div class="dialog-body">{props.children}</div>
      {props.error && <Failed error={props.error} />}
      <div class="dialog-actions">
        <button type="button" class="button" onClick={props.onCancel}>
          {props.action === undefined ? "OK" : "Cancel"}
        </button>
        {props.action !== undefined && (
          <Button class={props.danger ? "button-danger" : "button-main"} busy={props.busy} onClick={props.onConfirm}>
            {props.busy ? "Working …" : props.action}
          </Button>
        )}
      </div>
    </dialog>
  );
}

/** A button that does nothing while what it began goes on. It keeps the focus, which one that is disabled would lose. */
export function Button(props: { class?: string; busy: boolean; disabled?: boolean; onClick: () => void; children: ComponentChildren }): JSX.Element {
  return (
    <button type="button" class={classes("button", props.class)} aria-disabled={props.busy} disabled={props.disabled} onClick={() => !props.busy && props.onClick()}>
      {props.children}
    </button>
  );
}

/** One of a few choices, as buttons side by side. */
export function Choice<T extends string>(props: {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}): JSX.Element {
  return (
    <div class="choice" role="group" aria-label={props.label}>
      {props.options.map(([value, text]) => (
        <button key={value} type="button" aria-pressed={value === props.value} onClick={() => props.onChange(value)}>
          {text}
        </button>
      ))}
    </div>
  );
}
