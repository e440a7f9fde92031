//! The statistics page as its operator has it: a hashed password, buttons, TLS, and a configuration that changes.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime};

use lb_lab::config::Config;
use lb_lab::{Authority, Balancer, Host, Lab, Nginx, Result, Topology, curl};

use crate::stage::{Stage, WEB, WEB_PORT, lab, xlb};

const TOPOLOGY: Topology = Topology { lan_clients: 1, routed_clients: 0, ..Topology::DEFAULT };

const PORT: u16 = 8404;
const OTHER_PORT: u16 = 8443;
const ACCOUNT: &str = "nathan:secret";
const OTHER_ACCOUNT: &str = "ada:other";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

struct Site {
    agent: Balancer,
    authority: Authority,
    _web: [Option<Nginx>; 3],
    lab: Lab,
}

impl Site {
    /// With these settings of the page.
    fn set(stats: impl FnOnce(&Lab) -> Result<String>) -> Result<Self> {
        let lab = lab(TOPOLOGY);
        let web = Stage::servers(&lab)?;
        let text = config(&lab, &stats(&lab)?);
        let agent = xlb(&lab).start(&text)?;
        Ok(Self { agent, authority: Authority::new("authority")?, _web: web, lab })
    }

    fn client(&self) -> &Host {
        &self.lab.lan_clients[0]
    }

    fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.lab.balancer.address().into(), port)
    }

    /// What curl is answered, head and body; an error if it gets no answer.
    fn curl(&self, url: &str, options: &[&str]) -> Result<String> {
        let always = ["--silent", "--include", "--max-time", "30", url];
        self.client().run("curl", &[&always[..], options].concat())
    }

    fn page(&self, options: &[&str]) -> Result<String> {
        self.curl(&format!("http://{}/stats", self.address(PORT)), options)
    }

    fn page_over_tls(&self, options: &[&str]) -> Result<String> {
        let authority = self.lab.balancer.sandbox().write("authority.pem", &self.authority.pem())?;
        let authority = authority.display().to_string();
        let url = format!("https://{}/stats", self.address(OTHER_PORT));
        self.curl(&url, &[&["--cacert", &authority], options].concat())
    }

    /// Gives the page a certificate of its own, and tells what it is known by.
    fn certify(&self) -> Result<String> {
        let expires = SystemTime::now() + DAY;
        let certified = self.authority.certify(&[&self.lab.balancer.address().to_string()], expires)?;
        let sandbox = self.lab.balancer.sandbox();
        sandbox.write("page.key", &certified.key)?;
        let file = sandbox.write("page.pem", &certified.certificate)?;
        let file = file.display().to_string();
        self.client().run("openssl", &["x509", "-noout", "-serial", "-in", &file])
    }

    /// What the certificate is known by that the page shows to openssl, which trusts the authority alone.
    fn shown(&self) -> Result<String> {
        let (ip, sandbox) = (self.lab.balancer.address(), self.lab.balancer.sandbox());
        let authority = sandbox.write("authority.pem", &self.authority.pem())?;
        let (authority, session) = (authority.display(), sandbox.file("session"));
        let session = session.display();
        let script = format!(
            "openssl s_client -connect {ip}:{OTHER_PORT} -CAfile {authority} -verify_return_error -verify_ip {ip} \
             </dev/null >{session} && openssl x509 -noout -serial -in {session}"
        );
        self.client().run("sh", &["-c", &script])
    }

    fn reload(&self, stats: &str) -> Result<String> {
        let xlb = &self.agent.xlb;
        xlb.configure(&config(&self.lab, stats))?;
        xlb.output(["reload"])
    }

    fn state(&self, server: &str) -> Result<String> {
        let stats = self.agent.xlb.stats()?;
        let found = stats.servers_of(WEB).find(|found| found.name == server);
        Ok(found.unwrap_or_else(|| panic!("no server {server} in {stats:?}")).state.clone())
    }
}

fn config(lab: &Lab, stats: &str) -> String {
    format!("{}\n[stats]\n{stats}\n", Config::new("tc").serve(WEB, WEB_PORT, lab).to_toml())
}

