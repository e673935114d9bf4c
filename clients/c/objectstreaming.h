/* objectstreaming.h: frames and streams of objectstreaming, version 1, for C99 and C++. SPDX: Apache-2.0
 *
 *     0            4             8              8+H                 T
 *     | T  uint32  | H  uint32   | header (H B) | payload (T-8-H B) |      little-endian
 *
 * One header, nothing to link. Nothing is allocated unless you give an allocator. Of the C library only memcpy, memcmp,
 * memset and strlen are used. There are five layers. Each can be used without the layers above it:
 *
 *     the checks      objs_get_word, objs_check_total, objs_check_header: the checks of a length word (SPEC 2.2)
 *     objs_decoder    chunks in, events out: a whole frame if it is in one chunk, else its pieces. It holds 16 bytes of the
 *                     stream, so a microcontroller can read frames larger than its memory
 *     objs_reader     chunks in, whole frames out. A frame in several chunks is collected in your buffer or by your allocator
 *     objs_stream     whole frames in, messages out: control frames, end or cut, position (SPEC 3)
 *     objs_tal        frames of speech: their text, their place in an answer, their samples (SPEC 4.2)
 *
 * objs_encoder writes a stream: open, data, pings, the end. objs_put_frame writes a single frame. objs_json_valid checks the JSON of SPEC 2.3 without an allocation.
 *
 *     objs_reader reader;
 *     objs_frame frame;
 *     objs_reader_init(&reader, NULL, buffer, sizeof buffer);
 *     while ((size = read(fd, chunk, sizeof chunk)) > 0) {
 *         const uint8_t *at = chunk;
 *         while (objs_reader_next(&reader, &at, &size, &frame))
 *             use(frame.header, frame.header_size, frame.payload, frame.payload_size);
 *     }
 *     objs_reader_finish(&reader);
 *     if (reader.decoder.error.code) fail(objs_code_name(reader.decoder.error.code));
 *
 * **Theory of operation.** Each length word is checked as soon as its bytes have arrived, T before H. No memory is reserved
 * for a length that a peer claims. A decoder that has failed returns the same error again. After the last byte, call the
 * finish function: it finds a cut. The results are the same for all chunkings.
 *
 * The native module of the Python package makes the same checks with the functions of this header. Its decoder is its own: it
 * holds Python objects.
 */
#ifndef OBJECTSTREAMING_H
#define OBJECTSTREAMING_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* C++: a C header casts as C does. A cast that changes nothing on one machine is needed on another. */
#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wzero-as-null-pointer-constant"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuseless-cast"
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define OBJS_VERSION "0.1.0"
#define OBJS_VERSION_NUMBER 100 /* major * 10000 + minor * 100 + patch */

/* Every function is static inline. Include the header where you need it; there is no source file to compile. */
#ifndef OBJS_API
#define OBJS_API static inline
#endif

#define OBJS_MAX_FRAME ((uint64_t)16 << 20)  /* the limits of SPEC 2.4 */
#define OBJS_MAX_HEADER ((uint64_t)64 << 10)
#define OBJS_MAX_DEPTH 100                   /* of nested arrays and objects, SPEC 2.3 */
#define OBJS_CONTROL "{\"$stream\":"         /* the beginning of the header of a control frame, and of no other header */
#define OBJS_CONTROL_SIZE 11

typedef enum objs_code {
    OBJS_OK = 0,
    /* SPEC 5.1: the bytes are not frames */
    OBJS_INVALID_LENGTH,
    OBJS_FRAME_TOO_LARGE,
    OBJS_HEADER_TOO_LARGE,
    OBJS_INVALID_HEADER,
    OBJS_TRUNCATED_FRAME,
    /* SPEC 5.2: only this payload is refused, the stream can continue */
    OBJS_INVALID_PAYLOAD,
    /* SPEC 5.3: the frames are valid, the stream is not */
    OBJS_INVALID_CONTROL,
    OBJS_FRAME_AFTER_END,
    OBJS_COUNT_MISMATCH,
    OBJS_ORDER_GAP,
    OBJS_STREAM_INCOMPLETE,
    /* the peer reported an error: see objs_stream.peer_code, peer_message and peer_details */
    OBJS_STREAM_ERROR,
    /* errors of this program */
    OBJS_ENCODE_ERROR,
    OBJS_NO_MEMORY
} objs_code;

/* The name of a code in the specification: "invalid_length". */
OBJS_API const char *objs_code_name(objs_code code) {
    static const char *const names[] = {
        "ok",              "invalid_length",  "frame_too_large", "header_too_large", "invalid_header",
        "truncated_frame", "invalid_payload", "invalid_control", "frame_after_end",  "count_mismatch",
        "order_gap",       "stream_incomplete", "stream_error",  "encode_error",     "no_memory"};
    return (size_t)code < sizeof names / sizeof *names ? names[(size_t)code] : "unknown";
}

/* ------------------------------------------------------------------------------------------------------ the checks */

/* Limits and layout. Another layout is a private agreement of both peers. HTTP and WebSocket always use the standard one. */
typedef struct objs_config {
    uint64_t max_frame;   /* of T, in bytes */
    uint64_t max_header;  /* of H, in bytes */
    unsigned byte_length; /* of a length word, 1 to 8; 0 means 4 */
    int big_endian;       /* its byte order */
} objs_config;

OBJS_API objs_config objs_default_config(void) {
    objs_config config;
    config.max_frame = OBJS_MAX_FRAME;
    config.max_header = OBJS_MAX_HEADER;
    config.byte_length = 4;
    config.big_endian = 0;
    return config;
}

/* The size of both length words. `config` NULL: the standard layout. */
OBJS_API unsigned objs_prefix_(const objs_config *config) {
    return 2 * (config == NULL || config->byte_length == 0 ? 4 : config->byte_length);
}

OBJS_API uint64_t objs_get_word(const objs_config *config, const uint8_t *at) {
    uint64_t value = 0;
    unsigned n;
    if (config->byte_length == 4 && !config->big_endian) {
        return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24;
    }
    for (n = 0; n < config->byte_length; n++) {
        unsigned shift = config->big_endian ? config->byte_length - 1 - n : n;
        value |= (uint64_t)at[n] << (8 * shift);
    }
    return value;
}

OBJS_API void objs_put_word(const objs_config *config, uint8_t *at, uint64_t value) {
    unsigned n;
    for (n = 0; n < config->byte_length; n++) {
        unsigned shift = config->big_endian ? config->byte_length - 1 - n : n;
        at[n] = (uint8_t)(value >> (8 * shift));
    }
}

/* Checks 1 and 2 of SPEC 2.2. The place of an error is the first byte of the frame. */
OBJS_API objs_code objs_check_total(const objs_config *config, uint64_t total) {
    if (total < 2 * (uint64_t)config->byte_length) {
        return OBJS_INVALID_LENGTH;
    }
    return total > config->max_frame ? OBJS_FRAME_TOO_LARGE : OBJS_OK;
}

/* Checks 3 and 4, for a T that passed 1 and 2. The place of an error is byte_length bytes after the first byte. */
OBJS_API objs_code objs_check_header(const objs_config *config, uint64_t total, uint64_t header) {
    if (header > total - 2 * (uint64_t)config->byte_length) {
        return OBJS_INVALID_LENGTH;
    }
    return header > config->max_header ? OBJS_HEADER_TOO_LARGE : OBJS_OK;
}

/* Whether a frame's header makes it a control frame. */
OBJS_API int objs_is_control(const uint8_t *header, size_t size) {
    return size >= OBJS_CONTROL_SIZE && memcmp(header, OBJS_CONTROL, OBJS_CONTROL_SIZE) == 0;
}

/* -------------------------------------------------------------------------------------------------------- encoding */

/* Writes both length words, 2 * byte_length bytes, to `out`. On the wire the header and the payload follow them. config
 * NULL: the standard layout. OBJS_ENCODE_ERROR if T does not fit its word, or there is no such layout; then nothing is written. */
OBJS_API objs_code objs_put_lengths(const objs_config *config, uint8_t *out, uint64_t header_size,
                                    uint64_t payload_size) {
    objs_config layout = config != NULL ? *config : objs_default_config();
    uint64_t largest, prefix = objs_prefix_(config);
    layout.byte_length = (unsigned)prefix / 2;
    if (layout.byte_length > 8) {
        return OBJS_ENCODE_ERROR;
    }
    largest = layout.byte_length == 8 ? UINT64_MAX : ((uint64_t)1 << (8 * layout.byte_length)) - 1;
    if (largest < prefix || header_size > largest - prefix || payload_size > largest - prefix - header_size) {
        return OBJS_ENCODE_ERROR;
    }
    objs_put_word(&layout, out, prefix + header_size + payload_size);
    objs_put_word(&layout, out + layout.byte_length, header_size);
    return OBJS_OK;
}

