import { Redis } from "ioredis";

export const WINDOW_MS = 8000;
const TEXTS = ["oi", "tudo bem?", "queria saber do pedido"];

export function connection() {
  // BullMQ requires a worker's connection to retry without limit. Auto pipelining is off: with it the webhook is a
  // third slower here, and the worker is no faster.
  return new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null });
}

export function burst(number, messages) {
  const person = String(number).padStart(8, "0");
  const conversation = { gateway: "evolution", channel: "loja", id: `55119${person}`, name: "Ana Souza" };
  const list = Array.from({ length: messages }, (_, i) => ({
    message_id: `3EB0${person}${String(i).padStart(10, "0")}`, timestamp_ms: 1749766101000 + i, kind: "text",
    text: TEXTS[i % TEXTS.length], sender_name: "Ana Souza",
  }));
  return { flush_id: `bull-${number}`, conversation, messages: list };
}
