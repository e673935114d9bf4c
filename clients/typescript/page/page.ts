/**
 * The page of the reference app. It is built into one file, objectstreaming/app/page.html, by `make page`.
 *
 * The state of the page is `data-state` of the body: `asking` until the answer is whole, then `done`, `failed` or `stopped`.
 */

import { AudioPlayer, type ChatCallbacks, type ChatOptions, type ChatSource, streamChat } from "../src/audio/index.js";
import { AnswerText } from "./answer.js";
import { broken, READERS } from "./broken.js";
import { at, reasonOf } from "./elements.js";
import { decodingTime, type Figures, FiguresTable, type Transport, TRANSPORTS } from "./figures.js";
import { FrameList } from "./frame-list.js";
import { Recording } from "./recording.js";
import { Waveform } from "./waveform.js";

const form = at("form", HTMLFormElement);
const question = at("question", HTMLInputElement);
const stop = at("stop", HTMLButtonElement);
const sound = at("sound", HTMLButtonElement);
const unlock = at("unlock", HTMLButtonElement);
const voice = at("voice", HTMLSelectElement);
const speed = at("speed", HTMLSelectElement);
const transport = at("transport", HTMLSelectElement);
const reading = at("reading", HTMLSelectElement);
const cut = at("cut", HTMLButtonElement);
const compareButton = at("compare", HTMLButtonElement);
const breakButton = at("break", HTMLButtonElement);

const player = new AudioPlayer();
const answer = new AnswerText(at("answer", HTMLElement));
const waveform = new Waveform(at("canvas", HTMLCanvasElement), at("mark", HTMLElement));
const list = new FrameList();
const table = new FiguresTable();
let source: ChatSource | undefined;
let asked = "";
let heardBefore = 0; // seconds that the player had played before this answer
let following = false;

function tell(state: "asking" | "done" | "failed" | "stopped", text: string): void {
  document.body.dataset["state"] = state;
  at("status", HTMLElement).textContent = text;
}

const isHeard = () => sound.ariaPressed === "true";

const readingRate = () => 1000 * Number(reading.value) || Infinity; // bits a second

const CUT_AFTER = 20_000; // bytes
const UNITS: Record<Transport, string> = { frames: "frames", sse: "events", jsonlines: "lines" };

interface Run {
  readonly recording: Recording;
  readonly figures: Figures;
  readonly transport: Transport;
  /** The number of frames, or events, that were told. */
  frames: number;
  spoken: number;
}

/** Asks, and notes what the answer costs. `told` are the callbacks; they are called after the notes. */
function streamed(
  message: string,
  transport: Transport,
  told: ChatCallbacks,
  options: ChatOptions,
  cutAfter?: number,
): [ChatSource, Run] {
  const began = performance.now();
  const recording = new Recording(readingRate, cutAfter);
  const run: Run = { recording, figures: { bytes: 0 }, transport, frames: 0, spoken: 0 };
  const { figures } = run;
  const source = streamChat(
    message,
    {
      ...told,
      onText: (text) => {
        run.frames++;
        figures.firstText ??= performance.now() - began;
        told.onText?.(text);
      },
      onSound: (piece) => {
        run.frames++;
        run.spoken += piece.pcm.length / piece.channels / piece.rate;
        figures.lastSound = performance.now() - began;
        figures.firstSound ??= figures.lastSound;
        told.onSound?.(piece);
      },
    },
    {
      url: "api/chat/stream",
      transport,
      fetch: recording.fetch,
      voice: voice.value || undefined,
      ...options,
    },
  );
  return [source, run];
}

async function showFigures({ recording, figures, transport }: Run): Promise<void> {
  figures.bytes = recording.bytes;
  figures.decoding = await decodingTime(recording, transport);
  table.show(transport, figures);
}

