/* The implementation under test of the conformance suite: objectstreaming.h behind the protocol of
 * objectstreaming/conformance/README.md.
 *
 *     objectstreaming conformance -- clients/c/build/conformance
 *
 * A line in, a line out. Every chunk is given in a block of memory of exactly its size, so that a sanitizer sees a read
 * beyond it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../objectstreaming.h"

typedef struct string {
    char *text;
    size_t size, room;
} string;

static void *must(void *memory) {
    if (memory == NULL) {
        fputs("no memory\n", stderr);
        exit(3);
    }
    return memory;
}

static void append(string *s, const char *text, size_t size) {
    if (s->size + size + 1 > s->room) {
        s->room = 2 * (s->size + size + 1);
        s->text = (char *)must(realloc(s->text, s->room));
    }
    memcpy(s->text + s->size, text, size);
    s->size += size;
    s->text[s->size] = '\0';
}

static void say(string *s, const char *text) { append(s, text, strlen(text)); }

static void say_number(string *s, uint64_t value) {
    char digits[24];
    say(s, (snprintf(digits, sizeof digits, "%llu", (unsigned long long)value), digits));
}

static void say_hex(string *s, const uint8_t *data, size_t size) {
    static const char hex[] = "0123456789abcdef";
    size_t n;
    for (n = 0; n < size; n++) {
        char pair[2];
        pair[0] = hex[data[n] >> 4];
        pair[1] = hex[data[n] & 15];
        append(s, pair, 2);
    }
}

static int read_line(string *line) {
    int c;
    line->size = 0;
    while ((c = getchar()) != EOF && c != '\n') {
        char one = (char)c;
        append(line, &one, 1);
    }
    return c != EOF || line->size > 0;
}

/* Where the value of a member of the flat object begins; NULL if it is not there. */
static const char *find(const char *line, const char *name) {
    char key[32];
    const char *found;
    snprintf(key, sizeof key, "\"%s\":", name);
    found = strstr(line, key);
    if (found == NULL) {
        return NULL;
    }
    found += strlen(key);
    while (*found == ' ') {
        found++;
    }
    return found;
}

static uint64_t number(const char *line, const char *name, uint64_t otherwise) {
    const char *at = find(line, name);
    return at == NULL ? otherwise : strtoull(at, NULL, 10);
}

static int is_word(const char *line, const char *name, const char *word) {
    const char *at = find(line, name);
    size_t size = strlen(word);
    return at != NULL && *at == '"' && strncmp(at + 1, word, size) == 0 && at[1 + size] == '"';
}

static unsigned digit(char c) { return (unsigned)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10); }

/* The bytes of a run of hex digits at *at, which is moved past them. To be freed. */
static uint8_t *unhex(const char **at, size_t *size) {
    const char *from = *at;
    uint8_t *bytes;
    size_t n;
    while (**at && strchr("0123456789abcdefABCDEF", **at)) {
        ++*at;
    }
    *size = (size_t)(*at - from) / 2;
    bytes = (uint8_t *)must(malloc(*size ? *size : 1));
    for (n = 0; n < *size; n++) {
        bytes[n] = (uint8_t)(digit(from[2 * n]) << 4 | digit(from[2 * n + 1]));
    }
    return bytes;
}

/* The next chunk of the request; 0 if there is none left. To be freed. */
static int next_chunk(const char **at, uint8_t **chunk, size_t *size) {
    while (**at == ' ') {
        ++*at;
    }
    if (**at == '"' || **at == '\0') {
        return 0;
    }
    if (**at == '-') {
        ++*at;
        *size = 0;
        *chunk = (uint8_t *)must(malloc(1));
        return 1;
    }
    *chunk = unhex(at, size);
    return 1;
}

static objs_config config_of(const char *line) {
    objs_config config = objs_default_config();
    config.max_frame = number(line, "max_frame", config.max_frame);
    config.max_header = number(line, "max_header", config.max_header);
    config.byte_length = (unsigned)number(line, "byte_length", config.byte_length);
    config.big_endian = is_word(line, "byte_order", "big");
    return config;
}

static void *grow(void *context, void *old, size_t size) {
    (void)context;
    return realloc(old, size);
}

static void say_frame(string *out, int *first, const objs_frame *frame) {
    say(out, *first ? "" : " ");
    *first = 0;
    say_hex(out, frame->header, frame->header_size);
    say(out, ":");
    say_hex(out, frame->payload, frame->payload_size);
}

