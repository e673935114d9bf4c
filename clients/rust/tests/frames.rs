//! Frames, where the vectors do not test them: iterators that are dropped early, error messages, other layouts.

use objectstreaming::{
    ByteOrder, Frame, FrameDecoder, FrameErrorKind, Layout, Limits, decode_frame, encode_frame, encode_frame_head,
};

fn wire_of(payloads: &[&[u8]]) -> Vec<u8> {
    payloads.iter().flat_map(|payload| encode_frame(b"{}", payload).unwrap()).collect()
}

#[test]
fn frames_that_were_not_read_stay_in_the_decoder() {
    let wire = wire_of(&[b"one", b"two", b"three", b"four"]);
    let mut decoder = FrameDecoder::new();
    assert_eq!(decoder.feed(&wire[..30]).next().unwrap().unwrap().payload(), b"one");
    assert_eq!((decoder.position(), decoder.offset(), decoder.buffered()), (1, 13, 17));
    let second = decoder.feed(&wire[30..]).next().unwrap().unwrap();
    assert_eq!((second.payload(), second.index(), second.offset()), (&b"two"[..], 1, 13));
    decoder.finish().unwrap();
    assert_eq!((decoder.position(), decoder.offset(), decoder.buffered()), (2, 26, wire.len() - 26));
    assert_eq!(decoder.next_frame().unwrap().unwrap().payload(), b"three");
    assert_eq!(decoder.next_frame().unwrap().unwrap().payload(), b"four");
    assert_eq!(decoder.next_frame().unwrap(), None);
    assert_eq!(decoder.buffered(), 0);
}

#[test]
fn a_reader_that_takes_one_frame_per_chunk_gets_all_of_them() {
    let wire = wire_of(&[&b"0123456789"[..]; 1000]);
    let mut decoder = FrameDecoder::new();
    let mut count = 0;
    for chunk in wire.chunks(25) {
        count += u64::from(decoder.feed(chunk).next().is_some());
        assert_eq!(decoder.position(), count);
    }
    while decoder.next_frame().unwrap().is_some() {
        count += 1;
    }
    assert_eq!((count, decoder.offset()), (1000, wire.len() as u64));
}

#[test]
fn a_cut_is_reported_after_the_frames_that_were_not_read() {
    let wire = wire_of(&[b"one", b"two"]);
    let mut decoder = FrameDecoder::new();
    drop(decoder.feed(&wire[..20]));
    decoder.finish().unwrap();
    assert_eq!(decoder.next_frame().unwrap().unwrap().payload(), b"one");
    for _ in 0..2 {
        let error = decoder.next_frame().unwrap_err();
        assert_eq!((error.kind(), error.index(), error.offset()), (FrameErrorKind::TruncatedFrame, 1, 13));
    }
}

#[test]
fn a_failed_decoder_returns_the_same_error_again_and_no_frame() {
    let mut decoder = FrameDecoder::new();
    let bad = [&wire_of(&[b"one"])[..], &[0; 4], &wire_of(&[b"two"])].concat();
    let read: Vec<_> = decoder.feed(&bad).collect();
    assert_eq!(read.len(), 2);
    let error = read[1].clone().unwrap_err();
    assert_eq!((error.code(), error.index(), error.offset()), ("invalid_length", 1, 13));
    assert_eq!(decoder.feed(&wire_of(&[b"three"])).collect::<Vec<_>>(), [Err(error.clone())]);
    assert_eq!(decoder.finish(), Err(error));
}

#[test]
#[should_panic(expected = "feed() after finish()")]
fn bytes_after_finish_panic() {
    let mut decoder = FrameDecoder::new();
    decoder.finish().unwrap();
    drop(decoder.feed(b"x"));
}

#[test]
fn messages_name_the_likely_cause() {
    let message = |wire: &[u8]| {
        let mut decoder = FrameDecoder::new();
        let error = decoder.feed(wire).find_map(Result::err);
        error.unwrap_or_else(|| decoder.finish().unwrap_err()).to_string()
    };
    assert_eq!(
        message(b"<html>"),
        "T is 1836345404, above the limit of 16777216 bytes: the stream starts with \"<htm\", an error page? \
         (frame_too_large, frame 0, byte 0)"
    );
    assert_eq!(message(&[0; 8]), "T is 0, but a frame has at least 8 bytes (invalid_length, frame 0, byte 0)");
    assert_eq!(
        message(b"\x10\0\0\0\x02\0\0\0{}"),
        "the stream ended inside a frame, after 10 of 16 bytes (truncated_frame, frame 0, byte 0)"
    );
    for (start, cause) in [
        (&b"HTTP/1.1 200 OK"[..], "its head still on?"),
        (b"RIFF....WAVE", "a WAV file"),
        (b"data: {}", "server-sent events?"),
        (b"{\"a\":1}", "JSON without frames?"),
        (b"\x1f\x8b\x08\xff", "starts with \"\\x1f\\x8b\\x08\\xff\", gzip"),
        (b"Hello", "text instead of frames?"),
        (b"\0\0\0\x18\0\0", "the other byte order?"),
        (b"{\"", "JSON without frames?"),
        (b"\x0a\0\0\0\x02\0\0\0{}\x01\0\0\0", "written with a wrong length"),
    ] {
        assert!(message(start).contains(cause), "{}", message(start));
    }
}