/* Completes a frame whose header stands in `out` behind the length words. */
OBJS_API objs_code objs_complete_(const objs_config *config, uint8_t *out, size_t capacity, size_t header_size,
                                  const void *payload, size_t payload_size, size_t *written) {
    size_t at = objs_prefix_(config) + header_size;
    objs_code code = payload_size > capacity - at ? OBJS_NO_MEMORY : objs_put_lengths(config, out, header_size, payload_size);
    if (code != OBJS_OK) {
        return code;
    }
    if (payload_size) {
        memcpy(out + at, payload, payload_size);
    }
    *written = at + payload_size;
    return OBJS_OK;
}

/* Writes a whole frame to `out` and its size to `*written`. OBJS_NO_MEMORY if it is larger than `capacity`. The header is not
 * looked at: this is for control frames, and for frames that are passed on as they came. Data is for objs_put_frame. */
OBJS_API objs_code objs_put_raw_frame(const objs_config *config, uint8_t *out, size_t capacity, const uint8_t *header,
                                      size_t header_size, const uint8_t *payload, size_t payload_size, size_t *written) {
    size_t prefix = objs_prefix_(config);
    if (capacity < prefix || header_size > capacity - prefix) {
        return OBJS_NO_MEMORY;
    }
    if (header_size) {
        memcpy(out + prefix, header, header_size);
    }
    return objs_complete_(config, out, capacity, header_size, payload, payload_size, written);
}

/* ---------------------------------------------------------------------------------------------- decoding, by events */

/* An error with its place in the stream: the number of the frame and the byte, both from 0. */
typedef struct objs_error {
    objs_code code;
    uint64_t index;
    uint64_t offset;
} objs_error;

typedef enum objs_event_type {
    OBJS_EVENT_MORE = 0, /* the chunk is used up: give the next one */
    OBJS_EVENT_FRAME,    /* a whole frame in the chunk: header and payload point into it */
    OBJS_EVENT_BEGIN,    /* the beginning of a frame in several chunks: header_size and payload_size are known */
    OBJS_EVENT_HEADER,   /* a piece of its header: data, size */
    OBJS_EVENT_PAYLOAD,  /* a piece of its payload: data, size */
    OBJS_EVENT_END,      /* the frame is whole */
    OBJS_EVENT_ERROR     /* the decoder has failed: see decoder.error */
} objs_event_type;

typedef struct objs_event {
    objs_event_type type;
    uint64_t index;  /* the number of the frame in its stream, from 0 */
    uint64_t offset; /* its first byte in the stream, from 0 */
    uint64_t header_size;
    uint64_t payload_size;
    const uint8_t *header;  /* FRAME */
    const uint8_t *payload; /* FRAME */
    const uint8_t *data;    /* HEADER, PAYLOAD */
    size_t size;
} objs_event;

typedef struct objs_decoder {
    objs_config config;
    objs_error error;
    uint64_t index;  /* of the frame that is being read, or of the next one */
    uint64_t offset; /* its first byte */
    uint64_t total;  /* its T and H, when both were checked */
    uint64_t header;
    uint64_t seen; /* the number of its bytes so far */
    uint8_t words[16];
    uint8_t begun; /* BEGIN was returned */
} objs_decoder;

OBJS_API void objs_fail_(objs_error *error, objs_code code, uint64_t index, uint64_t offset) {
    error->code = code;
    error->index = index;
    error->offset = offset;
}

/* config NULL: the standard layout and limits. With a layout that does not exist the decoder has failed: OBJS_INVALID_LENGTH. */
OBJS_API void objs_decoder_init(objs_decoder *decoder, const objs_config *config) {
    memset(decoder, 0, sizeof *decoder);
    decoder->config = config != NULL ? *config : objs_default_config();
    decoder->config.byte_length = objs_prefix_(config) / 2;
    if (decoder->config.byte_length > 8) {
        objs_fail_(&decoder->error, OBJS_INVALID_LENGTH, 0, 0);
    }
}

OBJS_API void objs_next_frame_(objs_decoder *decoder) {
    decoder->index++;
    decoder->offset += decoder->total;
    decoder->total = decoder->header = decoder->seen = 0;
    decoder->begun = 0;
}

/* Collects the length words from the chunk and checks each as soon as it has arrived. Returns 1 when both are valid. */
OBJS_API int objs_take_words_(objs_decoder *decoder, const uint8_t **data, size_t *size) {
    const unsigned length = decoder->config.byte_length;
    while (decoder->seen < 2 * (uint64_t)length) {
        objs_code code = OBJS_OK;
        if (*size == 0) {
            return 0;
        }
        decoder->words[decoder->seen++] = *(*data)++;
        --*size;
        if (decoder->seen == length) {
            decoder->total = objs_get_word(&decoder->config, decoder->words);
            code = objs_check_total(&decoder->config, decoder->total);
            if (code != OBJS_OK) {
                objs_fail_(&decoder->error, code, decoder->index, decoder->offset);
            }
        } else if (decoder->seen == 2 * (uint64_t)length) {
            decoder->header = objs_get_word(&decoder->config, decoder->words + length);
            code = objs_check_header(&decoder->config, decoder->total, decoder->header);
            if (code != OBJS_OK) {
                objs_fail_(&decoder->error, code, decoder->index, decoder->offset + length);
            }
        }
        if (code != OBJS_OK) {
            return 0;
        }
    }
    return 1;
}

/* The next event in the chunk of `*size` bytes at `*data`. Both are advanced past the event. Call it until it returns
 * OBJS_EVENT_MORE, then again with the next chunk. Keep the chunk until then. */
OBJS_API objs_event_type objs_decoder_next(objs_decoder *decoder, const uint8_t **data, size_t *size,
                                           objs_event *event) {
    const uint64_t prefix = 2 * (uint64_t)decoder->config.byte_length;
    uint64_t left, take;
    memset(event, 0, sizeof *event);
    if (decoder->error.code != OBJS_OK) {
        return event->type = OBJS_EVENT_ERROR;
    }
    event->index = decoder->index;
    event->offset = decoder->offset;
    if (decoder->seen < prefix && !objs_take_words_(decoder, data, size)) {
        return event->type = decoder->error.code != OBJS_OK ? OBJS_EVENT_ERROR : OBJS_EVENT_MORE;
    }
    event->header_size = decoder->header;
    event->payload_size = decoder->total - prefix - decoder->header;
    left = decoder->total - decoder->seen;
    if (!decoder->begun) {
        if (left <= *size) {
            event->header = *data;
            event->payload = *size ? *data + (size_t)decoder->header : *data;
            *data = left ? *data + (size_t)left : *data;
            *size -= (size_t)left;
            objs_next_frame_(decoder);
            return event->type = OBJS_EVENT_FRAME;
        }
        decoder->begun = 1;
        return event->type = OBJS_EVENT_BEGIN;
    }
    if (left == 0) {
        objs_next_frame_(decoder);
        return event->type = OBJS_EVENT_END;
    }
    if (*size == 0) {
        return event->type = OBJS_EVENT_MORE;
    }
    event->type = OBJS_EVENT_PAYLOAD;
    take = left;
    if (decoder->seen < prefix + decoder->header) {
        event->type = OBJS_EVENT_HEADER;
        take = prefix + decoder->header - decoder->seen;
    }
    event->data = *data;
    event->size = take < *size ? (size_t)take : *size;
    decoder->seen += event->size;
    *data += event->size;
    *size -= event->size;
    return event->type;
}

/* Call it at the end of the input. OBJS_TRUNCATED_FRAME if a frame has begun and is not whole. A decoder that has failed
 * returns its error again. */
OBJS_API objs_code objs_decoder_finish(objs_decoder *decoder) {
    if (decoder->error.code == OBJS_OK && decoder->seen) {
        objs_fail_(&decoder->error, OBJS_TRUNCATED_FRAME, decoder->index, decoder->offset);
    }
    return decoder->error.code;
}

/* ------------------------------------------------------------------------------------------- decoding, whole frames */

typedef struct objs_frame {
    uint64_t index;
    uint64_t offset;
    const uint8_t *header;
    const uint8_t *payload;
    size_t header_size;
    size_t payload_size;
} objs_frame;

/* Like realloc, with a context. NULL if there is no memory; then `old` is unchanged. */
typedef void *(*objs_realloc)(void *context, void *old, size_t size);

/* Like free, with a context. */
typedef void (*objs_free)(void *context, void *memory);

typedef struct objs_reader {
    objs_decoder decoder;
    uint8_t *buffer; /* header and payload of a frame in several chunks */
    size_t capacity;
    size_t used;
    objs_realloc grow; /* NULL: the buffer belongs to the caller and does not grow */
    void *context;
} objs_reader;

