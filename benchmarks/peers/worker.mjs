// worker.mjs <address of the agent>: BullMQ's worker with 200 jobs at once. Each job is one POST to the agent.
import { Worker } from "bullmq";
import { Pool } from "undici";
import { connection } from "./common.mjs";

const CONCURRENCY = 200;
const agent = new Pool(process.argv[2], { connections: CONCURRENCY });

async function flush(job) {
  const { flush_id, conversation, messages } = job.data;
  const text = messages.map((message) => message.text).join("\n");
  const { statusCode, body } = await agent.request({
    path: "/", method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": flush_id },
    body: JSON.stringify({ flush_id, reason: "quiet", conversation, text, messages }),
  });
  await body.dump();
  if (statusCode !== 204) throw new Error(`the agent answered ${statusCode}`);
}

new Worker("flush", flush, { connection: connection(), concurrency: CONCURRENCY });
