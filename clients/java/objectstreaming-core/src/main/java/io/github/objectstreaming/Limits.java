package io.github.objectstreaming;

/**
 * What a decoder accepts, in bytes.
 *
 * @param frame bounds T, the whole frame
 * @param header bounds H, the header
 */
public record Limits(int frame, int header) {
    /** 16 MiB and 64 KiB: what peers keep to unless both sides agree otherwise (SPEC section 2.4). */
    public static final Limits DEFAULT = new Limits(16 << 20, 64 << 10);

    /**
     * Limits of your own.
     *
     * @param frame bounds T, the whole frame
     * @param header bounds H, the header
     * @throws IllegalArgumentException if one is negative
     */
    public Limits {
        if (frame < 0 || header < 0) {
            throw new IllegalArgumentException("limits are byte counts, not negative: " + frame + ", " + header);
        }
    }
}
