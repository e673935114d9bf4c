/* Unit tests of the coder tal, where the vectors do not test it. Compiles as C99 and as C++17. */
#include <stdio.h>
#include <stdlib.h>

#include "../objectstreaming.h"
#include "check.h"

static objs_text text_of(const char *text) { return objs_text_(text, strlen(text)); }

static int same(objs_text text, const char *expected) {
    size_t size = (size_t)(text.end - text.at);
    return size == strlen(expected) && memcmp(text.at, expected, size) == 0;
}

/* Reads a header in a block of exactly its size, so that a sanitizer finds a read beyond it. */
static objs_code read_exact(objs_tal *tal, const char *header, size_t size) {
    uint8_t *block = (uint8_t *)malloc(size ? size : 1);
    objs_code code;
    memcpy(block, header, size);
    code = objs_tal_read(tal, block, size);
    free(block);
    return code;
}

static objs_code read(objs_tal *tal, const char *header) {
    objs_code code = read_exact(tal, header, strlen(header));
    return code == OBJS_OK ? objs_tal_read(tal, (const uint8_t *)header, strlen(header)) : code;
}

static void test_absent_members_have_their_defaults(void) {
    objs_tal tal;
    CHECK(read(&tal, " {} ") == OBJS_OK);
    CHECK(tal.bits == 16 && tal.sample_rate == 16000 && tal.channels == 1 && tal.sign == 1 && tal.order == 1);
    CHECK(same(tal.question, "\"\"") && same(tal.answer, "\"\"") && same(tal.url, "\"\"") && same(tal.extra, " {} "));
    CHECK(read(&tal, "{\"audioType\":\"int32\"}") == OBJS_INVALID_HEADER); /* because the default of bitDepth is 16 */
}

static void test_the_last_member_of_a_name_counts_in_any_spelling(void) {
    objs_tal tal;
    CHECK(read(&tal, "{\"sign\":99,\"order\":\"x\",\"\\u0073ign\":2 , \"order\" : 7}") == OBJS_OK);
    CHECK(tal.sign == 2 && tal.order == 7);
    CHECK(read(&tal, "{\"sign\":2,\"sign\":null}") == OBJS_INVALID_HEADER);
    CHECK(read(&tal, "{\"audioType\":\"int\\u00332\",\"bitDepth\":32,\"audioFormat\":\"\\u0077av\"}") == OBJS_OK);
    CHECK(tal.bits == 32 && objs_tal_block(&tal) == 4);
    CHECK(read(&tal, "{\"signs\":99,\"sig\":99,\"Sign\":99,\"x\":{\"sign\":99}}") == OBJS_OK && tal.sign == 1);
}

static void test_a_header_is_checked_to_be_json(void) {
    static const char *const wrong[] = {"", "[]", "{", "{}x", "{\"sign\":1,}", "{\"sign\" 1}", "{sign:1}", "{\"sign\":1 \"order\":1}",
                                        "{\"a\":\"\\ud800\"}", "{\"a\":NaN}", "{\"sign\":1.0}", "{\"order\":1e0}", "{,}",
                                        "{\"order\":9007199254740992}", "{\"order\":-0}", "{\"order\":18446744073709551617}"};
    char deep[300];
    objs_tal tal;
    size_t n, levels;
    for (n = 0; n < sizeof wrong / sizeof *wrong; n++) {
        CHECK(read(&tal, wrong[n]) == OBJS_INVALID_HEADER);
    }
    for (levels = 99; levels <= 101; levels++) { /* the header is the first level */
        memcpy(deep, "{\"a\":", 5);
        memset(deep + 5, '[', levels - 1);
        memset(deep + 4 + levels, ']', levels - 1);
        deep[2 * levels + 3] = '}';
        CHECK((read_exact(&tal, deep, 2 * levels + 4) == OBJS_OK) == (levels <= 100));
    }
}

static void test_a_header_cut_at_any_byte_is_refused(void) {
    static const char header[] = "{\"audioType\":\"int16\",\"answer\":\"\\ud83d\\ude00\xc3\xa9\",\"order\":12,\"x\":[{\"y\":null}]}";
    objs_tal tal;
    size_t size;
    for (size = 0; size < sizeof header - 1; size++) {
        CHECK(read_exact(&tal, header, size) == OBJS_INVALID_HEADER);
    }
    CHECK(read_exact(&tal, header, size) == OBJS_OK);
}

