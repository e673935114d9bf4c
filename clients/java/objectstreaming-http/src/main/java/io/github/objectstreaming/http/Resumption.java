package io.github.objectstreaming.http;

import io.github.objectstreaming.FrameException;
import io.github.objectstreaming.ResponseException;
import io.github.objectstreaming.StreamErrorCode;
import io.github.objectstreaming.StreamException;
import io.github.objectstreaming.StreamIncompleteException;
import java.io.IOException;
import java.time.Duration;
import java.util.Optional;
import java.util.Set;

/** Knows which messages are new, and whether and when to try again (SPEC section 6.3). It does no input or output. */
final class Resumption {
    private static final Duration FIRST_WAIT = Duration.ofMillis(250);
    private static final Duration LONGEST_WAIT = Duration.ofSeconds(10);
    /** The store may just be given again what it had lost: a missing stream is asked for again for so long after data. */
    private static final Duration LOST = Duration.ofSeconds(10);
    /** A response that lasted for so long was no failure, even if it had no data frame. */
    private static final Duration WORKS = Duration.ofSeconds(15);

    private static final Set<Integer> AGAIN = Set.of(429, 502, 503, 504);

    private final Duration patience;
    private final Waiting waiting;
    private long position;
    private int failures; // in a row
    private Long trouble; // since when, null if there is none
    private Long lost; // since when the server does not find the stream, or not so much of it
    private Long opened; // when the response that is read began
    private boolean hasData;

    Resumption(Duration patience, Waiting waiting, long position) {
        this.patience = patience;
        this.waiting = waiting;
        this.position = position;
    }

    long position() {
        return position;
    }

    /** A response has begun. */
    void opened() {
        opened = waiting.nanos();
    }

    /** Whether the message at this position was not delivered yet. It counts from then on. */
    boolean isNew(long at) {
        if (at <= position) {
            return false;
        }
        if (at > position + 1) {
            throw lost(at - 1);
        }
        position = at;
        failures = 0;
        trouble = null;
        lost = null;
        hasData = true;
        return true;
    }

    /** A response has ended the stream at this position. */
    void ended(long at) {
        if (at != position) {
            throw lost(at);
        }
    }

    private StreamException lost(long at) {
        return new StreamException(
                StreamErrorCode.DATA_LOSS, position + " data frames have arrived, and the server goes on after " + at);
    }

    /** How long to wait before the next attempt. Empty if there is to be none. */
    Optional<Duration> waitAfter(Exception error) {
        long now = waiting.nanos();
        boolean worked = opened != null && now - opened > WORKS.toNanos();
        if (trouble == null || worked) {
            trouble = now;
            failures = 0;
        }
        opened = null;
        Duration lasting = Duration.ofNanos(now - trouble);
        if (!mayPass(error, now)) {
            return Optional.empty();
        }
        Duration wait = error instanceof ResponseException response
                ? response.retryAfter().orElse(null)
                : null;
        if (wait == null) {
            Duration longest = FIRST_WAIT.multipliedBy(1L << Math.min(failures, 10));
            wait = waiting.random(longest.compareTo(LONGEST_WAIT) < 0 ? longest : LONGEST_WAIT);
        }
        failures++;
        return lasting.plus(wait).compareTo(patience) <= 0 ? Optional.of(wait) : Optional.empty();
    }

    private boolean mayPass(Exception error, long now) {
        if (error instanceof ResponseException response) {
            boolean missing = response.status() == 404
                    || response.status() == 400 && response.error() == StreamErrorCode.OUT_OF_RANGE;
            if (missing && lost == null) {
                lost = now;
            }
            return AGAIN.contains(response.status()) || missing && hasData && now - lost < LOST.toNanos();
        }
        return error instanceof IOException
                || error instanceof StreamIncompleteException
                || error instanceof FrameException frame && frame.code().equals(FrameException.TRUNCATED_FRAME);
    }
}
