// Follows GET /api/events by EventSource for as long as the page lives, each event exactly once.
//
//   const follower = follow("http://127.0.0.1:8003", {
//     bookmark: JSON.parse(localStorage.getItem("bookmark")),   // { epoch, sequence }; null: from now on
//     onEvent(event, bookmark) { ...; localStorage.setItem("bookmark", JSON.stringify(bookmark)); },
//     onNotice(what, detail) { console.log(what, detail); },    // "connected", "lost", "new epoch", "pruned"
//   });
//   follower.close();
//
// An EventSource left to itself comes back where it was, but it cannot see that the log is another one by then, gives up for
// good when it is refused, and waits for ever on a connection that is dead: hence a new one each time, after a look at `/`.
export function follow(service, { bookmark, onEvent, onNotice, heartbeatSeconds = 15 }) {
  let source, silence, again, closed = false, failures = 0;

  async function connect() {
    try {
      const info = await (await fetch(`${service}/`, { signal: AbortSignal.timeout(3000 * heartbeatSeconds) })).json();
      if (closed) return;
      bookmark ??= { epoch: info.epoch, sequence: Number(info.through_sequence) };
      if (info.epoch !== bookmark.epoch) {
        onNotice("new epoch", { old: bookmark, epoch: info.epoch });
        bookmark = { epoch: info.epoch, sequence: 0 };
      }
    } catch (error) {
      return lost(error);
    }
    const url = `${service}/api/events?resume_after=${bookmark.sequence}&heartbeat_seconds=${heartbeatSeconds}`;
    source = new EventSource(url);
    source.onopen = () => onNotice("connected", bookmark);
    source.onmessage = (message) => hear(JSON.parse(message.data));
    source.onerror = async () => {
      const refused = source.readyState === EventSource.CLOSED;   // it does not tell why; the same question by fetch does
      source.close();
      clearTimeout(silence);
      if (refused) await explain(url);
      lost("the stream broke off");
    };
    listen();
  }

  function hear(answer) {
    failures = 0;
    listen();
    for (const event of answer.events) {
      if (event.error) return lost(event.error.message);
      const sequence = Number(event.sequence);                    // 64-bit integers are strings in JSON
      if (event.heartbeat || sequence <= bookmark.sequence) continue;
      bookmark = { ...bookmark, sequence };
      onEvent(event, bookmark);
    }
    bookmark = { ...bookmark, sequence: Math.max(bookmark.sequence, Number(answer.through_sequence)) };
  }

  async function explain(url) {
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 3000 * heartbeatSeconds);
    try {
      const answer = await fetch(url, { signal: abort.signal });
      if (answer.ok) return abort.abort();                        // by now it would be taken
      const { reason, metadata } = (await answer.json()).details[0];
      if (reason === "SEQUENCE_PRUNED") {
        onNotice("pruned", { after: bookmark.sequence, oldest: Number(metadata.oldest_sequence) });
        bookmark = { ...bookmark, sequence: Number(metadata.oldest_sequence) - 1 };
      } else if (reason === "SEQUENCE_UNKNOWN") {
        onNotice("new epoch", { old: bookmark, epoch: metadata.epoch });
        bookmark = { epoch: metadata.epoch, sequence: 0 };
      }
    } catch {
      // it is away: it will be asked again
    }
  }

  function listen() {                                             // three heartbeats missed: the connection is dead
    clearTimeout(silence);
    silence = setTimeout(() => lost("silence"), 3000 * heartbeatSeconds);
  }

  function lost(why) {
    source?.close();
    clearTimeout(silence);
    clearTimeout(again);
    if (closed) return;
    const pause = Math.min(10_000, 250 * 2 ** failures++) * (0.5 + 0.5 * Math.random());
    onNotice("lost", { why: String(why), retryMs: pause });
    again = setTimeout(connect, pause);
  }

  connect();
  return {
    get bookmark() { return bookmark; },
    close() { closed = true; source?.close(); clearTimeout(silence); clearTimeout(again); },
  };
}
