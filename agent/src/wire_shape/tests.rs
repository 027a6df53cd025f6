use super::*;

#[test]
fn a_count_beyond_the_bytes_is_refused_before_anything_is_reserved() {
    let claims_two_billion = [0x7f, 0xff, 0xff, 0xff, 0];
    let error = walk(&tables::METADATA, 1, &claims_two_billion).unwrap_err();
    assert_eq!(
        error,
        WireError::Truncated {
            wanted: 0x7fff_ffff,
            left: 1
        }
    );
    let claims_as_a_varint = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let error = walk(&tables::METADATA, 9, &claims_as_a_varint).unwrap_err();
    assert_eq!(
        error,
        WireError::Truncated {
            wanted: 0xffff_fffe,
            left: 0
        }
    );
    let overlong = [0xff, 0xff, 0xff, 0xff, 0x7f];
    assert_eq!(walk(&tables::METADATA, 9, &overlong), Err(WireError::OverlongVarint));
}

#[test]
fn dense_elements_are_bounded_whatever_the_frame_holds() {
    let mut body = vec![0; 4 * ELEMENTS_MAX];
    body[..4].copy_from_slice(&(2 * ELEMENTS_MAX as u32).to_be_bytes());
    let error = walk(&tables::METADATA, 1, &body).unwrap_err();
    assert_eq!(error, WireError::TooManyElements { max: ELEMENTS_MAX });
}

#[test]
fn tagged_fields_count_as_elements() {
    let mut body = vec![1, 1, 1]; // no topics, no auto creation, authorized operations
    body.extend([0xc1, 0x9a, 0x0c]); // 200,001 tags
    body.extend(vec![0; 3 * ELEMENTS_MAX]);
    let error = walk(&tables::METADATA, 11, &body).unwrap_err();
    assert_eq!(error, WireError::TooManyElements { max: ELEMENTS_MAX });
}

#[test]
fn a_known_tag_has_to_fill_its_size() {
    let mut body = vec![0; 21]; // six numbers and a byte, up to the session's epoch
    body.extend([1, 1, 1]); // no topics, none forgotten, no rack
    body.extend([1, 0, 9, 3, b'a', b'b']); // cluster id of two bytes in a tag of nine
    body.extend([0; 8]);
    let error = walk(&tables::FETCH, 15, &body).unwrap_err();
    assert_eq!(error, WireError::TagSize { tag: 0, size: 9 });
    body[26] = 3;
    assert_eq!(walk(&tables::FETCH, 15, &body), Ok(30));
}

#[test]
fn the_header_has_its_client_id_in_every_version() {
    let v1 = [0, 18, 0, 2, 0, 0, 0, 7, 0, 2, b'm', b'e', 99];
    let header = RequestHeader::fixed_part(&v1).unwrap();
    assert_eq!((header.api_key, header.api_version, header.correlation_id), (18, 2, 7));
    let header = header.with_client(false).unwrap();
    assert_eq!((header.client_id, header.body_start), (Some("me"), 12));

    let v2_with_a_tag = [0, 18, 0, 3, 0, 0, 0, 7, 0xff, 0xff, 1, 5, 2, 1, 1, 99];
    let header = RequestHeader::fixed_part(&v2_with_a_tag).unwrap();
    let header = header.with_client(true).unwrap();
    assert_eq!((header.client_id, header.body_start), (None, 15));
    assert!(RequestHeader::fixed_part(&v1[..7]).is_err());
    let cut = RequestHeader::fixed_part(&v2_with_a_tag[..11]).unwrap();
    assert!(cut.with_client(true).is_err());
}
