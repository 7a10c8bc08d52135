// Fastify + BullMQ: a plain webhook in Node with one debounced `add` per request. The job waits for the window, and each
// further message of the conversation replaces it and starts the window again (BullMQ's "debounce mode"). The job keeps
// only the last message, not the burst, so this is less work than our webhook does.
import Fastify from "fastify";
import { Queue } from "bullmq";
import { connection, WINDOW_MS } from "./common.mjs";

const queue = new Queue("flush", { connection: connection() });
const app = Fastify({ logger: false });

app.post("/webhooks/evolution", async (request, reply) => {
  if (request.headers.authorization !== "Bearer t") return reply.code(401).send({ error: "unauthorized" });
  const { instance, data } = request.body;
  const conversation = `${instance}-${data.key.remoteJid}`;
  const message = {
    message_id: data.key.id, timestamp_ms: data.messageTimestamp * 1000, kind: "text",
    text: data.message.conversation, sender_name: data.pushName,
  };
  await queue.add("flush", { conversation, messages: [message] }, {
    delay: WINDOW_MS,
    deduplication: { id: conversation, ttl: WINDOW_MS, extend: true, replace: true },
    removeOnComplete: true,
  });
  return { accepted: 1, duplicates: 0, ignored: 0 };
});

await queue.waitUntilReady();
await app.listen({ port: Number(process.argv[2]), host: "127.0.0.1" });