/* A reader with your buffer. A frame that is whole in a chunk needs no buffer, but the frame limit is lowered to the size
 * of the buffer for all frames: a larger frame is OBJS_FRAME_TOO_LARGE when its length word arrives. */
OBJS_API void objs_reader_init(objs_reader *reader, const objs_config *config, uint8_t *buffer, size_t capacity) {
    uint64_t holds;
    memset(reader, 0, sizeof *reader);
    objs_decoder_init(&reader->decoder, config);
    reader->buffer = buffer;
    reader->capacity = capacity;
    holds = (uint64_t)capacity + 2 * (uint64_t)reader->decoder.config.byte_length;
    if (reader->decoder.config.max_frame > holds) {
        reader->decoder.config.max_frame = holds;
    }
}

/* A reader with an allocator. It holds at most twice the bytes of one frame that have arrived, but at least 256 bytes. It
 * keeps its memory for the next frame. objs_reader_free() frees it. */
OBJS_API void objs_reader_init_growing(objs_reader *reader, const objs_config *config, objs_realloc grow,
                                       void *context) {
    memset(reader, 0, sizeof *reader);
    objs_decoder_init(&reader->decoder, config);
    reader->grow = grow;
    reader->context = context;
}

/* Frees what the allocator gave: realloc(p, 0) is undefined in C23, so this is a function of its own. `release` NULL: nothing
 * is freed. The reader then holds nothing; initialize it before you use it again. */
OBJS_API void objs_reader_free(objs_reader *reader, objs_free release) {
    if (release != NULL && reader->grow != NULL && reader->buffer != NULL) {
        release(reader->context, reader->buffer);
    }
    memset(reader, 0, sizeof *reader);
}

OBJS_API int objs_keep_(objs_reader *reader, const objs_event *event) {
    if (event->size > reader->capacity - reader->used) {
        uint64_t whole = reader->decoder.total - 2 * (uint64_t)reader->decoder.config.byte_length;
        size_t needed = reader->used + event->size;
        size_t capacity = needed <= 128 ? 256 : needed > SIZE_MAX / 2 ? SIZE_MAX : 2 * needed;
        void *grown = NULL;
        if (needed >= reader->used && reader->grow != NULL) {
            capacity = capacity > whole ? (size_t)whole : capacity;
            grown = reader->grow(reader->context, reader->buffer, capacity);
        }
        if (grown == NULL) {
            objs_fail_(&reader->decoder.error, OBJS_NO_MEMORY, reader->decoder.index, reader->decoder.offset);
            return 0;
        }
        reader->buffer = (uint8_t *)grown;
        reader->capacity = capacity;
    }
    memcpy(reader->buffer + reader->used, event->data, event->size);
    reader->used += event->size;
    return 1;
}

/* The next whole frame. 0 if the chunk is used up or the reader has failed; reader.decoder.error.code tells which. The
 * header and the payload of the frame are valid until the next call. Call it until it returns 0. */
OBJS_API int objs_reader_next(objs_reader *reader, const uint8_t **data, size_t *size, objs_frame *frame) {
    objs_event event;
    for (;;) {
        switch (objs_decoder_next(&reader->decoder, data, size, &event)) {
        case OBJS_EVENT_BEGIN: reader->used = 0; continue;
        case OBJS_EVENT_HEADER:
        case OBJS_EVENT_PAYLOAD:
            if (!objs_keep_(reader, &event)) {
                return 0;
            }
            continue;
        case OBJS_EVENT_FRAME: frame->header = event.header; break;
        case OBJS_EVENT_END: frame->header = reader->buffer; break;
        case OBJS_EVENT_MORE:
        case OBJS_EVENT_ERROR:
        default: return 0;
        }
        frame->payload = frame->header + (size_t)event.header_size;
        frame->index = event.index;
        frame->offset = event.offset;
        frame->header_size = (size_t)event.header_size;
        frame->payload_size = (size_t)event.payload_size;
        return 1;
    }
}

OBJS_API objs_code objs_reader_finish(objs_reader *reader) { return objs_decoder_finish(&reader->decoder); }

/* ------------------------------------------------------------------------------------------------------------ JSON */

/* A part of a text, which is not copied. */
typedef struct objs_text {
    const uint8_t *at;
    const uint8_t *end;
} objs_text;

OBJS_API objs_text objs_text_(const void *at, size_t size) {
    objs_text text;
    text.at = (const uint8_t *)at;
    text.end = size ? text.at + size : text.at; /* `at` may be NULL */
    return text;
}

OBJS_API int objs_begins_(objs_text value, char first) {
    return value.at != NULL && value.at < value.end && *value.at == (uint8_t)first;
}

OBJS_API void objs_json_space_(objs_text *text) {
    while (text->at < text->end &&
           (*text->at == ' ' || *text->at == '\t' || *text->at == '\n' || *text->at == '\r')) {
        text->at++;
    }
}

OBJS_API int objs_hex4_(const uint8_t *at, unsigned *value) {
    unsigned n, result = 0;
    for (n = 0; n < 4; n++) {
        unsigned c = at[n];
        if (c >= '0' && c <= '9') {
            c -= '0';
        } else if ((c | 32) >= 'a' && (c | 32) <= 'f') {
            c = (c | 32) - 'a' + 10;
        } else {
            return 0;
        }
        result = result << 4 | c;
    }
    *value = result;
    return 1;
}

/* The next character of a string, after its opening quote, as a code point. Escapes are decoded. -1 at the closing quote,
 * which is skipped. -2 for invalid UTF-8, a control character, a lone surrogate or an unknown escape. */
OBJS_API int32_t objs_json_char_(objs_text *text) {
    static const uint32_t smallest[4] = {0, 0x80, 0x800, 0x10000};
    size_t left = (size_t)(text->end - text->at);
    uint32_t point;
    unsigned c, n, more, low;
    if (left == 0) {
        return -2;
    }
    c = *text->at++;
    left--;
    if (c == '"') {
        return -1;
    }
    if (c < 0x20) {
        return -2;
    }
    if (c == '\\') {
        if (left == 0) {
            return -2;
        }
        c = *text->at++;
        left--;
        switch (c) {
        case '"':
        case '\\':
        case '/': return (int32_t)c;
        case 'b': return '\b';
        case 'f': return '\f';
        case 'n': return '\n';
        case 'r': return '\r';
        case 't': return '\t';
        case 'u': break;
        default: return -2;
        }
        if (left < 4 || !objs_hex4_(text->at, &c)) {
            return -2;
        }
        text->at += 4;
        left -= 4;
        if (c < 0xd800 || c > 0xdfff) {
            return (int32_t)c;
        }
        if (c > 0xdbff || left < 6 || text->at[0] != '\\' || text->at[1] != 'u' || !objs_hex4_(text->at + 2, &low) ||
            low < 0xdc00 || low > 0xdfff) {
            return -2;
        }
        text->at += 6;
        return (int32_t)(0x10000 + ((uint32_t)(c - 0xd800) << 10) + (low - 0xdc00)); /* unsigned may have 16 bits */
    }
    if (c < 0x80) {
        return (int32_t)c;
    }
    more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    if (c < 0xc0 || c > 0xf7 || left < more) {
        return -2;
    }
    point = c & (0x3fu >> more);
    for (n = 0; n < more; n++) {
        c = text->at[n];
        if ((c & 0xc0) != 0x80) {
            return -2;
        }
        point = point << 6 | (c & 0x3f);
    }
    if (point < smallest[more] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) {
        return -2;
    }
    text->at += more;
    return (int32_t)point;
}

/* Skips ASCII characters of a string that need no decoding. These are almost all, so it checks eight bytes at a time, in any
 * byte order. A byte of `(v - ones * n) & ~v` has its highest bit if a byte of v is below n, for n up to 128. */
OBJS_API void objs_json_plain_(objs_text *text) {
    const uint64_t ones = UINT64_MAX / 255, high = ones * 0x80;
    while (text->end - text->at >= 8) {
        uint64_t word, quote, backslash;
        memcpy(&word, text->at, 8);
        quote = word ^ ones * '"';
        backslash = word ^ ones * '\\';
        if ((word | (word - ones * 0x20) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash)) & high) {
            break;
        }
        text->at += 8;
    }
    while (text->at < text->end && *text->at >= 0x20 && *text->at < 0x80 && *text->at != '"' && *text->at != '\\') {
        text->at++;
    }
}

OBJS_API int objs_json_string_(objs_text *text) {
    int32_t c;
    do {
        objs_json_plain_(text);
        c = objs_json_char_(text);
    } while (c >= 0);
    return c == -1;
}

OBJS_API size_t objs_digits_(objs_text *text) {
    const uint8_t *from = text->at;
    while (text->at < text->end && *text->at >= '0' && *text->at <= '9') {
        text->at++;
    }
    return (size_t)(text->at - from);
}

