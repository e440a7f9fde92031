//! Checks over HTTPS: a server that is not well, or not the one that it should be, gets nothing, and
//! it is said why.

use std::time::{Duration, SystemTime};

use lb_lab::config::Config;
use lb_lab::stats::Server;
use lb_lab::{Authority, Balancer, Lab, Nginx, Result, Topology, curl, wait};
use toml::Value;

use crate::stage::{EQUAL, WEB, WEB_PORT, assert_shares, lab, web, xlb};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// New connections after an event. One size for CI and in full: what takes its time are the checks.
const CONNECTIONS: usize = 60;
/// Failures in a row that take a server down, as the lab configures it.
const FALL: usize = 3;

/// A balancer in front of three hosts that serve HTTPS.
struct Stage {
    balancer: Balancer,
    _servers: Vec<Nginx>,
    lab: Lab,
}

/// Whom the servers have their certificates from.
struct Authorities {
    /// The authority for all, and the one that checks trust.
    ours: Authority,
    /// Another for the first server.
    first: Option<Authority>,
}

impl Authorities {
    /// One for all.
    fn ours() -> Result<Self> {
        Ok(Self { ours: Authority::new("kubernetes")?, first: None })
    }

    /// Another for the first server, with the same name.
    fn theirs() -> Result<Self> {
        Ok(Self { first: Some(Authority::new("kubernetes")?), ..Self::ours()? })
    }
}

impl Stage {
    /// Sets the stage; the first server's certificate has a date of its own. Checks verify
    /// certificates, or do not.
    fn set(authorities: &Authorities, first_expires: SystemTime, verify: bool) -> Result<Self> {
        let lab = lab(Topology::default());
        let mut servers = Vec::new();
        for (number, host) in lab.servers.iter().enumerate() {
            let (authority, expires) = match (number, &authorities.first) {
                (0, Some(first)) => (first, first_expires),
                (0, None) => (&authorities.ours, first_expires),
                _ => (&authorities.ours, SystemTime::now() + 100 * DAY),
            };
            let certified = authority.certify(&[&host.address().to_string()], expires)?;
            servers.push(Nginx::start_tls(host, WEB_PORT, &certified)?);
        }
        let ca_file = lab.balancer.sandbox().write("ca.pem", &authorities.ours.pem())?;
        let trust = if verify {
            ("ca_file", Value::from(ca_file.display().to_string()))
        } else {
            ("verify", Value::from(false))
        };
        let mut config = Config::new("native").serve(WEB, WEB_PORT, &lab);
        let check = &mut config.backend[0].check;
        "https".clone_into(&mut check.kind);
        // Sessions take their time where the program is not optimized and the machine is busy.
        "2s".clone_into(&mut check.interval);
        "2s".clone_into(&mut check.timeout);
        for (key, value) in [("path", Value::from("/readyz")), trust] {
            check.more.insert(key.to_owned(), value);
        }
        let balancer = xlb(&lab).start(&config.to_toml())?;
        Ok(Self { balancer, _servers: servers, lab })
    }

    fn server(&self, name: &str) -> Result<Server> {
        let stats = self.balancer.xlb.stats()?;
        let server = stats.servers_of(WEB).find(|server| server.name == name);
        Ok(server.unwrap_or_else(|| panic!("no server {name} in {stats:?}")).clone())
    }

    /// Waits until a server's latest check has this result.
    fn await_check(&self, name: &str, status: &str) -> Result<Server> {
        wait::until(&format!("{name} to be {status}"), || {
            let server = self.server(name);
            let is_there =
                |server: &Server| server.check.as_ref().is_some_and(|check| check.status == status);
            server.map(|server| is_there(&server).then_some(server)).transpose()
        })?
    }

    /// Which servers new connections go to.
    fn answers(&self) -> Result<curl::Answers> {
        let client = &self.lab.routed_clients[0];
        Ok(curl::tally(curl::fetch_tls(client, web(&self.lab), CONNECTIONS)?))
    }
}

