/* Unit tests of objectstreaming.h; the vectors of the conformance suite are tried by conformance.c. Compiles as C99 and
 * as C++17.
 *
 * They test what the vectors do not: events, allocations, buffers that are too small, the JSON scanner.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../objectstreaming.h"
#include "check.h"

static const uint8_t GOLDEN[24] = {0x18, 0, 0, 0, 8, 0, 0, 0, '{', '"', 'a', '"', ':', ' ', '1', '}',
                                   '{',  '"', 'b', '"', ':', ' ', '2', '}'};

/* An allocator that counts, and fails after `allowed` calls. */
typedef struct counter {
    size_t size, calls, allowed;
} counter;

static void *counting(void *context, void *old, size_t size) {
    counter *count = (counter *)context;
    if (count->calls++ >= count->allowed) {
        return NULL;
    }
    count->size = size;
    return realloc(old, size);
}

/* The result of decoding, as a line of text: the frames, then the error. Each chunk is copied to a block of exactly its size,
 * so that a sanitizer finds a read beyond it. */
static void decode(char *out, size_t capacity, const objs_config *config, const uint8_t *wire, size_t size, size_t step) {
    counter count = {0, 0, SIZE_MAX};
    objs_reader reader;
    objs_frame frame;
    size_t at, used = 0;
    objs_reader_init_growing(&reader, config, counting, &count);
    out[0] = '\0';
    for (at = 0; at < size && reader.decoder.error.code == OBJS_OK; at += step) {
        size_t part = size - at < step ? size - at : step;
        uint8_t *chunk = (uint8_t *)malloc(part);
        const uint8_t *data = chunk;
        memcpy(chunk, wire + at, part);
        while (objs_reader_next(&reader, &data, &part, &frame)) {
            used += (size_t)snprintf(out + used, capacity - used, "%llu@%llu:%.*s+%.*s ", (unsigned long long)frame.index,
                                     (unsigned long long)frame.offset, (int)frame.header_size,
                                     (const char *)frame.header, (int)frame.payload_size, (const char *)frame.payload);
        }
        free(chunk);
    }
    objs_reader_finish(&reader);
    snprintf(out + used, capacity - used, "%s %llu %llu", objs_code_name(reader.decoder.error.code),
             (unsigned long long)reader.decoder.error.index, (unsigned long long)reader.decoder.error.offset);
    free(reader.buffer);
}

static void expect(const objs_config *config, const uint8_t *wire, size_t size, const char *expected) {
    char seen[512];
    size_t step;
    for (step = 1; step <= size + 1; step++) {
        decode(seen, sizeof seen, config, wire, size, step);
        if (strcmp(seen, expected) != 0) {
            printf("in chunks of %lu: %s, expected %s\n", (unsigned long)step, seen, expected);
            failures++;
            return;
        }
    }
}

static void test_frames_are_the_same_for_all_chunkings(void) {
    uint8_t wire[2 * sizeof GOLDEN + 8];
    memcpy(wire, GOLDEN, sizeof GOLDEN);
    memcpy(wire + sizeof GOLDEN, GOLDEN, sizeof GOLDEN);
    memset(wire + 2 * sizeof GOLDEN, 0, 8);
    expect(NULL, wire, 0, "ok 0 0");
    expect(NULL, wire, 48, "0@0:{\"a\": 1}+{\"b\": 2} 1@24:{\"a\": 1}+{\"b\": 2} ok 0 0");
    expect(NULL, wire, 47, "0@0:{\"a\": 1}+{\"b\": 2} truncated_frame 1 24");
    expect(NULL, wire, 56, "0@0:{\"a\": 1}+{\"b\": 2} 1@24:{\"a\": 1}+{\"b\": 2} invalid_length 2 48");
}

static void test_every_layout_is_written_and_read(void) {
    objs_config config = objs_default_config();
    for (config.byte_length = 1; config.byte_length <= 8; config.byte_length++) {
        for (config.big_endian = 0; config.big_endian < 2; config.big_endian++) {
            uint8_t wire[64];
            size_t size = 0;
            CHECK(objs_put_frame(&config, wire, sizeof wire, GOLDEN + 8, 8, GOLDEN + 16, 8, &size) == OBJS_OK);
            CHECK(size == 16 + 2 * config.byte_length);
            expect(&config, wire, size, "0@0:{\"a\": 1}+{\"b\": 2} ok 0 0");
        }
    }
}

