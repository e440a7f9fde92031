//! Values with the types that HAProxy gives them.

use std::fmt;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// 32 bits without a sign.
    U32(u32),
    /// 64 bits without a sign.
    U64(u64),
    /// 32 bits.
    S32(i32),
    /// Text.
    Text(String),
}

impl Value {
    /// The name of its type.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::U32(_) => "u32",
            Self::U64(_) => "u64",
            Self::S32(_) => "s32",
            Self::Text(_) => "str",
        }
    }

    /// As many as fit into 32 bits.
    #[must_use]
    pub fn up_to_u32(value: u64) -> Self {
        Self::U32(value.try_into().unwrap_or(u32::MAX))
    }

    /// As a number, if it is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::U32(value) => Some((*value).into()),
            Self::U64(value) => Some(*value as f64),
            Self::S32(value) => Some((*value).into()),
            Self::Text(_) => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::U32(value) => value.fmt(f),
            Self::U64(value) => value.fmt(f),
            Self::S32(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}
