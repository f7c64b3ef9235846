//! Descriptions and candidates of others, made readable before the stack sees them. One line that it
//! can't read makes the stack (0.21.1) leave a whole description half applied. Text in, text out.

use crate::RtcError;

/// Sections in a description: several times what a visit has.
const MOST_SECTIONS: usize = 32;
/// A candidate line is no longer.
const LONGEST_CANDIDATE: usize = 1_024;
/// Header extensions that are understood.
const EXTENSIONS: [&str; 1] = ["http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"];

/// A description without what can't be read, and what was left out of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cleaned {
    pub(crate) sdp: String,
    left_out: Vec<LeftOut>,
    /// Media section that candidates belong to: the first that was kept.
    pub(crate) mid: String,
    pub(crate) m_line_index: u16,
}

/// A section that is answered with a refusal.
#[derive(Debug, PartialEq, Eq)]
struct LeftOut {
    at: usize,
    media: String,
    protocol: String,
    format: String,
    mid: Option<String>,
}

struct Section<'a> {
    lines: Vec<&'a str>,
}

impl<'a> Section<'a> {
    fn attribute(&self, name: &str) -> Option<&'a str> {
        self.lines.iter().find_map(|line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'))
    }

    fn has(&self, line: &str) -> bool {
        self.lines.contains(&line)
    }

    /// `m=media port protocol formats`
    fn words(&self) -> Vec<&'a str> {
        self.lines.first().map(|line| line.trim_start_matches("m=").split(' ').collect()).unwrap_or_default()
    }

    fn is_usable(&self) -> bool {
        let words = self.words();
        let [media, port, protocol, ..] = words.as_slice() else { return false };
        matches!(*media, "audio" | "video")
            && protocol.ends_with("RTP/SAVPF")
            && (*port != "0" || self.has("a=bundle-only"))
            && self.attribute("mid").is_some()
            && words.iter().skip(3).any(|format| self.described().contains(format))
    }

    /// Formats that are described: those with an `rtpmap`.
    fn described(&self) -> Vec<&'a str> {
        let formats = self.lines.iter().filter_map(|line| line.strip_prefix("a=rtpmap:")?.split(' ').next());
        formats.filter(|format| format.parse::<u8>().is_ok()).collect()
    }
}

/// Makes a description of the other end readable.
pub(crate) fn clean(sdp: &str) -> Result<Cleaned, RtcError> {
    let lines: Vec<&str> = sdp.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let mut sections: Vec<Section<'_>> = vec![Section { lines: vec![] }];
    for line in lines {
        if line.starts_with("m=") {
            sections.push(Section { lines: vec![] });
        }
        if let Some(section) = sections.last_mut() {
            section.lines.push(line);
        }
    }
    if sections.len() > MOST_SECTIONS {
        return Err(RtcError::Incompatible("its description has too many sections"));
    }
    let session = sections.remove(0);
    if !session.lines.first().is_some_and(|line| line.starts_with("v=")) {
        return Err(RtcError::Incompatible("its description is none"));
    }
    let mut kept = String::new();
    let (mut left_out, mut mids, mut first) = (vec![], vec![], None);
    for (at, section) in sections.iter().enumerate() {
        let mid = section.attribute("mid");
        if section.is_usable() {
            write_section(&mut kept, section, &session);
            let mid = mid.unwrap_or_default();
            mids.push(mid);
            first.get_or_insert((mid.to_owned(), at as u16));
            continue;
        }
        let words = section.words();
        let word = |n: usize, else_: &str| (*words.get(n).unwrap_or(&else_)).to_owned();
        left_out.push(LeftOut {
            at,
            media: word(0, "application"),
            protocol: word(2, "RTP/SAVPF"),
            format: word(3, "0"),
            mid: mid.map(str::to_owned),
        });
    }
    let Some((mid, m_line_index)) = first else {
        return Err(RtcError::Incompatible("it has neither audio nor video"));
    };
    let mut head = String::new();
    for line in session.lines {
        match line.strip_prefix("a=group:BUNDLE") {
            Some(_) => push_line(&mut head, &format!("a=group:BUNDLE {}", mids.join(" "))),
            None if line.starts_with("a=fingerprint:") => {
                if let Some(line) = fingerprint(line) {
                    push_line(&mut head, &line);
                }
            }
            None => push_line(&mut head, line),
        }
    }
    let sdp = head + &kept;
    if !sdp.contains("a=fingerprint:sha-256 ") {
        return Err(RtcError::Incompatible("its key has no fingerprint by SHA-256"));
    }
    Ok(Cleaned { sdp, left_out, mid, m_line_index })
}