#[test]
fn a_server_that_turns_from_200_into_500_goes_down() -> Result<()> {
    let stage = Stage::set(&Authorities::ours()?, SystemTime::now() + 5 * DAY, true)?;
    let bettley = &stage.lab.servers[0];
    stage.balancer.log().wait_for("k8s-api-server/bettley: certificate expires in 4 days")?;
    let server = stage.await_check("bettley", "L7OK")?;
    assert_eq!((server.state.as_str(), server.check.and_then(|check| check.code)), ("UP", Some(200)));
    assert!(server.certificate_expires.is_some());
    stage.await_check("fenn", "L7OK")?;
    stage.await_check("gardener", "L7OK")?;
    assert_shares(&stage.answers()?, &EQUAL);

    Nginx::set_unwell(bettley)?;
    let line = stage.balancer.log().wait_for("Server k8s-api-server/bettley is DOWN")?;
    let reason = "reason: Layer7 wrong status, code: 500, info: \"Internal Server Error\", check duration: ";
    assert!(line.contains(reason), "{line}");
    let is_failed_check = |line: &&str| line.contains("\" 500 ") && line.contains("\"xlb/");
    let failed = || -> Result<usize> {
        Ok(Nginx::requests(bettley, WEB_PORT)?.lines().filter(is_failed_check).count())
    };
    // nginx writes a line when it has answered, so the balancer may know of an answer before.
    wait::until("the failures that took it down", || {
        failed().map(|failed| (failed >= FALL).then_some(())).transpose()
    })??;

    let server = stage.await_check("bettley", "L7STS")?;
    let check = server.check.expect("it was checked");
    assert_eq!(server.state, "DOWN");
    assert_eq!((check.code, check.info.as_deref()), (Some(500), Some("Internal Server Error")));
    assert_shares(&stage.answers()?, &EQUAL[1..]);
    Ok(())
}

#[test]
fn a_server_whose_certificate_has_expired_is_down() -> Result<()> {
    let expired = SystemTime::now() - 3 * DAY;
    a_server_with_another_certificate_is_down(&Authorities::ours()?, expired, "certificate has expired")
}

#[test]
fn a_server_of_another_authority_is_down() -> Result<()> {
    let reason = "certificate of an unknown issuer: a trusted authority has its name, but not its key";
    let later = SystemTime::now() + 100 * DAY;
    a_server_with_another_certificate_is_down(&Authorities::theirs()?, later, reason)
}

fn a_server_with_another_certificate_is_down(
    authorities: &Authorities,
    first_expires: SystemTime,
    reason: &str,
) -> Result<()> {
    let stage = Stage::set(authorities, first_expires, true)?;
    let line = stage.balancer.log().wait_for("Server k8s-api-server/bettley is DOWN")?;
    let logged = format!("reason: Layer6 invalid response, info: \"{reason}\", check duration: ");
    assert!(line.contains(&logged), "{line}");
    let server = stage.await_check("bettley", "L6RSP")?;
    assert_eq!(server.state, "DOWN");
    assert_eq!(server.check.and_then(|check| check.info).as_deref(), Some(reason));
    assert!(server.certificate_expires.is_some());
    stage.await_check("fenn", "L7OK")?;
    stage.await_check("gardener", "L7OK")?;
    assert_shares(&stage.answers()?, &EQUAL[1..]);
    Ok(())
}

#[test]
fn any_certificate_passes_where_none_is_verified() -> Result<()> {
    let stage = Stage::set(&Authorities::theirs()?, SystemTime::now() - 3 * DAY, false)?;
    stage.balancer.log().wait_for("k8s-api-server/bettley: certificate expired 3 days ago")?;
    for (name, _) in EQUAL {
        let server = stage.await_check(name, "L7OK")?;
        assert_eq!(server.state, "UP", "{name}");
        assert!(server.certificate_expires.is_some(), "{name}");
    }
    assert_shares(&stage.answers()?, &EQUAL);
    Ok(())
}