static void test_a_header_is_written_and_read(void) {
    static const char said[] = "\"Good\" \\ \xc3\xa9\xf0\x9f\x98\x80\n", asked[] = "a\0b";
    char answer[64], question[64], copy[64];
    uint8_t header[512];
    objs_tal tal = objs_tal_default(), again;
    size_t size = 0;
    tal.bits = 32;
    tal.sample_rate = OBJS_TAL_MAX_RATE;
    tal.channels = OBJS_TAL_MAX_CHANNELS;
    tal.sign = 3;
    tal.order = OBJS_TAL_MAX_ORDER;
    tal.answer = objs_json_quote(answer, sizeof answer, said, sizeof said - 1);
    tal.question = objs_json_quote(question, sizeof question, asked, 3);
    tal.extra = text_of(" { \"speaker\" : \"Ann\", \"sign\":1, \"visemes\":[[0,\"a\"]] } ");
    CHECK(objs_tal_put_header(header, sizeof header, &tal, &size) == OBJS_OK);
    CHECK(same(objs_text_(header, size),
               "{\"audioType\":\"int32\",\"bitDepth\":32,\"sampleRate\":768000,\"channels\":255,\"audioFormat\":\"wav\","
               "\"question\":\"a\\u0000b\",\"answer\":\"\\\"Good\\\" \\\\ \xc3\xa9\xf0\x9f\x98\x80\\n\",\"url\":\"\","
               "\"sign\":3,\"order\":9007199254740991,\"speaker\":\"Ann\",\"visemes\":[[0,\"a\"]]}"));
    CHECK(objs_tal_read(&again, header, size) == OBJS_OK);
    CHECK(again.bits == 32 && again.sample_rate == 768000 && again.channels == 255 && again.sign == 3);
    CHECK(again.order == OBJS_TAL_MAX_ORDER && objs_tal_block(&again) == 1020);
    CHECK(objs_json_copy_string(again.answer, copy, sizeof copy) == sizeof said - 1 && strcmp(copy, said) == 0);
    CHECK(objs_json_copy_string(again.question, copy, sizeof copy) == 3 && memcmp(copy, asked, 3) == 0);
    CHECK(same(objs_json_member(again.extra, "speaker"), "\"Ann\""));
}

static void test_other_members_are_kept_by_a_relay(void) {
    static const char header[] = "{\"speaker\":\"Ann\",\"order\":2,\"sign\":2,\"\":0}";
    uint8_t out[256];
    objs_tal tal;
    size_t size = 0;
    CHECK(read(&tal, header) == OBJS_OK);
    tal.order = 3;
    CHECK(objs_tal_put_header(out, sizeof out, &tal, &size) == OBJS_OK);
    CHECK(objs_tal_read(&tal, out, size) == OBJS_OK && tal.order == 3 && tal.sign == 2);
    CHECK(size > 40 && memcmp(out + size - 22, ",\"speaker\":\"Ann\",\"\":0}", 22) == 0);
}

static void test_values_outside_the_table_are_not_written(void) {
    uint8_t out[256];
    objs_tal tal, fine = objs_tal_default();
    size_t size = 0;
    CHECK(objs_tal_put_header(out, sizeof out, &fine, &size) == OBJS_OK && size > 0);
#define REFUSED(change)                                                                                                \
    tal = fine;                                                                                                        \
    tal.change;                                                                                                        \
    size = 0;                                                                                                          \
    CHECK(objs_tal_put_header(out, sizeof out, &tal, &size) == OBJS_ENCODE_ERROR && size == 0)
    REFUSED(bits = 0);
    REFUSED(bits = 24);
    REFUSED(sample_rate = 0);
    REFUSED(sample_rate = 768001);
    REFUSED(channels = 0);
    REFUSED(channels = 256);
    REFUSED(sign = 0);
    REFUSED(sign = 4);
    REFUSED(order = 0);
    REFUSED(order = OBJS_TAL_MAX_ORDER + 1);
    REFUSED(answer = text_of("Yes."));
    REFUSED(answer = text_of("7"));
    REFUSED(question = text_of("\"a\",\"sign\":\"b\""));
    REFUSED(url = text_of("\"\\ud800\""));
    REFUSED(extra = text_of("[]"));
    REFUSED(extra = text_of("{\"a\":1}}"));
    REFUSED(extra = text_of("{\"a\":1,\"$stream\":{}}"));
#undef REFUSED
    tal = fine;
    tal.answer.at = tal.answer.end = NULL; /* means "", as in a struct of zeros */
    CHECK(objs_tal_put_header(out, sizeof out, &tal, &size) == OBJS_OK && size > 0);
}

