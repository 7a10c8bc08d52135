// fill.mjs <jobs> <messages in each> <delayed|due>: add jobs to the queue, as a webhook would.
import { Queue } from "bullmq";
import { burst, connection } from "./common.mjs";

const [count, messages, kind] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4]];
const JOBS_PER_CALL = 1000;
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

for (let from = 0; from < count; from += JOBS_PER_CALL) {
  const jobs = [];
  for (let number = from; number < Math.min(count, from + JOBS_PER_CALL); number++) {
    const data = burst(number, messages);
    jobs.push({ name: "flush", data, opts: options(data) });
  }
  await queue.addBulk(jobs);
}
await queue.close();
redis.disconnect();