function ask(message: string): void {
  source?.close();
  player.flush();
  if (isHeard()) player.unlock(); // at once: a browser wants it in the handler of the click
  const began = performance.now();
  const since = () => Math.max(1, performance.now() - began); // the clock of some browsers ticks in whole milliseconds
  const chosen = TRANSPORTS.find((each) => each === transport.value) ?? "frames";
  const lateBefore = player.underruns;
  heardBefore = player.position;
  asked = message;
  tell("asking", "…");
  at("asked", HTMLElement).textContent = message;
  at("asked", HTMLElement).hidden = false;
  stop.disabled = false;
  answer.begin(!isHeard() || chosen === "sse");
  waveform.begin();
  list.begin();
  at("sounding", HTMLElement).hidden = false;
  /** A frame has come. */
  const note = (kind: string, bytes: number, heard?: number) => {
    waveform.arrived(run.frames, since() / 1000, heard === undefined);
    list.add(run.frames, since(), kind, bytes, heard);
    const read = run.recording.bytes;
    at("read", HTMLElement).textContent =
      `${read.toLocaleString("en")} bytes read, ${((8 * read) / since()).toFixed(0)} kbit/s`;
  };
  const ended = () => {
    answer.end();
    void player.heard().then(silent);
  };
  const [started, run] = streamed(
    message,
    chosen,
    {
      onText: (text) => {
        answer.add(text);
        note("text", new TextEncoder().encode(text).length);
      },
      onSound: ({ sentence, text, pcm, rate, channels }) => {
        if (text !== undefined) answer.sentence(sentence, text);
        waveform.add(run.frames, pcm, rate, channels);
        note(`sound, ${sentence}`, pcm.byteLength, run.spoken - pcm.length / channels / rate);
        follow();
      },
      onComplete: () => {
        let many = `${run.frames} ${UNITS[chosen]}`;
        if (run.recording.parts > 1) many += ", cut and resumed: none is lost, none came twice";
        tell("done", `Whole after ${(since() / 1000).toFixed(2)} s: ${many}, ${run.spoken.toFixed(1)} s of speech`);
        run.figures.underruns = player.underruns - lateBefore;
        void showFigures(run);
        ended();
      },
      onError: (error) => {
        tell("failed", reasonOf(error));
        ended();
      },
    },
    { player, audio: isHeard(), resume: chosen === "frames" },
    cut.ariaPressed === "true" ? CUT_AFTER : undefined,
  );
  source = started;
}

/** Moves the mark along the wave while something is heard. */
function follow(): void {
  if (following) return;
  following = true;
  requestAnimationFrame(function move() {
    waveform.mark(player.position - heardBefore);
    following = player.buffered > 0;
    if (following) requestAnimationFrame(move);
  });
}

/** Asks again, in each way, without playing the sound. */
async function compare(): Promise<void> {
  compareButton.disabled = true;
  for (const way of TRANSPORTS) {
    const [each, run] = streamed(asked, way, {}, {});
    if (await each.done.catch(() => undefined)) await showFigures(run);
  }
  compareButton.disabled = false;
}

/** Shows what each reader says of an answer that breaks. */
async function breakAnswers(): Promise<void> {
  breakButton.disabled = true;
  const results = at("broken", HTMLElement);
  results.replaceChildren();
  for (const [how, words] of [
    ["killed", "Worker killed"],
    ["ended", "Ended by a proxy"],
  ] as const) {
    for (const [name, read] of READERS) {
      const title = document.createElement("dt");
      const said = document.createElement("dd");
      title.textContent = `${words} · ${name}`;
      said.textContent = await broken(how, asked || "What is a frame?", read);
      said.classList.toggle("wrong", said.textContent.startsWith("No error"));
      results.append(title, said);
    }
  }
  breakButton.disabled = false;
}

function silence(): void {
  // What is kept goes on without its reader, for who may come back.
  if (source?.place && document.body.dataset["state"] === "asking") void fetch(source.place.url, { method: "DELETE" });
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
cut.addEventListener("click", () => {
  cut.ariaPressed = String(cut.ariaPressed !== "true");
});
// The player's speed and not the voice's: it changes what is being heard, and the same sound is compared and cached.
speed.addEventListener("change", () => {
  player.speed = Number(speed.value);
});
unlock.addEventListener("click", () => player.unlock());
compareButton.addEventListener("click", () => void compare());
breakButton.addEventListener("click", () => void breakAnswers());

interface Voices {
  voices: { name: string; language: string; gender: string }[];
  default: string | null;
}

async function listVoices(): Promise<void> {
  const response = await fetch("api/chat/voices");
  if (!response.ok) return;
  const known = (await response.json()) as Voices;
  for (const { name, language, gender } of known.voices) {
    const about = [language, gender].filter((word) => word && word !== name).join(", ");
    voice.add(new Option(about ? `${name} (${about})` : name, name, name === known.default));
  }
  at("voices", HTMLElement).hidden = known.voices.length === 0;
}

/** Answers can be broken only where the server does that on purpose: in the demo. */
async function offerFaults(): Promise<void> {
  const health = (await (await fetch("health")).json()) as { faults?: boolean };
  at("breaking", HTMLElement).hidden = health.faults !== true;
}

void listVoices();
void offerFaults();
