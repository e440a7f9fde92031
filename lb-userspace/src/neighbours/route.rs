//! Which neighbour gets the packets for a server.

use std::net::Ipv4Addr;

use futures::TryStreamExt;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use rtnetlink::{Handle, RouteMessageBuilder};

use super::{Error, Interface, error, interface};

/// How a route goes on behind the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gateway {
    /// The destination is a neighbour.
    None,
    /// By a router with this address.
    Ipv4(Ipv4Addr),
    /// By a router with an address of another family (RFC 5549).
    Other,
}

/// The next hop of `server`, which must be reached by `interface`: a gateway, or the server itself.
pub(super) async fn next_hop(
    handle: &Handle,
    interface: &Interface,
    server: Ipv4Addr,
) -> Result<Ipv4Addr, Error> {
    let route = lookup(handle, server).await?;
    if route.header.kind == RouteType::Local {
        return Err(Error::OwnAddress(server));
    }
    match outgoing(&route) {
        Some(index) if index != interface.index => Err(Error::OtherInterface {
            server,
            wanted: interface.name.clone(),
            actual: interface::name(handle, index).await?,
        }),
        _ => match gateway(&route) {
            Gateway::None => Ok(server),
            Gateway::Ipv4(address) => Ok(address),
            Gateway::Other => Err(Error::GatewayNotIpv4(server)),
        },
    }
}

/// Asks the kernel for the route that a packet to `server` would take.
async fn lookup(handle: &Handle, server: Ipv4Addr) -> Result<RouteMessage, Error> {
    let question = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(server, 32).build();
    let mut answers = handle.route().get(question).execute();
    let no_route = |reason| Error::NoRoute { server, reason };
    let answer = answers.try_next().await.map_err(|error| no_route(error::reason(error)))?;
    answer.ok_or_else(|| no_route(std::io::ErrorKind::UnexpectedEof.into()))
}

/// The interface by which the route leaves.
fn outgoing(route: &RouteMessage) -> Option<u32> {
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    })
}

fn gateway(route: &RouteMessage) -> Gateway {
    let gateway = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(address)) => Some(Gateway::Ipv4(*address)),
        RouteAttribute::Gateway(_) | RouteAttribute::Via(_) => Some(Gateway::Other),
        _ => None,
    });
    gateway.unwrap_or(Gateway::None)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use rtnetlink::packet_route::route::RouteVia;

    use super::*;

    fn route(attributes: Vec<RouteAttribute>) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.attributes = attributes;
        message
    }

    #[test]
    fn a_gateway_is_the_next_hop() {
        let address = Ipv4Addr::new(198, 18, 0, 1);
        let via = route(vec![RouteAttribute::Oif(3), RouteAttribute::Gateway(RouteAddress::Inet(address))]);
        assert_eq!(outgoing(&via), Some(3));
        assert_eq!(gateway(&via), Gateway::Ipv4(address));
        assert_eq!(gateway(&route(vec![RouteAttribute::Oif(3)])), Gateway::None);
    }

    #[test]
    fn an_ipv6_gateway_is_not_taken_for_none() {
        let via = route(vec![RouteAttribute::Via(RouteVia::Inet6(Ipv6Addr::LOCALHOST))]);
        assert_eq!(gateway(&via), Gateway::Other);
    }
}
