/** Whether it works: health, lags, trading, models, symbols and servers. */

import type { JSX } from "preact";

import { useClockOffset, useNow } from "../../data/clock";
import { usePreferences } from "../../data/preferences";
import { useSelect } from "../../data/store";
import { useActions } from "../../data/actions";
import { age, ago, counted, dayClock, integer, NONE, pair, sentence } from "../../model/format";
import { callerText } from "../../model/caller";
import { isKnownNow } from "../../model/connection";
import { liveHash } from "../../model/route";
import { clockText, offsetOf } from "../../model/server-clock";
import { statusOf, type Server } from "../../model/servers";
import type { SymbolHealth } from "../../model/types";
import { classes, Empty, Failed, Panel, Skeleton } from "../../ui/parts";
import { AsOf, Fact, ReadAt } from "./facts";
import { Models } from "./models";
import { Protections } from "./protections";
import { Trading } from "./trading";
import "../../styles/state.css";

export default function StateView(): JSX.Element {
  return (
    <>
      <HealthPanel />
      <Lags />
      <Trading />
      <Models />
      <Protections />
      <Servers />
      <SymbolTable />
    </>
  );
}

const WORDS: Readonly<Record<string, string>> = {
  healthy: "It works.",
  degraded: "It works, with the warnings below.",
  unhealthy: "It cannot store, so it makes no signals.",
};

function HealthPanel(): JSX.Element {
  const health = useSelect((state) => state.health);
  const info = useSelect((state) => state.info.value);
  const caller = useSelect((state) => state.caller);
  const actions = useActions();
  const now = useNow();
  const report = health.value;
  const known = useSelect((state) => isKnownNow(state.connection, state.health.at, Date.now()));
  return (
    <Panel title="Health" id="health" aside={<AsOf known={known} at={health.at} />}>
      {health.state === "failed" && !report && <Failed error={`Health cannot be read: ${health.error}`} retry={actions.readHealth} />}
      {!report ? (
        health.state === "loading" && <Skeleton rows={4} label="Loading health" />
      ) : (
        <div class={classes("body", !known && "old-values")}>
          {known ? (
            <p class={`status status-${report.status}`}>
              {sentence(report.status)} <span class="status-note">{WORDS[report.status]}</span>
            </p>
          ) : (
            <p class="status status-unknown">
              Unknown{" "}
              <span class="status-note">
                {health.state === "failed" && `${health.error}. `}At <ReadAt at={health.at} /> it was {report.status}; what follows is of then.
              </span>
            </p>
          )}
          {report.warnings.length > 0 && (
            <ul class="warnings">
              {report.warnings.map((warning) => (
                <li key={warning}>{warning}</li>
              ))}
            </ul>
          )}
          <dl class="facts">
            <Fact name="Feed">{info ? feedName(info.feed) : NONE}</Fact>
            <Fact name="Database">{report.databaseConnected ? "responds" : <span class="loss">does not respond</span>}</Fact>
            <Fact name="Up for">{age(report.uptimeSeconds * 1000 + (known && health.at !== undefined ? Math.max(0, now - health.at) : 0))}</Fact>
            <Fact name="Signals stored">{integer(report.signals)}</Fact>
            <Fact name="Version">{report.version}</Fact>
            <Fact name="Role of this page">{callerText(caller)}</Fact>
            <Fact name="Log kept from">{info ? `entry ${integer(info.oldest)}` : NONE}</Fact>
          </dl>
        </div>
      )}
    </Panel>
  );
}

function feedName(feed: string): JSX.Element | string {
  return feed === "simulate" ? <span class="warn">simulate: made-up prices</span> : feed;
}

/** How far behind each step is: the market, the commit, this page. */
function Lags(): JSX.Element {
  const symbols = useSelect((state) => state.symbols);
  const health = useSelect((state) => state.health.value);
  const streamLag = useSelect((state) => state.streamLag);
  const connection = useSelect((state) => state.connection);
  const applied = useSelect((state) => state.applied);
  const clock = useSelect((state) => state.clock);
  const now = useNow();
  const serverNow = clock && now + offsetOf(clock);
  const wrong = clockText(clock);
  const bars = [...symbols.values()].flatMap((state) => (state.barCommitted === undefined ? [] : [state.barCommitted]));
  const newestBar = bars.length ? Math.max(...bars) : undefined;
  return (
    <Panel title="Lags" id="lags">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">Step</th>
            <th scope="col" class="right">Last</th>
            <th scope="col" class="right">Delay</th>
          </tr>
        </thead>
        <tbody>
          <Lag name="Feed" note="newest bar that was stored" last={newestBar} now={serverNow} />
          <Lag name="Commit" note="of the server that responded last" last={health?.lastCommit} now={serverNow} />
          <Lag name="Stream" note={`complete up to entry ${integer(Math.max(applied, connection.through))}`} last={connection.lastResponse} now={now} delay={streamLag} />
        </tbody>
      </table>
      <div class="body">
        <p class="note">The delay is that from the commit to this page, for the newest entry{clock && <>, to <span class="num">{counted(Math.ceil((clock.high - clock.low) / 2), "millisecond")}</span></>}.</p>
        {wrong && (
          <p class="note warn" role="status" data-clock>
            {wrong}
          </p>
        )}
      </div>
    </Panel>
  );
}

