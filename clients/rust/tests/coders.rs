//! The coders msgpack and ndarray, beyond the vectors.

use ndarray::{Array2, ShapeBuilder, array, s};
use objectstreaming::{
    AnyArray, Coder, Encode, Error, Frame, MsgpackCoder, NdarrayCoder, StreamDecoder, StreamEncoder,
};
use rmpv::Value;
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Sound {
    rate: u32,
    #[serde(with = "serde_bytes")]
    pcm: Vec<u8>,
}

fn msgpack(payload: &[u8]) -> Result<Value, Error> {
    let wire = Frame::new(b"{}", payload).unwrap().encode().unwrap();
    let mut decoder = StreamDecoder::new(MsgpackCoder::new());
    decoder.feed(&wire).next().unwrap().map(|(_, payload)| payload)
}

#[test]
fn a_struct_is_a_map_of_messagepack_and_comes_back() {
    let sound = Sound { rate: 16_000, pcm: vec![0, 255] };
    let wire = StreamEncoder::plain(MsgpackCoder::new()).data(&json!({"n": 1}), &sound).unwrap();
    assert!(wire.ends_with(b"\x82\xa4rate\xcd\x3e\x80\xa3pcm\xc4\x02\x00\xff"), "{wire:?}");
    let mut decoder = StreamDecoder::new(MsgpackCoder::<serde_json::Value, Sound>::typed());
    assert_eq!(decoder.feed(&wire).next().unwrap().unwrap(), (json!({"n": 1}), sound));
    let other = StreamEncoder::plain(MsgpackCoder::new()).data(&json!({}), &json!({"rate": "x"})).unwrap();
    let mut decoder = StreamDecoder::new(MsgpackCoder::<serde_json::Value, Sound>::typed());
    assert!(matches!(decoder.feed(&other).next().unwrap(), Err(Error::Payload(_))));
}

#[test]
fn timestamps_are_read_and_other_extensions_are_not() {
    for payload in [
        &[0xd6, 0xff, 0, 0, 0, 1][..],
        &[0xd7, 0xff, 0, 0, 0, 0, 0, 0, 0, 1],
        &[0xc7, 12, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    ] {
        assert!(matches!(msgpack(payload), Ok(Value::Ext(-1, _))), "{payload:?}");
    }
    for payload in [
        &[0xd6, 0xfe, 0, 0, 0, 1][..],
        &[0xd4, 0xff, 0],
        &[0xc7, 3, 0xff, 0, 0, 0],
        &[0xc8, 0, 1, 5, 0],
        &[0x91, 0xd4, 5, 0],
    ] {
        assert!(matches!(msgpack(payload), Err(Error::Payload(_))), "{payload:?}");
    }
    let encoded = MsgpackCoder::new().encode(&json!({}), &Value::Ext(5, vec![0]));
    assert_eq!(encoded.unwrap_err().code(), "encode_error");
}

#[test]
fn a_value_that_is_nested_a_million_times_is_refused_without_a_stack() {
    let mut payload = vec![0x91; 1_000_000];
    payload.push(0xc0);
    assert!(matches!(msgpack(&payload), Err(Error::Payload(_))));
    assert!(msgpack(&[&[0x91; 100][..], &[0xc0]].concat()).is_ok());
}

#[test]
fn an_array_is_sent_in_logical_order_whatever_its_memory_is() {
    let mut encoder = StreamEncoder::plain(NdarrayCoder);
    let fortran = Array2::from_shape_vec((2, 3).f(), vec![1_u8, 4, 2, 5, 3, 6]).unwrap();
    let every_second = array![1_u8, 0, 2, 0, 3];
    for (wire, payload) in [
        (encoder.data(&json!({}), &fortran).unwrap(), &[1, 2, 3, 4, 5, 6][..]),
        (encoder.data(&json!({}), &every_second.slice(s![..;2])).unwrap(), &[1, 2, 3]),
    ] {
        assert!(wire.ends_with(payload), "{wire:?}");
    }
    let empty = encoder.data(&json!({}), &Array2::<f64>::zeros((0, 7))).unwrap();
    assert_eq!(&empty[8..], br#"{"dtype":"<f8","shape":[0, 7]}"#);
}

#[test]
fn every_element_type_comes_back_in_both_byte_orders() {
    macro_rules! check {
        ($($dtype:literal $type:ty = $value:expr;)*) => {
            $(let value: $type = $value;
            let array = AnyArray::new(concat!("<", $dtype), &[1], value.to_le_bytes().to_vec()).unwrap();
            assert_eq!(array.to_array::<$type>(), Some(array![value].into_dyn()));
            let array = AnyArray::new(concat!(">", $dtype), &[], value.to_be_bytes().to_vec()).unwrap();
            assert_eq!(array.to_array::<$type>().unwrap().first(), Some(&value));)*
        };
    }
    check! {
        "i2" i16 = -2; "u2" u16 = 65_000; "i4" i32 = i32::MIN; "u4" u32 = u32::MAX;
        "i8" i64 = i64::MIN; "u8" u64 = u64::MAX; "f4" f32 = 1.5; "f8" f64 = -0.1;
    }
    let truth = AnyArray::new("|b1", &[3], vec![0, 1, 2]).unwrap();
    assert_eq!(truth.to_array::<bool>(), Some(array![false, true, true].into_dyn()));
    assert_eq!(truth.to_array::<u8>(), None);
    let half = AnyArray::new("<f2", &[1], vec![0, 60]).unwrap();
    assert_eq!((half.bytes(), half.to_array::<u16>()), (&[0, 60][..], None));
}

#[test]
fn what_cannot_be_sent_is_an_encode_error() {
    let refused = [
        NdarrayCoder.encode(&json!({"shape": 1}), &array![1_u8]),
        NdarrayCoder.encode(&json!([]), &array![1_u8]),
        NdarrayCoder.encode(&json!({}), &ndarray::ArrayD::<u8>::zeros(vec![1; 33])),
    ];
    for found in refused {
        assert_eq!(found.unwrap_err().code(), "encode_error");
    }
    for (dtype, shape, data) in [("|O", &[1][..], vec![0]), ("<i2", &[2], vec![0]), ("<i2", &[usize::MAX, 2], vec![])] {
        assert_eq!(AnyArray::new(dtype, shape, data).unwrap_err().code(), "encode_error");
    }
}

#[test]
fn a_shape_of_large_integers_is_valid_but_never_filled() {
    let header = br#"{"dtype":"<i2","shape":[100000000000000000000000]}"#;
    let wire = Frame::new(header, b"").unwrap().encode().unwrap();
    let mut decoder = StreamDecoder::new(NdarrayCoder);
    assert!(matches!(decoder.feed(&wire).next().unwrap(), Err(Error::Payload(_))));
    assert_eq!(NdarrayCoder.neutral(), b"");
}