static void test_a_layout_of_zeros_is_the_standard_one_and_one_of_nine_bytes_is_refused(void) {
    objs_config config;
    uint8_t wire[64];
    size_t size = 0;
    memset(&config, 0, sizeof config);
    config.max_frame = config.max_header = 64;
    expect(&config, GOLDEN, 24, "0@0:{\"a\": 1}+{\"b\": 2} ok 0 0");
    CHECK(objs_put_frame(&config, wire, sizeof wire, GOLDEN + 8, 8, GOLDEN + 16, 8, &size) == OBJS_OK);
    CHECK(size == 24 && memcmp(wire, GOLDEN, 24) == 0);
    config.byte_length = 9;
    expect(&config, GOLDEN, 24, "invalid_length 0 0");
    CHECK(objs_put_frame(&config, wire, sizeof wire, GOLDEN + 8, 8, GOLDEN + 16, 8, &size) == OBJS_ENCODE_ERROR);
}

static void test_a_frame_that_does_not_fit_is_not_written(void) {
    objs_config config = objs_default_config();
    uint8_t wire[300];
    size_t size = 0;
    CHECK(objs_put_frame(NULL, wire, sizeof GOLDEN, GOLDEN + 8, 8, GOLDEN + 16, 8, &size) == OBJS_OK && size == 24);
    CHECK(memcmp(wire, GOLDEN, 24) == 0);
    CHECK(objs_put_frame(NULL, wire, 23, GOLDEN + 8, 8, GOLDEN + 16, 8, &size) == OBJS_NO_MEMORY);
    CHECK(objs_put_raw_frame(NULL, wire, 7, NULL, 0, NULL, 0, &size) == OBJS_NO_MEMORY);
    CHECK(objs_put_lengths(NULL, wire, 8, UINT32_MAX) == OBJS_ENCODE_ERROR);
    CHECK(objs_put_lengths(NULL, wire, UINT64_MAX, UINT64_MAX) == OBJS_ENCODE_ERROR);
    config.byte_length = 1;
    CHECK(objs_put_lengths(&config, wire, 2, 251) == OBJS_OK && wire[0] == 255 && wire[1] == 2);
    CHECK(objs_put_lengths(&config, wire, 2, 252) == OBJS_ENCODE_ERROR);
    config.byte_length = 8;
    CHECK(objs_put_lengths(&config, wire, UINT64_MAX - 16, 0) == OBJS_OK);
    CHECK(objs_put_lengths(&config, wire, UINT64_MAX - 16, 1) == OBJS_ENCODE_ERROR);
}

static void test_events_of_a_frame_in_several_chunks(void) {
    static const objs_event_type expected[] = {OBJS_EVENT_MORE,  OBJS_EVENT_BEGIN,   OBJS_EVENT_HEADER, OBJS_EVENT_MORE,
                                               OBJS_EVENT_HEADER, OBJS_EVENT_PAYLOAD, OBJS_EVENT_MORE,   OBJS_EVENT_PAYLOAD,
                                               OBJS_EVENT_END,   OBJS_EVENT_FRAME,   OBJS_EVENT_MORE};
    static const size_t cuts[] = {0, 5, 12, 20, 48};
    uint8_t wire[48];
    objs_decoder decoder;
    objs_event event;
    size_t chunk, n = 0, header = 0, payload = 0;
    memcpy(wire, GOLDEN, 24);
    memcpy(wire + 24, GOLDEN, 24);
    objs_decoder_init(&decoder, NULL);
    for (chunk = 0; chunk + 1 < sizeof cuts / sizeof *cuts; chunk++) {
        const uint8_t *data = wire + cuts[chunk];
        size_t size = cuts[chunk + 1] - cuts[chunk];
        do {
            objs_decoder_next(&decoder, &data, &size, &event);
            CHECK(n < sizeof expected / sizeof *expected && event.type == expected[n]);
            n++;
            header += event.type == OBJS_EVENT_HEADER ? event.size : 0;
            payload += event.type == OBJS_EVENT_PAYLOAD ? event.size : 0;
            if (event.type == OBJS_EVENT_BEGIN) {
                CHECK(event.header_size == 8 && event.payload_size == 8);
            }
        } while (event.type != OBJS_EVENT_MORE);
        CHECK(size == 0 && data == wire + cuts[chunk + 1]);
    }
    CHECK(n == sizeof expected / sizeof *expected && header == 8 && payload == 8);
    CHECK(event.index == 2 && event.offset == 48 && objs_decoder_finish(&decoder) == OBJS_OK);
}

