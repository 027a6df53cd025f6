//! What the value of a setting may be.

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// At least this.
    Int(i32),
    /// At least this.
    Long(i64),
    /// From 0 to 1.
    Ratio,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Any of these, separated by commas.
    SomeOf(&'static [&'static str]),
    /// Anything, separated by commas.
    List,
    /// Anything.
    Text,
}

impl Kind {
    /// Kafka's `ConfigType`, as answers carry it.
    pub fn code(self) -> i8 {
        match self {
            Self::Bool => 1,
            Self::OneOf(_) | Self::Text => 2,
            Self::Int(_) => 3,
            Self::Long(_) => 5,
            Self::Ratio => 6,
            Self::SomeOf(_) | Self::List => 7,
        }
    }

    /// Whether a value is a list, which can be added to.
    pub fn is_list(self) -> bool {
        matches!(self, Self::SomeOf(_) | Self::List)
    }

    /// Checks a value; the error is what it should have been.
    pub fn check(self, value: &str) -> Result<(), String> {
        match self {
            Self::Bool => one_of(&["true", "false"], value),
            Self::Int(min) => at_least(min, value.parse(), "INT"),
            Self::Long(min) => at_least(min, value.parse(), "LONG"),
            Self::Ratio => match value.parse::<f64>() {
                Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(()),
                Ok(_) => Err("Value must be at least 0 and no more than 1".to_owned()),
                Err(_) => Err("Not a number of type DOUBLE".to_owned()),
            },
            Self::OneOf(allowed) => one_of(allowed, value),
            Self::SomeOf(allowed) => value.split(',').try_for_each(|part| one_of(allowed, part.trim())),
            // Postgres's jsonb takes no NUL.
            Self::List | Self::Text if value.contains('\0') => Err("Text must not contain a NUL character".to_owned()),
            Self::List | Self::Text => Ok(()),
        }
    }
}

fn at_least<N: PartialOrd + std::fmt::Display, E>(min: N, value: Result<N, E>, kind: &str) -> Result<(), String> {
    match value {
        Ok(value) if value >= min => Ok(()),
        Ok(_) => Err(format!("Value must be at least {min}")),
        Err(_) => Err(format!("Not a number of type {kind}")),
    }
}

fn one_of(allowed: &[&str], value: &str) -> Result<(), String> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(format!("String must be one of: {}", allowed.join(", ")))
}