/// What stands in the configuration in place of a password.
fn hashed(lab: &Lab) -> Result<String> {
    let program = xlb(lab).program().display().to_string();
    let script = format!("echo secret | {program} hash-password --user nathan");
    Ok(lab.balancer.run("sh", &["-c", &script])?.trim().to_owned())
}

/// What the buttons of a page come with.
fn token(page: &str) -> &str {
    let rest = page.split_once("name=\"token\" value=\"").map(|(_, rest)| rest);
    rest.and_then(|rest| rest.split('"').next()).unwrap_or_else(|| panic!("no buttons in {page}"))
}

/// A press of a button, as a browser sends it.
fn press(token: &str, action: &str) -> String {
    format!("token={token}&b={WEB}&s=bettley&action={action}")
}

#[test]
fn buttons_change_a_server_for_who_knows_the_password() -> Result<()> {
    let site = Site::set(|lab| {
        let auth = hashed(lab)?;
        assert!(auth.starts_with("nathan:$argon2id$"), "{auth}");
        Ok(format!("bind = \"0.0.0.0:{PORT}\"\nauth = \"{auth}\"\nadmin = true"))
    })?;
    for wrong in [&[][..], &["--user", "nathan:Secret"], &["--user", "other:secret"]] {
        let answer = site.page(wrong)?;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{wrong:?}: {answer}");
    }
    let user = ["--user", ACCOUNT];
    let page = site.page(&user)?;
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    let token = token(&page);
    let send = |form: &str, more: &[&str]| site.page(&[&user, &["--data", form], more].concat());

    let answer = send(&press(token, "maint"), &["--location"])?;
    assert!(answer.starts_with("HTTP/1.1 303 See Other\r\n"), "{answer}");
    assert!(answer.contains("\r\nlocation: /stats;st=DONE\r\n"), "{answer}");
    assert!(answer.contains("role=\"status\">Done."), "curl has followed it back to the page: {answer}");
    assert_eq!(site.state("bettley")?, "MAINT");
    site.agent.log().wait_for("server k8s-api-server/bettley: state maint")?;

    let elsewhere = ["--header", "Origin: http://evil.example"];
    for (form, more) in [
        (press("", "ready"), &[][..]),
        (press(&token[1..], "ready"), &[]),
        (press(token, "ready"), &elsewhere),
        (press(token, "ready"), &["--header", "Sec-Fetch-Site: cross-site"]),
    ] {
        let answer = send(&form, more)?;
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{form} {more:?}: {answer}");
    }
    let answer = site.page(&["--data", &press(token, "ready")])?;
    assert!(answer.starts_with("HTTP/1.1 401 "), "a token is no password: {answer}");
    assert_eq!(site.state("bettley")?, "MAINT", "nothing of this has changed it");

    let ours = format!("Origin: http://{}", site.address(PORT));
    let answer = send(&press(token, "drain"), &["--header", &ours])?;
    assert!(answer.contains("\r\nlocation: /stats;st=DONE\r\n"), "{answer}");
    assert_eq!(site.state("bettley")?, "DRAIN");
    let answer = send(&press(token, "drain").replace("bettley", "nobody"), &[])?;
    assert!(answer.contains("\r\nlocation: /stats;st=ERRP\r\n"), "{answer}");
    Ok(())
}

