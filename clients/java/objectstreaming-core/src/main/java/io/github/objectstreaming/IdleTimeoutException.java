package io.github.objectstreaming;

/** Nothing arrived for longer than the heartbeat of the peer allows, not even a ping. */
public final class IdleTimeoutException extends StreamIncompleteException {
    private static final long serialVersionUID = 1L;

    /**
     * For readers of streams.
     *
     * @param message what happened
     * @param position the number of data frames received
     */
    public IdleTimeoutException(String message, long position) {
        super(message, position, null);
    }

    @Override
    public String code() {
        return "idle_timeout";
    }
}
