// node read.mjs: answers each line {"reader", "url"} with a line of what that reader has read there:
// {"text", "objects", "sounds", "metadata", "error"}.
import { createInterface } from "node:readline";
import { AbstractChat, DefaultChatTransport, streamText } from "ai";
import OpenAI from "openai";

const question = { model: "any", messages: [{ role: "user", content: "Why?" }] };

/** What `useChat` is made of. */
class Chat extends AbstractChat {
  constructor(options) {
    const state = {
      status: "ready",
      error: undefined,
      messages: [],
      pushMessage: (message) => (state.messages = [...state.messages, message]),
      popMessage: () => (state.messages = state.messages.slice(0, -1)),
      replaceMessage: (index, message) => (state.messages = state.messages.with(index, message)),
      snapshot: (value) => structuredClone(value),
    };
    super({ ...options, state });
  }
}

async function ai(url) {
  const seen = { text: "", objects: [], sounds: [], metadata: null, error: null };
  const chat = new Chat({
    transport: new DefaultChatTransport({ api: url }),
    onData: (part) => part.type === "data-audio" && seen.sounds.push(part.data.url.split(",")[1]),
  });
  await chat.sendMessage({ text: "Why?" });
  const answer = chat.messages.find((message) => message.role === "assistant");
  for (const part of answer?.parts ?? []) {
    if (part.type === "text") seen.text += part.text;
    else if (part.type.startsWith("data-")) seen.objects.push([part.type, part.data]);
  }
  seen.metadata = answer?.metadata ?? null;
  if (chat.status !== "ready") seen.error = { message: chat.error.message };
  return seen;
}

const textOf = (chat) => {
  const parts = chat.messages.find((message) => message.role === "assistant")?.parts ?? [];
  return parts.map((part) => part.text ?? "").join("");
};

/** Leaves the answer in the middle, and reads it in another chat, as a page does after a reload. */
async function ai_resumed(url) {
  let place;
  const keeping = async (...request) => {
    const response = await fetch(...request);
    place = response.headers.get("Content-Location");
    return response;
  };
  const first = new Chat({ transport: new DefaultChatTransport({ api: url, fetch: keeping }) });
  const sent = first.sendMessage({ text: "Why?" });
  while (textOf(first) === "") await new Promise((resolve) => setTimeout(resolve, 2));
  const before = textOf(first);
  await first.stop();
  await sent;
  const second = new Chat({
    transport: new DefaultChatTransport({
      prepareReconnectToStreamRequest: () => ({
        api: new URL(place, url).href,
        headers: { Accept: "text/event-stream" },
      }),
    }),
  });
  await second.resumeStream();
  return { before, text: textOf(second), error: second.error?.message ?? null };
}

function failure(error) {
  const { status = null, code = null, message } = error;
  return { kind: error.constructor.name, status, code, message };
}

async function openai(url) {
  const seen = { text: "", objects: [], sounds: [], metadata: null, error: null };
  const client = new OpenAI({ apiKey: "-", baseURL: url, maxRetries: 0 });
  try {
    for await (const chunk of await client.chat.completions.create({ ...question, stream: true })) {
      const { delta } = chunk.choices[0];
      seen.text += delta.content ?? "";
      if (delta.audio) seen.sounds.push(delta.audio.data);
      if (chunk.data) seen.objects.push(...Object.entries(chunk.data));
      if (chunk.trailers) seen.metadata = chunk.trailers;
    }
  } catch (error) {
    seen.error = failure(error);
  }
  return seen;
}

/** The helper that puts the chunks together. */
async function openai_helper(url) {
  const client = new OpenAI({ apiKey: "-", baseURL: url, maxRetries: 0 });
  try {
    return { text: await client.chat.completions.stream(question).finalContent(), error: null };
  } catch (error) {
    return { text: null, error: failure(error) };
  }
}

async function openai_whole(url) {
  const client = new OpenAI({ apiKey: "-", baseURL: url, maxRetries: 0 });
  try {
    const { choices } = await client.chat.completions.create(question);
    return { text: choices[0].message.content, error: null };
  } catch (error) {
    return { text: null, error: failure(error) };
  }
}

/** The AI SDK as a client of OpenAI. */
async function ai_openai(url) {
  const { createOpenAI } = await import("@ai-sdk/openai"); // only `make packages-peers` installs it
  const seen = { text: "", error: null };
  const model = createOpenAI({ apiKey: "-", baseURL: url }).chat("any");
  const answer = streamText({ model, prompt: "Why?", maxRetries: 0, onError: () => {} });
  try {
    for await (const part of answer.fullStream) {
      if (part.type === "text-delta") seen.text += part.text;
      else if (part.type === "error") seen.error ??= failure(part.error);
    }
  } catch (error) {
    seen.error ??= failure(error);
  }
  return seen;
}

const readers = { ai, ai_resumed, openai, openai_helper, openai_whole, ai_openai };
for await (const line of createInterface({ input: process.stdin })) {
  const { reader, url } = JSON.parse(line);
  console.log(JSON.stringify(await readers[reader](url)));
}
