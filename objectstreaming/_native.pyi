"""The C twin of frames.py's hot path; import these from `objectstreaming.frames`, which picks the twin."""

from .frames import Frame as Frame
from .frames import FrameDecoder as FrameDecoder
from .frames import encode_frame as encode_frame
from .frames import encode_frame_parts as encode_frame_parts

CHOSEN: bool
"""Whether `frames` is to use it: not if OBJECTSTREAMING_PURE was set when it was imported."""
