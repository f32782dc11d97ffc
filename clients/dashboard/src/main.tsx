import { render } from "preact";
import { AccessDenied, type Client } from "trading-signals-client";
import { createClient } from "trading-signals-client/web";

import { App } from "./app";
import { apiKey, keepApiKey } from "./data/credentials";
import { sentenceOf } from "./data/gateway";
import { Session } from "./data/session";
import { Store } from "./data/store";
import { parseRoute } from "./model/route";
import { KeyForm } from "./ui/key-form";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/live.css";

const root = document.getElementById("app")!;
let key = apiKey();
const client = createClient({ apiKey: () => key });
const denied = await denialOf(client);
if (denied) render(<KeyForm problem={key ? denied : ""} onKey={tryKey} />, root);
else open();

/** Try a key, and open the page with it; returns why it is not accepted. */
async function tryKey(text: string): Promise<string> {
  key = text;
  const why = await denialOf(client);
  if (why) return why;
  keepApiKey(key);
  open();
  return "";
}

/** Why the service does not let the page in; "" if it does, or cannot be reached, which the page itself shows. */
async function denialOf(client: Client): Promise<string> {
  try {
    await client.system.getServiceInfo({});
  } catch (error) {
    if (error instanceof AccessDenied) return sentenceOf(error);
  }
  return "";
}

function open(): void {
  const store = new Store();
  const session = new Session(store, client);
  session.start(parseRoute(location.hash).symbol);
  render(null, root);
  render(<App store={store} session={session} />, root);
}
