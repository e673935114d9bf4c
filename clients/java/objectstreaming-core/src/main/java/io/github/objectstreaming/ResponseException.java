package io.github.objectstreaming;

import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.Year;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeFormatterBuilder;
import java.time.temporal.ChronoField;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/** A response with a status that is not 2xx, its problem decoded. */
public final class ResponseException extends StreamException {
    private static final long serialVersionUID = 1L;

    /** The three formats of RFC 9110, section 5.6.7; the last two are obsolete, but must be read. */
    private static final List<DateTimeFormatter> DATES = List.of(
            DateTimeFormatter.RFC_1123_DATE_TIME,
            new DateTimeFormatterBuilder()
                    .appendPattern("EEEE, dd-MMM-")
                    .appendValueReduced(
                            ChronoField.YEAR, 2, 2, Year.now(ZoneOffset.UTC).getValue() - 49)
                    .appendPattern(" HH:mm:ss 'GMT'")
                    .toFormatter(Locale.US)
                    .withZone(ZoneOffset.UTC),
            DateTimeFormatter.ofPattern("EEE MMM ppd HH:mm:ss yyyy", Locale.US).withZone(ZoneOffset.UTC));

    private final int status;
    private final transient Map<String, List<String>>
            headers; // not serialized: an immutable map may not be serializable
    private final byte[] body;

    /**
     * For HTTP clients.
     *
     * @param error the code
     * @param text the message of the body
     * @param details the details of the body, or {@code null}
     * @param status the HTTP status
     * @param headers the headers of the response; their names are found in any case
     * @param body the beginning of the body
     */
    public ResponseException(
            StreamErrorCode error,
            String text,
            Object details,
            int status,
            Map<String, List<String>> headers,
            byte[] body) {
        super("HTTP " + status + ", " + error.code() + (text.isEmpty() ? "" : ": " + text), error, text, details);
        this.status = status;
        TreeMap<String, List<String>> sorted = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
        sorted.putAll(headers);
        this.headers = Collections.unmodifiableMap(sorted);
        this.body = body.clone();
    }

    /**
     * The headers of the response.
     *
     * @return an unmodifiable map, whose names are found in any case; empty after deserialization
     */
    public Map<String, List<String>> headers() {
        return headers == null ? Map.of() : headers;
    }

    /**
     * How long the server asks to wait before the next request: its {@code Retry-After}, in seconds or as a date, which is
     * compared with the date of the response, because the clocks may differ.
     *
     * @return empty if there is none that can be read
     */
    public Optional<Duration> retryAfter() {
        String given = header("Retry-After");
        if (given.matches("[0-9]+")) { // nobody waits for longer than 18 digits
            return Optional.of(Duration.ofSeconds(Long.parseLong(given.substring(0, Math.min(given.length(), 18)))));
        }
        Instant now = date(header("Date")).orElseGet(Instant::now);
        return date(given)
                .map(date -> Duration.between(now, date))
                .map(wait -> wait.isNegative() ? Duration.ZERO : wait);
    }

    private String header(String name) {
        return headers().getOrDefault(name, List.of()).stream()
                .findFirst()
                .orElse("")
                .strip();
    }

    private static Optional<Instant> date(String text) {
        for (DateTimeFormatter format : DATES) {
            try {
                return Optional.of(format.parse(text, Instant::from));
            } catch (DateTimeException error) {
                // another format, or no date
            }
        }
        return Optional.empty();
    }

    /**
     * The HTTP status.
     *
     * @return such as 429
     */
    public int status() {
        return status;
    }

    /**
     * The beginning of the body.
     *
     * @return a copy
     */
    public byte[] body() {
        return body.clone();
    }
}
