/* The header compiled as for a microcontroller: no hosted library, all warnings. `make` checks which functions it needs. */
#include "../../objectstreaming.h"

objs_message read_speech(objs_reader *reader, objs_stream *stream, const uint8_t **data, size_t *size, objs_tal *tal);

objs_message read_speech(objs_reader *reader, objs_stream *stream, const uint8_t **data, size_t *size, objs_tal *tal) {
    objs_frame frame;
    return objs_reader_next(reader, data, size, &frame) ? objs_stream_take_tal(stream, &frame, tal) : OBJS_MESSAGE_ERROR;
}

objs_code write_speech(uint8_t *out, size_t capacity, const objs_tal *tal, const uint8_t *pcm, size_t size, size_t *written);

objs_code write_speech(uint8_t *out, size_t capacity, const objs_tal *tal, const uint8_t *pcm, size_t size, size_t *written) {
    return objs_tal_put_frame(NULL, out, capacity, tal, pcm, size, written);
}
