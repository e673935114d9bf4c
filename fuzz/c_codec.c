/* libFuzzer target for clients/c/objectstreaming.h, the parser of the C client and of the Python package's native core.
 *
 * The invariant: the input, whole and in chunks, gives the same frames, messages and error at the same place; nothing is
 * read beyond a chunk; never more than twice what has arrived is allocated (but 256 bytes); what is said of a frame adds up;
 * a tal header that was read is valid JSON, and what is written of it is read as the same.
 *
 *     make -C clients/c fuzz          or: clang -g -O1 -fsanitize=fuzzer,address,undefined fuzz/c_codec.c -o fuzz-c
 *
 * Byte 0 picks the layout, the limits and the coder, byte 1 seeds the chunk sizes, the rest is the wire.
 */
#include <stdlib.h>

#include "../clients/c/objectstreaming.h"

#define ASSERT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            __builtin_trap();                                                                                          \
        }                                                                                                              \
    } while (0)

typedef struct verdict {
    uint64_t hash, frames, bytes, position;
    objs_error frame_error, stream_error;
    int ended;
} verdict;

typedef struct account {
    size_t arrived, held;
} account;

static void *grow(void *context, void *old, size_t size) {
    account *memory = (account *)context;
    ASSERT(size <= 2 * memory->arrived || size <= 256);
    memory->held = size;
    return realloc(old, size);
}

static void mix(verdict *seen, const uint8_t *data, size_t size) {
    size_t n;
    for (n = 0; n < size; n++) {
        seen->hash = (seen->hash ^ data[n]) * 1099511628211u;
    }
    seen->hash = (seen->hash ^ size) * 1099511628211u;
}

static int same_text(objs_text a, objs_text b) {
    return a.end - a.at == b.end - b.at && memcmp(a.at, b.at, (size_t)(a.end - a.at)) == 0;
}

static void write_again(const objs_tal *tal, size_t header_size) {
    size_t room = header_size + 256, written = 0, size;
    uint8_t *out = (uint8_t *)malloc(room);
    char *plain = (char *)malloc(room), *quoted = (char *)malloc(6 * room);
    objs_tal again;
    objs_text text;
    ASSERT(out != NULL && plain != NULL && quoted != NULL);
    if (objs_tal_put_header(out, room, tal, &written) == OBJS_OK) {
        ASSERT(objs_data_header_valid(out, written) && objs_tal_read(&again, out, written) == OBJS_OK);
        ASSERT(again.bits == tal->bits && again.sample_rate == tal->sample_rate && again.channels == tal->channels);
        ASSERT(again.sign == tal->sign && again.order == tal->order && same_text(again.question, tal->question));
        ASSERT(same_text(again.answer, tal->answer) && same_text(again.url, tal->url));
    } else {
        ASSERT(objs_json_member(tal->extra, "$stream").at != NULL);
    }
    size = objs_json_copy_string(tal->answer, plain, room);
    text = objs_json_quote(quoted, 6 * room, plain, size);
    ASSERT(objs_json_valid(text.at, (size_t)(text.end - text.at)));
    ASSERT(objs_json_copy_string(text, (char *)out, room) == size && memcmp(out, plain, size) == 0);
    free(out);
    free(plain);
    free(quoted);
}

/* What tal makes of any frame, in a stream of its own or not. */
static void look_at_tal(verdict *seen, const objs_frame *frame) {
    objs_tal tal;
    size_t n;
    if (objs_tal_read(&tal, frame->header, frame->header_size) != OBJS_OK) {
        return;
    }
    ASSERT(objs_header_valid(frame->header, frame->header_size));
    write_again(&tal, frame->header_size);
    seen->hash = (seen->hash ^ tal.order) * 1099511628211u + tal.bits + tal.sample_rate + tal.channels + tal.sign;
    mix(seen, tal.answer.at, (size_t)(tal.answer.end - tal.answer.at));
    if (objs_tal_whole(&tal, frame->payload_size)) {
        for (n = 0; n < frame->payload_size / (tal.bits / 8); n++) {
            int32_t sample = tal.bits == 16 ? objs_get_int16(frame->payload, n) : objs_get_int32(frame->payload, n);
            seen->hash = (seen->hash ^ (uint32_t)sample) * 1099511628211u;
        }
    }
}

