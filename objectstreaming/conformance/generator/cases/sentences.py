"""The sentences of SPEC.md that the cases try, word for word: tests/project/test_spec.py looks for each of them."""

from __future__ import annotations

COUNTS = "T counts the whole frame, itself included; H counts the header bytes alone."
ENDIAN = "Both are unsigned and little-endian."
END_TO_END = (
    "A stream is frames end to end, with nothing before, between or after them; no bytes at all are a stream "
    "of no frames."
)
T_LOW = "A T below 8 cannot be true and MUST be refused as invalid_length at T."
H_HIGH = "An H above T - 8 reaches beyond its frame and MUST be refused as invalid_length at H."
CHECK_ORDER = (
    "A decoder MUST make these checks in this order, each as soon as the bytes of its word are there, and MUST"
    " NOT wait for more bytes than that"
)
WHOLE_FIRST = "The header is judged when its frame is complete, not before."
GOOD_FIRST = "Frames before a bad one MUST be delivered, however the bytes were cut."
EOF_INSIDE = "The end of the input inside a frame MUST be reported as truncated_frame at the frame's first byte."
CHUNKS = (
    "The frames delivered, and the error with its code, frame and byte, MUST NOT depend on how the bytes were "
    "cut into chunks."
)
LAYOUT = "Everything below holds with `L`, the width, for 4."
MUST_LIMIT = "A decoder MUST have a limit on T and a limit on H, and MUST refuse a frame on its length word alone."
EXACT = "A frame whose T is the limit exactly is accepted; so is a header of exactly H's limit."
DEFAULTS = "The limits are 16 MiB (16,777,216) for T and 64 KiB (65,536) for H unless both sides agree otherwise."
OBJECT = "A header MUST be one JSON object of RFC 8259."
NO_OBJECT = "A header that is no object, also the empty one of H = 0, MUST be refused as invalid_header."
UTF8 = "The text MUST be valid UTF-8 and MUST NOT begin with a byte order mark."
NAN = "NaN, Infinity and -Infinity are not JSON and MUST be refused."
SURROGATE = "A lone surrogate MUST be refused, as an escape such as `\\ud800` too."
DEPTH = "A receiver MUST accept arrays and objects nested 100 levels deep, and MUST refuse 101 levels."
INTEGERS = "A receiver MUST accept integers of any size up to 4,300 digits, and SHOULD keep their value exactly."
DUPLICATES = "Of members with the same name the last one counts; a sender SHOULD NOT send them."
SPACE = "White space around the text is allowed, as RFC 8259 says."
ELEVEN = 'A frame is a control frame if, and only if, its header begins with the 11 bytes `{"$stream":`.'
SPELLING = (
    "No other spelling makes one, with a space or with the member in a later place; so no reader parses a "
    "header to tell."
)
TYPE = "The value of `$stream` MUST be an object with the member `type`, a string; else invalid_control."
UNKNOWN = "Members that a reader does not know, in the value or beside it, MUST be ignored."
PAYLOAD = "The payload of a control frame MUST NOT be looked at."
NOT_JSON = "A control frame whose header is not JSON is an invalid_header, like any other."
VERSION = "`v` MUST be the integer 1; a reader MUST refuse any other value, and its absence, as invalid_control."
CODER = "If `coder` is there and is not the reader's coder, the stream MUST be refused as invalid_control."
HEARTBEAT = "`heartbeat`, if it is there, MUST be a number above 0; else invalid_control."
NULL = "A member that is `null` is as good as absent only in `heartbeat`."
METADATA = "`metadata`, if it is there, MUST be an object; else invalid_control."
RESUME = "`resume`, if it is there, MUST be a string, and `position` an integer of 0 or more; else invalid_control."
AT = "`at`, if it is there, MUST be an integer of 0 or more; else invalid_control."
RESUMED = "A reader's position is `open.position` and the data frames received since."
FRAMES = "`frames` MUST be there and be an integer of 0 or more; else invalid_control."
TRAILERS = "`trailers`, if it is there, MUST be an object; else invalid_control."
ERROR = (
    "`error`, if it is there, MUST be an object with a string `code`, and `message`, if there, a string; else "
    "invalid_control."
)
NULL_ERROR = '`"error":null` is therefore invalid, not a success.'
SIXTEEN = "A `code` that is not one of the sixteen of section 5.4 is read as `unknown`."
COUNT = "`frames` MUST equal the number of data frames received; else count_mismatch, whatever else the frame says."
INCOMPLETE = (
    "A reader of version 1 MUST report a stream that stops on a frame boundary without an end as stream_incomplete."
)
PLAIN = (
    "A stream is of version 1 once it has shown a control frame, or if the media type or the subprotocol says "
    "so (section 6)."
)
ORDER = "An open frame is optional, but MUST come first; an open after any other frame, a ping too, is invalid_control."
AFTER = (
    "An end comes once, and last; any whole frame after it, a data frame or a control frame with a type, is "
    "frame_after_end."
)
VALUE = "The payload MUST be one JSON value as section 2.3 says; else invalid_payload."
GOES_ON = (
    "A payload that its coder cannot read is invalid_payload; the frame counts for the position, and the "
    "frames after it MUST still be readable."
)
TAL_VALUES = "A value outside this table MUST be refused as invalid_header; `null` is outside it."
TAL_EXTRA = "Members that are not in the table MUST NOT be refused, and survive a round trip."
TAL_WHOLE = (
    "A payload that is not whole sample frames, each of bitDepth / 8 * channels bytes, MUST be refused as "
    "invalid_payload."
)
TAL_START = "A frame with sign 1 starts an answer and MUST have order 1; else order_gap."
TAL_NEXT = "A frame with sign 2 or 3 MUST have the order of the frame before it plus 1; else order_gap."
TAL_END = "After a frame with sign 3 the next frame MUST have sign 1; else order_gap."
TAL_RESUMED = "A stream whose first data frame has sign 2 or 3 is a resumed one, and may start at any order."
TAL_AGAIN = "An answer need not be ended with sign 3: the original never sends it; sign 1 may come at any time."
TAL_BROKEN = (
    "A frame whose payload was refused breaks the count: the frame after it may have any order, as in a resumed stream."
)
ONE_VALUE = "The payload MUST be one MessagePack value and nothing after it; else invalid_payload."
EXTENSIONS = "Extension types MUST be refused as invalid_payload unless the application has registered them"
DTYPE = (
    "`dtype` MUST name a plain number or boolean with its byte order, as NumPy's dtype.str spells it; else "
    "invalid_header."
)
SHAPE = "`shape` MUST be an array of at most 32 sizes, integers of 0 or more; else invalid_header."
FILLED = (
    "The payload is the array's elements in C order, the last dimension fastest; if its bytes are not the "
    "product of shape times the size of dtype, it MUST be refused as invalid_payload, before anything is "
    "built."
)
ANYTHING = "The payload is bytes as they are; none is refused."
REFUSE_MEMBER = "A sender MUST NOT send a data frame whose header has the member `$stream`; an encoder MUST refuse it."
ENCODE_JSON = (
    "A sender SHOULD write compact UTF-8; a receiver takes any spelling, also the ASCII escapes and spaces of "
    "the original."
)
DEAD = (
    "A decoder that has failed is dead: it MUST deliver no further frame, and SHOULD raise the same error "
    "again when asked."
)
BYTES = "Lengths count bytes of UTF-8, not characters and not UTF-16 units."
TYPE_FIRST = (
    "The type of a control frame is read first (section 3.1), then the table is asked, then the other members "
    "are looked at."
)
AFTER_BYTES = "Bytes after it that are no whole frame keep the code that section 2.2 gives them."
POSITION = "The position of a stream is the number of data frames received; control frames do not count."
UNKNOWN_TYPE = "A type that the reader does not know MUST be passed over."
PING_ANY = "A ping may come at any time before the end, also first; a receiver drops it, and it resets idle timers."
NO_CLAIM = "Nothing may be allocated because a length word claims it: what a decoder holds is what has arrived."
INDEX = (
    "*index* counts the frames of the stream from 0, control frames included; *offset* its bytes from 0; *by* "
    "is the latest byte at which the error must be out."
)
ERROR_PAGE = "An HTML error page, read as frames, ends here as well"
DETAILS = "`details` is any JSON value."
NO_SOUND = "No bytes at all are whole."
