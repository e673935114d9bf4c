package io.github.objectstreaming;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/** Sound: samples, the channels interleaved. */
public final class Pcm {
    private final SampleType type;
    private final byte[] bytes;

    private Pcm(SampleType type, byte[] bytes) {
        this.type = type;
        this.bytes = bytes;
    }

    /**
     * Samples of 16 bits.
     *
     * @param samples the channels interleaved
     * @return a copy
     */
    public static Pcm of(short... samples) {
        ByteBuffer bytes = ByteBuffer.allocate(2 * samples.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asShortBuffer().put(samples);
        return new Pcm(SampleType.INT16, bytes.array());
    }

    /**
     * Samples of 32 bits.
     *
     * @param samples the channels interleaved
     * @return a copy
     */
    public static Pcm of(int... samples) {
        ByteBuffer bytes = ByteBuffer.allocate(4 * samples.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asIntBuffer().put(samples);
        return new Pcm(SampleType.INT32, bytes.array());
    }

    /**
     * Samples as they are on the wire.
     *
     * @param type what they are
     * @param bytes little-endian, without a header of their own; not copied
     * @return a view of them
     */
    public static Pcm of(SampleType type, byte[] bytes) {
        return new Pcm(type, bytes);
    }

    /**
     * What the samples are.
     *
     * @return the type that {@link TalAudio#sampleType()} names
     */
    public SampleType type() {
        return type;
    }

    /**
     * How many samples there are.
     *
     * @return all channels counted
     */
    public int length() {
        return bytes.length / type.bytes();
    }

    /**
     * The samples as they are on the wire: little-endian, as {@code javax.sound.sampled} takes them too.
     *
     * @return not a copy
     */
    public byte[] bytes() {
        return bytes;
    }

    /**
     * The samples of 16 bits.
     *
     * @return a new array
     * @throws IllegalStateException if they are of 32 bits
     */
    public short[] toShorts() {
        require(SampleType.INT16);
        short[] samples = new short[length()];
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asShortBuffer().get(samples);
        return samples;
    }

    /**
     * The samples of 32 bits.
     *
     * @return a new array
     * @throws IllegalStateException if they are of 16 bits
     */
    public int[] toInts() {
        require(SampleType.INT32);
        int[] samples = new int[length()];
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asIntBuffer().get(samples);
        return samples;
    }

    private void require(SampleType wanted) {
        if (type != wanted) {
            throw new IllegalStateException("the samples are " + type.wireName() + ", not " + wanted.wireName());
        }
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Pcm pcm && type == pcm.type && Arrays.equals(bytes, pcm.bytes);
    }

    @Override
    public int hashCode() {
        return 31 * type.hashCode() + Arrays.hashCode(bytes);
    }

    @Override
    public String toString() {
        return "Pcm[" + length() + " samples of " + type.wireName() + "]";
    }
}
