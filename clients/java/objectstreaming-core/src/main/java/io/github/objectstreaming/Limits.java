package io.github.objectstreaming;

/**
 * The limits of a decoder, in bytes.
 *
 * @param frame the limit of T, the size of a whole frame
 * @param header the limit of H, the size of a header
 */
public record Limits(int frame, int header) {
    /** 16 MiB and 64 KiB, unless both sides agree on others (SPEC section 2.4). */
    public static final Limits DEFAULT = new Limits(16 << 20, 64 << 10);

    /**
     * Makes limits.
     *
     * @param frame the limit of T, the size of a whole frame
     * @param header the limit of H, the size of a header
     * @throws IllegalArgumentException if one is negative
     */
    public Limits {
        if (frame < 0 || header < 0) {
            throw new IllegalArgumentException("limits are byte counts, not negative: " + frame + ", " + header);
        }
    }
}
