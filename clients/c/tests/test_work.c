/* The cost of decoding, counted and not timed: bytes copied, bytes allocated, steps. Compiles as C99 and as C++17.
 *
 * The cost of one-byte chunks is linear if each count has a constant bound per byte. The memory is flat if its bound does not
 * depend on the length of the stream.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t copied;
#define memcpy(to, from, size) (copied += (size), memcpy(to, from, size))
#include "../objectstreaming.h"
#include "check.h"

#define MIB ((size_t)1 << 20)

typedef struct account {
    uint64_t calls;
    uint64_t asked; /* more than the bytes that realloc may have copied */
    size_t largest;
} account;

static void *counting(void *context, void *old, size_t size) {
    account *memory = (account *)context;
    memory->calls++;
    memory->asked += size;
    memory->largest = size > memory->largest ? size : memory->largest;
    return realloc(old, size);
}

/* Feeds the same frame `times` times in chunks of `step` bytes. Returns the number of bytes fed. */
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

static void test_one_byte_chunks_cost_linear_work(void) {
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
        CHECK(memory.asked <= 4 * fed + 256); /* 1 + 1/2 + 1/4... of a capacity of at most twice the frame */
        CHECK(memory.calls <= 32);          /* the logarithm of the largest frame, for the whole stream */
        free(reader.buffer);
        free(wire);
    }
}

static void test_one_byte_chunks_take_two_steps_per_byte(void) {
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

static void test_a_long_stream_needs_the_memory_of_one_frame(void) {
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
        CHECK(memory.calls == calls && memory.largest <= MIB); /* the memory of the first frame is used again */
        CHECK(copied <= (steps[n] > MIB ? 0 : 64 * (uint64_t)MIB)); /* a frame that is whole in a chunk is not copied */
        free(reader.buffer);
    }
    free(wire);
}

static void test_events_copy_nothing(void) {
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
    test_one_byte_chunks_cost_linear_work();
    test_one_byte_chunks_take_two_steps_per_byte();
    test_a_long_stream_needs_the_memory_of_one_frame();
    test_events_copy_nothing();
    return check_result("work");
}