#[test]
fn a_reload_moves_the_page_and_gives_it_tls_and_another_password() -> Result<()> {
    let plain = format!("bind = \"0.0.0.0:{PORT}\"\nauth = \"{ACCOUNT}\"\nadmin = true");
    let site = Site::set(|_| Ok(plain.clone()))?;
    let before = site.page(&["--user", ACCOUNT])?;
    let token = token(&before);

    // Another password at the same address.
    site.reload(&plain.replace(ACCOUNT, OTHER_ACCOUNT))?;
    assert!(site.page(&["--user", ACCOUNT])?.starts_with("HTTP/1.1 401 "));
    assert!(site.page(&["--user", OTHER_ACCOUNT])?.starts_with("HTTP/1.1 200 "));

    // Another address, over TLS.
    let ours = site.certify()?;
    let sandbox = site.lab.balancer.sandbox();
    let (certificate, key) = (sandbox.file("page.pem"), sandbox.file("page.key"));
    let secure = format!(
        "bind = \"0.0.0.0:{OTHER_PORT}\"\nauth = \"{ACCOUNT}\"\nadmin = true\ntls_certificate = \"{}\"\ntls_key = \"{}\"",
        certificate.display(),
        key.display()
    );
    site.reload(&secure)?;
    assert!(site.page(&["--user", OTHER_ACCOUNT]).is_err(), "nobody listens there any more");
    assert!(site.page_over_tls(&["--user", OTHER_ACCOUNT])?.starts_with("HTTP/1.1 401 "));
    assert!(site.page_over_tls(&["--user", ACCOUNT])?.starts_with("HTTP/1.1 200 "));
    let url = format!("https://{}/stats", site.address(OTHER_PORT));
    assert!(site.curl(&url, &["--user", ACCOUNT]).is_err(), "only who trusts the authority is content");
    let insecure = format!("http://{}/stats", site.address(OTHER_PORT));
    assert!(site.curl(&insecure, &["--user", ACCOUNT]).is_err(), "nothing is said without TLS");
    assert_eq!(site.shown()?, ours);

    // A page that was open before still has its buttons.
    let answer = site.page_over_tls(&["--user", ACCOUNT, "--data", &press(token, "drain")])?;
    assert!(answer.starts_with("HTTP/1.1 303 "), "{answer}");
    assert_eq!(site.state("bettley")?, "DRAIN");

    // What cannot be used changes nothing, and a renewed certificate is shown.
    sandbox.write("page.pem", "nothing")?;
    let error = site.reload(&secure).expect_err("there is no certificate").to_string();
    assert!(error.contains("has no certificate that can be read; name a file in PEM format"), "{error}");
    assert_eq!(site.shown()?, ours, "the last good one");
    let renewed = site.certify()?;
    assert_ne!(renewed, ours);
    site.reload(&secure)?;
    assert_eq!(site.shown()?, renewed);
    assert_eq!(site.state("bettley")?, "DRAIN", "a reload keeps what the operator wants");

    who_begins_session_after_session_keeps_nobody_out(&site)?;

    // And back: first without TLS, which is logged as the other was, then elsewhere.
    site.reload(&plain.replace(&PORT.to_string(), &OTHER_PORT.to_string()))?;
    site.agent.log().wait_for(&format!("serving http://0.0.0.0:{OTHER_PORT}"))?;
    site.reload(&plain)?;
    assert!(site.page(&["--user", ACCOUNT])?.starts_with("HTTP/1.1 200 "));
    Ok(())
}

/// Many more at once than one client may begin in a second.
const SESSIONS: usize = 300;

/// Beginnings of TLS, whole and broken ones, as fast as they are taken, and none goes on.
fn who_begins_session_after_session_keeps_nobody_out(site: &Site) -> Result<()> {
    let address = site.address(OTHER_PORT);
    let beginnings: [&[u8]; 3] =
        [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET /healthz HTTP/1.1\r\n\r\n"];
    let begin = |beginning: &&[u8]| {
        let mut stream = TcpStream::connect(address).expect("the page takes connections");
        // It may have been closed by now.
        let _ = stream.write_all(beginning);
        stream
    };
    let _open: Vec<_> =
        site.client().inside(|| beginnings.iter().cycle().take(SESSIONS).map(begin).collect());
    let authority = site.lab.balancer.sandbox().file("authority.pem").display().to_string();
    let url = format!("https://{address}/healthz");
    let options = ["--silent", "--max-time", "30", "--cacert", &authority, &url];
    assert_eq!(site.lab.servers[1].run("curl", &options)?, "ok\n");
    let service = SocketAddr::new(site.lab.balancer.address().into(), WEB_PORT);
    assert_eq!(curl::fetch(site.client(), service, 1)?.len(), 1, "the agent has time for others");
    Ok(())
}