#[test]
fn decode_frame_takes_exactly_one_frame() {
    let wire = encode_frame(b"{\"a\":1}", b"xy").unwrap();
    let frame = decode_frame(&wire).unwrap();
    assert_eq!(frame, Frame::new(b"{\"a\":1}", b"xy").unwrap());
    assert_eq!(frame.encode().unwrap(), wire);
    assert_eq!([encode_frame_head(b"{\"a\":1}", 2).unwrap(), b"xy".to_vec()].concat(), wire);
    assert_eq!(format!("{frame:?}"), "Frame 0 at byte 0: {\"a\":1} + 2 bytes");
    assert_eq!(frame.into_payload(), b"xy");
    assert_eq!(decode_frame(&wire[..16]).unwrap_err().kind(), FrameErrorKind::TruncatedFrame);
    assert_eq!(decode_frame(&[wire, b"z".to_vec()].concat()).unwrap_err().kind(), FrameErrorKind::InvalidLength);
}

#[test]
fn every_layout_is_written_and_read() {
    for byte_length in 1..=8 {
        for byte_order in [ByteOrder::Little, ByteOrder::Big] {
            let layout = Layout::new(byte_length, byte_order);
            let wire = layout.encode_frame(b"{\"a\":1}", b"payload").unwrap();
            let mut decoder = FrameDecoder::with(Limits::default(), layout);
            let frames: Vec<_> = wire
                .chunks(3)
                .flat_map(|chunk| decoder.feed(chunk).collect::<Vec<_>>())
                .collect::<Result<_, _>>()
                .unwrap();
            assert_eq!(frames, [Frame::new(b"{\"a\":1}", b"payload").unwrap()]);
        }
    }
    assert!(Layout::new(1, ByteOrder::Little).encode_frame(b"{}", &[0; 252]).is_err());
    assert!(Layout::new(1, ByteOrder::Little).encode_frame(b"{}", &[0; 251]).is_ok());
}

#[test]
fn a_header_that_is_not_an_object_cannot_be_sent() {
    for header in [&b""[..], b"[]", b"{", b"\xef\xbb\xbf{}", b"{\"a\":NaN}", b"{\"a\":\"\\ud800\"}", b"{} {}"] {
        assert_eq!(encode_frame(header, b"").unwrap_err().code(), "encode_error");
        assert!(Frame::new(header, b"").is_err() && encode_frame_head(header, 0).is_err());
    }
}

#[cfg(feature = "bytes")]
#[test]
fn a_frame_that_is_whole_in_a_chunk_of_bytes_shares_its_memory() {
    use bytes::Bytes;

    let wire = Bytes::from(wire_of(&[b"first", b"", b"third", b"fourth"]));
    for cut in 0..=wire.len() {
        let mut decoder = FrameDecoder::new();
        let mut frames = Vec::new();
        for mut chunk in [wire.slice(..cut), wire.slice(cut..)] {
            while let Some(frame) = decoder.next_from_bytes(&mut chunk).unwrap() {
                frames.push(frame);
            }
            assert!(chunk.is_empty());
        }
        decoder.finish().unwrap();
        for (frame, payload) in frames.into_iter().zip(["first", "", "third", "fourth"]) {
            let begin = usize::try_from(frame.offset()).unwrap();
            let inside = !(begin + 1..begin + 10 + payload.len()).contains(&cut);
            let shared = wire.as_ptr_range().contains(&frame.header_bytes().as_ptr());
            assert_eq!(shared, inside, "cut at {cut}, the frame at {begin}");
            assert_eq!(frame.clone().into_bytes(), payload);
            assert_eq!(frame.into_payload(), payload.as_bytes());
        }
    }
    let mut decoder = FrameDecoder::new();
    let mut invalid = Bytes::from_static(b"\x0a\0\0\0\x02\0\0\0{}\x01\0\0\0\0\0\0\0");
    assert!(decoder.next_from_bytes(&mut invalid).unwrap().is_some());
    let error = decoder.next_from_bytes(&mut invalid).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (FrameErrorKind::InvalidLength, 10));
}
