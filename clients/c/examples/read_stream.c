/* Reads a stream of frames from an HTTP server and prints it: a sample for POSIX, one file, no TLS.
 *
 *     cc -std=c99 examples/read_stream.c -o read_stream
 *     ./read_stream 127.0.0.1 8000 /objects '{"question":"hello"}'
 *     ./read_stream 127.0.0.1 8000 '/streams/2f1c9a70?position=7'
 *
 * It sends a POST with the body, or a GET where there is none, and reads responses with `Transfer-Encoding: chunked` or `Content-Length`. A status that is
 * not 2xx, a content type that is not that of a stream of version 1, and a compressed body are refused before a byte is decoded (SPEC 6.2).
 * Once the end of the stream has come, the stream is whole, and nothing more is awaited. Three heartbeats of silence are an
 * error. The exit status is 0 only if the stream was whole.
 *
 * Where the server keeps the stream, a cut is reported with the place of the stream: the URI reference of its open frame, and
 * how many data frames have come (SPEC 6.3). The second command above reads on from such a place; the first one, sent again,
 * would start another stream.
 */
#define _POSIX_C_SOURCE 200809L /* sockets, in spite of -std=c99 */

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "../objectstreaming.h"

#define VENDOR_TYPE "application/vnd.objectstreaming"
#define PLAIN_TYPE "application/octet-stream"

static objs_reader reader;
static objs_stream stream;
static char place[1024]; /* where the stream can be picked up; empty if the server has not said it */

/* Prints what has come from the server, without what would control a terminal. */
static void say(const char *text) {
    for (; *text; text++) {
        fputc((unsigned char)*text < ' ' || *text == 127 ? '?' : *text, stderr);
    }
}

static void fail(const char *what, const char *more) {
    fprintf(stderr, "%s%s", what, *more ? ": " : "");
    say(more);
    if (*place && !stream.ended) {
        fputs("\nthe stream can be picked up at ", stderr);
        say(place);
        fprintf(stderr, ", position %lu", (unsigned long)stream.position);
    }
    fputs("\n", stderr);
    exit(1);
}

static int connect_to(const char *host, const char *port) {
    struct addrinfo hints, *found, *at;
    int fd = -1;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host, port, &hints, &found) != 0) {
        fail("no such host", host);
    }
    for (at = found; at != NULL && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype, at->ai_protocol);
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    if (fd < 0) {
        fail("cannot connect", host);
    }
    return fd;
}

static void send_all(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL); /* the server may refuse a request before it was sent */
        if (sent <= 0) {
            fail("cannot send", "");
        }
        data += sent;
        size -= (size_t)sent;
    }
}

/* The bytes of the connection that were received and not used yet. */
static uint8_t buffer[65536];
static size_t from, until;
static int connection;

/* How long the peer may be silent: three of its heartbeats, and 45 s before it has announced one. */
static void limit_silence(uint64_t heartbeat_ms) {
    uint64_t ms = 3 * heartbeat_ms;
    struct timeval idle;
    idle.tv_sec = (time_t)(ms / 1000);
    idle.tv_usec = (suseconds_t)(ms % 1000 * 1000);
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof idle);
}

static int receive(void) {
    ssize_t got;
    do {
        got = recv(connection, buffer, sizeof buffer, 0);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        fail("the server was silent for three heartbeats", "");
    }
    if (got < 0) {
        fail("the connection broke", strerror(errno));
    }
    from = 0;
    until = (size_t)got;
    return got > 0;
}

/* Reads a line without its end. A longer one is cut at `capacity`. 0 at the end of the connection. */
static int read_line(char *line, size_t capacity) {
    size_t size = 0;
    for (;;) {
        if (from == until && !receive()) {
            return 0;
        }
        if (buffer[from] == '\n') {
            from++;
            line[size && line[size - 1] == '\r' ? size - 1 : size] = '\0';
            return 1;
        }
        if (size + 1 < capacity) {
            line[size++] = (char)buffer[from];
        }
        from++;
    }
}

static void *grow(void *context, void *old, size_t size) {
    (void)context;
    return realloc(old, size);
}

static void release(void *context, void *memory) {
    (void)context;
    free(memory);
}

static void take(const uint8_t *data, size_t size) {
    objs_frame frame;
    while (objs_reader_next(&reader, &data, &size, &frame)) {
        switch (objs_stream_take(&stream, &frame)) {
        case OBJS_MESSAGE_OPEN:
            if (stream.heartbeat_ms > 0 && stream.heartbeat_ms < 24 * 3600 * 1000) {
                limit_silence(stream.heartbeat_ms);
            }
            if (stream.resume.at != NULL && (size_t)(stream.resume.end - stream.resume.at) < sizeof place) {
                objs_json_copy_string(stream.resume, place, sizeof place);
            }
            break;
        case OBJS_MESSAGE_DATA:
            printf("%.*s + %lu bytes\n", (int)frame.header_size, (const char *)frame.header,
                   (unsigned long)frame.payload_size);
            break;
        case OBJS_MESSAGE_ERROR: {
            char message[200];
            objs_json_copy_string(stream.peer_message, message, sizeof message);
            fail(stream.peer_code != NULL ? stream.peer_code : objs_code_name(stream.error.code), message);
            break;
        }
        default: break;
        }
    }
    if (reader.decoder.error.code != OBJS_OK) {
        fprintf(stderr, "frame %lu, byte %lu: ", (unsigned long)reader.decoder.error.index,
                (unsigned long)reader.decoder.error.offset);
        fail(objs_code_name(reader.decoder.error.code), "");
    }
}

