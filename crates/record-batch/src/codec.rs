//! Decompression within a bound, codec by codec. The bound is on the bytes that come out: a small batch may claim to
//! hold gigabytes. Beside them a decoder holds its own blocks only, whose size the codec limits (lz4: 8 MiB at most).

use std::borrow::Cow;
use std::io::Read;

use crate::{Codec, RecordsError};

/// How Java's snappy streams begin (xerial).
const XERIAL_MAGIC: &[u8; 8] = b"\x82SNAPPY\x00";
/// After the magic: version and lowest compatible version, four bytes each.
const XERIAL_HEADER_BYTES: usize = 16;

const OVER_BOUND: RecordsError = RecordsError("they take more bytes than the bound allows");
const BAD_STREAM: RecordsError = RecordsError("the compressed stream is damaged");

/// Decompresses `payload` to at most `bytes_max` bytes.
pub(crate) fn decompress(codec: Codec, payload: &[u8], bytes_max: usize) -> Result<Cow<'_, [u8]>, RecordsError> {
    match codec {
        Codec::None if payload.len() > bytes_max => Err(OVER_BOUND),
        Codec::None => Ok(Cow::Borrowed(payload)),
        Codec::Gzip => read_all(flate2::read::MultiGzDecoder::new(payload), bytes_max).map(Cow::Owned),
        Codec::Snappy => snappy(payload, bytes_max).map(Cow::Owned),
        Codec::Lz4 => read_all(lz4_flex::frame::FrameDecoder::new(payload), bytes_max).map(Cow::Owned),
        Codec::Zstd => zstd(payload, bytes_max).map(Cow::Owned),
    }
}

fn read_all(reader: impl Read, bytes_max: usize) -> Result<Vec<u8>, RecordsError> {
    let mut out = Vec::new();
    // One byte more than allowed, to see whether there is one.
    let mut reader = reader.take((bytes_max as u64).saturating_add(1));
    reader.read_to_end(&mut out).map_err(|_| BAD_STREAM)?;
    if out.len() > bytes_max {
        return Err(OVER_BOUND);
    }
    Ok(out)
}

fn snappy(payload: &[u8], bytes_max: usize) -> Result<Vec<u8>, RecordsError> {
    let mut out = Vec::new();
    if !payload.starts_with(XERIAL_MAGIC) {
        snappy_block(payload, &mut out, bytes_max)?;
        return Ok(out);
    }
    let mut rest = payload.get(XERIAL_HEADER_BYTES..).ok_or(BAD_STREAM)?;
    while !rest.is_empty() {
        let (block_bytes, after) = rest.split_first_chunk().ok_or(BAD_STREAM)?;
        let block_bytes = usize::try_from(i32::from_be_bytes(*block_bytes)).map_err(|_| BAD_STREAM)?;
        let (block, after) = after.split_at_checked(block_bytes).ok_or(BAD_STREAM)?;
        snappy_block(block, &mut out, bytes_max)?;
        rest = after;
    }
    Ok(out)
}

/// Appends one raw snappy block to `out`.
fn snappy_block(block: &[u8], out: &mut Vec<u8>, bytes_max: usize) -> Result<(), RecordsError> {
    let block_bytes = snap::raw::decompress_len(block).map_err(|_| BAD_STREAM)?;
    let start = out.len();
    let end = start.checked_add(block_bytes).filter(|end| *end <= bytes_max);
    out.resize(end.ok_or(OVER_BOUND)?, 0);
    let written = snap::raw::Decoder::new().decompress(block, &mut out[start..]);
    written.map(|_| ()).map_err(|_| BAD_STREAM)
}

/// In one step into a buffer of the bound's size: zstd's streaming decoder would take a window as large as the frame
/// asks for (up to 128 MiB), while this one needs none.
fn zstd(payload: &[u8], bytes_max: usize) -> Result<Vec<u8>, RecordsError> {
    let mut out = Vec::new();
    out.try_reserve_exact(bytes_max).map_err(|_| OVER_BOUND)?;
    let mut decompressor = zstd::bulk::Decompressor::new().map_err(|_| BAD_STREAM)?;
    decompressor
        .decompress_to_buffer(payload, &mut out)
        .map_err(|_| RecordsError("the compressed stream is damaged or longer than the bound allows"))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn raw_snappy(plain: &[u8]) -> Vec<u8> {
        snap::raw::Encoder::new().compress_vec(plain).unwrap()
    }

    fn xerial_snappy(plain: &[u8]) -> Vec<u8> {
        let mut out = XERIAL_MAGIC.to_vec();
        out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
        for block in plain.chunks(32 * 1024) {
            let block = raw_snappy(block);
            out.extend_from_slice(&i32::try_from(block.len()).unwrap().to_be_bytes());
            out.extend_from_slice(&block);
        }
        out
    }

    fn lz4(plain: &[u8]) -> Vec<u8> {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    /// The same bytes in every form a client may send them.
    fn compressed(plain: &[u8]) -> [(Codec, Vec<u8>); 6] {
        [
            (Codec::None, plain.to_vec()),
            (Codec::Gzip, gzip(plain)),
            (Codec::Snappy, raw_snappy(plain)),
            (Codec::Snappy, xerial_snappy(plain)),
            (Codec::Lz4, lz4(plain)),
            (Codec::Zstd, zstd::bulk::compress(plain, 3).unwrap()),
        ]
    }

    #[test]
    fn the_bound_is_exact_for_every_codec() {
        let plain = b"a line that repeats itself, ".repeat(4000);
        for (codec, payload) in compressed(&plain) {
            let out = decompress(codec, &payload, plain.len()).expect("the bound is just enough");
            assert!(out == plain, "{codec:?}");
            let refused = decompress(codec, &payload, plain.len() - 1);
            assert!(refused.is_err(), "{codec:?}: one byte over the bound");
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_unfolds() {
        let bomb = vec![0; 64 << 20];
        for (codec, payload) in compressed(&bomb).into_iter().skip(1) {
            assert!(decompress(codec, &payload, 1 << 20).is_err(), "{codec:?}");
        }
    }

    #[test]
    fn cut_and_spoiled_streams_are_refused_without_panic() {
        let plain = b"a line that repeats itself, ".repeat(40);
        for (codec, payload) in compressed(&plain).into_iter().skip(1) {
            for len in 0..payload.len() {
                let out = decompress(codec, &payload[..len], plain.len());
                assert!(
                    out.map_or(true, |out| out != plain) || len + 16 > payload.len(),
                    "{codec:?} {len}"
                );
            }
            for at in 0..payload.len() {
                let mut spoiled = payload.clone();
                spoiled[at] ^= 0xff;
                // Not every codec has a checksum: what must hold is the bound, and that it returns.
                if let Ok(out) = decompress(codec, &spoiled, 2 * plain.len()) {
                    assert!(out.len() <= 2 * plain.len());
                }
            }
        }
    }

    #[test]
    fn a_bound_beyond_memory_is_an_error() {
        let payload = zstd::bulk::compress(b"small", 3).unwrap();
        assert!(decompress(Codec::Zstd, &payload, usize::MAX).is_err());
        assert!(decompress(Codec::Gzip, &gzip(b"small"), usize::MAX).is_ok());
    }
}
