// Follows GET /api/events with EventSource for as long as the page lives, each event exactly once.
//
//   const follower = follow("http://127.0.0.1:8003", {
//     bookmark: JSON.parse(localStorage.getItem("bookmark")),   // { epoch, sequence }; null: new events only
//     onEvent(event, bookmark) {
//       if (event.signal && isValid(event.signal)) act(event.signal);
//       localStorage.setItem("bookmark", JSON.stringify(bookmark));
//     },
//     onNotice(what, detail) { console.log(what, detail); },    // "connected", "lost", "new epoch", "pruned"
//   });
//   follower.close();
//
// An EventSource resumes by itself, but it cannot see that the log has another epoch, closes for good after an error response,
// and waits for ever on a dead connection. So each connection has a new EventSource, after a request for the epoch at `/`.
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
    source.onmessage = (message) => receive(JSON.parse(message.data));
    source.onerror = async () => {
      const refused = source.readyState === EventSource.CLOSED;   // it hides the reason; the same request by fetch shows it
      source.close();
      clearTimeout(silence);
      if (refused) await explain(url);
      lost("the stream ended");
    };
    expectHeartbeat();
  }

  function receive(response) {
    failures = 0;
    expectHeartbeat();
    for (const event of response.events) {
      if (event.error) return lost(event.error.message);
      const sequence = Number(event.sequence);                    // 64-bit integers are strings in JSON
      if (event.heartbeat || sequence <= bookmark.sequence) continue;
      bookmark = { ...bookmark, sequence };
      onEvent(event, bookmark);
    }
    bookmark = { ...bookmark, sequence: Math.max(bookmark.sequence, Number(response.through_sequence)) };
  }

  async function explain(url) {
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 3000 * heartbeatSeconds);
    try {
      const response = await fetch(url, { signal: abort.signal });
      if (response.ok) return abort.abort();                      // the service accepts it by now
      const { reason, metadata } = (await response.json()).details[0];
      if (reason === "SEQUENCE_PRUNED") {
        onNotice("pruned", { after: bookmark.sequence, oldest: Number(metadata.oldest_sequence) });
        bookmark = { ...bookmark, sequence: Number(metadata.oldest_sequence) - 1 };
      } else if (reason === "SEQUENCE_UNKNOWN") {
        onNotice("new epoch", { old: bookmark, epoch: metadata.epoch });
        bookmark = { epoch: metadata.epoch, sequence: 0 };
      }
    } catch {
      // the service is down: connect() retries
    }
  }

  function expectHeartbeat() {                                    // three heartbeats missed: the connection is dead
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

// Whether a signal may still be acted on: after an outage all that were missed come, and most of them are over. A market that
// is simulated or replayed has its own time: pass the close of its newest bar.
export function isValid(signal, now = Date.now()) {
  return signal.valid_until !== undefined && now < Date.parse(signal.valid_until);
}
