import { Redis } from "ioredis";

export const WINDOW_MS = 8000;

export function connection() {
  // BullMQ wants no limit of retries for a worker; auto pipelining is the faster choice here.
  return new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null, enableAutoPipelining: true });
}

export function burst(number, messages) {
  const person = String(number).padStart(8, "0");
  const conversation = { gateway: "evolution", channel: "loja", id: `55119${person}`, name: "Ana Souza" };
  const list = Array.from({ length: messages }, (_, i) => ({
    message_id: `3EB0${person}${String(i).padStart(10, "0")}`, timestamp_ms: 1749766101000 + i, kind: "text",
    text: "queria saber do pedido", sender_name: "Ana Souza",
  }));
  return { flush_id: `bull-${number}`, conversation, messages: list };
}
