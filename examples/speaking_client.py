"""Ask the reference server (`objectstreaming serve`) and save what it says: python examples/speaking_client.py why"""

import sys
import wave

import httpx

from objectstreaming.client import open_stream
from wav_streaming import TALAudio, TALCoder

question = " ".join(sys.argv[1:]) or "What is a frame?"
url, coder = "http://127.0.0.1:8000/wav", TALCoder()
body = coder.encode(TALAudio(question=question), b"")
headers = {"Content-Type": "application/octet-stream"}
with (
    httpx.Client() as http,
    wave.open("answer.wav", "wb") as file,
    open_stream(http, "POST", url, coder=coder, content=body, headers=headers) as stream,
):
    for tal, pcm in stream:
        if tal.sign == 1:
            file.setparams((tal.channels, tal.bitDepth // 8, tal.sampleRate, 0, "NONE", ""))
        print(tal.answer)
        file.writeframesraw(pcm)
