package io.github.objectstreaming;

/** The types of samples. They are signed, and little-endian on the wire. */
public enum SampleType {
    /** 16 bits. */
    INT16("int16", 16),
    /** 32 bits. */
    INT32("int32", 32);

    private final String wireName;
    private final int bits;

    SampleType(String wireName, int bits) {
        this.wireName = wireName;
        this.bits = bits;
    }

    /**
     * The member {@code audioType}.
     *
     * @return such as {@code "int16"}
     */
    public String wireName() {
        return wireName;
    }

    /**
     * The member {@code bitDepth}.
     *
     * @return 16 or 32
     */
    public int bits() {
        return bits;
    }

    /**
     * The size of a sample in bytes.
     *
     * @return 2 or 4
     */
    public int bytes() {
        return bits / Byte.SIZE;
    }
}