OBJS_API int objs_json_number_(objs_text *text) {
    if (text->at < text->end && *text->at == '-') {
        text->at++;
    }
    if (text->at < text->end && *text->at == '0') {
        text->at++;
    } else if (objs_digits_(text) == 0) {
        return 0;
    }
    if (text->at < text->end && *text->at == '.') {
        text->at++;
        if (objs_digits_(text) == 0) {
            return 0;
        }
    }
    if (text->at < text->end && (*text->at | 32) == 'e') {
        text->at++;
        if (text->at < text->end && (*text->at == '+' || *text->at == '-')) {
            text->at++;
        }
        if (objs_digits_(text) == 0) {
            return 0;
        }
    }
    return 1;
}

OBJS_API int objs_word_(objs_text *text, const char *word, size_t size) {
    if ((size_t)(text->end - text->at) < size || memcmp(text->at, word, size) != 0) {
        return 0;
    }
    text->at += size;
    return 1;
}

/* Skips one JSON value, nested at most `levels`, which is at most OBJS_MAX_DEPTH. 0 if it is not valid. It stores one bit
 * for each level. */
OBJS_API int objs_json_nested_(objs_text *text, unsigned levels) {
    uint8_t objects[OBJS_MAX_DEPTH / 8 + 1];
    unsigned depth = 0;
    for (;;) {
        int opened = 0, ok;
        objs_json_space_(text);
        if (text->at == text->end) {
            return 0;
        }
        switch (*text->at) {
        case '{':
        case '[':
            if (depth == levels) {
                return 0;
            }
            objects[depth / 8] = (uint8_t)(objects[depth / 8] & ~(1u << depth % 8));
            objects[depth / 8] = (uint8_t)(objects[depth / 8] | (unsigned)(*text->at == '{') << depth % 8);
            depth++;
            text->at++;
            opened = 1;
            ok = 1;
            break;
        case '"':
            text->at++;
            ok = objs_json_string_(text);
            break;
        case 't': ok = objs_word_(text, "true", 4); break;
        case 'f': ok = objs_word_(text, "false", 5); break;
        case 'n': ok = objs_word_(text, "null", 4); break;
        default: ok = objs_json_number_(text);
        }
        if (!ok) {
            return 0;
        }
        /* After a value or an opening bracket: skip closing brackets and a comma, up to the next value. */
        for (;;) {
            int in_object;
            uint8_t c;
            if (depth == 0) {
                return 1;
            }
            in_object = objects[(depth - 1) / 8] >> (depth - 1) % 8 & 1;
            objs_json_space_(text);
            if (text->at == text->end) {
                return 0;
            }
            c = *text->at;
            if (c == (in_object ? '}' : ']')) {
                text->at++;
                depth--;
                opened = 0;
                continue;
            }
            if (!opened) {
                if (c != ',') {
                    return 0;
                }
                text->at++;
            }
            if (in_object) {
                objs_json_space_(text);
                if (text->at == text->end || *text->at++ != '"' || !objs_json_string_(text)) {
                    return 0;
                }
                objs_json_space_(text);
                if (text->at == text->end || *text->at++ != ':') {
                    return 0;
                }
            }
            break;
        }
    }
}

OBJS_API int objs_json_value_(objs_text *text) { return objs_json_nested_(text, OBJS_MAX_DEPTH); }

/* Whether the text is one JSON value as in SPEC 2.3, and nothing else: UTF-8 without a byte order mark, no NaN, no lone
 * surrogate, at most 100 levels. */
OBJS_API int objs_json_valid(const uint8_t *data, size_t size) {
    objs_text text = objs_text_(data, size);
    if (size == 0 || !objs_json_value_(&text)) {
        return 0;
    }
    objs_json_space_(&text);
    return text.at == text.end;
}

/* Whether the text is one JSON object, as every header must be. */
OBJS_API int objs_header_valid(const uint8_t *data, size_t size) {
    objs_text text = objs_text_(data, size);
    objs_json_space_(&text);
    return objs_begins_(text, '{') && objs_json_valid(data, size);
}

/* Whether a valid JSON value is the string `expected` (ASCII). */
OBJS_API int objs_json_is(objs_text value, const char *expected) {
    int32_t c;
    if (!objs_begins_(value, '"')) {
        return 0;
    }
    value.at++;
    while (*expected != '\0' && *expected != '\\' && *expected != '"' && value.at < value.end &&
           *value.at == (unsigned char)*expected) {
        value.at++; /* most strings have no escapes */
        expected++;
    }
    while ((c = objs_json_char_(&value)) >= 0) {
        if (*expected == '\0' || c != (int32_t)(unsigned char)*expected) {
            return 0;
        }
        expected++;
    }
    return c == -1 && *expected == '\0';
}

/* Reads and checks the next member of an object, after its opening brace or the member before. 1: key and value are set. 0:
 * the closing brace was skipped. -1: the text is not JSON. `*first` is 1 before the first member. */
OBJS_API int objs_next_member_(objs_text *text, int *first, objs_text *key, objs_text *value) {
    objs_json_space_(text);
    if (text->at == text->end) {
        return -1;
    }
    if (*text->at == '}') {
        text->at++;
        return 0;
    }
    if (!*first) {
        if (*text->at++ != ',') {
            return -1;
        }
        objs_json_space_(text);
    }
    *first = 0;
    key->at = text->at;
    if (text->at == text->end || *text->at++ != '"' || !objs_json_string_(text)) {
        return -1;
    }
    key->end = text->at;
    objs_json_space_(text);
    if (text->at == text->end || *text->at++ != ':') {
        return -1;
    }
    objs_json_space_(text);
    value->at = text->at;
    if (!objs_json_nested_(text, OBJS_MAX_DEPTH - 1)) {
        return -1;
    }
    value->end = text->at;
    return 1;
}

/* The value of the member `name` (ASCII) of a valid object, the last one if there are several. text.at is NULL if there is
 * none, or if the text is not an object. Members of nested objects do not count. */
OBJS_API objs_text objs_json_member(objs_text object, const char *name) {
    objs_text found, key, value;
    int first = 1;
    found.at = found.end = NULL;
    objs_json_space_(&object);
    if (!objs_begins_(object, '{')) {
        return found;
    }
    object.at++;
    while (objs_next_member_(&object, &first, &key, &value) > 0) {
        if (objs_json_is(key, name)) {
            found = value;
        }
    }
    return found;
}

/* Copies the text of a JSON string to `out` as UTF-8, with escapes decoded and a zero byte at the end. A text longer than
 * `capacity` is cut between two characters. Returns the number of bytes copied. */
OBJS_API size_t objs_json_copy_string(objs_text value, char *out, size_t capacity) {
    size_t size = 0;
    int32_t c;
    if (capacity == 0) {
        return 0;
    }
    if (objs_begins_(value, '"')) {
        value.at++;
        for (;;) {
            const uint8_t *plain = value.at;
            size_t run, more, n;
            uint32_t point;
            static const uint8_t first[4] = {0, 0xc0, 0xe0, 0xf0};
            objs_json_plain_(&value);
            run = (size_t)(value.at - plain);
            if (run > capacity - 1 - size) {
                run = capacity - 1 - size;
                value.end = value.at; /* the text is cut here */
            }
            memcpy(out + size, plain, run);
            size += run;
            c = objs_json_char_(&value);
            if (c < 0) {
                break;
            }
            point = (uint32_t)c;
            more = point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
            if (more + 1 > capacity - 1 - size) {
                break;
            }
            out[size++] = (char)(uint8_t)(first[more] | point >> (6 * more));
            for (n = more; n-- > 0;) {
                out[size++] = (char)(uint8_t)(0x80 | (point >> (6 * n) & 0x3f));
            }
        }
    }
    out[size] = '\0';
    return size;
}

/* Whether the text is one JSON string with its quotes, and nothing else. */
OBJS_API int objs_json_is_string_(objs_text text) {
    if (!objs_begins_(text, '"')) {
        return 0;
    }
    text.at++;
    return objs_json_string_(&text) && text.at == text.end;
}

/* Writes UTF-8 text as a JSON string to `out`, with its quotes and escapes: the reverse of objs_json_copy_string. If the text
 * is not valid UTF-8 or does not fit, the result is an empty objs_text, which every function refuses that takes a JSON
 * string. A `capacity` of 6 * size + 2 is always enough. */
