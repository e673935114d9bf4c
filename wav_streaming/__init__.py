"""Frames of speech: `TALAudio` and its coder, PCM and WAV, sentences, synthesizers and recognizers.

Start with `tal`. An engine in `synthesizers` or `recognizers` imports what it needs when it is used.

>>> from wav_streaming import TALAudio, tal_decoder, tal_encoder
>>> (header, pcm), rest = tal_decoder(tal_encoder(TALAudio(answer="Good morning."), bytes(320)))
>>> header["answer"], len(pcm), rest
('Good morning.', 320, b'')
"""

from .chunking import Pacing
from .g711 import alaw_to_pcm, mulaw_to_pcm, pcm_to_alaw, pcm_to_mulaw
from .pcm import PcmSplitter, to_float32, to_int16
from .processor import TTSAsyncProcessor, encode_to_base64
from .recognizers import OpenAIRecognizer, PocketsphinxRecognizer, RecognitionError, Recognizer
from .resampling import Resampler, resample, to_mono
from .sentences import SentenceSplitter
from .sound import Sound
from .sound_cache import SoundCache, with_cache
from .speakable import SpeechFilter, speakable
from .speaker import Speaker, Spoken, speak_along
from .synthesizers import (
    EspeakSynthesizer,
    FliteSynthesizer,
    OpenAISynthesizer,
    SynthesisError,
    Synthesizer,
    default_synthesizer,
)
from .tal import TALAudio, TALCoder, tal_decoder, tal_encoder
from .voices import UnknownVoice, Voice
from .wav import WavDecoder, WavError, pcm_to_wav, read_wav, strip_wav

__all__ = [
    "EspeakSynthesizer",
    "FliteSynthesizer",
    "OpenAIRecognizer",
    "OpenAISynthesizer",
    "Pacing",
    "PcmSplitter",
    "PocketsphinxRecognizer",
    "RecognitionError",
    "Recognizer",
    "Resampler",
    "SentenceSplitter",
    "Sound",
    "SoundCache",
    "Speaker",
    "SpeechFilter",
    "Spoken",
    "SynthesisError",
    "Synthesizer",
    "TALAudio",
    "TALCoder",
    "TTSAsyncProcessor",
    "UnknownVoice",
    "Voice",
    "WavDecoder",
    "WavError",
    "alaw_to_pcm",
    "default_synthesizer",
    "encode_to_base64",
    "mulaw_to_pcm",
    "pcm_to_alaw",
    "pcm_to_mulaw",
    "pcm_to_wav",
    "read_wav",
    "resample",
    "speak_along",
    "speakable",
    "strip_wav",
    "tal_decoder",
    "tal_encoder",
    "to_float32",
    "to_int16",
    "to_mono",
    "with_cache",
]
