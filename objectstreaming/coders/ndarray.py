"""The `ndarray` coder: an array's dtype and shape in the header, its bytes as the payload (SPEC section 4.4)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .. import strict_json
from ..errors import EncodeError, InvalidHeader, PayloadError
from ..frames import Frame
from .coder import Coder, encode_data_frame

if TYPE_CHECKING:
    import numpy

    Array: TypeAlias = "numpy.ndarray[Any, Any]"

__all__ = ["NdarrayCoder"]

# Numbers and booleans with their byte order ('|' for a single byte): no objects, strings, records or subarrays.
_DTYPE: Final = re.compile(r"\|b1|\|[iu]1|[<>](?:[iu][248]|f[248]|c8|c16)")
_MAX_DIMENSIONS: Final = 32  # what NumPy before 2.0 and many peers can have


class NdarrayCoder(Coder[Mapping[str, Any], "Array"]):
    """Payloads are NumPy arrays of numbers or booleans, in C order.

    The header has the members `dtype` (as NumPy spells it, with the byte order) and `shape`, and the user's own. A
    decoded header has the user's members only.

    A decoded array is a read-only view of the payload, not a copy: to change it, take `array.copy()` first. A masked
    array is refused, because its mask would be lost: send `array.filled(value)`, or the mask as a second array.

    >>> import numpy
    >>> from objectstreaming import decode_frame
    >>> coder = NdarrayCoder()
    >>> frame = decode_frame(coder.encode({"name": "x"}, numpy.arange(3, dtype=">i2")))
    >>> frame.header
    {'name': 'x', 'dtype': '>i2', 'shape': [3]}
    >>> coder.decode(frame)
    ({'name': 'x'}, array([0, 1, 2], dtype='>i2'))
    """

    name = "ndarray"

    def encode(self, header: Mapping[str, Any], payload: Array) -> bytes:
        import numpy

        parts = payload if isinstance(payload, list | tuple) else [payload]
        if any(map(numpy.ma.isMaskedArray, parts)):
            raise EncodeError("a masked array would lose its mask: send array.filled(value), or the mask as an array")
        try:
            array = numpy.asarray(payload, order="C")
        except (
            TypeError,
            ValueError,
            OverflowError,
            RuntimeError,
        ) as error:  # numpy's, or what the object's own raises
            raise EncodeError(f"not an array: {error}") from None
        if not _DTYPE.fullmatch(array.dtype.str):
            raise EncodeError(f"arrays of numbers and booleans can be sent, dtype {array.dtype} cannot")
        if array.ndim > _MAX_DIMENSIONS:
            raise EncodeError(f"at most {_MAX_DIMENSIONS} dimensions, not {array.ndim}")
        members = dict(header) if isinstance(header, Mapping) else strict_json.loads(strict_json.dumps(header))
        if not isinstance(members, dict):
            raise EncodeError(f"a header is a JSON object, not {type(header).__name__}")
        for reserved in ("dtype", "shape"):
            if reserved in members:
                raise EncodeError(f"the header member {reserved!r} is set by the coder, from the array")
        members |= {"dtype": array.dtype.str, "shape": array.shape}
        return encode_data_frame(members, array.reshape(-1).view(numpy.uint8))

    def decode(self, frame: Frame) -> tuple[Mapping[str, Any], Array]:
        import numpy

        members = dict(frame.header)
        dtype = members.pop("dtype", None)
        shape = members.pop("shape", None)
        if not isinstance(dtype, str) or not _DTYPE.fullmatch(dtype):
            raise InvalidHeader(f"dtype {dtype!r:.40} is not one of numbers or booleans", frame.index, frame.offset)
        if (
            not isinstance(shape, list)
            or len(shape) > _MAX_DIMENSIONS
            or not all(type(size) is int and size >= 0 for size in shape)
        ):
            raise InvalidHeader(f"shape {shape!r:.40} is not a list of sizes", frame.index, frame.offset)
        # Python's integers do not overflow. This is checked before anything is allocated.
        wanted = math.prod(shape) * numpy.dtype(dtype).itemsize
        if wanted != len(frame.payload):
            # Python does not print integers of more than 4,300 digits, and a hostile shape can have such a product.
            size = wanted if wanted < 1 << 1024 else "2^1024 or more"
            raise PayloadError(
                f"shape {shape!r:.80} of {dtype} takes {size} bytes, the payload has {len(frame.payload)}",
                frame.index,
                frame.offset,
            )
        try:
            return members, numpy.frombuffer(frame.payload, dtype).reshape(shape)
        except ValueError as error:  # a size of 0, and another that is larger than any address space
            raise InvalidHeader(f"shape {shape!r:.40}: {error}", frame.index, frame.offset) from None
