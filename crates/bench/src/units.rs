//! Sizes, rates and times as they are written on the command line.

use std::time::Duration;

/// Bytes of a MiB.
pub const MIB: f64 = 1024.0 * 1024.0;
/// Bytes of a GiB.
pub const GIB: f64 = 1024.0 * MIB;

/// How much is sent per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// So many records.
    Records(f64),
    /// So many bytes of values.
    Bytes(f64),
}

impl Rate {
    /// Records per second when each has `record_bytes`.
    pub fn records_per_s(self, record_bytes: usize) -> f64 {
        match self {
            Self::Records(records) => records,
            Self::Bytes(bytes) => bytes / record_bytes as f64,
        }
    }
}

fn number_and_unit(text: &str) -> Result<(f64, &str), String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let parsed = number.parse::<f64>().ok().filter(|number| *number >= 0.0);
    let number = parsed.ok_or_else(|| format!("'{text}' does not begin with a number"))?;
    Ok((number, unit.trim()))
}

fn byte_unit(unit: &str) -> Option<f64> {
    match unit.to_ascii_lowercase().as_str() {
        "b" => Some(1.0),
        "k" | "kib" => Some(1024.0),
        "m" | "mib" => Some(MIB),
        "g" | "gib" => Some(GIB),
        "t" | "tib" => Some(1024.0 * GIB),
        "kb" => Some(1e3),
        "mb" => Some(1e6),
        "gb" => Some(1e9),
        "tb" => Some(1e12),
        _ => None,
    }
}

/// `512`, `64KiB`, `1GiB`, `10GB`.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = number_and_unit(text)?;
    let of_unit = if unit.is_empty() { Some(1.0) } else { byte_unit(unit) };
    of_unit
        .map(|of_unit| (number * of_unit) as u64)
        .ok_or_else(|| format!("'{unit}' is no unit of bytes, use KiB, MiB or GiB"))
}

/// `20MiB` or `20MiB/s` in bytes, `2.5` or `2.5/s` in records; a second each.
pub fn parse_rate(text: &str) -> Result<Rate, String> {
    let per_second = text.strip_suffix("/s").unwrap_or(text);
    let (number, unit) = number_and_unit(per_second)?;
    if number <= 0.0 {
        return Err("a rate is above 0; without one it is not limited".to_owned());
    }
    match unit {
        "" => Ok(Rate::Records(number)),
        unit => byte_unit(unit)
            .map(|of_unit| Rate::Bytes(number * of_unit))
            .ok_or_else(|| format!("'{text}' is no rate: 20MiB, or 1000 for records per second")),
    }
}

/// `250ms`, `30s` or `30`, `5m`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = number_and_unit(text)?;
    let seconds = match unit {
        "ms" => number / 1e3,
        "" | "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(format!("'{unit}' is no unit of time, use ms, s, m or h")),
    };
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// Days, hours or minutes of retention: `7d`, `36h`.
pub fn parse_days(text: &str) -> Result<f64, String> {
    match number_and_unit(text)? {
        (days, "" | "d") => Ok(days),
        (hours, "h") => Ok(hours / 24.0),
        (_, unit) => Err(format!("'{unit}' is no unit of retention, use d or h")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_binary_or_decimal_as_their_unit_says() {
        for (text, bytes) in [("512", 512), ("64KiB", 65_536), ("1g", 1 << 30), ("0.5 MB", 500_000)] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        assert!(parse_bytes("1 parsec").is_err() && parse_bytes("many").is_err());
    }

    #[test]
    fn a_rate_is_in_records_or_in_bytes() {
        assert_eq!(parse_rate("2.5"), Ok(Rate::Records(2.5)));
        assert_eq!(parse_rate("20MiB/s"), Ok(Rate::Bytes(20.0 * MIB)));
        assert_eq!(Rate::Bytes(20.0 * MIB).records_per_s(1024), 20_480.0);
        assert!(parse_rate("0").is_err() && parse_rate("3 miles").is_err());
    }

    #[test]
    fn durations_and_retentions_have_units() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_days("36h"), Ok(1.5));
        assert!(parse_duration("1y").is_err() && parse_days("1y").is_err());
    }
}
