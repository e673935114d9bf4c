package io.github.objectstreaming;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/** Audio samples. The channels are interleaved. */
public final class Pcm {
    private final SampleType type;
    private final byte[] bytes;

    private Pcm(SampleType type, byte[] bytes) {
        this.type = type;
        this.bytes = bytes;
    }

    /**
     * Makes PCM of 16-bit samples.
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
     * Makes PCM of 32-bit samples.
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
     * Makes PCM of its bytes.
     *
     * @param type the type of the samples
     * @param bytes little-endian, without a header; not copied
     * @return a view of the bytes
     */
    public static Pcm of(SampleType type, byte[] bytes) {
        return new Pcm(type, bytes);
    }

    /**
     * The type of the samples.
     *
     * @return the type, as in {@link TalAudio#sampleType()}
     */
    public SampleType type() {
        return type;
    }

    /**
     * The number of samples.
     *
     * @return the number, all channels together
     */
    public int length() {
        return bytes.length / type.bytes();
    }

    /**
     * The bytes of the samples: little-endian, as {@code javax.sound.sampled} also uses them.
     *
     * @return not a copy
     */
    public byte[] bytes() {
        return bytes;
    }

    /**
     * The samples as 16-bit numbers.
     *
     * @return a new array
     * @throws IllegalStateException if they have 32 bits
     */
    public short[] toShorts() {
        require(SampleType.INT16);
        short[] samples = new short[length()];
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asShortBuffer().get(samples);
        return samples;
    }

    /**
     * The samples as 32-bit numbers.
     *
     * @return a new array
     * @throws IllegalStateException if they have 16 bits
     */
    public int[] toInts() {
        require(SampleType.INT32);
        int[] samples = new int[length()];
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asIntBuffer().get(samples);
        return samples;
    }

    private void require(SampleType expected) {
        if (type != expected) {
            throw new IllegalStateException("the samples are " + type.wireName() + ", not " + expected.wireName());
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
