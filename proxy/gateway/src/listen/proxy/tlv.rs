//! What version 2 may say after the addresses. Nothing of it is used, but a checksum is checked, and all must be whole.

/// Checks the values of a header, which is given whole too (section 2.2.3: a wrong checksum must be refused).
pub(super) fn check(mut values: &[u8], header: &[u8]) -> Result<(), &'static str> {
    let mut sums = 0;
    while let Some(([kind, high, low], rest)) = values.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at_checked(length).ok_or(CUT)?;
        if *kind == CRC32C {
            sums += 1;
            let at = header.len() - rest.len() - value.len();
            check_sum(value, at, header)?;
        }
        values = rest;
    }
    if !values.is_empty() {
        return Err(CUT);
    }
    if sums > 1 {
        return Err("it has two checksums");
    }
    Ok(())
}

/// The sum is of the whole header with zeros in its own place.
fn check_sum(value: &[u8], at: usize, header: &[u8]) -> Result<(), &'static str> {
    let octets = header.iter().enumerate().map(|(index, octet)| {
        let is_sum = (at..at + value.len()).contains(&index);
        if is_sum { 0 } else { *octet }
    });
    if value == crc32c(octets).to_be_bytes() {
        Ok(())
    } else {
        Err("the checksum is wrong")
    }
}

/// RFC 3720, appendix B.4; bit by bit, since a header is short and few have one.
fn crc32c(octets: impl Iterator<Item = u8>) -> u32 {
    let step = |sum: u32| {
        if sum & 1 == 1 {
            (sum >> 1) ^ POLYNOMIAL
        } else {
            sum >> 1
        }
    };
    !octets.fold(!0, |sum, octet| {
        (0..8).fold(sum ^ u32::from(octet), |sum, _| step(sum))
    })
}

const CRC32C: u8 = 0x03;
/// Castagnoli's, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;
const CUT: &str = "a value is cut off";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_rfc_3720() {
        assert_eq!(crc32c([0; 32].into_iter()), 0x8a91_36aa);
        assert_eq!(crc32c([0xff; 32].into_iter()), 0x62a8_ab43);
        assert_eq!(crc32c(0..32), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283);
    }
}
