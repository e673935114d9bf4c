/* The checks of fuzz/c_codec.c on a fixed set of damaged inputs, for `make test`.
 *
 * With a directory as its argument it writes inputs there instead, as the corpus with which libFuzzer begins.
 */
#include "../../../fuzz/c_codec.c"

#include <stdio.h>

static const char *const seeds[] = {
    "{\"$stream\":{\"type\":\"open\",\"v\":1,\"coder\":\"json\",\"heartbeat\":0.5,\"metadata\":{}}}",
    "{\"$stream\":{\"type\":\"ping\"}}",
    ("{\"$stream\":{\"type\":\"end\",\"frames\":2,\"trailers\":{\"a\":[1]},\"error\":{\"code\":\"internal\","
     "\"message\":\"\\u00e9\"}}}"),
    "{\"a\":[1,-2.5e3,true,null,\"\\ud83d\\ude00\xc3\xa9\"]}",
    "{}",
    ("{\"audioType\":\"int32\",\"bitDepth\":32,\"sampleRate\":8000,\"channels\":1,\"audioFormat\":\"wav\",\"question\":\"\","
     "\"answer\":\"\\ud83d\\ude00\\n\xc3\xa9\",\"url\":\"x\",\"sign\":1,\"order\":1,\"speaker\":\"Ann\"}"),
    "{\"sign\":1,\"order\":1}",
    "{\"sign\":2,\"order\":2}",
    "{\"sign\":3,\"order\":3}",
};

static uint32_t state = 1;

static uint32_t chance(uint32_t below) {
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % below;
}

static void keep(const char *directory, int round, const uint8_t *data, size_t size) {
    char path[300];
    FILE *file;
    snprintf(path, sizeof path, "%s/seed-%d", directory, round);
    file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

int main(int count, char **arguments) {
    enum { SEEDS = sizeof seeds / sizeof *seeds, ROUNDS = 20000 };
    static uint8_t input[4096];
    int round;
    for (round = 0; round < ROUNDS; round++) {
        objs_config config = objs_default_config();
        uint32_t frames = chance(6), mutations = chance(4);
        size_t size = 2, written = 0;
        input[0] = (uint8_t)chance(256);
        input[1] = (uint8_t)chance(256);
        if (input[0] & 1) {
            config.byte_length = 1 + (input[0] >> 1) % 8;
            config.big_endian = input[0] >> 4 & 1;
        }
        while (frames-- > 0) {
            const char *header = seeds[chance(SEEDS)], *payload = seeds[chance(SEEDS)];
            if (objs_put_raw_frame(&config, input + size, sizeof input - size, (const uint8_t *)header, strlen(header),
                                   (const uint8_t *)payload, chance((uint32_t)strlen(payload) + 1), &written) == OBJS_OK) {
                size += written;
            }
        }
        while (mutations-- > 0 && size > 2) {
            input[2 + chance((uint32_t)size - 2)] = (uint8_t)(chance(2) ? chance(256) : chance(16));
        }
        size = chance(4) ? size : 2 + chance((uint32_t)size - 1);
        if (count == 1) {
            LLVMFuzzerTestOneInput(input, size);
        } else if (round % 40 == 0) {
            keep(arguments[1], round, input, size);
        }
    }
    printf(count > 1 ? "wrote some of %d inputs\n" : "%d inputs: the same results for all chunkings\n", (int)ROUNDS);
    return 0;
}
