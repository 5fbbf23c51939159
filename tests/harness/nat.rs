//! Two networks behind NATs of their own and a public machine between them, in network namespaces.
//!
//! ```text
//!  client 0 ── router 0 ──┐
//!  192.168.50.2   NAT     ├── public: 203.0.113.1
//!  client 1 ── router 1 ──┘
//!  192.168.51.2   NAT
//! ```
//!
//! The NATs are symmetric (RFC 4787 §4.1, address- and port-dependent mapping with random ports), so that no direct path
//! is found between the clients. Needs root, `ip` and `nft`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// The public machine's address.
pub const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

/// The namespaces; they are removed when this is dropped, with what still runs in them left to its owner.
pub struct Nats {
    prefix: String,
}

impl Nats {
    /// Makes them; else why this machine can't.
    ///
    /// # Errors
    /// A sentence for the person who runs the tests.
    pub fn make() -> Result<Self, String> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let nats = Self { prefix: format!("parlor-test-{}-{number}", std::process::id()) };
        nats.build().map_err(|why| format!("no network namespaces can be made here: {why}"))?;
        Ok(nats)
    }

    /// A program in the network of a client, 0 or 1.
    pub fn client(&self, client: usize, program: Command) -> Command {
        self.inside(&format!("client{client}"), &program)
    }

    /// A program on the public machine.
    pub fn public(&self, program: Command) -> Command {
        self.inside("public", &program)
    }

    /// Every address of a client's machine, and the one that its router shows; loopback left out.
    ///
    /// # Panics
    /// When they can't be listed.
    pub fn addresses_of(&self, client: usize) -> Vec<IpAddr> {
        let listed = self.ip(&format!("client{client}"), "-o addr show").expect("addresses can be listed");
        let of_line = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.get(3)?.split('/').next()?.parse::<IpAddr>().ok()
        };
        let own = listed.lines().filter_map(of_line).filter(|address| !address.is_loopback());
        own.chain([IpAddr::V4(outside(client))]).collect()
    }

    /// Begins to note where a client sends UDP to.
    ///
    /// # Panics
    /// When the rules are refused.
    pub fn watch_udp(&self, client: usize) {
        self.nft(&format!("client{client}"), WATCH).expect("the rules are in order");
    }

    /// Where a client sent UDP to since [`Self::watch_udp`].
    ///
    /// # Panics
    /// When that can't be read.
    pub fn udp_destinations(&self, client: usize) -> Vec<SocketAddr> {
        let mut destinations = Vec::new();
        for set in ["v4", "v6"] {
            let mut command = Command::new("nft");
            command.args(["-n", "list", "set", "inet", "watch", set]);
            let text = output(self.client(client, command)).expect("the set can be listed");
            let elements = text.split_once("elements = {").map_or("", |(_, rest)| rest);
            let elements = elements.split_once('}').map_or("", |(inside, _)| inside);
            destinations.extend(elements.split(',').filter_map(|element| {
                let (address, port) = element.split_once(" . ")?;
                Some(SocketAddr::new(address.trim().parse().ok()?, port.trim().parse().ok()?))
            }));
        }
        destinations
    }

    fn build(&self) -> Result<(), String> {
        for role in ["public", "router0", "router1", "client0", "client1"] {
            output(words(&format!("ip netns add {}", self.name(role))))?;
            self.ip(role, "link set lo up")?;
        }
        self.ip("public", &format!("addr add {PUBLIC}/32 dev lo"))?;
        // The rest of the internet, in which every packet is lost. Without a route to it coturn would end whole sessions.
        self.ip("public", "link add void type veth peer name nowhere")?;
        self.ip("public", "link set void arp off up")?;
        self.ip("public", "link set nowhere up")?;
        self.ip("public", "route add default dev void")?;
        for client in [0, 1] {
            self.connect(client)?;
        }
        for role in ["public", "router0", "router1"] {
            let mut sysctl = Command::new("sh");
            sysctl.args(["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
            output(self.inside(role, &sysctl))?;
        }
        Ok(())
    }

    /// The wires of a client: to its router, and from there to the public machine.
    fn connect(&self, client: usize) -> Result<(), String> {
        let (role, router) = (format!("client{client}"), format!("router{client}"));
        let (client_ns, router_ns, public_ns) = (self.name(&role), self.name(&router), self.name("public"));
        let wire = |near: &str, far: &str, near_ns: &str, far_ns: &str| {
            words(&format!("ip link add {near} netns {near_ns} type veth peer name {far} netns {far_ns}"))
        };
        output(wire("home", "inside", &client_ns, &router_ns))?;
        output(wire("outside", &format!("to{client}"), &router_ns, &public_ns))?;
        let (home, inside, outside, far) = (home(client), gateway(client), outside(client), far(client));
        self.ip(&role, &format!("addr add {home}/24 dev home"))?;
        self.ip(&router, &format!("addr add {inside}/24 dev inside"))?;
        self.ip(&router, &format!("addr add {outside}/30 dev outside"))?;
        self.ip("public", &format!("addr add {far}/30 dev to{client}"))?;
        self.ip(&role, "link set home up")?;
        self.ip(&router, "link set inside up")?;
        self.ip(&router, "link set outside up")?;
        self.ip("public", &format!("link set to{client} up"))?;
        self.ip(&role, &format!("route add default via {inside}"))?;
        self.ip(&router, &format!("route add default via {far}"))?;
        self.nft(&router, SYMMETRIC_NAT)
    }

    fn ip(&self, role: &str, arguments: &str) -> Result<String, String> {
        output(words(&format!("ip -n {} {arguments}", self.name(role))))
    }

    fn nft(&self, role: &str, rules: &str) -> Result<(), String> {
        let mut command = Command::new("nft");
        command.arg(rules);
        output(self.inside(role, &command)).map(drop)
    }

    fn inside(&self, role: &str, program: &Command) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name(role)]).arg(program.get_program()).args(program.get_args());
        for (key, value) in program.get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        command
    }

    fn name(&self, role: &str) -> String {
        format!("{}-{role}", self.prefix)
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        for role in ["client0", "client1", "router0", "router1", "public"] {
            // One that was never made can't be removed.
            let _ = output(words(&format!("ip netns del {}", self.name(role))));
        }
    }
}

const SYMMETRIC_NAT: &str = "table ip nat {
    chain post {
        type nat hook postrouting priority 100;
        oifname \"outside\" masquerade random,fully-random
    }
}";

const WATCH: &str = "table inet watch {
    set v4 { type ipv4_addr . inet_service; flags dynamic; size 1024; }
    set v6 { type ipv6_addr . inet_service; flags dynamic; size 1024; }
    chain out {
        type filter hook output priority 0;
        oifname \"lo\" accept
        meta l4proto udp add @v4 { ip daddr . udp dport }
        meta l4proto udp add @v6 { ip6 daddr . udp dport }
    }
}";

fn home(client: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 50 + small(client), 2)
}

fn gateway(client: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 50 + small(client), 1)
}

/// The router's public address.
fn outside(client: usize) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, 4 * small(client) + 2)
}

fn far(client: usize) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, 4 * small(client) + 1)
}

fn small(client: usize) -> u8 {
    u8::try_from(client).expect("there are two clients")
}

fn words(line: &str) -> Command {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().expect("a command has a name"));
    command.args(words);
    command
}

fn output(mut command: Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{:?} can't be started: {error}", command.get_program()))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