/* Takes `size` bytes of the body, or all up to the end of the stream. 0 if the connection ended before. */
static int take_body(uint64_t size) {
    while (size > 0 && !stream.ended) {
        size_t part;
        if (from == until && !receive()) {
            return 0;
        }
        part = until - from < size ? until - from : (size_t)size;
        take(buffer + from, part);
        from += part;
        size -= part;
    }
    return 1;
}

/* Whether a content type is that of a stream, of version 1 (SPEC 6.1). Names are compared without their case. */
static int is_stream(const char *type) {
    size_t size;
    type += strspn(type, " \t");
    size = strcspn(type, "; \t");
    if (size == strlen(PLAIN_TYPE) && strncasecmp(type, PLAIN_TYPE, size) == 0) {
        return 1;
    }
    if (size != strlen(VENDOR_TYPE) || strncasecmp(type, VENDOR_TYPE, size) != 0) {
        return 0;
    }
    stream.end_rule = OBJS_END_REQUIRED;
    while ((type = strchr(type, ';')) != NULL) {
        type += 1 + strspn(type + 1, " \t");
        if (strncasecmp(type, "v=", 2) == 0) {
            size = strcspn(type + 2, "; \t");
            return (size == 1 && type[2] == '1') || (size == 3 && memcmp(type + 2, "\"1\"", 3) == 0);
        }
    }
    return 0;
}

/* A length of decimal or hexadecimal digits. An invalid one is an error, and not 0, which would be the end of the body. */
static uint64_t length_of(const char *text, int base) {
    text += strspn(text, " \t");
    if (strspn(text, base == 16 ? "0123456789abcdefABCDEF" : "0123456789") == 0) {
        fail("invalid length", text);
    }
    return strtoull(text, NULL, base);
}

int main(int count, char **arguments) {
    static char line[4096], head[4096];
    uint64_t length, part;
    int chunked, compressed, whole, status = 0, streams;
    if (count != 4 && count != 5) {
        fail("usage", "read_stream HOST PORT PATH [BODY]");
    }
    connection = connect_to(arguments[1], arguments[2]);
    limit_silence(15000);
    if (strlen(arguments[1]) + strlen(arguments[2]) + strlen(arguments[3]) > sizeof head - 256) {
        fail("usage", "a shorter address");
    }
    snprintf(head, sizeof head,
             "%s %s HTTP/1.1\r\nHost: %s:%s\r\nAccept: " VENDOR_TYPE ";v=1, " PLAIN_TYPE ";q=0.5\r\n"
             "Accept-Encoding: identity\r\nConnection: close\r\n",
             count == 5 ? "POST" : "GET", arguments[3], arguments[1], arguments[2]);
    send_all(connection, head, strlen(head));
    if (count == 5) {
        snprintf(head, sizeof head, "Content-Type: application/json\r\nContent-Length: %lu\r\n",
                 (unsigned long)strlen(arguments[4]));
        send_all(connection, head, strlen(head));
    }
    send_all(connection, "\r\n", 2);
    if (count == 5) {
        send_all(connection, arguments[4], strlen(arguments[4]));
    }

    objs_reader_init_growing(&reader, NULL, grow, NULL);
    objs_stream_init(&stream, NULL);
    do {
        length = UINT64_MAX;
        chunked = compressed = streams = 0;
        if (!read_line(line, sizeof line) || sscanf(line, "HTTP/1.%*d %d", &status) != 1) {
            fail("no HTTP response", line);
        }
        snprintf(head, sizeof head, "%s", line);
        while ((whole = read_line(line, sizeof line)) && *line) {
            if (strncasecmp(line, "transfer-encoding:", 18) == 0) {
                chunked = strcasecmp(line + strlen(line) - 7, "chunked") == 0; /* the last coding */
            } else if (strncasecmp(line, "content-length:", 15) == 0) {
                length = length_of(line + 15, 10);
            } else if (strncasecmp(line, "content-encoding:", 17) == 0) {
                const char *encoding = line + 17 + strspn(line + 17, " \t");
                compressed = *encoding != '\0' && strcasecmp(encoding, "identity") != 0;
            } else if (strncasecmp(line, "retry-after:", 12) == 0) { /* is told with the status */
                snprintf(head + strlen(head), sizeof head - strlen(head), ", %.100s", line);
            } else if (strncasecmp(line, "content-type:", 13) == 0) {
                streams = is_stream(line + 13);
            }
        }
    } while (whole && status / 100 == 1); /* such as 103, early hints */
    if (!whole) {
        fail("the response was cut", head);
    }
    if (status < 200 || status > 299) {
        fail("refused", head);
    }
    if (!streams) {
        fail("unexpected_content_type", "");
    }
    if (compressed) {
        fail("a compressed body, which was not asked for and is not inflated here", "");
    }
    if (chunked) {
        do {
            whole = read_line(line, sizeof line);
            part = whole ? length_of(line, 16) : 0;
            whole = whole && take_body(part) && (part == 0 || stream.ended || read_line(line, sizeof line));
        } while (whole && part > 0 && !stream.ended);
    } else {
        whole = take_body(length) || length == UINT64_MAX;
    }
    if (objs_reader_finish(&reader) != OBJS_OK) {
        fail(objs_code_name(reader.decoder.error.code), "");
    }
    if (objs_stream_finish(&stream) != OBJS_OK) {
        fail(objs_code_name(stream.error.code), "");
    }
    if (!whole && !stream.ended) {
        fail("the response was cut", "");
    }
    printf("%lu messages\n", (unsigned long)stream.position);
    objs_reader_free(&reader, release);
    close(connection);
    return 0;
}
