/* What decoding costs, counted and not timed: bytes copied, bytes an allocator was asked for, steps. C99 and C++17.
 *
 * One-byte chunks are linear if each of these has a bound of so many a byte, whatever the length; memory is flat if it has
 * a bound that the length of the stream is not in.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t copied;
#define memcpy(to, from, size) (copied += (size), memcpy(to, from, size))
#include "../objectstreaming.h"

#define MIB ((size_t)1 << 20)

static int failures;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                                     \
            failures++;                                                                                                \
        }                                                                                                              \
    } while (0)

typedef struct account {
    uint64_t calls;
    uint64_t asked; /* what realloc may have copied is less */
    size_t largest;
} account;

static void *counting(void *context, void *old, size_t size) {
    account *memory = (account *)context;
    memory->calls++;
    memory->asked += size;
    memory->largest = size > memory->largest ? size : memory->largest;
    return realloc(old, size);
}

/* Feeds `times` times the same frame in chunks of `step` bytes that know nothing of frames; returns the bytes fed. */
static uint64_t feed(objs_reader *reader, const uint8_t *wire, size_t size, size_t times, size_t step) {
    uint64_t total = (uint64_t)size * times, fed = 0, frames = 0;
    objs_frame frame;
    while (fed < total) {
        size_t from = (size_t)(fed % size), part = size - from < step ? size - from : step;
        const uint8_t *data = wire + from;
        fed += part;
        while (objs_reader_next(reader, &data, &part, &frame)) {
            frames++;
        }
    }
    CHECK(frames == times && objs_reader_finish(reader) == OBJS_OK);
    return fed;
}

static uint8_t *frame_of(size_t payload, size_t *size) {
    uint8_t *wire = (uint8_t *)malloc(payload + 10), *data = (uint8_t *)calloc(payload, 1);
    CHECK(objs_put_frame(NULL, wire, payload + 10, (const uint8_t *)"{}", 2, data, payload, size) == OBJS_OK);
    free(data);
    return wire;
}

static void test_one_byte_chunks_are_linear_in_a_frame_and_in_a_stream(void) {
    static const struct {
        size_t payload, times;
    } streams[] = {{1, 1}, {100, 10}, {100, 100}, {100, 10000}, {1000, 1}, {100000, 1}, {1000000, 1}, {4000000, 1}};
    size_t n;
    for (n = 0; n < sizeof streams / sizeof *streams; n++) {
        account memory = {0, 0, 0};
        objs_reader reader;
        size_t size;
        uint64_t fed;
        uint8_t *wire = frame_of(streams[n].payload, &size);
        objs_reader_init_growing(&reader, NULL, counting, &memory);
        copied = 0;
        fed = feed(&reader, wire, size, streams[n].times, 1);
        CHECK(copied <= fed);               /* each byte once */
        CHECK(memory.asked <= 4 * fed + 256); /* 1 + 1/2 + 1/4... of a capacity that is at most twice the frame */
        CHECK(memory.calls <= 32);          /* the logarithm of the largest frame, for all of the stream */
        free(reader.buffer);
        free(wire);
    }
}

static void test_one_byte_chunks_take_two_steps_a_byte(void) {
    objs_decoder decoder;
    objs_event event;
    uint64_t steps = 0;
    size_t size, n;
    uint8_t *wire = frame_of(100000, &size);
    objs_decoder_init(&decoder, NULL);
    for (n = 0; n < size; n++) {
        const uint8_t *data = wire + n;
        size_t part = 1;
        do {
            steps++;
        } while (objs_decoder_next(&decoder, &data, &part, &event) != OBJS_EVENT_MORE);
    }
    CHECK(decoder.index == 1 && steps <= 2 * (uint64_t)size + 4);
    free(wire);
}

static void test_a_long_stream_takes_the_memory_of_one_frame(void) {
    static const size_t steps[] = {65536, 1460, 3 * MIB};
    size_t n, size;
    uint8_t *wire = frame_of(MIB - 10, &size);
    for (n = 0; n < sizeof steps / sizeof *steps; n++) {
        account memory = {0, 0, 0};
        objs_reader reader;
        uint64_t calls;
        objs_reader_init_growing(&reader, NULL, counting, &memory);
        feed(&reader, wire, size, 1, steps[n]);
        calls = memory.calls;
        copied = 0;
        CHECK(feed(&reader, wire, size, 64, steps[n]) == 64 * (uint64_t)MIB);
        CHECK(memory.calls == calls && memory.largest <= MIB); /* the first frame's memory served the other 64 */
        CHECK(copied <= (steps[n] > MIB ? 0 : 64 * (uint64_t)MIB)); /* a frame that lies in its chunk is not copied */
        free(reader.buffer);
    }
    free(wire);
}

static void test_events_keep_nothing_of_any_stream(void) {
    size_t size, n;
    uint8_t *wire = frame_of(MIB - 10, &size);
    objs_decoder decoder;
    objs_event event;
    uint64_t payload = 0;
    objs_decoder_init(&decoder, NULL);
    copied = 0;
    for (n = 0; n < 64 * (size / 65536); n++) {
        const uint8_t *data = wire + n * 65536 % size;
        size_t part = 65536;
        while (objs_decoder_next(&decoder, &data, &part, &event) != OBJS_EVENT_MORE) {
            payload += event.type == OBJS_EVENT_PAYLOAD ? event.size : 0;
        }
    }
    CHECK(decoder.index == 64 && payload == 64 * (uint64_t)(size - 10) && copied == 0);
    free(wire);
}

int main(void) {
    test_one_byte_chunks_are_linear_in_a_frame_and_in_a_stream();
    test_one_byte_chunks_take_two_steps_a_byte();
    test_a_long_stream_takes_the_memory_of_one_frame();
    test_events_keep_nothing_of_any_stream();
    printf(failures ? "work: %d checks failed\n" : "work: all is well\n", failures);
    return failures != 0;
}
