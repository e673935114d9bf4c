package io.github.objectstreaming;

/**
 * The state table of SPEC section 3.5, which both sides follow. {@code OTHER} is a control type of a later version.
 *
 * <pre>
 *             OPEN        DATA        PING        OTHER       END
 * START       STREAMING   STREAMING   STREAMING   STREAMING   ENDED
 * STREAMING   -           STREAMING   STREAMING   STREAMING   ENDED
 * ENDED       -           -           -           -           -
 * </pre>
 */
enum StreamState {
    START,
    STREAMING,
    ENDED;

    enum Event {
        OPEN,
        DATA,
        PING,
        OTHER,
        END
    }

    /** The next state; {@code null} where the table has none. */
    StreamState after(Event event) {
        if (this == ENDED || this == STREAMING && event == Event.OPEN) {
            return null;
        }
        return event == Event.END ? ENDED : STREAMING;
    }
}
