//! `xlb why` explains a client's connections, and what would become of one that has none.

use std::net::SocketAddr;

use lb_lab::curl;
use lb_lab::http::Session;
use lb_lab::{Error, Host, Result, Topology, Xlb, wait};
use serde_json::Value;

use crate::stage::{ECHO, Stage, WEB, config, lab, xlb};

/// What it answers, for programs.
fn why(xlb: &Xlb, client: &impl ToString) -> Result<Value> {
    let text = xlb.output(["why".to_owned(), client.to_string(), "--json".to_owned()])?;
    serde_json::from_str(&text).map_err(|error| Error::malformed(format!("`xlb why`: {text}"), &error))
}

fn open(host: &Host, address: SocketAddr) -> Session {
    host.inside(|| Session::open(address)).expect("a connection is made")
}

#[test]
fn a_connection_is_explained_while_it_lives_and_after() -> Result<()> {
    let mut stage = Stage::set(Topology::default(), "native")?;
    let xlb = xlb(&stage.lab);
    let client = stage.lab.lan_clients[0].clone();
    let mut session = open(&client, stage.web());
    let server = session.ask().map_err(Error::io("ask"))?;
    let port = session.client().map_err(Error::io("look at its port"))?;
    let host = stage.lab.servers.iter().find(|host| host.name() == server).expect("a server answered");

    let told = why(&xlb, &port)?;
    let flow = &told["flows"][0];
    assert_eq!(told["flows"].as_array().map(Vec::len), Some(1), "{told}");
    assert_eq!(
        (&flow["server"], &flow["frontend"], &flow["state"]),
        (&server.as_str().into(), &WEB.into(), &"ESTAB".into())
    );
    assert_eq!(flow["client_mac"], client.mac().to_string());
    assert_eq!(flow["server_mac"], host.mac().to_string());
    assert!(flow["answered_after_us"].as_u64().is_some_and(|micros| micros > 0), "{flow}");
    let reason = flow["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("1 of 3 turns in the ring of 3 servers"), "{reason}");
    // The server itself says by which port of ours the connection comes to it.
    let sockets = host.run("ss", &["-Htn", "state", "established"])?.replace("[::ffff:", "").replace(']', "");
    let nat = flow["nat"].as_str().unwrap_or_default();
    assert!(sockets.contains(nat), "{nat} is not among {sockets}");
    assert_eq!(told["new_connection"], Value::Array(Vec::new()));
    let text = xlb.output(["why", &port.to_string()])?;
    assert!(text.contains(&format!("{port} > {}  becomes  {nat} > ", stage.web())), "{text}");

    // Another connection makes it a list, and the agent's death changes nothing.
    let second = open(&client, stage.echo());
    stage.take_balancer().kill()?;
    let text = xlb.output(["why", &client.address().to_string()])?;
    assert!(text.contains(WEB) && text.contains(ECHO) && text.contains("All about one of them"), "{text}");

    drop((session, second));
    wait::until("the connection to end", || {
        let told = why(&xlb, &port).ok()?;
        (told["flows"][0]["state"] == "TIME-WAIT" && told["flows"][0]["live"] == true).then_some(())
    })
}

#[test]
fn a_client_without_connections_hears_what_would_be() -> Result<()> {
    let lab = lab(Topology::default());
    let allowed = lab.lan_clients[0].address();
    let config = config(&lab, "native").with(|config| {
        config.frontend[0].allow = vec![format!("{allowed}/32")];
    });
    let mut stage = Stage::set_in(lab, &config)?;
    let xlb = xlb(&stage.lab);
    let (client, stranger) = (stage.lab.lan_clients[0].clone(), stage.lab.lan_clients[1].clone());

    let told = why(&xlb, &stranger.address())?;
    assert_eq!(told["new_connection"][0]["reason"], "not_allowed", "{told}");
    assert_eq!(told["new_connection"][1]["forwarded"], true, "{told}");
    assert!(curl::fetch(&stranger, stage.web(), 1).is_err(), "it is told so, and so it is");
    // The server that it names is the one that answers.
    let told = why(&xlb, &client.address())?;
    let answers = curl::fetch(&client, stage.web(), 1)?;
    assert_eq!(told["new_connection"][0]["server"], answers[0].as_str(), "{told}");

    for web in &mut stage.web {
        web.take().expect("it was started").stop()?;
    }
    wait::until("all servers to be DOWN", || {
        let told = why(&xlb, &"198.18.0.250").ok()?;
        let text = xlb.output(["why", &client.address().to_string()]).ok()?;
        (told["new_connection"][0]["reason"] == "not_allowed" && text.contains("(no_server)")).then_some(())
    })
}

#[test]
fn a_server_that_refused_is_named() -> Result<()> {
    let lab = lab(Topology::default());
    // So seldom that no check is the first to notice.
    let config = config(&lab, "native")
        .with(|config| config.backend.iter_mut().for_each(|backend| backend.check.interval = "1h".into()));
    let mut stage = Stage::set_in(lab, &config)?;
    stage.await_checks()?;
    let xlb = xlb(&stage.lab);
    let client = stage.lab.lan_clients[0].clone();
    stage.web[0].take().expect("it was started").stop()?;
    // At least one of three connections is offered to it first.
    let mut sessions: Vec<_> = (0..3).map(|_| open(&client, stage.web())).collect();
    // An answer tells that the handshake is complete for the balancer, too.
    assert!(sessions.iter_mut().all(|session| session.ask().is_ok()));
    let told = why(&xlb, &client.address())?;
    let flows = told["flows"].as_array().expect("a list");
    let open: Vec<_> = flows.iter().filter(|flow| flow["state"] == "ESTAB").collect();
    let reason = |flow: &&&Value| flow["reason"].as_str().unwrap_or_default().to_owned();
    let moved = open.iter().filter(|flow| reason(flow).starts_with("bettley did not take it, and "));
    assert!(moved.clone().all(|flow| flow["choice"]["tried"] == serde_json::json!(["bettley"])), "{told}");
    assert!((1..=2).contains(&moved.count()), "{told}");
    Ok(())
}