static void test_text_that_cannot_be_quoted_is_refused(void) {
    static const char *const wrong[] = {"\xff", "\xed\xa0\x80", "\xc3", "\xc0\x80", "a\xf4\x90\x80\x80"};
    char all[32], quoted[6 * 32 + 2], copy[33], *exact;
    uint8_t out[256];
    objs_tal tal = objs_tal_default();
    objs_text text;
    size_t n, size, whole;
    for (n = 0; n < sizeof wrong / sizeof *wrong; n++) {
        tal.answer = objs_json_quote(quoted, sizeof quoted, wrong[n], strlen(wrong[n]));
        CHECK(objs_tal_put_header(out, sizeof out, &tal, &size) == OBJS_ENCODE_ERROR);
    }
    for (n = 0; n < sizeof all; n++) {
        all[n] = (char)n;
    }
    text = objs_json_quote(quoted, sizeof quoted, all, sizeof all);
    CHECK(objs_json_valid(text.at, (size_t)(text.end - text.at)));
    CHECK(objs_json_copy_string(text, copy, sizeof copy) == sizeof all && memcmp(copy, all, sizeof all) == 0);
    whole = (size_t)(text.end - text.at);
    for (n = 0; n <= whole; n++) { /* the whole text or nothing, and no byte beyond */
        exact = (char *)malloc(n ? n : 1);
        text = objs_json_quote(exact, n, all, sizeof all);
        CHECK((size_t)(text.end - text.at) == (n == whole ? whole : 0) && text.at != NULL);
        free(exact);
    }
    text = objs_json_quote(quoted, 2, NULL, 0);
    CHECK(same(text, "\"\""));
}

static void test_nothing_is_written_beyond_the_buffer(void) {
    static const uint8_t pcm[4] = {1, 0, 255, 255};
    uint8_t whole[256];
    objs_tal tal = objs_tal_default();
    size_t capacity, size = 0, written = 0;
    tal.extra = text_of("{\"speaker\":\"Ann\"}");
    CHECK(objs_tal_put_frame(NULL, whole, sizeof whole, &tal, pcm, sizeof pcm, &size) == OBJS_OK);
    CHECK(whole[0] == size && whole[4] == size - 12 && memcmp(whole + size - 4, pcm, 4) == 0);
    for (capacity = 0; capacity <= size; capacity++) {
        uint8_t *exact = (uint8_t *)malloc(capacity ? capacity : 1);
        CHECK(objs_tal_put_frame(NULL, exact, capacity, &tal, pcm, 4, &written) == (capacity == size ? OBJS_OK : OBJS_NO_MEMORY));
        CHECK(capacity < size || memcmp(exact, whole, size) == 0);
        free(exact);
    }
    CHECK(objs_tal_put_frame(NULL, whole, sizeof whole, &tal, pcm, 3, &written) == OBJS_ENCODE_ERROR);
    CHECK(objs_tal_put_frame(NULL, whole, sizeof whole, &tal, NULL, 0, &written) == OBJS_OK);
}

/* The bytes are fixed, so the test works on a big-endian machine too. The block begins at an odd address. */
static void test_samples_are_little_endian_at_any_address(void) {
    static const uint8_t bytes[9] = {0, 0x34, 0x12, 0x00, 0x80, 0xff, 0xff, 0xff, 0x7f};
    uint8_t out[9] = {0};
    const uint8_t *pcm = bytes + 1;
    size_t n;
    CHECK(objs_get_int16(pcm, 0) == 0x1234 && objs_get_int16(pcm, 1) == -32768);
    CHECK(objs_get_int16(pcm, 2) == -1 && objs_get_int16(pcm, 3) == 32767);
    CHECK(objs_get_int32(pcm, 0) == INT32_MIN + 0x1234 && objs_get_int32(pcm, 1) == INT32_MAX);
    for (n = 0; n < 4; n++) {
        objs_put_int16(out + 1, n, objs_get_int16(pcm, n));
    }
    CHECK(memcmp(out, bytes, sizeof out) == 0);
    memset(out, 0, sizeof out);
    for (n = 0; n < 2; n++) {
        objs_put_int32(out + 1, n, objs_get_int32(pcm, n));
    }
    CHECK(memcmp(out, bytes, sizeof out) == 0);
}

