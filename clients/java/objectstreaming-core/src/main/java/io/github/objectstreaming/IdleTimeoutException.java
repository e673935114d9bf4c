package io.github.objectstreaming;

/** Nothing arrived, not even a ping, for longer than the peer's heartbeat allows. */
public final class IdleTimeoutException extends StreamIncompleteException {
    private static final long serialVersionUID = 1L;

    /**
     * Made by those who wait.
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