OBJS_API objs_text objs_json_quote(char *out, size_t capacity, const char *utf8, size_t size) {
    static const char hex[] = "0123456789abcdef";
    objs_text text = objs_text_(size ? utf8 : "", size);
    size_t used = 0;
    if (capacity < 2) {
        return objs_text_("", 0);
    }
    out[used++] = '"';
    while (text.at < text.end) {
        const uint8_t *from = text.at;
        size_t bytes = 1;
        char escape[6] = {'\\', 'u', '0', '0', 0, 0};
        if (*from == '"' || *from == '\\') {
            escape[1] = (char)*from;
            bytes = 2;
        } else if (*from < 0x20) {
            escape[1] = "uuuuuuuubtnufruuuuuuuuuuuuuuuuuu"[*from];
            escape[4] = hex[*from >> 4];
            escape[5] = hex[*from & 15];
            bytes = escape[1] == 'u' ? 6 : 2;
        } else if (objs_json_char_(&text) >= 0) {
            bytes = (size_t)(text.at - from);
        } else {
            return objs_text_("", 0);
        }
        if (bytes > capacity - 1 - used) { /* 1: the closing quote */
            return objs_text_("", 0);
        }
        if (text.at == from) { /* the character is escaped */
            memcpy(out + used, escape, bytes);
            text.at++;
        } else {
            memcpy(out + used, from, bytes);
        }
        used += bytes;
    }
    out[used++] = '"';
    return objs_text_(out, used);
}

OBJS_API int objs_json_is_integer_(objs_text value) {
    const uint8_t *at;
    if (value.at == NULL || value.at >= value.end || !(*value.at == '-' || (*value.at >= '0' && *value.at <= '9'))) {
        return 0;
    }
    for (at = value.at; at < value.end; at++) {
        if (*at == '.' || (*at | 32) == 'e') {
            return 0;
        }
    }
    return 1;
}

/* Reads a JSON integer of 0 or more. One above uint64_t is read as the largest. Returns 0 if it is not one. */
OBJS_API int objs_json_count(objs_text value, uint64_t *count) {
    uint64_t result = 0;
    if (!objs_json_is_integer_(value)) {
        return 0;
    }
    if (*value.at == '-') {
        value.at++;
        if (value.end - value.at != 1 || *value.at != '0') {
            return 0; /* only -0 is allowed */
        }
    }
    for (; value.at < value.end; value.at++) {
        unsigned digit = (unsigned)(*value.at - '0');
        result = result > (UINT64_MAX - digit) / 10 ? UINT64_MAX : result * 10 + digit;
    }
    *count = result;
    return 1;
}

/* A JSON number in thousandths, rounded up. One above uint64_t is the largest. 0 if it is not a number above 0. */
OBJS_API uint64_t objs_json_thousandths(objs_text value) {
    const uint8_t *at = value.at;
    uint64_t result = 0;
    int32_t exponent = 3, stated = 0;
    int point = 0, negative = 0, lost = 0;
    if (at == NULL || at >= value.end || *at < '0' || *at > '9') {
        return 0;
    }
    for (; at < value.end && (*at | 32) != 'e'; at++) {
        if (*at == '.') {
            point = 1;
            continue;
        }
        if (result < UINT64_MAX / 100) {
            result = result * 10 + (uint64_t)(*at - '0');
            exponent -= point;
        } else {
            lost |= *at != '0';
            exponent += !point && exponent < 100000;
        }
    }
    if (result == 0) {
        return 0;
    }
    if (at < value.end) {
        at++;
        negative = *at == '-';
        at += *at == '-' || *at == '+';
        for (; at < value.end; at++) {
            stated = stated > 100000 ? stated : stated * 10 + (*at - '0');
        }
    }
    exponent += negative ? -stated : stated;
    for (; exponent > 0; exponent--) {
        if (result > UINT64_MAX / 10) {
            return UINT64_MAX;
        }
        result *= 10;
    }
    for (; exponent < 0 && result; exponent++) {
        lost |= result % 10 != 0;
        result /= 10;
    }
    return result + (lost || result == 0);
}

/* --------------------------------------------------------------------------------------------- streams, version 1 */

#define OBJS_PING "{\"$stream\":{\"type\":\"ping\"}}" /* the header of a ping */

/* Whether a header may be sent in a data frame: one JSON object, without the member $stream. */
OBJS_API int objs_data_header_valid(const uint8_t *data, size_t size) {
    return objs_header_valid(data, size) && objs_json_member(objs_text_(data, size), "$stream").at == NULL;
}

/* Writes a whole data frame to `out` and its size to `*written`. OBJS_ENCODE_ERROR if the header is not one JSON object, or has
 * the member $stream, which belongs to control frames: in a header that begins with it, data could end the stream (SPEC 3.1).
 * OBJS_NO_MEMORY if the frame is larger than `capacity`. */
OBJS_API objs_code objs_put_frame(const objs_config *config, uint8_t *out, size_t capacity, const uint8_t *header,
                                  size_t header_size, const uint8_t *payload, size_t payload_size, size_t *written) {
    if (!objs_data_header_valid(header, header_size)) {
        return OBJS_ENCODE_ERROR;
    }
    return objs_put_raw_frame(config, out, capacity, header, header_size, payload, payload_size, written);
}

/* An output buffer. It remembers that it was full, so that the caller checks once, at the end. */
typedef struct objs_out_ {
    uint8_t *at;
    size_t capacity;
    size_t used;
    int full;
} objs_out_;

OBJS_API objs_out_ objs_out_to_(void *at, size_t capacity) {
    objs_out_ out;
    out.at = (uint8_t *)at;
    out.capacity = capacity;
    out.used = 0;
    out.full = 0;
    return out;
}

OBJS_API void objs_out_bytes_(objs_out_ *out, const void *bytes, size_t size) {
    if (out->full || size > out->capacity - out->used) {
        out->full = 1;
        return;
    }
    memcpy(out->at + out->used, bytes, size);
    out->used += size;
}

OBJS_API void objs_out_string_(objs_out_ *out, const char *text) { objs_out_bytes_(out, text, strlen(text)); }