/* Each word is a frame, with its sign and order: "22". "22x" must be a gap. The payload of "22!" is cut. */
static void follow(const char *frames) {
    objs_stream stream;
    objs_frame frame;
    objs_tal tal;
    const char *at = frames;
    objs_stream_init(&stream, "tal");
    memset(&frame, 0, sizeof frame);
    while (*at != '\0') {
        char header[64];
        objs_message expected = at[2] == 'x' ? OBJS_MESSAGE_ERROR : at[2] == '!' ? OBJS_MESSAGE_REFUSED : OBJS_MESSAGE_DATA;
        snprintf(header, sizeof header, "{\"sign\":%c,\"order\":%c}", at[0], at[1]);
        frame.header = (const uint8_t *)header;
        frame.header_size = strlen(header);
        frame.payload = (const uint8_t *)"\1\2";
        frame.payload_size = at[2] == '!' ? 1 : 2;
        if (objs_stream_take_tal(&stream, &frame, &tal) != expected || stream.position != frame.index + 1 ||
            (expected == OBJS_MESSAGE_ERROR &&
             (stream.error.code != OBJS_ORDER_GAP || stream.error.index != frame.index))) {
            printf("%s: frame %lu\n", frames, (unsigned long)frame.index);
            failures++;
            return;
        }
        frame.index++;
        at += 2 + (at[2] == 'x' || at[2] == '!');
        at += *at == ' ';
    }
}

static void test_the_frames_of_an_answer_come_in_order(void) {
    follow("11 22 33 11 22");
    follow("11 22 11 22 11 11");
    follow("25 26 37 11");
    follow("39 11");
    follow("12x");
    follow("11 12x");
    follow("11 23x");
    follow("11 33x");
    follow("11 21x");
    follow("11 32 23x");
    follow("11 32 32x");
    follow("11 22! 24 25 37x");
    follow("11 22! 12x");
    follow("11! 27 28");
    follow("11 32 11! 22 33");
}

static void test_no_order_follows_the_largest(void) {
    objs_tal tal = objs_tal_default();
    uint64_t state = 0;
    tal.sign = 2;
    tal.order = OBJS_TAL_MAX_ORDER;
    CHECK(objs_tal_follow(&state, &tal) == OBJS_OK && objs_tal_follow(&state, &tal) == OBJS_ORDER_GAP);
    tal.sign = tal.order = 1;
    CHECK(objs_tal_follow(&state, &tal) == OBJS_OK);
}

static void test_an_invalid_header_ends_the_stream(void) {
    objs_stream stream;
    objs_frame frame;
    objs_tal tal;
    objs_stream_init(&stream, "tal");
    memset(&frame, 0, sizeof frame);
    frame.header = (const uint8_t *)OBJS_PING;
    frame.header_size = sizeof OBJS_PING - 1;
    CHECK(objs_stream_take_tal(&stream, &frame, &tal) == OBJS_MESSAGE_PING);
    frame.index = 1;
    frame.offset = 35;
    frame.header = (const uint8_t *)"{\"sign\":99}";
    frame.header_size = 11;
    CHECK(objs_stream_take_tal(&stream, &frame, &tal) == OBJS_MESSAGE_ERROR);
    CHECK(stream.error.code == OBJS_INVALID_HEADER && stream.error.index == 1 && stream.error.offset == 35);
    CHECK(strcmp(objs_code_name(OBJS_ORDER_GAP), "order_gap") == 0);
}

int main(void) {
    test_absent_members_have_their_defaults();
    test_the_last_member_of_a_name_counts_in_any_spelling();
    test_a_header_is_checked_to_be_json();
    test_a_header_cut_at_any_byte_is_refused();
    test_a_header_is_written_and_read();
    test_other_members_are_kept_by_a_relay();
    test_values_outside_the_table_are_not_written();
    test_text_that_cannot_be_quoted_is_refused();
    test_nothing_is_written_beyond_the_buffer();
    test_samples_are_little_endian_at_any_address();
    test_the_frames_of_an_answer_come_in_order();
    test_no_order_follows_the_largest();
    test_an_invalid_header_ends_the_stream();
    return check_result("tal");
}