fn write_section(out: &mut String, section: &Section<'_>, session: &Section<'_>) {
    let described = section.described();
    let has_source = section.lines.iter().any(|line| line.starts_with("a=ssrc:"));
    let mut has_fingerprint = false;
    for line in &section.lines {
        let Some(attribute) = line.strip_prefix("a=") else {
            match line.strip_prefix("m=") {
                Some(words) => {
                    let formats = words.split(' ').skip(3).filter(|format| described.contains(format));
                    let head: Vec<&str> = words.split(' ').take(3).chain(formats).collect();
                    push_line(out, &format!("m={}", head.join(" ")));
                }
                None => push_line(out, line),
            }
            continue;
        };
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        let first_word = value.split(' ').next().unwrap_or_default();
        let is_kept = match name {
            "rtpmap" | "fmtp" => described.contains(&first_word),
            "rtcp-fb" => first_word == "*" || described.contains(&first_word),
            "candidate" => is_readable(attribute),
            "extmap" => {
                let id = first_word.split('/').next().and_then(|id| id.parse::<u8>().ok());
                let is_known = EXTENSIONS.iter().any(|uri| value.split(' ').nth(1) == Some(uri));
                is_known && id.is_some_and(|id| id > 0)
            }
            // Without a source the stack looks for one that it will not find.
            "msid" => has_source,
            "fingerprint" => {
                if let Some(line) = fingerprint(line).filter(|_| !has_fingerprint) {
                    has_fingerprint = true;
                    push_line(out, &line);
                }
                false
            }
            _ => true,
        };
        if is_kept {
            push_line(out, line);
        }
    }
    let is_directed = |section: &Section<'_>| {
        ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"].iter().any(|line| section.has(line))
    };
    if !is_directed(section) && !is_directed(session) {
        push_line(out, "a=sendrecv"); // RFC 8866 §6.7: what is meant where nothing is said.
    }
}

/// The line as the stack compares it; none for another kind of fingerprint.
fn fingerprint(line: &str) -> Option<String> {
    let mut words = line.strip_prefix("a=fingerprint:")?.split_whitespace();
    let (kind, value) = (words.next()?, words.next()?);
    kind.eq_ignore_ascii_case("sha-256").then(|| format!("a=fingerprint:sha-256 {value}"))
}

fn push_line(out: &mut String, line: &str) {
    out.push_str(line);
    out.push_str("\r\n");
}

/// Whether a candidate line (RFC 8839 §5.1, with or without `candidate:`) is one that the stack can
/// read and that leads somewhere.
pub(crate) fn is_readable(line: &str) -> bool {
    let line = line.strip_prefix("a=").unwrap_or(line);
    let line = line.strip_prefix("candidate:").unwrap_or(line);
    if line.len() > LONGEST_CANDIDATE {
        return false;
    }
    let words: Vec<&str> = line.split(' ').collect();
    let [_, component, protocol, priority, address, port, "typ", kind, ..] = words.as_slice() else {
        return false;
    };
    let is_address =
        address.parse::<std::net::IpAddr>().is_ok_and(|ip| !ip.is_unspecified() && !ip.is_multicast());
    let related = |name: &str| words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1));
    *component == "1"
        && protocol.eq_ignore_ascii_case("udp")
        && priority.parse::<u32>().is_ok_and(|priority| priority > 0)
        && is_address
        && port.parse::<u16>().is_ok_and(|port| port > 0)
        && matches!(*kind, "host" | "srflx" | "prflx" | "relay")
        && related("rport").is_none_or(|port| port.parse::<u16>().is_ok())
        && related("raddr").is_none_or(|address| address.parse::<std::net::IpAddr>().is_ok())
}

