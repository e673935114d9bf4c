package io.github.objectstreaming;

import io.github.objectstreaming.TalAudio.Sign;

/** The coder {@code tal}: speech with its text. */
public final class TalCoder implements Coder<TalAudio, Pcm> {
    /** The coder. */
    public TalCoder() {}

    @Override
    public String name() {
        return "tal";
    }

    @Override
    public Frame encode(TalAudio header, Pcm payload) {
        if (payload.type() != header.sampleType()) {
            throw new EncodeException("the header says " + header.sampleType().wireName() + ", the samples are "
                    + payload.type().wireName());
        }
        if (payload.bytes().length % header.blockAlign() != 0) {
            throw new EncodeException(unaligned(header, payload.bytes().length));
        }
        return Frame.of(header.toMembers(), payload.bytes());
    }

    @Override
    public Message<TalAudio, Pcm> decode(Frame frame) {
        TalAudio header;
        try {
            header = TalAudio.of(frame.header());
        } catch (EncodeException error) {
            throw FrameException.invalidHeader(frame, "the header is not that of speech: " + error.getMessage(), error);
        }
        byte[] payload = frame.payload();
        if (payload.length % header.blockAlign() != 0) {
            throw new PayloadException(frame, unaligned(header, payload.length), null);
        }
        return new Message<>(header, Pcm.of(header.sampleType(), payload));
    }

    private static String unaligned(TalAudio header, int size) {
        return size + " bytes are not whole sample frames of " + header.blockAlign() + " bytes";
    }

    /**
     * An answer's frames are numbered 1, 2, 3... A stream whose first frame is no start is a resumed one, and may begin
     * at any number.
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
                        throw ProtocolException.orderGap(frame, "an answer starts with order " + order + ", not 1");
                    }
                } else if (before != null) {
                    if (before.sign() == Sign.END) {
                        throw ProtocolException.orderGap(frame, "an answer goes on after its end");
                    }
                    if (order != before.order() + 1) {
                        throw ProtocolException.orderGap(
                                frame, "order " + order + " follows " + before.order() + ": was a frame lost?");
                    }
                }
                before = header;
            }
        };
    }
}
