//! What must hold for any bytes. The fuzz targets call these; `tests/fuzz_corpus.rs` runs them over the corpus on stable.

use object_format::{FORMAT_VERSION, Footer, MAGIC, TRAILER_BYTES, decode_footer, decode_tail, encode_tail};

/// Any bytes as an object's tail.
pub(crate) fn tail(data: &[u8]) {
    let object_bytes = data.len() as u64 + 1000;
    if let Ok(footer) = decode_tail(data, object_bytes) {
        written_again_it_reads_the_same(&footer);
    }
}

/// Any bytes as a footer whose checksums hold: what lies behind them would never be reached otherwise.
pub(crate) fn footer(data: &[u8]) {
    if let Ok(footer) = decode_footer(&seal(data), 1 << 40) {
        written_again_it_reads_the_same(&footer);
    }
}

/// `footer` with the trailer that belongs to it.
pub(crate) fn seal(footer: &[u8]) -> Vec<u8> {
    let footer_bytes = u32::try_from(footer.len()).expect("test footers are small");
    let mut trailer = Vec::with_capacity(TRAILER_BYTES);
    trailer.extend_from_slice(&footer_bytes.to_be_bytes());
    trailer.extend_from_slice(&crc32c::crc32c(footer).to_be_bytes());
    trailer.extend_from_slice(&FORMAT_VERSION.to_be_bytes());
    trailer.extend_from_slice(&[0, 0]);
    let trailer_crc = crc32c::crc32c(&trailer);
    trailer.extend_from_slice(&trailer_crc.to_be_bytes());
    trailer.extend_from_slice(&MAGIC);
    [footer, &trailer].concat()
}

fn written_again_it_reads_the_same(footer: &Footer) {
    let tail = encode_tail(footer).expect("what was read can be written");
    let again = decode_footer(&tail, u64::MAX).expect("what was written can be read");
    assert_eq!(*footer, again);
}
