//! Single values: what each may be, and what to do when it is not.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::account::Account;
use super::ports::PortRange;

/// Why a value cannot be taken.
#[derive(Debug)]
pub(super) struct Refusal {
    pub finding: String,
    pub remedy: String,
}

/// A value, or why it cannot be taken.
pub(super) type Parsed<T> = Result<T, Refusal>;

/// The longest name, in bytes; it fits a fixed field of 64 with a final zero.
const MAX_NAME: usize = 63;

/// The longest name of an interface, in bytes: the kernel's `IFNAMSIZ` less the final zero.
const MAX_INTERFACE: usize = 15;

/// The longest name in the DNS, and the longest of its parts, in bytes.
const MAX_HOST_NAME: (usize, usize) = (253, 63);

/// The highest mode of a file that says nothing but who may read, write and execute it.
const ALL_MAY_ALL: u32 = 0o777;

/// Ports below are the host's services and root's own.
const FIRST_NAT_PORT: u16 = 1024;

/// Refuses a value.
pub(super) fn refuse<T>(finding: impl Into<String>, remedy: impl Into<String>) -> Parsed<T> {
    Err(Refusal { finding: finding.into(), remedy: remedy.into() })
}

/// A string; `what` says of what.
pub(super) fn string<'v>(value: &'v DeValue<'_>, what: &str) -> Parsed<&'v str> {
    match value.as_str() {
        Some(text) => Ok(text),
        None => refuse(format!("expected {what}"), "write it in double quotes"),
    }
}

/// Any text that is not empty.
pub(super) fn text(value: &DeValue<'_>) -> Parsed<String> {
    match string(value, "a text")? {
        "" => refuse("expected a text that is not empty", "write a text, or remove the line"),
        text => Ok(text.to_owned()),
    }
}

/// `true` or `false`.
pub(super) fn flag(value: &DeValue<'_>) -> Parsed<bool> {
    match value.as_bool() {
        Some(flag) => Ok(flag),
        None => refuse("expected true or false", "write one of the two, without quotes"),
    }
}

/// A whole number in a range.
pub(super) fn whole(range: RangeInclusive<u32>) -> impl Fn(&DeValue<'_>) -> Parsed<u32> {
    move |value| {
        let expected = format!("expected a whole number from {} to {}", range.start(), range.end());
        let Some(integer) = value.as_integer() else {
            return refuse(expected, "write digits only, without quotes");
        };
        let negative = integer.as_str().starts_with('-');
        match u32::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if range.contains(&number) => Ok(number),
            Ok(number) if number < *range.start() => refuse(expected, "use a larger number"),
            Err(_) if negative => refuse(expected, "use a larger number"),
            _ => refuse(expected, "use a smaller number"),
        }
    }
}

/// The name of a frontend, backend or server, by `HAProxy`'s rules.
pub(super) fn name(value: &DeValue<'_>) -> Parsed<String> {
    let name = string(value, "a name")?;
    if name.is_empty() || name.len() > MAX_NAME {
        return refuse(format!("expected a name of 1 to {MAX_NAME} bytes"), "choose another name");
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b)) {
        return refuse(
            "expected a name of letters, digits, \"-\", \"_\", \".\" and \":\"",
            "replace the other characters",
        );
    }
    Ok(name.to_owned())
}

/// The name of a network interface, by the kernel's rules.
pub(super) fn interface(value: &DeValue<'_>) -> Parsed<String> {
    let name = string(value, "the name of a network interface")?;
    let fits = (1..=MAX_INTERFACE).contains(&name.len());
    if !fits || name.contains(['/', ':']) || name.contains(char::is_whitespace) || [".", ".."].contains(&name)
    {
        return refuse(
            format!(
                "expected the name of a network interface, 1 to {MAX_INTERFACE} bytes without \"/\", \":\" or spaces"
            ),
            "`ip link` lists the interfaces",
        );
    }
    Ok(name.to_owned())
}

/// The range of NAT ports.
pub(super) fn nat_ports(value: &DeValue<'_>) -> Parsed<PortRange> {
    let expected = "expected a range of ports such as \"10240-32767\"";
    let text = string(value, "a range of ports")?;
    let Ok(range) = text.parse::<PortRange>() else {
        return refuse(expected, "write the lowest port, \"-\" and the highest, up to 65535");
    };
    if range.first() < FIRST_NAT_PORT {
        return refuse(
            format!("reaches below port {FIRST_NAT_PORT}, where the host's own services are"),
            format!("begin at {FIRST_NAT_PORT} or above"),
        );
    }
    Ok(range)
}

/// The mode of a file: who may read and write it.
pub(super) fn mode(value: &DeValue<'_>) -> Parsed<u32> {
    let expected = "expected the mode of a file such as \"660\"";
    let text = string(value, "the mode of a file such as \"660\"")?;
    let is_octal = (3..=4).contains(&text.len()) && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if is_octal && mode <= ALL_MAY_ALL => Ok(mode),
        _ => refuse(expected, "write three octal digits: for the owner, the group and all others"),
    }
}

/// `user:password`.
pub(super) fn account(value: &DeValue<'_>) -> Parsed<Account> {
    match Account::parse(string(value, "\"user:password\"")?) {
        Some(account) => Ok(account),
        None => refuse(
            "expected \"user:password\"",
            "write the user's name, \":\" and the password, or what `xlb hash-password` prints for it",
        ),
    }
}

/// The path of a page.
pub(super) fn uri(value: &DeValue<'_>) -> Parsed<String> {
    match string(value, "a path such as \"/stats\"")? {
        path if path.starts_with('/') => Ok(path.to_owned()),
        _ => refuse("expected a path such as \"/stats\"", "begin it with \"/\""),
    }
}

/// The path of a file or directory that means the same wherever the agent is started.
pub(super) fn path(value: &DeValue<'_>) -> Parsed<PathBuf> {
    let path = Path::new(string(value, "a path")?);
    if !path.is_absolute() {
        return refuse("expected an absolute path", "begin it with \"/\"");
    }
    Ok(path.to_owned())
}

/// What a GET asks for: a path and perhaps a query, as they stand in the request.
pub(super) fn request_path(value: &DeValue<'_>) -> Parsed<String> {
    let path = string(value, "a path such as \"/readyz\"")?;
    if !path.starts_with('/') {
        return refuse("expected a path such as \"/readyz\"", "begin it with \"/\"");
    }
    if !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return refuse(
            "has a character that no request can carry",
            "write spaces, \"#\" and others as % and two digits",
        );
    }
    Ok(path.to_owned())
}

/// A name that a certificate can be for: one of the DNS, or an IPv4 address.
pub(super) fn server_name(value: &DeValue<'_>) -> Parsed<String> {
    let expected = "expected a host's name or IPv4 address such as \"k8s.example.org\"";
    let name = string(value, "a host's name or IPv4 address")?;
    let (longest, longest_part) = MAX_HOST_NAME;
    let is_part = |part: &str| {
        (1..=longest_part).contains(&part.len())
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if name.len() > longest || !name.split('.').all(is_part) {
        return refuse(expected, "write it as the certificate has it, without port");
    }
    Ok(name.to_owned())
}
