// fill.mjs <how many> <messages in each> <delayed|due>: jobs as a webhook would have left them.
import { Queue } from "bullmq";
import { burst, connection } from "./common.mjs";

const [count, messages, kind] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4]];
const LOT = 1000;
const HOUR_MS = 3600_000;
const redis = connection();
const queue = new Queue("flush", { connection: redis });

function options(data) {
  if (kind === "due") return { removeOnComplete: true };
  return {
    delay: HOUR_MS, removeOnComplete: true,
    deduplication: { id: `loja-${data.conversation.id}`, ttl: HOUR_MS, extend: true, replace: true },
  };
}

for (let from = 0; from < count; from += LOT) {
  const lot = [];
  for (let number = from; number < Math.min(count, from + LOT); number++) {
    const data = burst(number, messages);
    lot.push({ name: "flush", data, opts: options(data) });
  }
  await queue.addBulk(lot);
}
await queue.close();
redis.disconnect();