impl Cleaned {
    /// The answer to it with a refusal in the place of each section that was left out: an answer has
    /// as many sections as its offer (RFC 3264 §6).
    pub(crate) fn answered(&self, answer: &str) -> String {
        if self.left_out.is_empty() {
            return answer.to_owned();
        }
        let mut sections: Vec<String> = vec![String::new()];
        for line in answer.lines() {
            if line.starts_with("m=") {
                sections.push(String::new());
            }
            if let Some(section) = sections.last_mut() {
                push_line(section, line);
            }
        }
        for LeftOut { at, media, protocol, format, mid } in &self.left_out {
            let mid = mid.as_ref().map_or(String::new(), |mid| format!("a=mid:{mid}\r\n"));
            let refusal =
                format!("m={media} 0 {protocol} {format}\r\nc=IN IP4 0.0.0.0\r\n{mid}a=inactive\r\n");
            sections.insert((at + 1).min(sections.len()), refusal);
        }
        sections.concat()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE sound pic data\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 109 9\r\nc=IN IP4 0.0.0.0\r\na=mid:sound\r\na=rtpmap:109 opus/48000/2\r\n\
        a=fingerprint:SHA-256 AB:CD\r\na=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host\r\n\
        a=candidate:1 300 udp 0 10.0.0.1 9 typ host\r\na=extmap:0 nonsense\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 120\r\nc=IN IP4 0.0.0.0\r\na=mid:pic\r\na=recvonly\r\na=rtpmap:120 VP8/90000\r\n\
        a=fingerprint:SHA-256 AB:CD\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:data\r\na=sctp-port:5000\r\n";

    #[test]
    fn what_can_be_used_is_kept_and_the_rest_is_refused_in_its_place() {
        let cleaned = clean(OFFER).unwrap();
        assert!(cleaned.sdp.contains("a=fingerprint:sha-256 AB:CD"), "{}", cleaned.sdp);
        assert!(
            cleaned.sdp.contains("m=audio 9 UDP/TLS/RTP/SAVPF 109\r\n"),
            "9 has no rtpmap: {}",
            cleaned.sdp
        );
        assert!(cleaned.sdp.contains("a=group:BUNDLE sound pic\r\n"));
        assert_eq!(cleaned.sdp.matches("a=candidate").count(), 1);
        assert_eq!(cleaned.sdp.matches("a=sendrecv").count(), 1, "audio names no direction");
        assert!(!cleaned.sdp.contains("nonsense") && !cleaned.sdp.contains("m=application"));
        assert_eq!((cleaned.mid.as_str(), cleaned.m_line_index), ("sound", 0));
        let answer =
            cleaned.answered("v=0\r\nm=audio 9 X 109\r\na=mid:sound\r\nm=video 9 X 120\r\na=mid:pic\r\n");
        assert!(answer.ends_with(
            "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:data\r\na=inactive\r\n"
        ));
    }

    #[test]
    fn who_can_not_be_met_is_told_apart() {
        let wrongs =
            [("SHA-256", "SHA-1"), ("m=audio", "m=text"), ("v=0", "x=0"), ("a=rtpmap:109", "a=rtpmap:x")];
        for (from, to) in wrongs {
            let sdp = OFFER.replace(from, to).replace("m=video 9", "m=video 0");
            assert!(matches!(clean(&sdp), Err(RtcError::Incompatible(_))), "{to}");
        }
    }

    #[test]
    fn candidates_that_lead_nowhere_are_told_apart() {
        assert!(is_readable("candidate:1 1 UDP 2130706431 192.0.2.1 5000 typ host"));
        assert!(is_readable("1 1 udp 1 2001:db8::1 5000 typ srflx raddr 10.0.0.1 rport 4"));
        for line in [
            "",
            "candidate:1 300 udp 0 10.0.0.1 9 typ host",
            "candidate:1 1 udp 5 0.0.0.0 9 typ host",
            "candidate:1 1 udp 5 10.0.0.1 0 typ host",
            "candidate:1 1 tcp 5 10.0.0.1 9 typ host tcptype passive",
            "candidate:1 1 udp 5 8f2c.local 9 typ host",
            "candidate:1 1 udp 5 10.0.0.1 9 typ srflx raddr x rport 99999",
        ] {
            assert!(!is_readable(line), "{line}");
        }
    }

    proptest! {
        /// Whatever somebody sends, nothing but a text or a refusal comes of it.
        #[test]
        fn any_text_is_read(noise in "(v=0\r\n)?([acmo]=[a-z0-9: /]{0,30}\r\n){0,40}") {
            if let Ok(cleaned) = clean(&noise) {
                prop_assert!(cleaned.sdp.len() <= noise.len() * 2 + 1_000);
                cleaned.answered(&noise);
            }
        }
    }
}