static void test_a_failed_decoder_returns_its_error_again(void) {
    static const uint8_t zeros[8] = {0};
    objs_decoder decoder;
    objs_event event;
    const uint8_t *data = zeros;
    size_t size = 8;
    objs_decoder_init(&decoder, NULL);
    CHECK(objs_decoder_next(&decoder, &data, &size, &event) == OBJS_EVENT_ERROR && size == 4);
    data = GOLDEN;
    size = 24;
    CHECK(objs_decoder_next(&decoder, &data, &size, &event) == OBJS_EVENT_ERROR && size == 24);
    CHECK(objs_decoder_finish(&decoder) == OBJS_INVALID_LENGTH);
}

static void test_the_buffer_of_the_caller_is_the_frame_limit(void) {
    uint8_t buffer[16];
    objs_reader reader;
    objs_frame frame;
    const uint8_t *data;
    size_t n, size, seen = 0;
    objs_reader_init(&reader, NULL, buffer, sizeof buffer); /* T of GOLDEN is 24: 8 and 16 */
    for (n = 0; n < 24; n++) {
        data = GOLDEN + n;
        size = 1;
        seen += (size_t)objs_reader_next(&reader, &data, &size, &frame);
    }
    CHECK(seen == 1 && frame.header == buffer && memcmp(frame.payload, GOLDEN + 16, 8) == 0);
    objs_reader_init(&reader, NULL, buffer, sizeof buffer - 1);
    data = GOLDEN;
    size = 24;
    CHECK(!objs_reader_next(&reader, &data, &size, &frame));
    CHECK(reader.decoder.error.code == OBJS_FRAME_TOO_LARGE);
}

static void test_memory_grows_with_the_bytes_that_arrive(void) {
    static const uint8_t claim[] = {0, 0, 0, 1, 2, 0, 0, 0, '{', '}'}; /* claims 16 MiB */
    counter count = {0, 0, SIZE_MAX};
    objs_reader reader;
    objs_frame frame;
    const uint8_t *data = claim;
    size_t size = sizeof claim, n;
    uint8_t chunk[1000] = {0};
    objs_reader_init_growing(&reader, NULL, counting, &count);
    CHECK(!objs_reader_next(&reader, &data, &size, &frame) && count.size <= 256);
    for (n = 1; n <= 100; n++) {
        data = chunk;
        size = sizeof chunk;
        CHECK(!objs_reader_next(&reader, &data, &size, &frame));
        CHECK(count.size <= 2 * (sizeof chunk * n + 2));
    }
    CHECK(count.calls < 20);
    CHECK(objs_reader_finish(&reader) == OBJS_TRUNCATED_FRAME);
    free(reader.buffer);
}

static void test_no_memory_is_an_error(void) {
    counter count = {0, 0, 1};
    objs_reader reader;
    objs_frame frame;
    uint8_t head[] = {0, 16, 0, 0, 2, 0, 0, 0, '{', '}'};
    uint8_t rest[4096] = {0};
    const uint8_t *data = head;
    size_t size = sizeof head;
    objs_reader_init_growing(&reader, NULL, counting, &count);
    CHECK(!objs_reader_next(&reader, &data, &size, &frame) && reader.decoder.error.code == OBJS_OK);
    data = rest;
    size = 1000;
    CHECK(!objs_reader_next(&reader, &data, &size, &frame) && reader.decoder.error.code == OBJS_NO_MEMORY);
    CHECK(objs_reader_finish(&reader) == OBJS_NO_MEMORY);
    free(reader.buffer);
}

static int valid(const char *text) { return objs_json_valid((const uint8_t *)text, strlen(text)); }

