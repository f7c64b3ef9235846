//! Hosts, routers and servers of their own on this machine: network namespaces, joined by the kernel's own
//! bridges and NAT.

use std::{
    fs::File,
    io,
    process::{Command, Stdio},
    thread::JoinHandle,
};

use rustix::{
    fd::AsFd,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

/// Where servers and routers are: addresses for examples, which nobody else has (RFC 5737).
const INTERNET: &str = "203.0.113";
/// The same for IPv6 (RFC 3849).
const INTERNET_6: &str = "2001:db8::";

/// Whether networks with bridges and NAT can be made here: by root, with iproute2 and iptables, where the
/// kernel has what these ask for. Says so where not.
pub(crate) fn can_be_made() -> bool {
    let probe = format!("b{}-probe", std::process::id());
    let works = |words: &str| {
        let args = words.split(' ').map(|word| if word == "PROBE" { probe.as_str() } else { word });
        Command::new("ip").args(args).output().is_ok_and(|done| done.status.success())
    };
    let has_namespaces = works("netns add PROBE");
    let can = has_namespaces
        && works("-n PROBE link add br0 type bridge")
        && works("-n PROBE link add a0 type veth peer name b0")
        && works("netns exec PROBE iptables -t nat -A POSTROUTING -o a0 -j MASQUERADE")
        && works("netns exec PROBE iptables -A INPUT -m conntrack --ctstate NEW -j DROP");
    if has_namespaces {
        assert!(works("netns del PROBE"), "what was made to try is left");
    }
    if !can {
        println!("skipped: hosts of their own need root, iproute2 and iptables");
    }
    can
}

/// All that is made here; goes when it is dropped.
pub(crate) struct Internet {
    prefix: String,
    hosts: Vec<String>,
    links: u32,
}

/// A namespace with an address.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    name: String,
    /// That others reach it at, where it can be reached.
    pub(crate) address: String,
}

/// What a router lets out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lets {
    /// Everything.
    All,
    /// Nothing but TCP to this port.
    OnlyTcpTo(u16),
}

impl Internet {
    pub(crate) fn new() -> Self {
        // Names of links have at most 15 characters.
        let prefix = format!("b{}", std::process::id());
        let mut internet = Self { prefix, hosts: vec![], links: 0 };
        let core = internet.namespace("net");
        ip(&["-n", &core, "link", "add", "br0", "type", "bridge"]);
        ip(&["-n", &core, "link", "set", "br0", "up"]);
        internet
    }

    fn namespace(&mut self, name: &str) -> String {
        let name = format!("{}-{name}", self.prefix);
        ip(&["netns", "add", &name]);
        self.hosts.push(name.clone());
        ip(&["-n", &name, "link", "set", "lo", "up"]);
        name
    }

    /// Joins two namespaces; `on` is what the link is called in the first.
    fn link(&mut self, host: &str, on: &str, other: &str) -> String {
        self.links += 1;
        let far = format!("l{}", self.links);
        ip(&["link", "add", on, "netns", host, "type", "veth", "peer", "name", &far, "netns", other]);
        ip(&["-n", host, "link", "set", on, "up"]);
        ip(&["-n", other, "link", "set", &far, "up"]);
        far
    }

    fn attach(&mut self, host: &str, on: &str) {
        let core = format!("{}-net", self.prefix);
        let far = self.link(host, on, &core);
        ip(&["-n", &core, "link", "set", &far, "master", "br0"]);
    }

    /// A machine with an address of its own on the internet.
    pub(crate) fn server(&mut self, name: &str, number: u8) -> Host {
        let host = self.namespace(name);
        self.attach(&host, "eth0");
        let address = format!("{INTERNET}.{number}");
        ip(&["-n", &host, "addr", "add", &format!("{address}/24"), "dev", "eth0"]);
        Host { name: host, address }
    }

    /// The same with IPv6 alone.
    pub(crate) fn server_6(&mut self, name: &str, number: u8) -> Host {
        let host = self.namespace(name);
        self.attach(&host, "eth0");
        let address = format!("{INTERNET_6}{number}");
        ip(&["-n", &host, "addr", "add", &format!("{address}/64"), "dev", "eth0", "nodad"]);
        Host { name: host, address }
    }

