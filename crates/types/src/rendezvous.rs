//! Rendezvous (highest random weight) hashing: every party ranks the same members the same way, and a
//! member that comes or goes moves only its own share of the keys.

/// Members of `members` in the order in which they should serve `key`, best first. The order depends on the
/// key and the members' names only, never on the order they are given in.
pub fn rendezvous_rank<'a, M: AsRef<str>>(key: &[u8], members: &'a [M]) -> Vec<&'a M> {
    let mut ranked: Vec<(u64, &M)> = members
        .iter()
        .map(|m| (weight(key, m.as_ref().as_bytes()), m))
        .collect();
    ranked.sort_by(|(wa, a), (wb, b)| wb.cmp(wa).then_with(|| a.as_ref().cmp(b.as_ref())));
    ranked.into_iter().map(|(_, m)| m).collect()
}

/// FNV-1a over member and key, then a finalizer: FNV alone leaves the high bits of short inputs too alike.
fn weight(key: &[u8], member: &[u8]) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in member.iter().chain(&[0xff]).chain(key) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_leaves_moves_only_its_own_keys() {
        let all = ["a", "b", "c", "d"];
        let fewer = ["d", "a", "b"];
        let mut moved = 0;
        for key in 0..1000u32 {
            let before = *rendezvous_rank(&key.to_be_bytes(), &all)[0];
            let after = *rendezvous_rank(&key.to_be_bytes(), &fewer)[0];
            if before == "c" {
                moved += 1;
            } else {
                assert_eq!(before, after);
            }
        }
        assert!((150..350).contains(&moved), "{moved} of 1000 keys moved");
    }
}
