//! The tokio codecs over a pipe, which delivers the bytes in small pieces.

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use objectstreaming::{
    ByteOrder, CodecError, End, Error, Frame, FrameCodec, FrameErrorKind, JsonCoder, Layout, Limits, MessageCodec,
    Open, Outgoing, encode_frame,
};
use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt;
use tokio_util::codec::{Decoder, Framed, FramedRead};

#[tokio::test]
async fn frames_pass_through_a_pipe_in_any_layout() {
    for layout in [Layout::default(), Layout::new(2, ByteOrder::Big)] {
        let (ours, theirs) = tokio::io::duplex(7);
        let mut sender = Framed::new(ours, FrameCodec::with(Limits::default(), layout));
        let mut receiver = Framed::new(theirs, FrameCodec::with(Limits::default(), layout));
        let frames: Vec<Frame> = (0..50).map(|n| Frame::new(b"{}", &vec![n; usize::from(n)]).unwrap()).collect();
        let sent = frames.clone();
        let sending = tokio::spawn(async move {
            for frame in sent {
                sender.send(frame).await.unwrap();
            }
        });
        let mut frames_read = Vec::new();
        while let Some(frame) = receiver.next().await {
            frames_read.push(frame.unwrap());
        }
        assert_eq!(frames_read, frames);
        sending.await.unwrap();
    }
}

#[tokio::test]
async fn a_pipe_that_ends_inside_a_frame_is_an_error_after_the_whole_frames() {
    let wire = [encode_frame(b"{}", b"one").unwrap(), encode_frame(b"{}", b"two").unwrap()].concat();
    let mut receiver = FramedRead::new(&wire[..20], FrameCodec::new());
    assert_eq!(receiver.next().await.unwrap().unwrap().payload(), b"one");
    let Some(Err(CodecError::Frame(error))) = receiver.next().await else { panic!("no error") };
    assert_eq!((error.kind(), error.index(), error.offset()), (FrameErrorKind::TruncatedFrame, 1, 13));
    assert!(receiver.next().await.is_none());
}

#[tokio::test]
async fn messages_pass_in_both_directions() {
    type Item = Outgoing<Map<String, Value>, Value>;
    let (ours, theirs) = tokio::io::duplex(64);
    let mut sender = Framed::new(ours, MessageCodec::new(JsonCoder::new()));
    let mut receiver = Framed::new(theirs, MessageCodec::new(JsonCoder::new()));
    let sending = tokio::spawn(async move {
        sender.send(Item::Open(Open::default())).await.unwrap();
        sender.send(Item::Ping).await.unwrap();
        sender.send(Item::Data(Map::new(), json!("hello"))).await.unwrap();
        let refused = encode_frame(b"{}", b"nope").unwrap();
        sender.get_mut().write_all(&refused).await.unwrap();
        sender.get_mut().write_all(&encode_frame(b"{}", b"3").unwrap()).await.unwrap();
        assert_eq!(sender.codec().encoder().position(), 1);
    });
    assert_eq!(receiver.next().await.unwrap().unwrap().unwrap().1, json!("hello"));
    assert_eq!(receiver.next().await.unwrap().unwrap().unwrap_err().index(), 3);
    assert_eq!(receiver.next().await.unwrap().unwrap().unwrap().1, json!(3));
    sending.await.unwrap();
    let Some(Err(CodecError::Stream(Error::Incomplete(error)))) = receiver.next().await else { panic!("no error") };
    assert_eq!((error.position(), receiver.codec().decoder().position()), (3, 3));

    let (ours, theirs) = tokio::io::duplex(4096);
    let mut sender = Framed::new(ours, MessageCodec::new(JsonCoder::new()));
    let mut receiver = Framed::new(theirs, MessageCodec::new(JsonCoder::new()));
    sender.send(Item::End(End::default())).await.unwrap();
    drop(sender);
    assert!(receiver.next().await.is_none());
    assert!(receiver.codec().decoder().ended());
}

#[tokio::test]
async fn a_reader_that_is_at_its_end_may_be_read_on() {
    let wire = encode_frame(b"{}", b"1").unwrap();
    let mut bytes = BytesMut::new();
    let (mut frames, mut messages) = (FrameCodec::new(), MessageCodec::new(JsonCoder::new()));
    for _ in 0..2 {
        assert!(frames.decode_eof(&mut bytes).unwrap().is_none());
        assert!(matches!(messages.decode_eof(&mut bytes), Err(CodecError::Stream(Error::Incomplete(_)))));
        assert_eq!(frames.decode(&mut BytesMut::from(&wire[..])).unwrap().unwrap().payload(), b"1");
        assert_eq!(messages.decode(&mut BytesMut::from(&wire[..])).unwrap().unwrap().unwrap().1, json!(1));
    }
    for _ in 0..2 {
        let cut = frames.decode_eof(&mut BytesMut::from(&wire[..9])).unwrap_err();
        assert!(matches!(cut, CodecError::Frame(error) if error.kind() == FrameErrorKind::TruncatedFrame));
    }
}
