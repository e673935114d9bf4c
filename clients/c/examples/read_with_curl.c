/* Reads a stream of frames with libcurl, which brings TLS, HTTP/2, redirects and proxies, and prints it.
 *
 *     cc -std=c99 examples/read_with_curl.c -o read_with_curl $(pkg-config --cflags --libs libcurl)
 *     ./read_with_curl https://example.com/objects '{"question":"hello"}'
 *     ./read_with_curl 'https://example.com/streams/2f1c9a70?position=7'
 *
 * The exit status is 0 only if the stream was whole. The second command reads on from the place of a stream that was cut.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "../objectstreaming.h"

#define TYPE "application/vnd.objectstreaming"

static objs_reader reader;
static objs_stream stream;
static CURL *curl;
static const char *refusal; /* why the response is not read on */

static void *grow(void *context, void *old, size_t size) {
    (void)context;
    return realloc(old, size);
}

static void release(void *context, void *memory) {
    (void)context;
    free(memory);
}

/* A status that is not 2xx, and a body that is no stream of version 1, are refused before a byte is decoded (SPEC 6.2). */
static const char *refused(void) {
    long status = 0;
    char *type = NULL;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
    if (status < 200 || status > 299) {
        return "the status is not 2xx";
    }
    if (type == NULL || !curl_strnequal(type, TYPE, strlen(TYPE)) || strchr("; ", type[strlen(TYPE)]) == NULL) {
        return "unexpected_content_type";
    }
    while ((type = strchr(type, ';')) != NULL) {
        type += 1 + strspn(type + 1, " ");
        if (curl_strnequal(type, "v=1", 3) || curl_strnequal(type, "v=\"1\"", 5)) {
            type += type[2] == '1' ? 3 : 5;
            return strchr("; ", *type) != NULL ? NULL : "another version than 1";
        }
    }
    return "another version than 1";
}

/* Takes a piece of the body. A number that is not `size` ends the transfer. */
static size_t take(char *data, size_t one, size_t size, void *context) {
    const uint8_t *at = (const uint8_t *)data;
    size_t left = size;
    objs_frame frame;
    (void)one; /* is always 1 */
    (void)context;
    if (refusal == NULL && (refusal = refused()) != NULL) {
        return 0;
    }
    while (objs_reader_next(&reader, &at, &left, &frame)) {
        objs_message message = objs_stream_take(&stream, &frame);
        if (message == OBJS_MESSAGE_OPEN && stream.heartbeat_ms > 0 && stream.heartbeat_ms < 24 * 3600 * 1000) {
            curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)(3 * stream.heartbeat_ms / 1000 + 1));
        } else if (message == OBJS_MESSAGE_DATA) {
            printf("%.*s + %lu bytes\n", (int)frame.header_size, (const char *)frame.header,
                   (unsigned long)frame.payload_size);
        } else if (message == OBJS_MESSAGE_ERROR) {
            refusal = stream.peer_code != NULL ? stream.peer_code : objs_code_name(stream.error.code);
            return 0;
        }
    }
    if (reader.decoder.error.code != OBJS_OK) {
        refusal = objs_code_name(reader.decoder.error.code);
        return 0;
    }
    return stream.ended ? 0 : size; /* after the end nothing is awaited */
}

int main(int count, char **arguments) {
    struct curl_slist *headers = NULL;
    char error[CURL_ERROR_SIZE] = "";
    CURLcode done;
    if (count != 2 && count != 3) {
        fprintf(stderr, "usage: read_with_curl URL [BODY]\n");
        return 2;
    }
    objs_reader_init_growing(&reader, NULL, grow, NULL);
    objs_stream_init(&stream, NULL);
    stream.end_rule = OBJS_END_REQUIRED;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    curl = curl_easy_init();
    headers = curl_slist_append(headers, "Accept: " TYPE ";v=1");
    headers = curl_slist_append(headers, "Content-Type: application/json");
    curl_easy_setopt(curl, CURLOPT_URL, arguments[1]);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, count == 3 ? arguments[2] : NULL);
    curl_easy_setopt(curl, CURLOPT_HTTPGET, count == 2 ? 1L : 0L);
    curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "identity"); /* and inflates what is compressed in spite of it */
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L); /* bytes a second, of the last five; less for this time is silence */
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 60L);
    done = curl_easy_perform(curl);
    if (refusal == NULL && done == CURLE_OK) {
        refusal = refused(); /* no byte has come */
    }
    if (refusal == NULL && objs_reader_finish(&reader) != OBJS_OK) {
        refusal = objs_code_name(reader.decoder.error.code);
    }
    if (refusal == NULL && objs_stream_finish(&stream) != OBJS_OK) {
        refusal = objs_code_name(stream.error.code);
    }
    if (refusal != NULL) {
        fprintf(stderr, "%s %s\n", refusal, error);
    } else {
        printf("%lu messages\n", (unsigned long)stream.position);
    }
    objs_reader_free(&reader, release);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    curl_global_cleanup();
    return refusal != NULL;
}