OBJS_API void objs_out_digits_(objs_out_ *out, uint64_t value) {
    char digits[20];
    size_t first = sizeof digits;
    do {
        digits[--first] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    objs_out_bytes_(out, digits + first, sizeof digits - first);
}

OBJS_API size_t objs_out_control_(objs_out_ *out, const char *members) {
    objs_out_string_(out, members != NULL ? members : "");
    objs_out_string_(out, "}}");
    return out->full ? 0 : out->used;
}

OBJS_API size_t objs_ping_header_(char *out, size_t capacity) {
    objs_out_ to = objs_out_to_(out, capacity);
    objs_out_string_(&to, OBJS_PING);
    return to.full ? 0 : to.used;
}

/* Writes the header of an open frame to `out` and returns its size. 0 if it is longer than `capacity`. `coder`: its name, or
 * NULL. `members`: more members as JSON text that begins with a comma, such as `,"heartbeat":15`, or NULL. */
OBJS_API size_t objs_open_header(char *out, size_t capacity, const char *coder, const char *members) {
    objs_out_ to = objs_out_to_(out, capacity);
    objs_out_string_(&to, "{\"$stream\":{\"type\":\"open\",\"v\":1");
    if (coder != NULL) {
        objs_out_string_(&to, ",\"coder\":\"");
        objs_out_string_(&to, coder);
        objs_out_string_(&to, "\"");
    }
    return objs_out_control_(&to, members);
}

/* The same for an end frame. `frames`: the number of data frames sent. `members`: `,"trailers":{...}`, `,"error":{...}`. */
OBJS_API size_t objs_end_header(char *out, size_t capacity, uint64_t frames, const char *members) {
    objs_out_ to = objs_out_to_(out, capacity);
    objs_out_string_(&to, "{\"$stream\":{\"type\":\"end\",\"frames\":");
    objs_out_digits_(&to, frames);
    return objs_out_control_(&to, members);
}

typedef enum objs_message {
    OBJS_MESSAGE_ERROR = 0, /* the stream has failed: see stream.error */
    OBJS_MESSAGE_DATA,      /* a data frame, for the application */
    OBJS_MESSAGE_OPEN,      /* control frames; their content is in the stream */
    OBJS_MESSAGE_PING,
    OBJS_MESSAGE_OTHER,
    OBJS_MESSAGE_END,
    OBJS_MESSAGE_REFUSED /* a data frame whose payload is not what the coder reads: it counts, the stream can continue */
} objs_message;

typedef enum objs_end_rule {
    OBJS_END_IF_CONTROLLED = 0, /* required after a control frame, because the stream is then of version 1 */
    OBJS_END_REQUIRED,          /* if the media type or the subprotocol is that of version 1 */
    OBJS_END_NOT_REQUIRED
} objs_end_rule;

/* Reads one stream, frame by frame. `metadata`, `trailers`, `peer_message` and `peer_details` are JSON texts inside the header
 * of the frame that has them. To keep them, copy them before you read the next frame. */
typedef struct objs_stream {
    const char *coder; /* the coder of this reader; NULL: any coder is accepted */
    objs_end_rule end_rule;
    int trust_headers; /* set it if other code checks the headers of data frames */
    objs_error error;
    uint64_t position;     /* the data frames of the stream up to here, those before a resumed response included */
    uint64_t received;     /* the data frames of this response */
    uint64_t heartbeat_ms; /* the announced heartbeat: the peer sends something at least this often; 0: none announced */
    uint64_t tal_order;    /* see objs_tal_follow */
    int begun, controlled, ended;
    objs_text metadata;
    objs_text resume; /* of the open frame: a JSON string, the URI reference at which the stream can be picked up (SPEC 6.3) */
    objs_text trailers;
    const char *peer_code; /* one of the sixteen, if error.code is OBJS_STREAM_ERROR */
    objs_text peer_message;
    objs_text peer_details;
} objs_stream;

OBJS_API void objs_stream_init(objs_stream *stream, const char *coder) {
    memset(stream, 0, sizeof *stream);
    stream->coder = coder;
}

/* One of the sixteen codes of SPEC 5.4. Any other code is an error too, and read as "unknown". */
OBJS_API const char *objs_peer_code(objs_text value) {
    static const char *const codes[16] = {
        "canceled",          "unknown",        "invalid_argument",   "deadline_exceeded",
        "not_found",         "already_exists", "permission_denied",  "resource_exhausted",
        "failed_precondition", "aborted",      "out_of_range",       "unimplemented",
        "internal",          "unavailable",    "data_loss",          "unauthenticated"};
    size_t n;
    for (n = 0; n < 16; n++) {
        if (objs_json_is(value, codes[n])) {
            return codes[n];
        }
    }
    return "unknown";
}

OBJS_API objs_message objs_stream_fail_(objs_stream *stream, objs_code code, const objs_frame *frame) {
    objs_fail_(&stream->error, code, frame->index, frame->offset);
    return OBJS_MESSAGE_ERROR;
}

/* Whether a member is absent or begins so. */
OBJS_API int objs_may_begin_(objs_text value, char first) { return value.at == NULL || objs_begins_(value, first); }

/* Whether the time of an open, a ping or an end frame is absent or a count (SPEC 3.3). */
OBJS_API int objs_time_valid_(objs_text control) {
    objs_text at = objs_json_member(control, "at");
    uint64_t microseconds;
    return at.at == NULL || objs_json_count(at, &microseconds);
}

OBJS_API objs_message objs_stream_open_(objs_stream *stream, objs_text control, const objs_frame *frame) {
    objs_text coder = objs_json_member(control, "coder"), heartbeat = objs_json_member(control, "heartbeat");
    objs_text position = objs_json_member(control, "position");
    uint64_t v = 0;
    stream->metadata = objs_json_member(control, "metadata");
    stream->resume = objs_json_member(control, "resume");
    stream->heartbeat_ms = objs_json_thousandths(heartbeat);
    if (!objs_json_count(objs_json_member(control, "v"), &v) || v != 1 || !objs_may_begin_(coder, '"') ||
        (coder.at != NULL && stream->coder != NULL && !objs_json_is(coder, stream->coder)) ||
        /* null means absent here, but not in other members */
        (stream->heartbeat_ms == 0 && !objs_may_begin_(heartbeat, 'n')) || !objs_may_begin_(stream->metadata, '{') ||
        (position.at != NULL && !objs_json_count(position, &stream->position)) ||
        !objs_may_begin_(stream->resume, '"') || !objs_time_valid_(control)) {
        return objs_stream_fail_(stream, OBJS_INVALID_CONTROL, frame);
    }
    if (stream->position > UINT64_MAX / 2) {
        stream->position = UINT64_MAX / 2; /* to which frames can be added */
    }
    return OBJS_MESSAGE_OPEN;
}

OBJS_API objs_message objs_stream_end_(objs_stream *stream, objs_text control, const objs_frame *frame) {
    objs_text trailers = objs_json_member(control, "trailers"), error = objs_json_member(control, "error");
    objs_text code = objs_json_member(error, "code"), message = objs_json_member(error, "message");
    uint64_t frames;
    if (!objs_json_count(objs_json_member(control, "frames"), &frames)) {
        return objs_stream_fail_(stream, OBJS_INVALID_CONTROL, frame);
    }
    if (frames != stream->received) {
        return objs_stream_fail_(stream, OBJS_COUNT_MISMATCH, frame);
    }
    if (!objs_may_begin_(trailers, '{') || !objs_time_valid_(control) ||
        (error.at != NULL && (!objs_begins_(code, '"') || !objs_may_begin_(message, '"')))) {
        return objs_stream_fail_(stream, OBJS_INVALID_CONTROL, frame);
    }
    stream->trailers = trailers;
    stream->ended = 1;
    if (error.at == NULL) {
        return OBJS_MESSAGE_END;
    }
    stream->peer_code = objs_peer_code(code);
    stream->peer_message = message;
    stream->peer_details = objs_json_member(error, "details");
    return objs_stream_fail_(stream, OBJS_STREAM_ERROR, frame);
}

OBJS_API objs_message objs_stream_take_(objs_stream *stream, const objs_frame *frame, int check_header) {
    objs_text control, type;
    int open;
    if (stream->error.code != OBJS_OK) {
        return OBJS_MESSAGE_ERROR;
    }
    if (!objs_is_control(frame->header, frame->header_size)) {
        if (stream->ended) {
            return objs_stream_fail_(stream, OBJS_FRAME_AFTER_END, frame);
        }
        stream->begun = 1;
        stream->position++;
        stream->received++;
        return check_header && !objs_header_valid(frame->header, frame->header_size)
                   ? objs_stream_fail_(stream, OBJS_INVALID_HEADER, frame)
                   : OBJS_MESSAGE_DATA;
    }
    stream->controlled = 1;
    if (!objs_header_valid(frame->header, frame->header_size)) {
        return objs_stream_fail_(stream, OBJS_INVALID_HEADER, frame);
    }
    control = objs_json_member(objs_text_(frame->header, frame->header_size), "$stream");
    type = objs_json_member(control, "type");
    open = objs_json_is(type, "open");
    if (!objs_begins_(type, '"') || (open && stream->begun && !stream->ended)) {
        return objs_stream_fail_(stream, OBJS_INVALID_CONTROL, frame);
    }
    if (stream->ended) {
        return objs_stream_fail_(stream, OBJS_FRAME_AFTER_END, frame);
    }
    stream->begun = 1;
    if (open) {
        return objs_stream_open_(stream, control, frame);
    }
    if (objs_json_is(type, "end")) {
        return objs_stream_end_(stream, control, frame);
    }
    if (!objs_json_is(type, "ping")) {
        return OBJS_MESSAGE_OTHER;
    }
    return objs_time_valid_(control) ? OBJS_MESSAGE_PING : objs_stream_fail_(stream, OBJS_INVALID_CONTROL, frame);
}

/* Takes the next frame and returns the kind of its message. The payload is not checked. */
OBJS_API objs_message objs_stream_take(objs_stream *stream, const objs_frame *frame) {
    return objs_stream_take_(stream, frame, !stream->trust_headers);
}

/* Call it at the end of the input, if objs_reader_finish() found no error. OBJS_STREAM_INCOMPLETE if the end frame is
 * missing; then error.index is the position. */
OBJS_API objs_code objs_stream_finish(objs_stream *stream) {
    int required = stream->end_rule == OBJS_END_IF_CONTROLLED ? stream->controlled : stream->end_rule == OBJS_END_REQUIRED;
    if (stream->error.code == OBJS_OK && required && !stream->ended) {
        objs_fail_(&stream->error, OBJS_STREAM_INCOMPLETE, stream->position, 0);
    }
    return stream->error.code;
}

/* Writes one stream, frame by frame: its state, its count of frames, and the limits that the reader is expected to have. Each
 * function writes one whole frame to `out` and its size to `*written`. If it returns an error, it has written nothing that
 * counts, and the encoder is as it was:
 *
 *     OBJS_ENCODE_ERROR                                this frame is not allowed here (SPEC 3.5), or its header is wrong
 *     OBJS_FRAME_TOO_LARGE, OBJS_HEADER_TOO_LARGE      readers would refuse it
 *     OBJS_NO_MEMORY                                   it is larger than `capacity` */
typedef struct objs_encoder {
    objs_config config;
    const char *coder;     /* its name for the open frame; NULL: none is named */
    const char *neutral;   /* the payload of control frames: "{}" for the coder json, nil for msgpack, else "" */
    uint64_t position;     /* the number of data frames written */
    int begun, ended;
} objs_encoder;

/* config NULL: the standard layout and limits. */
OBJS_API void objs_encoder_init(objs_encoder *encoder, const objs_config *config, const char *coder) {
    memset(encoder, 0, sizeof *encoder);
    encoder->config = config != NULL ? *config : objs_default_config();
    encoder->coder = coder;
    encoder->neutral = "";
    if (coder != NULL && strlen(coder) == 4 && memcmp(coder, "json", 4) == 0) {
        encoder->neutral = "{}";
    } else if (coder != NULL && strlen(coder) == 7 && memcmp(coder, "msgpack", 7) == 0) {
        encoder->neutral = "\xc0";
    }
}

OBJS_API objs_code objs_encoder_fits_(const objs_encoder *encoder, size_t header_size, size_t payload_size) {
    uint64_t total = (uint64_t)objs_prefix_(&encoder->config) + (uint64_t)header_size;
    total = payload_size > UINT64_MAX - total ? UINT64_MAX : total + payload_size;
    if (total > encoder->config.max_frame) {
        return OBJS_FRAME_TOO_LARGE;
    }
    return header_size > encoder->config.max_header ? OBJS_HEADER_TOO_LARGE : OBJS_OK;
}

/* A data frame. Its header must be one JSON object without the member $stream; the payload is not looked at. */
OBJS_API objs_code objs_encoder_data(objs_encoder *encoder, uint8_t *out, size_t capacity, const uint8_t *header,
                                     size_t header_size, const uint8_t *payload, size_t payload_size, size_t *written) {
    objs_code code = encoder->ended ? OBJS_ENCODE_ERROR : objs_encoder_fits_(encoder, header_size, payload_size);
    if (code == OBJS_OK) {
        code = objs_put_frame(&encoder->config, out, capacity, header, header_size, payload, payload_size, written);
    }
    if (code == OBJS_OK) {
        encoder->begun = 1;
        encoder->position++;
    }
    return code;
}

/* Writes a control frame. It is read as a reader of this stream would read it: so the order of the frames (SPEC 3.5) and
 * `members` are checked. */
OBJS_API objs_code objs_encoder_control_(objs_encoder *encoder, objs_message kind, uint8_t *out, size_t capacity,
                                         const char *members, size_t *written) {
    size_t prefix = objs_prefix_(&encoder->config), neutral_size = strlen(encoder->neutral), room;
    objs_stream reader;
    objs_frame frame;
    objs_code code;
    char *header;
    if (capacity < prefix) {
        return OBJS_NO_MEMORY;
    }
    header = (char *)out + prefix;
    room = capacity - prefix;
    memset(&frame, 0, sizeof frame);
    frame.header = out + prefix;
    frame.header_size = kind == OBJS_MESSAGE_OPEN  ? objs_open_header(header, room, encoder->coder, members)
                        : kind == OBJS_MESSAGE_END ? objs_end_header(header, room, encoder->position, members)
                                                   : objs_ping_header_(header, room);
    if (frame.header_size == 0) {
        return OBJS_NO_MEMORY;
    }
    objs_stream_init(&reader, NULL);
    reader.begun = encoder->begun;
    reader.ended = encoder->ended;
    reader.received = encoder->position;
    if (objs_stream_take(&reader, &frame) == OBJS_MESSAGE_ERROR && reader.error.code != OBJS_STREAM_ERROR) {
        return OBJS_ENCODE_ERROR;
    }
    code = objs_encoder_fits_(encoder, frame.header_size, neutral_size);
    if (code == OBJS_OK) {
        code = objs_complete_(&encoder->config, out, capacity, frame.header_size, encoder->neutral, neutral_size, written);
    }
    if (code == OBJS_OK) {
        encoder->begun = 1;
        encoder->ended = reader.ended;
    }
    return code;
}

/* The open frame, which comes first or not at all. `members`: as objs_open_header has them, or NULL. */
OBJS_API objs_code objs_encoder_open(objs_encoder *encoder, uint8_t *out, size_t capacity, const char *members,
                                     size_t *written) {
    return objs_encoder_control_(encoder, OBJS_MESSAGE_OPEN, out, capacity, members, written);
}

/* A ping: it tells the reader, and every proxy between, that the stream is alive. */
OBJS_API objs_code objs_encoder_ping(objs_encoder *encoder, uint8_t *out, size_t capacity, size_t *written) {
    return objs_encoder_control_(encoder, OBJS_MESSAGE_PING, out, capacity, NULL, written);
}

/* The end frame, which comes last: success, or an error in `members` (`,"error":{"code":"internal","message":"..."}`). */
OBJS_API objs_code objs_encoder_end(objs_encoder *encoder, uint8_t *out, size_t capacity, const char *members,
                                    size_t *written) {
    return objs_encoder_control_(encoder, OBJS_MESSAGE_END, out, capacity, members, written);
}

/* ---------------------------------------------------------------------------------------- the coder tal, SPEC 4.2 */

#define OBJS_TAL_MAX_RATE 768000u
#define OBJS_TAL_MAX_CHANNELS 255u
#define OBJS_TAL_MAX_ORDER (((uint64_t)1 << 53) - 1)

/* The header of a frame of speech. The texts are JSON strings with their quotes and escapes, inside the header that they
 * were read from. objs_json_copy_string decodes one, objs_json_quote writes one. An `at` of NULL means "". */
typedef struct objs_tal {
    unsigned bits;        /* of a sample, 16 or 32: audioType and bitDepth */
    uint32_t sample_rate; /* Hz, 1 to OBJS_TAL_MAX_RATE */
    unsigned channels;    /* interleaved, 1 to OBJS_TAL_MAX_CHANNELS */
    unsigned sign;        /* 1 start, 2 middle, 3 end of an answer */
    uint64_t order;       /* of the frame in its answer, 1 to OBJS_TAL_MAX_ORDER */
    objs_text question;
    objs_text answer;
    objs_text url;
    objs_text extra; /* an object whose other members are written too; after reading, the whole header; `at` may be NULL */
} objs_tal;

/* The defaults of all members. */
OBJS_API objs_tal objs_tal_default(void) {
    objs_tal tal;
    memset(&tal, 0, sizeof tal);
    tal.bits = 16;
    tal.sample_rate = 16000;
    tal.channels = 1;
    tal.sign = 1;
    tal.order = 1;
    tal.question = tal.answer = tal.url = objs_text_("\"\"", 2);
    return tal;
}

/* The size of a sample frame in bytes: one sample for each channel. The size of a payload is a multiple of it. */
OBJS_API size_t objs_tal_block(const objs_tal *tal) { return (size_t)(tal->bits / 8) * tal->channels; }

/* Whether this number of bytes is whole sample frames. 0 bytes are. */
OBJS_API int objs_tal_whole(const objs_tal *tal, size_t payload_size) { return payload_size % objs_tal_block(tal) == 0; }

/* The names of the ten members, in the order in which they are written. */
OBJS_API const char *objs_tal_name_(unsigned n) {
    static const char *const names[10] = {"audioType", "bitDepth", "sampleRate", "channels", "audioFormat",
                                          "question",  "answer",   "url",        "sign",     "order"};
    return names[n];
}

/* The number of the member with this name, a JSON string. 10 for any other name. */
OBJS_API unsigned objs_tal_which_(objs_text key) {
    unsigned n;
    for (n = 0; n < 10 && !objs_json_is(key, objs_tal_name_(n)); n++) {
    }
    return n;
}

/* Reads a member that is an integer from 1 to `largest`. If the member is absent, `*number` is unchanged. */
OBJS_API int objs_tal_number_(objs_text value, uint64_t largest, uint64_t *number) {
    return value.at == NULL || (objs_json_count(value, number) && *number >= 1 && *number <= largest);
}

OBJS_API int objs_tal_text_(objs_text value, objs_text *text) {
    *text = value.at == NULL ? *text : value;
    return objs_begins_(*text, '"');
}

/* Reads a header in one pass, without an allocation. Absent members get their defaults. OBJS_INVALID_HEADER if it is not a
 * JSON object or a value is outside the table of SPEC 4.2. */
OBJS_API objs_code objs_tal_read(objs_tal *tal, const uint8_t *header, size_t size) {
    objs_text values[11], text, key, value; /* [10]: any other member, which is only skipped */
    uint64_t depth, rate = 16000, channels = 1, sign = 1, order = 1;
    int first = 1, more;
    *tal = objs_tal_default();
    memset(values, 0, sizeof values);
    text = objs_text_(header, size);
    objs_json_space_(&text);
    if (!objs_begins_(text, '{')) {
        return OBJS_INVALID_HEADER;
    }
    text.at++;
    while ((more = objs_next_member_(&text, &first, &key, &value)) > 0) {
        values[objs_tal_which_(key)] = value; /* the last one of a name counts, so the values are checked at the end */
    }
    objs_json_space_(&text);
    if (more < 0 || text.at != text.end) {
        return OBJS_INVALID_HEADER;
    }
    if (values[0].at != NULL && objs_json_is(values[0], "int32")) {
        tal->bits = 32;
    } else if (values[0].at != NULL && !objs_json_is(values[0], "int16")) {
        return OBJS_INVALID_HEADER;
    }
    depth = 16; /* the default, also with int32 */
    if (!objs_tal_number_(values[1], 32, &depth) || depth != tal->bits ||
        !objs_tal_number_(values[2], OBJS_TAL_MAX_RATE, &rate) ||
        !objs_tal_number_(values[3], OBJS_TAL_MAX_CHANNELS, &channels) ||
        (values[4].at != NULL && !objs_json_is(values[4], "wav")) || !objs_tal_text_(values[5], &tal->question) ||
        !objs_tal_text_(values[6], &tal->answer) || !objs_tal_text_(values[7], &tal->url) ||
        !objs_tal_number_(values[8], 3, &sign) || !objs_tal_number_(values[9], OBJS_TAL_MAX_ORDER, &order)) {
        return OBJS_INVALID_HEADER;
    }
    tal->sample_rate = (uint32_t)rate;
    tal->channels = (unsigned)channels;
    tal->sign = (unsigned)sign;
    tal->order = order;
    tal->extra = objs_text_(header, size);
    return OBJS_OK;
}

OBJS_API void objs_out_name_(objs_out_ *out, unsigned n) {
    objs_out_string_(out, n ? ",\"" : "{\"");
    objs_out_string_(out, objs_tal_name_(n));
    objs_out_string_(out, "\":");
}

OBJS_API void objs_out_number_(objs_out_ *out, unsigned n, uint64_t value) {
    objs_out_name_(out, n);
    objs_out_digits_(out, value);
}

OBJS_API int objs_out_text_(objs_out_ *out, unsigned n, objs_text text) {
    if (text.at == NULL) {
        text = objs_text_("\"\"", 2);
    }
    if (!objs_json_is_string_(text)) {
        return 0;
    }
    objs_out_name_(out, n);
    objs_out_bytes_(out, text.at, (size_t)(text.end - text.at));
    return 1;
}

/* Writes the header to `out` and its size to `*written`: the ten members in their order, then the other members of `extra`
 * unchanged. OBJS_ENCODE_ERROR if a value is outside the table of SPEC 4.2, a text is not a JSON string, or `extra` is not an
 * object or has the member $stream. OBJS_NO_MEMORY if the header is longer than `capacity`. */
OBJS_API objs_code objs_tal_put_header(uint8_t *out, size_t capacity, const objs_tal *tal, size_t *written) {
    objs_text extra = tal->extra, key, value;
    objs_out_ to = objs_out_to_(out, capacity);
    int first = 1;
    if ((tal->bits != 16 && tal->bits != 32) || tal->sample_rate < 1 || tal->sample_rate > OBJS_TAL_MAX_RATE ||
        tal->channels < 1 || tal->channels > OBJS_TAL_MAX_CHANNELS || tal->sign < 1 || tal->sign > 3 ||
        tal->order < 1 || tal->order > OBJS_TAL_MAX_ORDER ||
        (extra.at != NULL && !objs_data_header_valid(extra.at, (size_t)(extra.end - extra.at)))) {
        return OBJS_ENCODE_ERROR;
    }
    objs_out_name_(&to, 0);
    objs_out_string_(&to, tal->bits == 16 ? "\"int16\"" : "\"int32\"");
    objs_out_number_(&to, 1, tal->bits);
    objs_out_number_(&to, 2, tal->sample_rate);
    objs_out_number_(&to, 3, tal->channels);
    objs_out_name_(&to, 4);
    objs_out_string_(&to, "\"wav\"");
    if (!objs_out_text_(&to, 5, tal->question) || !objs_out_text_(&to, 6, tal->answer) ||
        !objs_out_text_(&to, 7, tal->url)) {
        return OBJS_ENCODE_ERROR;
    }
    objs_out_number_(&to, 8, tal->sign);
    objs_out_number_(&to, 9, tal->order);
    if (extra.at != NULL) {
        objs_json_space_(&extra);
        extra.at++;
        while (objs_next_member_(&extra, &first, &key, &value) > 0) {
            if (objs_tal_which_(key) == 10) {
                objs_out_string_(&to, ",");
                objs_out_bytes_(&to, key.at, (size_t)(key.end - key.at));
                objs_out_string_(&to, ":");
                objs_out_bytes_(&to, value.at, (size_t)(value.end - value.at));
            }
        }
    }
    objs_out_string_(&to, "}");
    if (to.full) {
        return OBJS_NO_MEMORY;
    }
    *written = to.used;
    return OBJS_OK;
}

/* Writes a whole frame to `out` and its size to `*written`. `pcm` is little-endian, as objs_put_int16 writes it. The errors
 * are those of objs_tal_put_header and objs_put_frame, and OBJS_ENCODE_ERROR for PCM that is not whole sample frames. */
OBJS_API objs_code objs_tal_put_frame(const objs_config *config, uint8_t *out, size_t capacity, const objs_tal *tal,
                                      const uint8_t *pcm, size_t pcm_size, size_t *written) {
    size_t prefix = objs_prefix_(config), header = 0;
    objs_code code;
    if (capacity < prefix) {
        return OBJS_NO_MEMORY;
    }
    code = objs_tal_put_header(out + prefix, capacity - prefix, tal, &header);
    if (code == OBJS_OK && !objs_tal_whole(tal, pcm_size)) {
        code = OBJS_ENCODE_ERROR;
    }
    return code == OBJS_OK ? objs_complete_(config, out, capacity, header, pcm, pcm_size, written) : code;
}

/* Sample number `n` of a payload, with interleaved channels. A payload may begin at any address, and is little-endian on
 * every machine, so do not cast it to int16_t *. Where it is possible, compilers make one load of these functions. */
OBJS_API int16_t objs_get_int16(const uint8_t *pcm, size_t n) {
    uint16_t bits = (uint16_t)(pcm[2 * n] | (unsigned)pcm[2 * n + 1] << 8);
    int16_t sample;
    memcpy(&sample, &bits, sizeof sample); /* the result of a cast would depend on the compiler */
    return sample;
}

OBJS_API int32_t objs_get_int32(const uint8_t *pcm, size_t n) {
    const uint8_t *at = pcm + 4 * n;
    uint32_t bits = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    int32_t sample;
    memcpy(&sample, &bits, sizeof sample);
    return sample;
}

OBJS_API void objs_put_int16(uint8_t *pcm, size_t n, int16_t sample) {
    pcm[2 * n] = (uint8_t)((uint16_t)sample & 0xff);
    pcm[2 * n + 1] = (uint8_t)((uint16_t)sample >> 8);
}

OBJS_API void objs_put_int32(uint8_t *pcm, size_t n, int32_t sample) {
    unsigned byte;
    for (byte = 0; byte < 4; byte++) {
        pcm[4 * n + byte] = (uint8_t)((uint32_t)sample >> (8 * byte));
    }
}

/* The order rule of SPEC 4.2. Sign 1 starts an answer, at any time, with order 1. Signs 2 and 3 have the order of the frame
 * before plus 1. After sign 3 comes sign 1. Returns OBJS_ORDER_GAP, or OBJS_OK and sets `*state` for the next frame. Start
 * with a `*state` of 0, which allows any order, because the stream may be a resumed one. Set it to 0 again after a frame
 * whose payload was refused. */
OBJS_API objs_code objs_tal_follow(uint64_t *state, const objs_tal *tal) {
    if (tal->sign == 1 ? tal->order != 1 : *state != 0 && tal->order != *state) {
        return OBJS_ORDER_GAP;
    }
    *state = tal->sign == 3 ? UINT64_MAX : tal->order + 1; /* no order is UINT64_MAX, so only sign 1 can follow */
    return OBJS_OK;
}

/* objs_stream_take for a stream of the coder tal. `tal` is set for OBJS_MESSAGE_DATA, whose payload is whole sample frames in
 * order, and for OBJS_MESSAGE_REFUSED, whose payload is not whole. Its texts are valid as long as the frame. */
OBJS_API objs_message objs_stream_take_tal(objs_stream *stream, const objs_frame *frame, objs_tal *tal) {
    objs_message kind = objs_stream_take_(stream, frame, 0);
    objs_code code;
    if (kind != OBJS_MESSAGE_DATA) {
        return kind;
    }
    code = objs_tal_read(tal, frame->header, frame->header_size);
    if (code == OBJS_OK && !objs_tal_whole(tal, frame->payload_size)) {
        stream->tal_order = 0;
        return OBJS_MESSAGE_REFUSED;
    }
    if (code == OBJS_OK) {
        code = objs_tal_follow(&stream->tal_order, tal);
    }
    return code == OBJS_OK ? kind : objs_stream_fail_(stream, code, frame);
}

#ifdef __cplusplus
}
#endif

#if defined(__cplusplus) && defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

#endif /* OBJECTSTREAMING_H */