    /// A machine at home, behind a router that hides all of the home's behind its own address and lets
    /// nothing in that nobody asked for.
    pub(crate) fn home(&mut self, name: &str, number: u8, lets: Lets) -> Host {
        let (router, host) = (self.namespace(&format!("{name}-router")), self.namespace(name));
        self.attach(&router, "wan");
        self.link(&router, "lan", &host);
        let home = format!("192.168.{number}");
        ip(&["-n", &router, "addr", "add", &format!("{INTERNET}.{number}/24"), "dev", "wan"]);
        ip(&["-n", &router, "addr", "add", &format!("{home}.1/24"), "dev", "lan"]);
        let inside = format!("l{}", self.links);
        ip(&["-n", &host, "addr", "add", &format!("{home}.2/24"), "dev", &inside]);
        ip(&["-n", &host, "route", "add", "default", "via", &format!("{home}.1")]);
        run_in(&router, "sysctl", &["-qw", "net.ipv4.ip_forward=1"]);
        let rule = |rule: &str| run_in(&router, "iptables", &rule.split(' ').collect::<Vec<_>>());
        rule("-t nat -A POSTROUTING -o wan -j MASQUERADE");
        rule("-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT");
        if let Lets::OnlyTcpTo(port) = lets {
            rule(&format!("-A FORWARD -i lan -p tcp --dport {port} -j ACCEPT"));
        } else {
            rule("-A FORWARD -i lan -j ACCEPT");
        }
        rule("-P FORWARD DROP");
        // The router itself is nobody's: what it took for its own would keep the port from who it is for.
        rule("-A INPUT -m conntrack --ctstate NEW -j DROP");
        Host { name: host, address: format!("{home}.2") }
    }

    /// A second machine at that home.
    pub(crate) fn at_home_of(&mut self, first: &Host, name: &str) -> Host {
        let router = format!("{}-router", first.name);
        let host = self.namespace(name);
        self.link(&host, "eth0", &router);
        let (home, _) = first.address.rsplit_once('.').unwrap();
        let far = format!("l{}", self.links);
        // Another network of the same home, as guests have.
        let (net, number) = home.rsplit_once('.').unwrap();
        let other = format!("{net}.{}", number.parse::<u8>().unwrap() + 100);
        ip(&["-n", &router, "addr", "add", &format!("{other}.1/24"), "dev", &far]);
        ip(&["-n", &host, "addr", "add", &format!("{other}.2/24"), "dev", "eth0"]);
        ip(&["-n", &host, "route", "add", "default", "via", &format!("{other}.1")]);
        for (from, to) in [("lan", far.as_str()), (far.as_str(), "lan")] {
            run_in(&router, "iptables", &["-A", "FORWARD", "-i", from, "-o", to, "-j", "ACCEPT"]);
        }
        Host { name: host, address: format!("{other}.2") }
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        for host in &self.hosts {
            let done = Command::new("ip").args(["netns", "del", host]).status();
            if !done.is_ok_and(|done| done.success()) {
                println!("{host} is left");
            }
        }
    }
}

impl Host {
    /// A program that runs on it.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs something on it: a thread and a runtime whose sockets are the host's.
    pub(crate) fn run<F: Future<Output = T>, T: Send + 'static>(
        &self,
        what: impl FnOnce() -> F + Send + 'static,
    ) -> JoinHandle<T> {
        let inside = File::open(format!("/run/netns/{}", self.name)).expect("a namespace is a file");
        std::thread::spawn(move || {
            // Threads that this one starts are there too.
            move_into_link_name_space(inside.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(what())
        })
    }
}

fn ip(args: &[&str]) {
    succeed(Command::new("ip").args(args).output(), &format!("ip {}", args.join(" ")));
}

fn run_in(host: &str, program: &str, args: &[&str]) {
    let done = Command::new("ip").args(["netns", "exec", host, program]).args(args).output();
    succeed(done, &format!("{program} {}", args.join(" ")));
}

fn succeed(done: io::Result<std::process::Output>, what: &str) {
    let done = done.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(done.status.success(), "{what}: {}", String::from_utf8_lossy(&done.stderr));
}
