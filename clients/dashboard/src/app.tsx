/** The page: header, what is wrong, and the view of the address. */

import type { ComponentType, JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";

import { ActionsContext } from "./data/actions";
import { loadPreferences, PreferencesContext, savePreferences } from "./data/preferences";
import type { Session } from "./data/session";
import { StoreContext, type Store } from "./data/store";
import type { Preferences } from "./model/preferences";
import { parseRoute, type Route } from "./model/route";
import { Announcer } from "./ui/announcer";
import { ConnectionStrip, DeadMansSwitch } from "./ui/connection";
import { Header } from "./ui/header";
import { Notices } from "./ui/notices";
import { Failed, Skeleton } from "./ui/parts";
import { Live } from "./views/live";

export function App({ store, session }: { store: Store; session: Session }): JSX.Element {
  const [preferences, setPreferences] = useState<Preferences>(loadPreferences);
  const route = useRoute(session);
  const value = useMemo(() => {
    const change = (changes: Partial<Preferences>): void =>
      setPreferences((before) => {
        const next = { ...before, ...changes };
        savePreferences(next);
        return next;
      });
    return { preferences, change };
  }, [preferences]);
  useEffect(() => {
    const root = document.documentElement;
    if (preferences.theme === "auto") delete root.dataset["theme"];
    else root.dataset["theme"] = preferences.theme;
  }, [preferences.theme]);
  return (
    <StoreContext.Provider value={store}>
      <PreferencesContext.Provider value={value}>
        <ActionsContext.Provider value={session}>
          <a class="skip" href="#main">
            Skip to the view
          </a>
          <Header view={route.view} />
          <Notices />
          <ConnectionStrip />
          <DeadMansSwitch class="stopped-strip" text="This page is not responding. What it shows is old." />
          <main id="main" tabIndex={-1} class={`view view-${route.view}`}>
            {route.view === "live" && <Live />}
            {route.view === "trust" && <Later load={loadTrust} name="Trust" route={route} />}
            {route.view === "state" && <Later load={loadState} name="State" route={route} />}
          </main>
          <Announcer />
        </ActionsContext.Provider>
      </PreferencesContext.Provider>
    </StoreContext.Provider>
  );
}

function useRoute(session: Session): Route {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const changed = (): void => {
      if (location.hash === "#main") return;
      const next = parseRoute(location.hash);
      if (next.symbol) session.select(next.symbol);
      setRoute(next);
    };
    window.addEventListener("hashchange", changed);
    return () => window.removeEventListener("hashchange", changed);
  }, [session]);
  return route;
}

type ViewModule = { readonly default: ComponentType<{ route: Route }> };
const loadTrust = (): Promise<ViewModule> => import("./views/trust");
const loadState = (): Promise<ViewModule> => import("./views/state");

/** A view whose script is loaded when it is first looked at. */
function Later({ load, name, route }: { load: () => Promise<ViewModule>; name: string; route: Route }): JSX.Element {
  const [view, setView] = useState<{ component?: ViewModule["default"]; error?: string }>({});
  const begin = (): void => {
    setView({});
    load().then(
      (module) => setView({ component: module.default }),
      () => setView({ error: `The view could not be loaded.` }),
    );
  };
  useEffect(begin, [load]);
  if (view.error) return <Failed error={view.error} retry={begin} />;
  const Component = view.component;
  return Component ? <Component route={route} /> : <Skeleton rows={6} label={`Loading ${name}`} />;
}
