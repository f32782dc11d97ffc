/** The page: header, what is wrong, and the view of the address. */

import type { ComponentType, JSX } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";

import { ActionsContext } from "./data/actions";
import { useLazy } from "./data/lazy";
import { loadPreferences, PreferencesContext, savePreferences } from "./data/preferences";
import type { Session } from "./data/session";
import { StoreContext, useSelect, type Store } from "./data/store";
import type { Preferences } from "./model/preferences";
import { parseRoute, VIEW_NAMES, type Route } from "./model/route";
import { Announcer } from "./ui/announcer";
import { ConnectionStrip, DeadMansSwitch } from "./ui/connection";
import { useFocusKept } from "./ui/focus";
import { Header } from "./ui/header";
import { KeyForm } from "./ui/key-form";
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
        <ActionsContext.Provider value={session.actions}>
          <Page route={route} />
        </ActionsContext.Provider>
      </PreferencesContext.Provider>
    </StoreContext.Provider>
  );
}

function Page({ route }: { route: Route }): JSX.Element {
  useFocusKept();
  const denied = useSelect((state) => state.connection.phase === "denied");
  const connected = useSelect((state) => state.connection.phase === "live");
  useEffect(() => {
    if (connected) void Promise.allSettled([loadTrust(), loadState()]); // an outage may come before one looks at them
  }, [connected]);
  if (denied) return <KeyForm />;
  return (
    <>
      <a class="skip" href="#main">
        Skip to the view
      </a>
      <Header view={route.view} />
      <Notices />
      <ConnectionStrip />
      <DeadMansSwitch class="stopped-strip" text="This page is not responding. What it shows is old." />
      {route.unknown && <UnknownAddress route={route} />}
      <main id="main" tabIndex={-1} class={`view view-${route.view}`}>
        <h1 class="visually-hidden">{VIEW_NAMES[route.view]}</h1>
        {route.view === "live" && <Live />}
        {route.view === "trust" && <Later load={loadTrust} name={VIEW_NAMES.trust} route={route} />}
        {route.view === "state" && <Later load={loadState} name={VIEW_NAMES.state} route={route} />}
      </main>
      <Announcer />
    </>
  );
}

function UnknownAddress({ route }: { route: Route }): JSX.Element {
  return (
    <p class="strip" role="status">
      This page has no <span class="wrap">“{route.unknown}”</span>. <a href={`#/${route.view}`}>Go to {VIEW_NAMES[route.view]}</a>
    </p>
  );
}

function useRoute(session: Session): Route {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const changed = (): void => {
      if (location.hash === "#main") return;
      const next = parseRoute(location.hash);
      if (next.symbol) session.lists.select(next.symbol);
      else if (next.view === "live") session.lists.leaveUnknown();
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

/** A view whose script is loaded after the first view. */
function Later({ load, name, route }: { load: () => Promise<ViewModule>; name: string; route: Route }): JSX.Element {
  const { loaded, failed } = useLazy(load);
  if (failed) return <Failed error={`${name} could not be loaded. It is loaded when the service responds again.`} />;
  return loaded ? <loaded.default route={route} /> : <Skeleton rows={6} label={`Loading ${name}`} />;
}