function Lag({ name, note, last, now, delay }: { name: string; note: string; last: number | undefined; now: number | undefined; delay?: number | undefined }): JSX.Element {
  return (
    <tr>
      <th scope="row">
        {name}
        <br />
        <small>{note}</small>
      </th>
      <td class="right num">{last === undefined || now === undefined ? NONE : ago(now - last)}</td>
      <td class="right num">{delay === undefined ? NONE : `${integer(delay)} ms`}</td>
    </tr>
  );
}

function SymbolTable(): JSX.Element {
  const health = useSelect((state) => state.health);
  const report = health.value;
  const { zone } = usePreferences().preferences;
  useNow();
  const known = useSelect((state) => isKnownNow(state.connection, state.health.at, Date.now()));
  const aside = report && (
    <span class="note">
      <AsOf known={known} at={health.at} /> {report.symbols.length < report.symbolCount ? `${report.symbols.length} of ${report.symbolCount}, those with a problem first` : `${report.symbolCount}`}
    </span>
  );
  return (
    <Panel title="Symbols of the server that responded" id="symbol-health" aside={aside}>
      {!report ? (
        health.state === "loading" ? <Skeleton rows={4} label="Loading symbols" /> : <Empty>Health cannot be read.</Empty>
      ) : !report.symbols.length ? (
        <Empty>No bar has come in yet.</Empty>
      ) : (
        <div class="scroll-x" role="region" aria-label="Table of symbols" tabIndex={0}>
          <table class="table">
            <thead>
              <tr>
                <th scope="col">Symbol</th>
                <th scope="col">Bars</th>
                <th scope="col">State</th>
                <th scope="col" class="right">Newest bar</th>
                <th scope="col" class="right">Missing in its session</th>
              </tr>
            </thead>
            <tbody>
              {report.symbols.map((symbol) => (
                <tr key={symbol.symbol}>
                  <th scope="row">
                    <a href={liveHash(symbol.symbol)}>{pair(symbol.symbol)}</a>
                  </th>
                  <td class="num">{symbol.interval}</td>
                  <td>{known ? stateOf(symbol) : <span class="quiet">unknown</span>}</td>
                  <td class="right num">{symbol.lastBarTime === undefined ? NONE : dayClock(symbol.lastBarTime, zone)}</td>
                  <td class={classes("right num", symbol.missingBars > 0 && "warn")}>{symbol.missingBars}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

function stateOf(symbol: SymbolHealth): JSX.Element {
  if (symbol.stale) return <span class="tag tag-warn">Old bars</span>;
  if (symbol.undecided) return <span class="tag tag-warn">Model is for another interval</span>;
  return <span class="quiet">in order</span>;
}

function Servers(): JSX.Element {
  const servers = useSelect((state) => state.servers);
  const failed = useSelect((state) => state.health.state === "failed");
  const { zone } = usePreferences().preferences;
  const now = useNow();
  const offset = useClockOffset();
  const current = useSelect((state) => isKnownNow(state.connection, state.health.at, Date.now()));
  return (
    <Panel title="Servers that have responded" id="servers" aside={<span class="note num">{servers.length || ""}</span>}>
      {!servers.length ? (
        failed ? <Empty>Health cannot be read.</Empty> : <Skeleton rows={1} label="Loading servers" />
      ) : (
        <div class="scroll-x" role="region" aria-label="Table of servers" tabIndex={0}>
          <table class="table">
            <thead>
              <tr>
                <th scope="col">Started</th>
                <th scope="col">Status</th>
                <th scope="col">Version</th>
                <th scope="col" class="right">Symbols</th>
                <th scope="col" class="right">Newest commit</th>
                <th scope="col" class="right">Response</th>
              </tr>
            </thead>
            <tbody>
              {servers.map((server) => (
                <tr key={server.started}>
                  <th scope="row" class="num">{dayClock(server.started, zone)}</th>
                  <Status server={server} current={current} now={now} />
                  <td class="num">{server.version}</td>
                  <td class="right num">{integer(server.symbols)}</td>
                  <td class="right num">{server.lastCommit === undefined ? NONE : ago(now + offset - server.lastCommit)}</td>
                  <td class="right num">{ago(now - server.responded)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

function Status({ server, current, now }: { server: Server; current: boolean; now: number }): JSX.Element {
  const { text, known } = statusOf(server, current, now);
  return <td class={known ? (server.status === "healthy" ? "" : "warn") : "quiet"}>{text}</td>;
}
