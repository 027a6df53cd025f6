//! A small encoder, for the batches that no client sends.

/// Overwrites a part of the header and puts the CRC right.
pub(crate) fn patch(batch: &mut [u8], at: usize, field: &[u8]) {
    batch[at..at + field.len()].copy_from_slice(field);
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// An uncompressed batch of records with these timestamp deltas and values.
pub(crate) fn encode(base_timestamp: i64, records: &[(i64, Vec<u8>)]) -> Vec<u8> {
    let mut batch = vec![0; 61];
    for (delta, (timestamp_delta, value)) in (0..).zip(records) {
        let mut record = vec![0];
        varint(&mut record, *timestamp_delta);
        varint(&mut record, delta);
        varint(&mut record, -1);
        varint(&mut record, value.len() as i64);
        record.extend_from_slice(value);
        varint(&mut record, 0);
        varint(&mut batch, record.len() as i64);
        batch.extend_from_slice(&record);
    }
    let count = i32::try_from(records.len()).expect("few records");
    let length = i32::try_from(batch.len() - 12).expect("a small batch");
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[16] = 2;
    batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    batch[27..35].copy_from_slice(&base_timestamp.to_be_bytes());
    batch[43..57].fill(0xff);
    patch(&mut batch, 57, &count.to_be_bytes());
    batch
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