/* As a tal stream delivers it: the header with all ten members, and the others. */
static void say_tal(string *out, int *first, const objs_frame *frame, const objs_tal *tal) {
    objs_frame full = *frame;
    size_t room = frame->header_size + 256;
    uint8_t *header = (uint8_t *)must(malloc(room));
    full.header = header;
    if (objs_tal_put_header(header, room, tal, &full.header_size) != OBJS_OK) {
        full = *frame; /* it has the member $stream, which may come in a later place but not be sent */
    }
    say_frame(out, first, &full);
    free(header);
}

static void decode(const char *line, string *out) {
    objs_config config = config_of(line);
    const char *at = find(line, "chunks");
    objs_reader reader;
    objs_frame frame;
    objs_error *error = &reader.decoder.error;
    uint64_t fed = 0;
    uint8_t *chunk;
    size_t size;
    int first = 1;
    objs_reader_init_growing(&reader, &config, grow, NULL);
    say(out, "\"frames\":\"");
    for (at += at != NULL; at != NULL && error->code == OBJS_OK && next_chunk(&at, &chunk, &size); free(chunk)) {
        const uint8_t *data = chunk;
        fed += size;
        while (objs_reader_next(&reader, &data, &size, &frame)) {
            if (!objs_header_valid(frame.header, frame.header_size)) {
                objs_fail_(error, OBJS_INVALID_HEADER, frame.index, frame.offset);
                break;
            }
            say_frame(out, &first, &frame);
        }
    }
    objs_reader_finish(&reader);
    say(out, "\",\"error\":\"");
    if (error->code != OBJS_OK) {
        say(out, objs_code_name(error->code));
        say(out, " ");
        say_number(out, error->index);
        say(out, " ");
        say_number(out, error->offset);
        say(out, " ");
        say_number(out, fed);
    }
    say(out, "\"");
    free(reader.buffer);
}

static void encode(const char *line, string *out) {
    objs_config config = config_of(line);
    const char *at;
    size_t header_size, payload_size, written = 0, capacity;
    uint8_t *header, *payload, *wire;
    objs_code code = OBJS_ENCODE_ERROR;
    if (find(line, "coder") != NULL && !is_word(line, "coder", "json") && !is_word(line, "coder", "raw") && !is_word(line, "coder", "tal")) {
        say(out, "\"skipped\":\"coder\"");
        return;
    }
    at = find(line, "header") + 1;
    header = unhex(&at, &header_size);
    at = find(line, "payload") + 1;
    payload = unhex(&at, &payload_size);
    capacity = header_size + payload_size + 256 + 16; /* 256: the ten members of tal at their defaults */
    wire = (uint8_t *)must(malloc(capacity));
    if (is_word(line, "coder", "tal")) {
        objs_tal tal;
        if (objs_tal_read(&tal, header, header_size) == OBJS_OK) {
            code = objs_tal_put_frame(&config, wire, capacity, &tal, payload, payload_size, &written);
        }
    } else if (find(line, "coder") == NULL) {
        if (objs_header_valid(header, header_size)) {
            code = objs_put_raw_frame(&config, wire, capacity, header, header_size, payload, payload_size, &written);
        }
    } else if (!is_word(line, "coder", "json") || objs_json_valid(payload, payload_size)) {
        code = objs_put_frame(&config, wire, capacity, header, header_size, payload, payload_size, &written);
    }
    say(out, "\"wire\":\"");
    say_hex(out, wire, code == OBJS_OK ? written : 0);
    say(out, code == OBJS_OK ? "\",\"error\":\"\"" : "\",\"error\":\"encode_error\"");
    free(header);
    free(payload);
    free(wire);
}

/* The error of a stream: an index or offset that SPEC section 5 does not give it is "-". */
static void say_stream_error(string *out, const objs_error *error, uint64_t fed) {
    say(out, objs_code_name(error->code));
    say(out, " ");
    if (error->code == OBJS_STREAM_INCOMPLETE) {
        say(out, "- -");
    } else {
        say_number(out, error->index);
        say(out, " ");
        if (error->code == OBJS_INVALID_CONTROL || error->code == OBJS_FRAME_AFTER_END ||
            error->code == OBJS_COUNT_MISMATCH || error->code == OBJS_ORDER_GAP) {
            say(out, "-");
        } else {
            say_number(out, error->offset);
        }
    }
    say(out, " ");
    say_number(out, fed);
}

