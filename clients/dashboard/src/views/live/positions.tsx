/** Open positions, marked to the newest bar. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { useActions } from "../../data/actions";
import { useRefusal } from "../../data/caller";
import { useSelect } from "../../data/store";
import { useCurrency } from "../../data/currency";
import { counted, NONE, pair, price, share, signed, signedPercent } from "../../model/format";
import { liveHash } from "../../model/route";
import { ordered } from "../../model/symbols";
import type { Position } from "../../model/types";
import { Confirm, Empty, Failed, gain, Meter, Panel, Side, Skeleton, Time } from "../../ui/parts";

export function Positions(): JSX.Element {
  const symbols = useSelect((state) => state.symbols);
  const listed = useSelect((state) => state.listed);
  const failed = useSelect((state) => state.positionsError);
  const actions = useActions();
  const currency = useCurrency();
  const refused = useRefusal("close");
  const [closing, setClosing] = useState<Position | undefined>(undefined);
  const positions = ordered(symbols).flatMap((state) => (state.position ? [state.position] : []));
  const total = positions.reduce((sum, position) => sum + position.pnlAccount, 0);
  const aside = positions.length > 0 && (
    <span class="note">
      {positions.length} open · <span class={`num ${gain(total)}`}>{signed(total)}</span> {currency}
    </span>
  );
  return (
    <Panel title="Positions" id="positions" aside={aside}>
      {failed && !listed ? (
        <Failed error={failed} retry={actions.retry} />
      ) : !listed ? (
        <Skeleton rows={2} label="Loading positions" />
      ) : !positions.length ? (
        <Empty>No open position.</Empty>
      ) : (
        <div class="scroll-x" role="region" aria-label="Table of open positions" tabIndex={0}>
          <table class="table positions-table">
            <thead>
              <tr>
                <th scope="col">Symbol</th>
                <th scope="col">Side</th>
                <th scope="col" class="right">Profit or loss{currency && `, ${currency}`}</th>
                <th scope="col" class="right">Entry</th>
                <th scope="col" class="right">Last</th>
                <th scope="col">Stop to target</th>
                <th scope="col" class="right">Size</th>
                <th scope="col">Since</th>
                {!refused && <th scope="col"><span class="visually-hidden">Close</span></th>}
              </tr>
            </thead>
            <tbody>
              {positions.map((position) => (
                <Row key={position.id} position={position} onClose={refused ? undefined : () => setClosing(position)} />
              ))}
            </tbody>
          </table>
          {refused && <p class="note below" data-refused>Closing: {refused.charAt(0).toLowerCase()}{refused.slice(1)}</p>}
        </div>
      )}
      {closing && <CloseDialog asked={closing} now={listed ? positions.find(({ id }) => id === closing.id) : closing} onDone={() => setClosing(undefined)} />}
    </Panel>
  );
}

function Row({ position, onClose }: { position: Position; onClose: (() => void) | undefined }): JSX.Element {
  const range = position.target - position.stop;
  const at = range === 0 ? 0 : (position.price - position.stop) / range;
  const entry = range === 0 ? 0 : (position.entry - position.stop) / range;
  const label = `Stop ${price(position.stop, position.entry)}, last ${price(position.price, position.entry)}, target ${price(position.target, position.entry)}`;
  return (
    <tr data-position={position.id} data-sequence={position.sequence}>
      <th scope="row">
        <a href={liveHash(position.symbol)}>{pair(position.symbol)}</a>
      </th>
      <td>
        <Side action={position.action} long />
      </td>
      <td class={`right num ${gain(position.pnlAccount)}`}>
        <strong>{signed(position.pnlAccount)}</strong>
        <br />
        <small>
          {signedPercent(position.pnlPct)} · {signed(position.r, 2)} R
        </small>
      </td>
      <td class="right num">{price(position.entry)}</td>
      <td class="right num">{price(position.price, position.entry)}</td>
      <td>
        <Meter share={at} mark={entry} tone={position.pnl >= 0 ? "buy" : "sell"} label={label} />
        <small class="meter-ends num">
          <span>{price(position.stop, position.entry)}</span>
          <span>{price(position.target, position.entry)}</span>
        </small>
      </td>
      <td class="right num">{position.size > 0 ? share(position.size, 1) : NONE}</td>
      <td>
        <Time at={position.entryTime} />
        <br />
        <small>
          <span class="num">{counted(position.barsHeld, "bar")}</span>
        </small>
      </td>
      {onClose && (
        <td class="right">
          <button type="button" class="button button-small" onClick={onClose} aria-label={`Close the position in ${pair(position.symbol)}`}>
            Close
          </button>
        </td>
      )}
    </tr>
  );
}

/** `now`: the position as it is; undefined if it has been closed since the question was asked. */
function CloseDialog({ asked, now, onDone }: { asked: Position; now: Position | undefined; onDone: () => void }): JSX.Element {
  const actions = useActions();
  const position = now ?? asked;
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const confirm = async (): Promise<void> => {
    setBusy(true);
    const failed = await actions.closePosition(position.id);
    setBusy(false);
    setError(failed);
    if (!failed) onDone();
  };
  const side = position.action === "BUY" ? "long" : "short";
  if (!now && !busy) {
    return (
      <Confirm title={`The ${side} position in ${pair(position.symbol)} is closed`} action={undefined} busy={false} error="" onConfirm={onDone} onCancel={onDone}>
        <p role="alert">It was closed meanwhile, by its stop or target or by another caller. Trust has its outcome.</p>
      </Confirm>
    );
  }
  return (
    <Confirm title={`Close the ${side} position in ${pair(position.symbol)}?`} action="Close position" danger busy={busy} error={error} onConfirm={() => void confirm()} onCancel={onDone}>
      <p>
        It is closed at the last known price, <span class="num">{price(position.price, position.entry)}</span>: <span class={`num ${gain(position.pnlAccount)}`}>{signedPercent(position.pnlPct)}</span> after costs.
      </p>
    </Confirm>
  );
}
