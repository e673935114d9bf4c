/* The time of decoding, compared with the usual alternatives: `make bench`. Medians of interleaved rounds, and their ratios.
 *
 * Workload T: 10,000 messages of {"status","reason"} + {"answer","source"}, in chunks of 64 KiB. The alternative is a length
 * word and one JSON text, {"h":...,"p":...}, which a loop collects and gives to cJSON or yajl, if they are installed.
 * Workload B: 256 frames of 1 MiB, compared with memcpy of the same chunks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../objectstreaming.h"

#ifdef WITH_CJSON
#include <cjson/cJSON.h>
#endif
#ifdef WITH_YAJL
#include <yajl/yajl_parse.h>
#endif

enum { MESSAGES = 10000, LARGE = 256, ROUNDS = 9, CHUNK = 65536 };
#define MIB ((size_t)1 << 20)

static uint8_t *frames, *prefixed, *large;
static size_t frames_size, prefixed_size;
static size_t sink; /* the size of the texts found, so that nothing is optimized away */

static void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static void *block(size_t size) {
    void *memory = malloc(size);
    if (memory == NULL) {
        fail("no memory");
    }
    memset(memory, 1, size);
    return memory;
}

static void write_workloads(void) {
    static const char header[] = "{\"status\":\"success\",\"reason\":\"\"}";
    size_t n, written, capacity = (size_t)MESSAGES * 256;
    frames = (uint8_t *)block(capacity);
    prefixed = (uint8_t *)block(capacity);
    large = (uint8_t *)block(MIB);
    for (n = 0; n < MESSAGES; n++) {
        char payload[128], pair[224];
        uint32_t size;
        int length = snprintf(payload, sizeof payload,
                              "{\"answer\":\"Sentence number %d of the answer, as long as sentences are.\","
                              "\"source\":\"guide.md#chapter-%d\"}", (int)n, (int)n % 17);
        if (objs_put_frame(NULL, frames + frames_size, capacity - frames_size, (const uint8_t *)header, sizeof header - 1,
                           (const uint8_t *)payload, (size_t)length, &written) != OBJS_OK) {
            fail("put");
        }
        frames_size += written;
        size = (uint32_t)snprintf(pair, sizeof pair, "{\"h\":%s,\"p\":%s}", header, payload);
        memcpy(prefixed + prefixed_size, &size, 4);
        memcpy(prefixed + prefixed_size + 4, pair, size);
        prefixed_size += 4 + size;
    }
    if (objs_put_lengths(NULL, large, 2, MIB - 10) != OBJS_OK) {
        fail("put");
    }
    memcpy(large + 8, "{}", 2);
}

static void *grow(void *context, void *old, size_t size) {
    (void)context;
    return realloc(old, size);
}

static void member(const uint8_t *data, size_t size, const char *name) {
    char copy[128];
    objs_text object;
    object.at = data;
    object.end = data + size;
    sink += objs_json_copy_string(objs_json_member(object, name), copy, sizeof copy);
}

/* depth 0: frames; 1: header and payload checked, in the stream layer; 2: the four members found and copied too. */
static void read_frames(size_t step, int depth) {
    objs_reader reader;
    objs_stream stream;
    objs_frame frame;
    size_t at = 0, count = 0;
    objs_reader_init_growing(&reader, NULL, grow, NULL);
    objs_stream_init(&stream, "json");
    while (at < frames_size) {
        const uint8_t *data = frames + at;
        size_t size = frames_size - at < step ? frames_size - at : step;
        at += size;
        while (objs_reader_next(&reader, &data, &size, &frame)) {
            count++;
            if (depth >= 1 && (objs_stream_take(&stream, &frame) != OBJS_MESSAGE_DATA ||
                               !objs_json_valid(frame.payload, frame.payload_size))) {
                fail("not data");
            }
            if (depth == 2) {
                member(frame.header, frame.header_size, "status");
                member(frame.header, frame.header_size, "reason");
                member(frame.payload, frame.payload_size, "answer");
                member(frame.payload, frame.payload_size, "source");
            }
        }
    }
    if (objs_reader_finish(&reader) != OBJS_OK || count != MESSAGES) {
        fail("not all frames");
    }
    free(reader.buffer);
}

static void t_frames(void) { read_frames(CHUNK, 0); }
static void t_checked(void) { read_frames(CHUNK, 1); }
static void t_members(void) { read_frames(CHUNK, 2); }

/* A simple loop: the bytes are collected in a buffer, and a message is taken when it is whole. */
typedef void (*parse)(const char *text, size_t size);

static void read_prefixed(parse take) {
    static char message[4 + 4096];
    size_t at = 0, have = 0, count = 0;
    uint32_t size = 0;
    while (at < prefixed_size) {
        size_t end = prefixed_size - at < CHUNK ? prefixed_size : at + CHUNK;
        while (at < end) {
            size_t want = have < 4 ? 4 - have : 4 + size - have, part = end - at < want ? end - at : want;
            memcpy(message + have, prefixed + at, part);
            have += part;
            at += part;
            if (have == 4) {
                memcpy(&size, message, 4);
                if (size > 4096) {
                    fail("too large");
                }
            } else if (have == 4 + size) {
                take(message + 4, size);
                have = 0;
                count++;
            }
        }
    }
    if (count != MESSAGES) {
        fail("not all messages");
    }
}

