//! Memory. A long stream needs little more than one frame and one chunk. A length that a peer claims reserves nothing.
//! One-byte chunks are not moved again and again: the sum of all allocations, moves included, is linear in the bytes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use objectstreaming::{FrameDecoder, encode_frame};

/// The allocator of the system, with counters. The crate itself forbids unsafe code; only this test has some.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
static IN_ALL: AtomicUsize = AtomicUsize::new(0);

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(held, Ordering::Relaxed);
        IN_ALL.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The largest amount that `run` held beyond what was held before. There is one test function, because tests run in
/// parallel.
fn most(run: impl FnOnce()) -> usize {
    let before = HELD.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    run();
    MOST.load(Ordering::Relaxed) - before
}

#[test]
fn memory_stays_flat() {
    const MIB: usize = 1 << 20;
    let wire = encode_frame(b"{}", &vec![7; MIB]).unwrap();
    let long = most(|| {
        let mut decoder = FrameDecoder::new();
        let mut size = 0;
        for _ in 0..64 {
            for chunk in wire.chunks(1460) {
                size += decoder.feed(chunk).map(|frame| frame.unwrap().payload().len()).sum::<usize>();
            }
        }
        decoder.finish().unwrap();
        assert_eq!(size, 64 * MIB);
    });
    assert!(long < 2 * MIB + 64 * 1024, "64 MiB were read in {long} bytes");

    let claimed = most(|| {
        let mut decoders: Vec<FrameDecoder> = (0..100).map(|_| FrameDecoder::new()).collect();
        for decoder in &mut decoders {
            // The frame claims 16 MiB, ten bytes arrive.
            assert_eq!(decoder.feed(b"\0\0\0\x01\x02\0\0\0{}").count(), 0);
        }
    });
    assert!(claimed < 100 * 1024, "claims of 1.6 GB took {claimed} bytes");

    let before = IN_ALL.load(Ordering::Relaxed);
    let mut decoder = FrameDecoder::new();
    assert_eq!(wire.chunks(1).map(|byte| decoder.feed(byte).count()).sum::<usize>(), 1);
    let allocated = IN_ALL.load(Ordering::Relaxed) - before;
    assert!(allocated < 5 * MIB, "1 MiB in single bytes took {allocated} bytes in all");
}
