package io.github.objectstreaming;

import io.github.objectstreaming.TalAudio.Sign;

/** The coder {@code tal}: speech with its text (SPEC section 4.2). */
public final class TalCoder implements Coder<TalAudio, Pcm> {
    /** Makes the coder. */
    public TalCoder() {}

    @Override
    public String name() {
        return "tal";
    }

    @Override
    public Frame encode(TalAudio header, Pcm payload) {
        if (payload.type() != header.sampleType()) {
            throw new EncodeException("samples of " + payload.type().bits() + " bits where bitDepth is "
                    + header.sampleType().bits());
        }
        if (payload.bytes().length % header.blockAlign() != 0) {
            throw new EncodeException(
                    notWhole(header, payload.bytes().length) + ": carry the odd bytes over to the next frame");
        }
        return Frame.of(header.toMembers(), payload.bytes());
    }

    @Override
    public Message<TalAudio, Pcm> decode(Frame frame) {
        TalAudio header;
        try {
            header = TalAudio.of(frame.header());
        } catch (EncodeException error) {
            throw FrameException.invalidHeader(
                    frame, "the header is not what the coder tal reads: " + error.getMessage(), error);
        }
        byte[] payload = frame.payload();
        if (payload.length % header.blockAlign() != 0) {
            throw new PayloadException(
                    frame,
                    "the payload is not what the coder tal reads: " + notWhole(header, payload.length)
                            + ": was the PCM cut inside one?",
                    null);
        }
        return new Message<>(header, Pcm.of(header.sampleType(), payload));
    }

    private static String notWhole(TalAudio header, int size) {
        return size + " bytes are not whole sample frames of " + header.blockAlign() + " bytes";
    }

    /**
     * The order rule of SPEC section 4.2. Sign 1 starts an answer, at any time, with order 1. Signs 2 and 3 have the order
     * of the frame before plus 1. After sign 3 comes sign 1. A stream whose first frame has sign 2 or 3 is a resumed one,
     * and may start at any order.
     */
    @Override
    public SequenceCheck<TalAudio> newSequenceCheck() {
        return new SequenceCheck<>() {
            private TalAudio before;

            @Override
            public void accept(TalAudio header, Frame frame) {
                long order = header.order();
                if (header.sign() == Sign.START) {
                    if (order != 1) {
                        throw ProtocolException.orderGap(frame, "sign 1 starts an answer with order 1, not " + order);
                    }
                } else if (before != null) {
                    if (before.sign() == Sign.END) {
                        throw ProtocolException.orderGap(
                                frame,
                                "sign " + header.sign().number() + " after sign 3: an answer starts with sign 1");
                    }
                    if (order != before.order() + 1) {
                        throw ProtocolException.orderGap(
                                frame, "order " + order + " after order " + before.order() + ": was a frame lost?");
                    }
                }
                before = header;
            }
        };
    }
}
