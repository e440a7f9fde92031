//! Why a setting has no place in `xlb.toml`.

/// The reason, for a line whose first words are these.
pub(super) fn reason(words: &[String]) -> &'static str {
    let second = words.get(1).map_or("", String::as_str);
    match words.first().map_or("", String::as_str) {
        "user" | "group" | "uid" | "gid" | "chroot" => {
            "not carried: xlb loads programs into the kernel as root, and gives up by itself what it does not need of root"
        }
        "daemon" | "pidfile" | "master-worker" | "nbproc" | "nbthread" | "cpu-map" | "cpu-policy" => {
            "not carried: the kernel does the work of HAProxy's processes, and the agent is one service"
        }
        "option" if second.ends_with("-check") || second.ends_with("chk") => {
            "carried as a TCP check, which opens a connection and closes it"
        }
        "option" if second == "redispatch" => {
            "not needed: xlb always moves a connection attempt that fails to another server"
        }
        "option" if second == "allbackups" => {
            "not carried: xlb uses the first backup server only, until that fails"
        }
        "retries" => "not needed: clients retry, and xlb moves what fails to another server",
        "errorfile" | "errorloc" | "compression" | "cookie" | "capture" | "redirect" | "http-request"
        | "http-response" => HTTP,
        "option" if second.starts_with("http") || second == "forwardfor" => HTTP,
        "timeout" if second.starts_with("http") => HTTP,
        "acl" | "use_backend" | "use-server" | "tcp-request" | "tcp-response" => {
            "not carried: xlb does not look into connections"
        }
        "tcp-check" => "not carried: the check opens a connection and closes it",
        tls if tls.starts_with("ssl-") || tls.starts_with("ca-") || tls.starts_with("crt-") => {
            "not carried: xlb passes TLS through as it is"
        }
        _ => "not carried: xlb has no counterpart",
    }
}

const HTTP: &str = "not carried: xlb forwards TCP and does not speak HTTP";