#ifdef WITH_CJSON
static void cjson_text(const cJSON *object, const char *name) {
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(object, name);
    char copy[128];
    size_t size;
    if (!cJSON_IsString(found)) {
        fail("no member");
    }
    size = strlen(found->valuestring);
    memcpy(copy, found->valuestring, size + 1);
    sink += size;
}

static void cjson_take(const char *text, size_t size) {
    cJSON *pair = cJSON_ParseWithLength(text, size);
    const cJSON *header = cJSON_GetObjectItemCaseSensitive(pair, "h"), *payload = cJSON_GetObjectItemCaseSensitive(pair, "p");
    cjson_text(header, "status");
    cjson_text(header, "reason");
    cjson_text(payload, "answer");
    cjson_text(payload, "source");
    cJSON_Delete(pair);
}

static void t_cjson(void) { read_prefixed(cjson_take); }
#else
#define t_cjson NULL
#endif

#ifdef WITH_YAJL
static void yajl_take(const char *text, size_t size) {
    yajl_handle handle = yajl_alloc(NULL, NULL, NULL);
    if (yajl_parse(handle, (const unsigned char *)text, size) != yajl_status_ok ||
        yajl_complete_parse(handle) != yajl_status_ok) {
        fail("not JSON");
    }
    yajl_free(handle);
}

static void t_yajl(void) { read_prefixed(yajl_take); }
#else
#define t_yajl NULL
#endif

static void nothing_take(const char *text, size_t size) { sink += (size_t)text[size - 1] * 0; }
static void t_loop(void) { read_prefixed(nothing_take); }

/* -------------------------------------------------------------------------------------------------- frames of 1 MiB */

static uint8_t *kept;

static void copy_large(size_t step) {
    size_t n, at;
    for (n = 0; n < LARGE; n++) {
        for (at = 0; at < MIB; at += step) {
            memcpy(kept + at, large + at, MIB - at < step ? MIB - at : step);
        }
        sink += (size_t)kept[n] * 0;
    }
}

static void read_large(size_t step) {
    objs_reader reader;
    objs_frame frame;
    size_t count = 0, n, at;
    objs_reader_init(&reader, NULL, kept, MIB);
    for (n = 0; n < LARGE; n++) {
        for (at = 0; at < MIB; at += step) {
            const uint8_t *data = large + at;
            size_t size = MIB - at < step ? MIB - at : step;
            while (objs_reader_next(&reader, &data, &size, &frame)) {
                count++;
            }
        }
    }
    if (count != LARGE) {
        fail("not all frames");
    }
}

static void b_memcpy_64k(void) { copy_large(CHUNK); }
static void b_read_64k(void) { read_large(CHUNK); }
static void b_memcpy_1460(void) { copy_large(1460); }
static void b_read_1460(void) { read_large(1460); }

/* ----------------------------------------------------------------------------------------------------------- the clock */

typedef struct contender {
    const char *name;
    void (*run)(void);
    double units; /* per run: messages or frames */
    const char *unit;
    int base; /* the contender to compare with; its own number for none */
    double seconds[ROUNDS];
} contender;

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static contender contenders[] = {
    {"T: frames", t_frames, MESSAGES, "message", 0, {0}},
    {"T: length word and copy, nothing read", t_loop, MESSAGES, "message", 0, {0}},
    {"T: header and payload checked", t_checked, MESSAGES, "message", 2, {0}},
    {"T: length word and yajl, no callbacks", t_yajl, MESSAGES, "message", 2, {0}},
    {"T: checked, four members copied", t_members, MESSAGES, "message", 4, {0}},
    {"T: length word and cJSON, the same", t_cjson, MESSAGES, "message", 4, {0}},
    {"B: memcpy, chunks of 64 KiB", b_memcpy_64k, LARGE, "frame", 6, {0}},
    {"B: frames, chunks of 64 KiB", b_read_64k, LARGE, "frame", 6, {0}},
    {"B: memcpy, chunks of 1,460 bytes", b_memcpy_1460, LARGE, "frame", 8, {0}},
    {"B: frames, chunks of 1,460 bytes", b_read_1460, LARGE, "frame", 8, {0}},
};

int main(void) {
    enum { COUNT = sizeof contenders / sizeof *contenders };
    size_t found[COUNT] = {0};
    int round, n;
    write_workloads();
    kept = (uint8_t *)block(MIB);
    for (round = 0; round < ROUNDS; round++) {
        for (n = 0; n < COUNT; n++) {
            double start = now();
            sink = 0;
            if (contenders[n].run != NULL) {
                contenders[n].run();
            }
            contenders[n].seconds[round] = now() - start;
            found[n] = sink;
        }
    }
    if (found[5] && found[4] != found[5]) {
        fail("they found different texts");
    }
    for (n = 0; n < COUNT; n++) {
        qsort(contenders[n].seconds, ROUNDS, sizeof(double), by_size);
    }
    for (n = 0; n < COUNT; n++) {
        const contender *it = &contenders[n];
        double median = it->seconds[ROUNDS / 2];
        if (it->run == NULL) {
            printf("%s: SKIPPED, the library is not installed\n", it->name);
            continue;
        }
        printf("%-40s %9.0f ns a %-8s", it->name, 1e9 * median / it->units, it->unit);
        if (it->base != n) {
            printf("%6.2f x", median / contenders[it->base].seconds[ROUNDS / 2]);
        }
        printf("\n");
    }
    free(frames);
    free(prefixed);
    free(large);
    free(kept);
    return 0;
}
