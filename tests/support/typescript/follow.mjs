/**
 * Follows the log and prints what the follower yields and reports, one JSON object a line.
 *
 * node follow.mjs ADDRESS PROTOCOL METHOD OPTIONS
 */
import { TradingSignalsError } from "trading-signals-client";
import { createClient } from "trading-signals-client/node";

const [address, protocol, method, options] = process.argv.slice(2);
const print = (value) => process.stdout.write(`${JSON.stringify(value, (_, each) => (typeof each === "bigint" ? Number(each) : each))}\n`);

const client = createClient({ baseUrl: `http://${address}`, protocol });
const onNotice = ({ kind, sequence, oldEpoch, epoch, oldestSequence }) => print({ notice: kind, sequence, oldEpoch, epoch, oldestSequence });
try {
  const follower = client[method]({}, { resumeAfter: 0, backoff: { firstMs: 50, maxMs: 500 }, onNotice, ...JSON.parse(options) });
  for await (const { sequence } of follower) print({ sequence });
} catch (error) {
  if (!(error instanceof TradingSignalsError)) throw error;
  const { name, code, reason, metadata, sequence, oldEpoch, epoch, oldestSequence } = error;
  print({ error: name, code, reason, metadata, sequence, oldEpoch, epoch, oldestSequence });
}
client.close();
