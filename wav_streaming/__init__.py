"""Frames of speech: `TALAudio` and its coder, PCM and WAV, sentences, engines that speak and listen.

>>> from wav_streaming import TALAudio, tal_decoder, tal_encoder
>>> (header, pcm), rest = tal_decoder(tal_encoder(TALAudio(answer="Good morning."), bytes(320)))
>>> header["answer"], len(pcm), rest
('Good morning.', 320, b'')
"""

from .tal import TALAudio, TALCoder, tal_decoder, tal_encoder

__all__ = ["TALAudio", "TALCoder", "tal_decoder", "tal_encoder"]