static void look_at(verdict *seen, objs_stream *stream, const objs_frame *frame, unsigned prefix) {
    objs_message kind;
    objs_tal tal;
    int dead;
    ASSERT(frame->index == seen->frames && frame->offset == seen->bytes);
    seen->frames++;
    seen->bytes += prefix + frame->header_size + frame->payload_size;
    mix(seen, frame->header, frame->header_size);
    mix(seen, frame->payload, frame->payload_size);
    dead = stream->error.code != OBJS_OK;
    look_at_tal(seen, frame);
    kind = strcmp(stream->coder, "tal") == 0 ? objs_stream_take_tal(stream, frame, &tal) : objs_stream_take(stream, frame);
    mix(seen, (const uint8_t *)&kind, sizeof kind);
    if (kind == OBJS_MESSAGE_DATA) {
        ASSERT(objs_header_valid(frame->header, frame->header_size));
        ASSERT(!objs_is_control(frame->header, frame->header_size));
    }
    if (stream->peer_message.at != NULL && !dead) { /* it points into this frame: later it may be gone */
        char text[40];
        ASSERT(objs_json_copy_string(stream->peer_message, text, sizeof text) < sizeof text);
    }
    seen->hash += (uint64_t)objs_json_valid(frame->payload, frame->payload_size);
}

static void read_all(verdict *seen, const objs_config *config, const char *coder, const uint8_t *wire, size_t size,
                     unsigned chance) {
    account memory = {0, 0};
    objs_reader reader;
    objs_stream stream;
    objs_frame frame;
    memset(seen, 0, sizeof *seen);
    objs_reader_init_growing(&reader, config, grow, &memory);
    objs_stream_init(&stream, coder);
    while (size > 0) {
        size_t part = size, left;
        uint8_t *chunk;
        const uint8_t *data;
        if (chance != 0) {
            chance = chance * 1103515245u + 12345u;
            part = (chance >> 16) % (chance & 0x8000 ? 4 : 40);
            part = part > size ? size : part;
        }
        chunk = (uint8_t *)malloc(part ? part : 1);
        memcpy(chunk, wire, part);
        data = chunk;
        left = part;
        memory.arrived += part;
        while (objs_reader_next(&reader, &data, &left, &frame)) {
            look_at(seen, &stream, &frame, 2 * config->byte_length);
        }
        ASSERT(left == 0 || reader.decoder.error.code != OBJS_OK);
        free(chunk);
        wire += part;
        size -= part;
    }
    if (objs_reader_finish(&reader) == OBJS_OK) {
        objs_stream_finish(&stream);
    }
    seen->frame_error = reader.decoder.error;
    seen->stream_error = stream.error;
    seen->position = stream.position;
    seen->ended = stream.ended;
    free(reader.buffer);
}

static int same_error(objs_error a, objs_error b) {
    return a.code == b.code && a.index == b.index && a.offset == b.offset;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    objs_config config = objs_default_config();
    const char *coder = size > 0 && data[0] & 64 ? "tal" : "json";
    verdict whole, chunked;
    if (size < 2) {
        return 0;
    }
    if (data[0] & 1) {
        config.byte_length = 1 + (data[0] >> 1) % 8;
        config.big_endian = data[0] >> 4 & 1;
    }
    if (data[0] & 32) {
        config.max_frame = 64;
        config.max_header = 32;
    }
    read_all(&whole, &config, coder, data + 2, size - 2, 0);
    read_all(&chunked, &config, coder, data + 2, size - 2, 1 + data[1]);
    ASSERT(whole.hash == chunked.hash && whole.frames == chunked.frames && whole.bytes == chunked.bytes);
    ASSERT(whole.position == chunked.position && whole.ended == chunked.ended);
    ASSERT(same_error(whole.frame_error, chunked.frame_error) && same_error(whole.stream_error, chunked.stream_error));
    return 0;
}
