package io.github.objectstreaming.http;

import io.github.objectstreaming.ResponseException;
import io.github.objectstreaming.StreamErrorCode;
import io.github.objectstreaming.internal.InvalidJsonException;
import io.github.objectstreaming.internal.JsonReader;
import java.net.http.HttpHeaders;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The exception for a status that is not 2xx. The message is taken from the specification's own members, from {@code
 * detail} as FastAPI uses it, from the {@code title} of RFC 9457, or from the text of the body.
 */
final class Problem {
    private static final int EXCERPT_SIZE = 256;

    private Problem() {}

    static ResponseException of(int status, HttpHeaders headers, byte[] body) {
        Map<?, ?> members;
        try {
            members = JsonReader.read(body) instanceof Map<?, ?> object ? object : Map.of();
        } catch (InvalidJsonException error) {
            String encoding = headers.firstValue("Content-Encoding").orElse("");
            members = Map.of("message", encoding.isEmpty() ? excerpt(body) : "a body of Content-Encoding " + encoding);
        }
        if (members.get("detail") instanceof Map<?, ?> inner) {
            members = inner;
        }
        StreamErrorCode error = members.get("code") instanceof String code ? StreamErrorCode.of(code) : null;
        if (error == null || error == StreamErrorCode.UNKNOWN && !error.code().equals(members.get("code"))) {
            error = StreamErrorCode.ofStatus(status);
        }
        String text = Stream.of("message", "detail", "title")
                .map(members::get)
                .filter(String.class::isInstance)
                .map(String.class::cast)
                .findFirst()
                .orElse("");
        Object details = members.get("details");
        if (details == null && members.get("detail") instanceof List<?> errors) {
            // What FastAPI found wrong with the request: an object for each error.
            details = errors;
            if (text.isEmpty() && !errors.isEmpty() && errors.get(0) instanceof Map<?, ?> first) {
                text = place(first.get("loc")) + ": " + first.get("msg");
            }
        }
        String place = headers.firstValue("Location").orElse("");
        if (status / 100 == 3 && !place.isEmpty()) {
            text += (text.isEmpty() ? "" : ", ") + "redirected to '" + place + "', which was not followed";
        }
        return new ResponseException(error, text, details, status, headers.map(), body);
    }

    private static String place(Object location) {
        return location instanceof List<?> steps
                ? steps.stream().map(String::valueOf).collect(Collectors.joining("."))
                : "request";
    }

    /** The beginning of a body as one line of text. */
    static String excerpt(byte[] body) {
        int size = Math.min(body.length, EXCERPT_SIZE);
        String text = new String(body, 0, size, StandardCharsets.UTF_8).strip().replaceAll("\\s+", " ");
        text = text.replaceAll("\\p{Cc}", "\ufffd"); // no message controls a terminal
        return text.substring(0, text.offsetByCodePoints(0, Math.min(text.codePointCount(0, text.length()), 80)));
    }
}
