package io.github.objectstreaming;

import java.util.Locale;

/**
 * The states of a stream (SPEC section 3.5). Encoder and decoder follow the same table. A row is a state, a column is the
 * frame that comes next. {@code OTHER} is a control frame of a later version.
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
        END;

        private final String wireName = name().toLowerCase(Locale.ROOT);

        String wireName() {
            return wireName;
        }
    }

    /** The state after a frame. {@code null} if the table does not allow the frame. */
    StreamState after(Event event) {
        if (this == ENDED || this == STREAMING && event == Event.OPEN) {
            return null;
        }
        return event == Event.END ? ENDED : STREAMING;
    }
}