static void stream(const char *line, string *out) {
    objs_config config = config_of(line);
    const char *at = find(line, "chunks");
    int json = is_word(line, "coder", "json"), speech = is_word(line, "coder", "tal"), first = 1;
    objs_reader reader;
    objs_stream state;
    objs_frame frame;
    objs_tal tal;
    string trailers = {NULL, 0, 0}, message = {NULL, 0, 0};
    uint64_t fed = 0;
    uint8_t *chunk;
    size_t size;
    if (!json && !speech && !is_word(line, "coder", "raw")) {
        say(out, "\"skipped\":\"coder\"");
        return;
    }
    objs_reader_init_growing(&reader, &config, grow, NULL);
    objs_stream_init(&state, json ? "json" : speech ? "tal" : "raw");
    state.end_rule = is_word(line, "require_end", "yes")  ? OBJS_END_REQUIRED
                     : is_word(line, "require_end", "no") ? OBJS_END_NOT_REQUIRED
                                                          : OBJS_END_IF_CONTROLLED;
    say(out, "\"frames\":\"");
    for (at += at != NULL; at != NULL && state.error.code == OBJS_OK && reader.decoder.error.code == OBJS_OK &&
                           next_chunk(&at, &chunk, &size);
         free(chunk)) {
        const uint8_t *data = chunk;
        fed += size;
        while (state.error.code == OBJS_OK && objs_reader_next(&reader, &data, &size, &frame)) {
            objs_message kind = speech ? objs_stream_take_tal(&state, &frame, &tal) : objs_stream_take(&state, &frame);
            if (kind == OBJS_MESSAGE_DATA && json && !objs_json_valid(frame.payload, frame.payload_size)) {
                kind = OBJS_MESSAGE_REFUSED;
            }
            if (kind == OBJS_MESSAGE_REFUSED) {
                say(out, first ? "!" : " !");
                first = 0;
                say_number(out, frame.index);
                say(out, ":");
                say_number(out, frame.offset);
            } else if (kind == OBJS_MESSAGE_DATA && speech) {
                say_tal(out, &first, &frame, &tal);
            } else if (kind == OBJS_MESSAGE_DATA) {
                say_frame(out, &first, &frame);
            } else if (state.ended && state.trailers.at != NULL && trailers.size == 0) {
                say_hex(&trailers, state.trailers.at, (size_t)(state.trailers.end - state.trailers.at));
            }
            if (state.error.code == OBJS_STREAM_ERROR) {
                size_t room = 1 + (state.peer_message.at ? (size_t)(state.peer_message.end - state.peer_message.at) : 0);
                char *text = (char *)must(malloc(room));
                say_hex(&message, (uint8_t *)text, objs_json_copy_string(state.peer_message, text, room));
                free(text);
            }
        }
    }
    if (state.error.code == OBJS_OK && objs_reader_finish(&reader) == OBJS_OK) {
        objs_stream_finish(&state);
    }
    say(out, "\",\"end\":\"");
    if (state.error.code == OBJS_STREAM_ERROR) {
        say(out, "error:");
        say(out, state.peer_code);
    } else {
        say(out, state.ended ? "ok" : "missing");
    }
    say(out, "\",\"error\":\"");
    if (reader.decoder.error.code != OBJS_OK) {
        say_stream_error(out, &reader.decoder.error, fed);
    } else if (state.error.code != OBJS_OK && state.error.code != OBJS_STREAM_ERROR) {
        say_stream_error(out, &state.error, fed);
    }
    say(out, "\",\"position\":");
    say_number(out, state.position);
    say(out, ",\"trailers\":\"");
    say(out, trailers.size ? trailers.text : "7b7d");
    say(out, "\",\"message\":\"");
    say(out, message.size ? message.text : "");
    say(out, "\"");
    free(trailers.text);
    free(message.text);
    free(reader.buffer);
}

int main(void) {
    string line = {NULL, 0, 0}, out = {NULL, 0, 0};
    while (read_line(&line)) {
        out.size = 0;
        say(&out, "{\"id\":");
        say_number(&out, number(line.text, "id", 0));
        say(&out, ",");
        if (is_word(line.text, "op", "hello")) {
            say(&out, "\"name\":\"c " OBJS_VERSION "\",\"features\":\"decode encode stream limits layout json bigint tal\"");
        } else if (is_word(line.text, "op", "decode")) {
            decode(line.text, &out);
        } else if (is_word(line.text, "op", "encode")) {
            encode(line.text, &out);
        } else if (is_word(line.text, "op", "stream")) {
            stream(line.text, &out);
        } else {
            say(&out, "\"skipped\":\"no such op\"");
        }
        say(&out, "}\n");
        fwrite(out.text, 1, out.size, stdout);
        fflush(stdout);
    }
    free(line.text);
    free(out.text);
    return 0;
}
