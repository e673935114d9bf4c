// What a page needs of the client: a stream, a player, arrays. The three bundlers build it.
import { jsonCoder, MEDIA_TYPE, openStream } from "@objectstreaming/client";
import { AudioPlayer } from "@objectstreaming/client/audio";
import { ndarrayCoder } from "@objectstreaming/client/ndarray";

export async function ask(url, question) {
  const answers = [];
  for await (const { payload } of await openStream(url, { json: { question }, coder: jsonCoder() }))
    answers.push(payload);
  return answers;
}

export const parts = [MEDIA_TYPE, AudioPlayer, ndarrayCoder()];
