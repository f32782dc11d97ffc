import { render } from "preact";
import { createBareClient } from "trading-signals-client/web";

import { App } from "./app";
import { apiKey } from "./data/credentials";
import { Session } from "./data/session";
import { Store } from "./data/store";
import { parseRoute } from "./model/route";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/live.css";

const store = new Store();
const session = new Session(store, createBareClient({ apiKey }), parseRoute(location.hash).symbol);
session.start();
render(<App store={store} session={session} />, document.getElementById("app")!);