static void test_json_is_strict(void) {
    static const char *const right[] = {"{}", " [ 1 , 2 ] \n", "\"\"", "-0", "0.5e-7", "1E+9", "true", "null",
                                        "{\"a\":{\"b\":[{}]}}", "\"\\u00e9\\ud83d\\ude00\\\\\\/\"",
                                        "\"\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbf\"", "123456789012345678901234567890"};
    static const char *const wrong[] = {"", " ", "{", "}", "[1,]", "[,1]", "{\"a\":1,}", "{a:1}", "{\"a\" 1}", "{\"a\":}",
                                        "01", "1.", ".5", "-", "+1", "1e", "0x1", "NaN", "Infinity", "-Infinity", "nul",
                                        "truex", "1 2", "{}{}", "'a'", "\"", "\"\\\"", "\"\\x\"", "\"\\u12g4\"", "\"\n\"",
                                        "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\\ud800x\"", "\"\xc3\"",
                                        "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xff\"",
                                        "\xef\xbb\xbf{}", "[1}", "{\"a\":1]", "\"\xe0\x80\xaf\"", "[\"a\":1]", "{1:2}"};
    char deep[2 * 101 + 1];
    size_t n;
    for (n = 0; n < sizeof right / sizeof *right; n++) {
        if (!valid(right[n])) {
            printf("refused: %s\n", right[n]);
            failures++;
        }
    }
    for (n = 0; n < sizeof wrong / sizeof *wrong; n++) {
        if (valid(wrong[n])) {
            printf("accepted: %s\n", wrong[n]);
            failures++;
        }
    }
    for (n = 99; n <= 101; n++) {
        memset(deep, '[', n);
        memset(deep + n, ']', n);
        CHECK(objs_json_valid((const uint8_t *)deep, 2 * n) == (n <= 100));
    }
    CHECK(objs_header_valid((const uint8_t *)" {}", 3) && !objs_header_valid((const uint8_t *)"[]", 2));
    CHECK(!objs_header_valid((const uint8_t *)"", 0) && !objs_json_valid(NULL, 0));
    CHECK(!objs_json_valid((const uint8_t *)"\"\0\"", 3));
}

