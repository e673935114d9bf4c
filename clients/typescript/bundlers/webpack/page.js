import { ask, parts } from "../client.js";

document.title = parts.join();
globalThis.ask = ask;
