/**
 * The page of the reference app. It is built into one file, objectstreaming/app/page.html, by `make page`.
 *
 * The state of the page is `data-state` of the body: `asking` until the answer is whole, then `done`, `failed` or `stopped`.
 */

import { AudioPlayer, type ChatSource, streamChat } from "../src/audio/index.js";
import { StreamError } from "../src/errors.js";
import { AnswerText } from "./answer.js";
import { at } from "./elements.js";

const form = at("form", HTMLFormElement);
const question = at("question", HTMLInputElement);
const stop = at("stop", HTMLButtonElement);
const sound = at("sound", HTMLButtonElement);
const unlock = at("unlock", HTMLButtonElement);
const voice = at("voice", HTMLSelectElement);
const speed = at("speed", HTMLSelectElement);
const transport = at("transport", HTMLSelectElement);

const player = new AudioPlayer();
const answer = new AnswerText(at("answer", HTMLElement));
let source: ChatSource | undefined;

function tell(state: "asking" | "done" | "failed" | "stopped", text: string): void {
  document.body.dataset["state"] = state;
  at("status", HTMLElement).textContent = text;
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;
const isHeard = () => sound.ariaPressed === "true";

function ask(message: string): void {
  source?.close();
  player.flush();
  if (isHeard()) player.unlock(); // at once: a browser wants it in the handler of the click
  const began = performance.now();
  let frames = 0;
  let spoken = 0;
  const kind = transport.value === "sse" ? ("sse" as const) : ("frames" as const);
  tell("asking", "…");
  at("asked", HTMLElement).textContent = message;
  at("asked", HTMLElement).hidden = false;
  stop.disabled = false;
  answer.begin(!isHeard() || kind === "sse");
  source = streamChat(
    message,
    {
      onText: (text) => {
        frames++;
        answer.add(text);
      },
      onSound: ({ sentence, text, pcm, rate, channels }) => {
        frames++;
        spoken += pcm.length / channels / rate;
        if (text !== undefined) answer.sentence(sentence, text);
      },
      onComplete: () => {
        answer.end();
        const whole = `Whole after ${seconds(performance.now() - began)}: ${frames} ${kind === "sse" ? "events" : "frames"}`;
        tell("done", `${whole}, ${spoken.toFixed(1)} s of speech`);
        void player.heard().then(silent);
      },
      onError: (error) => {
        answer.end();
        tell("failed", reasonOf(error));
        void player.heard().then(silent);
      },
    },
    {
      url: "api/chat/stream",
      transport: kind,
      player,
      audio: isHeard(),
      voice: voice.value || undefined,
      speed: Number(speed.value),
    },
  );
}

/** What a person should know of an error. */
function reasonOf(error: unknown): string {
  if (error instanceof StreamError && error.rawMessage) return error.rawMessage;
  return error instanceof Error ? error.message : String(error);
}

function silence(): void {
  source?.close();
  player.flush();
  answer.end();
  if (document.body.dataset["state"] === "asking") tell("stopped", "Stopped");
  silent();
}

/** Nothing is left to stop. */
function silent(): void {
  if (document.body.dataset["state"] === "asking") return;
  if (document.activeElement === stop) question.focus();
  stop.disabled = true;
}

player.onchange = () => {
  answer.hear(player.playing);
  unlock.hidden = !(player.locked && player.buffered > 0);
};

form.addEventListener("submit", (event) => {
  event.preventDefault();
  ask(question.value.trim());
});
stop.addEventListener("click", silence);
document.addEventListener("keydown", ({ key }) => {
  if (key === "Escape" && !stop.disabled) silence();
});
sound.addEventListener("click", () => {
  sound.ariaPressed = String(!isHeard());
  player.muted = !isHeard();
});
unlock.addEventListener("click", () => player.unlock());

interface Voices {
  voices: { name: string; language: string; gender: string }[];
  default: string | null;
  speed: [number, number];
}

async function listVoices(): Promise<void> {
  const response = await fetch("api/chat/voices");
  if (!response.ok) return;
  const known = (await response.json()) as Voices;
  for (const { name, language, gender } of known.voices) {
    voice.add(new Option(`${name} (${[language, gender].filter(Boolean).join(", ")})`, name, name === known.default));
  }
  at("voices", HTMLElement).hidden = at("speeds", HTMLElement).hidden = known.voices.length === 0;
}

void listVoices();