/* The scanner reads eight bytes at a time. It must find a byte at each of the eight places. */
static void test_json_strings_are_checked_at_every_byte(void) {
    char text[40], copy[40];
    unsigned byte, place;
    for (place = 1; place < 38; place++) {
        for (byte = 0; byte < 256; byte++) {
            uint8_t *exact = (uint8_t *)malloc(sizeof text);
            objs_text value;
            memset(text, 'a', sizeof text);
            text[0] = text[39] = '"';
            text[place] = (char)byte;
            memcpy(exact, text, sizeof text);
            CHECK(objs_json_valid(exact, sizeof text) == (byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\'));
            value.at = exact;
            value.end = exact + sizeof text;
            CHECK(objs_json_copy_string(value, copy, place) == place - 1);
            free(exact);
        }
    }
}

static objs_text text_of(const char *text) { return objs_text_(text, strlen(text)); }

static void test_the_last_member_of_a_name_is_found(void) {
    objs_text object = text_of("{ \"a\" : 1, \"b\":{\"a\":2}, \"\\u0061\":\"x\\n\\u00e9\\ud83d\\ude00\" , \"ab\":3}");
    objs_text found = objs_json_member(object, "a");
    char copy[16];
    CHECK(objs_json_copy_string(found, copy, sizeof copy) == 8 && strcmp(copy, "x\n\xc3\xa9\xf0\x9f\x98\x80") == 0);
    CHECK(objs_json_copy_string(found, copy, 8) == 4 && strcmp(copy, "x\n\xc3\xa9") == 0); /* never a part of a character */
    CHECK(objs_json_copy_string(found, copy, 1) == 0 && copy[0] == '\0');
    found = objs_json_member(objs_json_member(object, "b"), "a");
    CHECK(found.end - found.at == 1 && *found.at == '2');
    CHECK(objs_json_member(object, "c").at == NULL && objs_json_member(found, "a").at == NULL);
    CHECK(objs_json_is(text_of("\"o\\u0070en\""), "open") && !objs_json_is(text_of("\"opens\""), "open"));
}

static void test_numbers_are_read_without_floating_point(void) {
    static const struct {
        const char *text;
        uint64_t thousandths;
    } numbers[] = {{"15", 15000},  {"0.5", 500},    {"1e3", 1000000}, {"25E-1", 2500}, {"0.0001", 1}, {"1e-400", 1},
                   {"0", 0},       {"-1", 0},       {"0.0e5", 0},     {"\"1\"", 0},    {"1e99", UINT64_MAX},
                   {"1.0015", 1002}, {"100000000000000000000000", UINT64_MAX}};
    uint64_t count = 7;
    size_t n;
    for (n = 0; n < sizeof numbers / sizeof *numbers; n++) {
        CHECK(objs_json_thousandths(text_of(numbers[n].text)) == numbers[n].thousandths);
    }
    CHECK(objs_json_count(text_of("-0"), &count) && count == 0);
    CHECK(objs_json_count(text_of("18446744073709551615"), &count) && count == UINT64_MAX);
    CHECK(objs_json_count(text_of("99999999999999999999999"), &count) && count == UINT64_MAX);
    CHECK(!objs_json_count(text_of("-1"), &count) && !objs_json_count(text_of("1.0"), &count));
    CHECK(!objs_json_count(text_of("1e0"), &count) && !objs_json_count(text_of("\"1\""), &count));
}

static objs_message take(objs_stream *stream, const char *header) {
    objs_frame frame;
    memset(&frame, 0, sizeof frame);
    frame.header = (const uint8_t *)header;
    frame.header_size = strlen(header);
    return objs_stream_take(stream, &frame);
}

static void test_a_stream_that_is_whole(void) {
    objs_stream stream;
    char header[128];
    size_t size;
    objs_stream_init(&stream, "json");
    size = objs_open_header(header, sizeof header - 1, "json", ",\"heartbeat\":0.5,\"metadata\":{\"id\":7}");
    header[size] = '\0';
    CHECK(take(&stream, header) == OBJS_MESSAGE_OPEN && stream.heartbeat_ms == 500 && stream.metadata.at != NULL);
    CHECK(take(&stream, OBJS_PING) == OBJS_MESSAGE_PING);
    CHECK(take(&stream, "{\"n\":1}") == OBJS_MESSAGE_DATA && stream.position == 1);
    CHECK(take(&stream, "{\"$stream\":{\"type\":\"weather\"}}") == OBJS_MESSAGE_OTHER);
    size = objs_end_header(header, sizeof header - 1, 1, ",\"trailers\":{\"tokens\":7}");
    header[size] = '\0';
    CHECK(take(&stream, header) == OBJS_MESSAGE_END && stream.ended);
    CHECK(stream.trailers.end - stream.trailers.at == 12);
    CHECK(objs_stream_finish(&stream) == OBJS_OK);
    CHECK(take(&stream, OBJS_PING) == OBJS_MESSAGE_ERROR && stream.error.code == OBJS_FRAME_AFTER_END);
    objs_stream_init(&stream, NULL);
    CHECK(take(&stream, "{\"$stream\":{\"type\":\"open\",\"v\":1,\"position\":18446744073709551615}}") == OBJS_MESSAGE_OPEN);
    CHECK(take(&stream, "{}") == OBJS_MESSAGE_DATA && stream.position > UINT64_MAX / 2); /* it does not wrap around */
}

static void test_a_stream_that_is_cut_or_fails(void) {
    objs_stream stream;
    char message[8];
    objs_stream_init(&stream, NULL);
    CHECK(take(&stream, "{}") == OBJS_MESSAGE_DATA && objs_stream_finish(&stream) == OBJS_OK);
    CHECK(take(&stream, OBJS_PING) == OBJS_MESSAGE_PING && objs_stream_finish(&stream) == OBJS_STREAM_INCOMPLETE);
    objs_stream_init(&stream, NULL);
    stream.end_rule = OBJS_END_REQUIRED;
    CHECK(objs_stream_finish(&stream) == OBJS_STREAM_INCOMPLETE);
    objs_stream_init(&stream, NULL);
    CHECK(take(&stream, "{\"$stream\":{\"type\":\"end\",\"frames\":0,\"error\":"
                        "{\"code\":\"novel\",\"message\":\"why\",\"details\":[1]}}}") == OBJS_MESSAGE_ERROR);
    CHECK(stream.error.code == OBJS_STREAM_ERROR && strcmp(stream.peer_code, "unknown") == 0);
    CHECK(objs_json_copy_string(stream.peer_message, message, sizeof message) == 3 && strcmp(message, "why") == 0);
    CHECK(stream.peer_details.end - stream.peer_details.at == 3);
}

static void test_control_headers_do_not_overrun_their_buffer(void) {
    char header[64];
    size_t capacity, size = objs_end_header(header, sizeof header, UINT64_MAX, NULL);
    CHECK(size == 56 && memcmp(header + size - 22, "18446744073709551615}}", 22) == 0);
    for (capacity = 0; capacity < size; capacity++) {
        char *exact = (char *)malloc(capacity + 1);
        CHECK(objs_end_header(exact, capacity, UINT64_MAX, NULL) == 0);
        CHECK(objs_open_header(exact, capacity < 33 ? capacity : 32, NULL, NULL) == 0);
        free(exact);
    }
}

static objs_code put(const char *header) {
    uint8_t wire[64];
    size_t size = 0;
    return objs_put_frame(NULL, wire, sizeof wire, (const uint8_t *)header, strlen(header), NULL, 0, &size);
}

static void test_data_frames_do_not_have_the_member_stream(void) {
    uint8_t wire[64];
    size_t size = 0;
    CHECK(put("{\"$stream\":{\"type\":\"end\",\"frames\":0}}") == OBJS_ENCODE_ERROR);
    CHECK(put("{\"a\":1,\"$stream\":2}") == OBJS_ENCODE_ERROR);
    CHECK(put(" {\"\\u0024str\\u0065am\":2}") == OBJS_ENCODE_ERROR);
    CHECK(put("{\"a\":{\"$stream\":2},\"b\":\"$stream\"}") == OBJS_OK);
    CHECK(put("") == OBJS_ENCODE_ERROR && put("[]") == OBJS_ENCODE_ERROR && put("{\"a\"}") == OBJS_ENCODE_ERROR);
    CHECK(objs_put_raw_frame(NULL, wire, sizeof wire, (const uint8_t *)OBJS_PING, 27, NULL, 0, &size) == OBJS_OK);
    expect(NULL, wire, size, "0@0:" OBJS_PING "+ ok 0 0");
}

/* What a reader finds in one stream: a letter a message, then the code of the error if there is one. */
static void read_stream(const uint8_t *wire, size_t size, const char *expected) {
    static uint8_t buffer[256];
    char seen[32];
    size_t count = 0;
    objs_reader reader;
    objs_stream stream;
    objs_frame frame;
    objs_reader_init(&reader, NULL, buffer, sizeof buffer);
    objs_stream_init(&stream, "json");
    while (objs_reader_next(&reader, &wire, &size, &frame)) {
        seen[count++] = "!dop.er"[objs_stream_take(&stream, &frame)];
    }
    CHECK(objs_reader_finish(&reader) == OBJS_OK && objs_stream_finish(&stream) == OBJS_OK);
    seen[count] = '\0';
    CHECK(strcmp(seen, expected) == 0);
}

static void test_an_encoder_writes_what_a_reader_accepts(void) {
    uint8_t wire[512];
    size_t at = 0, size = 0;
    objs_encoder encoder;
    objs_encoder_init(&encoder, NULL, "json");
    CHECK(objs_encoder_open(&encoder, wire, sizeof wire, ",\"heartbeat\":15", &size) == OBJS_OK);
    at += size;
    CHECK(objs_encoder_data(&encoder, wire + at, sizeof wire - at, (const uint8_t *)"{}", 2, (const uint8_t *)"1", 1,
                            &size) == OBJS_OK);
    at += size;
    CHECK(objs_encoder_ping(&encoder, wire + at, sizeof wire - at, &size) == OBJS_OK);
    at += size;
    CHECK(objs_encoder_end(&encoder, wire + at, sizeof wire - at, ",\"trailers\":{\"n\":1}", &size) == OBJS_OK);
    at += size;
    CHECK(encoder.position == 1);
    read_stream(wire, at, "odpe");
    objs_encoder_init(&encoder, NULL, "msgpack");
    CHECK(objs_encoder_ping(&encoder, wire, sizeof wire, &size) == OBJS_OK && size == 36 && wire[35] == 0xc0);
    objs_encoder_init(&encoder, NULL, NULL);
    CHECK(objs_encoder_end(&encoder, wire, sizeof wire, ",\"error\":{\"code\":\"internal\"}", &size) == OBJS_OK);
    CHECK(encoder.ended);
}

static void test_an_encoder_that_refuses_is_as_it_was(void) {
    uint8_t wire[128] = {0}, *exact;
    size_t size = 0, capacity, needed;
    objs_config config = objs_default_config();
    objs_encoder encoder, before;
    const uint8_t *empty = (const uint8_t *)"{}", *forged = (const uint8_t *)"{\"$stream\":{\"type\":\"end\",\"frames\":0}}";
    config.max_frame = 96;
    config.max_header = 64;
    objs_encoder_init(&encoder, &config, "json");
    before = encoder;
    CHECK(objs_encoder_data(&encoder, wire, sizeof wire, empty, 2, wire, 87, &size) == OBJS_FRAME_TOO_LARGE);
    CHECK(objs_encoder_data(&encoder, wire, sizeof wire, wire, 65, NULL, 0, &size) == OBJS_HEADER_TOO_LARGE);
    CHECK(objs_encoder_data(&encoder, wire, sizeof wire, forged, 37, NULL, 0, &size) == OBJS_ENCODE_ERROR);
    CHECK(objs_encoder_data(&encoder, wire, 9, empty, 2, NULL, 0, &size) == OBJS_NO_MEMORY);
    CHECK(objs_encoder_open(&encoder, wire, sizeof wire, ",heartbeat:15", &size) == OBJS_ENCODE_ERROR);
    CHECK(objs_encoder_open(&encoder, wire, sizeof wire, ",\"heartbeat\":-1", &size) == OBJS_ENCODE_ERROR);
    CHECK(objs_encoder_end(&encoder, wire, sizeof wire, ",\"trailers\":[]", &size) == OBJS_ENCODE_ERROR);
    CHECK(objs_encoder_open(&encoder, wire, sizeof wire, ",\"metadata\":{\"a\":\"bcdefghijklmnopq\"}", &size) ==
          OBJS_HEADER_TOO_LARGE);
    CHECK(size == 0 && memcmp(&encoder, &before, sizeof encoder) == 0);
    CHECK(objs_encoder_ping(&encoder, wire, sizeof wire, &needed) == OBJS_OK);
    for (capacity = 0; capacity < needed; capacity++) {
        exact = (uint8_t *)malloc(capacity + 1);
        objs_encoder_init(&encoder, &config, "json");
        CHECK(objs_encoder_ping(&encoder, exact, capacity, &size) == OBJS_NO_MEMORY && !encoder.begun);
        CHECK(objs_encoder_end(&encoder, exact, capacity, NULL, &size) == OBJS_NO_MEMORY && !encoder.ended);
        CHECK(objs_encoder_open(&encoder, exact, capacity, NULL, &size) == OBJS_NO_MEMORY && !encoder.begun);
        free(exact);
    }
    CHECK(objs_encoder_data(&encoder, wire, sizeof wire, empty, 2, NULL, 0, &size) == OBJS_OK);
    CHECK(objs_encoder_open(&encoder, wire, sizeof wire, NULL, &size) == OBJS_ENCODE_ERROR);
    CHECK(objs_encoder_end(&encoder, wire, sizeof wire, NULL, &size) == OBJS_OK);
    CHECK(objs_encoder_data(&encoder, wire, sizeof wire, empty, 2, NULL, 0, &size) == OBJS_ENCODE_ERROR);
    CHECK(objs_encoder_ping(&encoder, wire, sizeof wire, &size) == OBJS_ENCODE_ERROR);
    CHECK(objs_encoder_end(&encoder, wire, sizeof wire, NULL, &size) == OBJS_ENCODE_ERROR);
    CHECK(encoder.position == 1);
}

int main(void) {
    test_frames_are_the_same_for_all_chunkings();
    test_every_layout_is_written_and_read();
    test_a_layout_of_zeros_is_the_standard_one_and_one_of_nine_bytes_is_refused();
    test_a_frame_that_does_not_fit_is_not_written();
    test_events_of_a_frame_in_several_chunks();
    test_a_failed_decoder_returns_its_error_again();
    test_the_buffer_of_the_caller_is_the_frame_limit();
    test_memory_grows_with_the_bytes_that_arrive();
    test_no_memory_is_an_error();
    test_json_is_strict();
    test_json_strings_are_checked_at_every_byte();
    test_the_last_member_of_a_name_is_found();
    test_numbers_are_read_without_floating_point();
    test_a_stream_that_is_whole();
    test_a_stream_that_is_cut_or_fails();
    test_control_headers_do_not_overrun_their_buffer();
    test_data_frames_do_not_have_the_member_stream();
    test_an_encoder_writes_what_a_reader_accepts();
    test_an_encoder_that_refuses_is_as_it_was();
    return check_result("codec");
}
