package io.github.objectstreaming.http;

import io.github.objectstreaming.ResponseException;
import io.github.objectstreaming.StreamErrorCode;
import io.github.objectstreaming.internal.InvalidJsonException;
import io.github.objectstreaming.internal.JsonReader;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** What a response that is not 2xx says: our own members, FastAPI's {@code detail}, RFC 9457's {@code title}, its text. */
final class Problem {
    private Problem() {}

    static ResponseException of(int status, byte[] body) {
        Map<?, ?> said;
        try {
            said = JsonReader.read(body) instanceof Map<?, ?> members ? members : Map.of();
        } catch (InvalidJsonException error) {
            said = Map.of("message", ObjectStreamClient.excerpt(body));
        }
        if (said.get("detail") instanceof Map<?, ?> inner) {
            said = inner;
        }
        StreamErrorCode error = said.get("code") instanceof String code ? StreamErrorCode.of(code) : null;
        if (error == null || error == StreamErrorCode.UNKNOWN && !error.code().equals(said.get("code"))) {
            error = StreamErrorCode.ofStatus(status);
        }
        String text = Stream.of("message", "detail", "title")
                .map(said::get)
                .filter(String.class::isInstance)
                .map(String.class::cast)
                .findFirst()
                .orElse("");
        Object details = said.get("details");
        if (details == null && said.get("detail") instanceof List<?> complaints) {
            // What FastAPI found wrong with the request, an object each.
            details = complaints;
            if (text.isEmpty() && !complaints.isEmpty() && complaints.get(0) instanceof Map<?, ?> first) {
                text = place(first.get("loc")) + ": " + first.get("msg");
            }
        }
        return new ResponseException(error, text, details, status, body);
    }

    private static String place(Object location) {
        return location instanceof List<?> steps
                ? steps.stream().map(String::valueOf).collect(Collectors.joining("."))
                : "request";
    }
}
