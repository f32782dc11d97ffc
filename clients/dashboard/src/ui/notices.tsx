/** What nobody may miss about everything on the page: simulated prices, a placeholder, halted trading, no storage. */

import type { JSX } from "preact";
import { useEffect } from "preact/hooks";

import { useSelect } from "../data/store";
import { capital } from "../model/format";
import type { Health, ServiceInfo, TradingControl } from "../model/types";

interface Notice {
  readonly tone: "warn" | "bad" | "halt";
  readonly label: string;
  readonly text: string;
}

export function noticesOf(info: ServiceInfo | undefined, health: Health | undefined, control: TradingControl | undefined): readonly Notice[] {
  const notices: Notice[] = [];
  if (control?.halted) {
    notices.push({ tone: "halt", label: "TRADING HALTED", text: `${control.reason || "By hand"}${control.by && `, by ${control.by}`}. Signals go on, no position is opened.` });
  }
  else if (health?.tradingHalted) {
    notices.push({ tone: "halt", label: "TRADING HALTED", text: `${capital(health.tradingHaltReason)}. Signals go on, no position is opened.` });
  }
  if (health && (!health.databaseConnected || health.status === "unhealthy")) {
    notices.push({ tone: "bad", label: "Not storing", text: "The database does not respond, so no signal is made." });
  }
  if (health && !health.modelLoaded) {
    notices.push({ tone: "warn", label: "Placeholder model", text: "Decisions are made up, for trying things out. Not for trading." });
  }
  if (info?.feed === "simulate") {
    notices.push({ tone: "warn", label: "Simulated market", text: "Prices are made up. Not for trading." });
  }
  return notices;
}

/** Begin the title of the page, which is also seen of a page that is not in sight, with what matters most. */
function useTitle(halted: boolean): void {
  useEffect(() => {
    document.title = halted ? "HALTED · Trading Signals" : "Trading Signals";
  }, [halted]);
}

export function Notices(): JSX.Element {
  const info = useSelect((state) => state.info.value);
  const health = useSelect((state) => state.health.value);
  const control = useSelect((state) => state.control);
  const notices = noticesOf(info, health, control);
  useTitle(notices.some((notice) => notice.tone === "halt"));
  return (
    <div class="notices" role="status">
      {notices.map((notice) => (
        <p key={notice.label} class={`notice notice-${notice.tone}`}>
          <strong>{notice.label}</strong> <span>{notice.text}</span>
        </p>
      ))}
    </div>
  );
}
