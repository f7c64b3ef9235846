//! What a network carries, before anybody is called: a call of this machine to itself through the relay,
//! and each of the ways to the relay tried by itself.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bedside_bwe::{Bitrate, ladder::STEPS};
use bedside_media::{OpusPacket, SenderClock, TrackSource, VideoCodec, VideoPacket, VideoSource};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    AudioPacket, IceServer, Peer, PeerConfig, PeerEvent, PeerState, RelayTransport, RemoteMedia, ReportBlock,
    RtcError, SendFeedback, VideoFrame,
};

/// A way that has not answered by then is none: a call would have been made without it.
const WAY_WITHIN: Duration = Duration::from_millis(2_500);
/// And how long the call to oneself may take to connect: over a narrow line the two ends' checks are in one
/// another's way.
const CONNECT_WITHIN: Duration = Duration::from_millis(3_800);
/// How long it sends, where connecting leaves so much of what people wait for.
const LASTS: Duration = Duration::from_millis(3_200);
/// That is six seconds, with the closing.
const ENDS_AFTER: Duration = Duration::from_millis(5_500);
/// How often it sends: a packet of audio each time, and a frame every second time.
const TICK: Duration = Duration::from_millis(20);
/// The share of it that passes before loss is counted: it begins with more than a narrow line carries.
const SETTLES: f64 = 0.4;
/// What is sent last may be on its way still when the test ends.
const ON_ITS_WAY: Duration = Duration::from_millis(400);
/// Speech as it is usually sent: 32 kbit/s.
const AUDIO_PACKET: usize = 80;
/// Begun with: more than any verdict turns on. What a narrower line carries shows at once, as what comes out
/// of it while it is full; the estimate falls to that in a moment.
const BEGINS_WITH: Bitrate = Bitrate::kbps(1_200);
/// With its headers.
const AUDIO: Bitrate = Bitrate::bps(50 * (AUDIO_PACKET as u64 + HEADERS) * 8);
/// What the best picture needs in 40 ms, and some more.
const LARGEST_FRAME: usize = 16 * 1_024;
/// IPv4, UDP, RTP with its extension, SRTP: what each packet costs besides.
const HEADERS: u64 = 20 + 8 + 20 + 16;
/// How often the round trip is looked at.
const LOOK_EVERY: u32 = 10;

/// Which ways lead to the relays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RelayWays {
    /// Over UDP, the best for media.
    pub udp: bool,
    /// Over TCP.
    pub tcp: bool,
    /// Over TLS.
    pub tls: bool,
}

/// What a call to oneself through the relay was like.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Loopback {
    /// What arrived in its best second: what the narrower of the two directions carries, unless that is
    /// more than a call has a use for.
    pub rate: Bitrate,
    /// Of the audio, 0 to 1.
    pub loss: f64,
    /// To the relay and back.
    pub rtt: Option<Duration>,
}

/// What was found.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct NetworkMeasured {
    /// Which ways lead to the relays.
    pub ways: RelayWays,
    /// None where nothing came through.
    pub loopback: Option<Loopback>,
}

/// Tries the network for up to six seconds, or until `stop`, and closes all that it opened. The servers
/// are those of a call, by address.
pub async fn test_network(config: &PeerConfig, stop: &CancellationToken) -> NetworkMeasured {
    let config = PeerConfig { relay_only: true, begins_with: Some(BEGINS_WITH), ..config.clone() };
    let way = |transport| is_reached(&config, transport, stop);
    let (udp, tcp, tls, loopback) = tokio::join!(
        way(RelayTransport::Udp),
        way(RelayTransport::Tcp),
        way(RelayTransport::Tls),
        loopback(&config, stop),
    );
    let loopback = loopback.unwrap_or_else(|error| {
        tracing::info!(%error, "the network could not be tried");
        None
    });
    NetworkMeasured { ways: RelayWays { udp, tcp, tls }, loopback }
}

/// Whether a relay gives an address over this transport.
async fn is_reached(config: &PeerConfig, transport: RelayTransport, stop: &CancellationToken) -> bool {
    let is_wanted = |server: &&IceServer| server.transport() == Some(transport);
    let ice_servers: Vec<_> = config.ice_servers.iter().filter(is_wanted).cloned().collect();
    if ice_servers.is_empty() {
        return false;
    }
    let config = PeerConfig { ice_servers, ..config.clone() };
    let Ok(mut end) = End::open(&config).await else { return false };
    let asking = async {
        end.peer.offer(false).await?;
        while let Some(event) = end.events.recv().await {
            match event {
                PeerEvent::Candidate(candidate) if candidate.candidate.contains(" typ relay") => {
                    return Ok(true);
                }
                PeerEvent::GatheringComplete => return Ok(false),
                PeerEvent::Candidate(_) | PeerEvent::State(_) => {}
            }
        }
        Ok::<_, RtcError>(false)
    };
    let answered = stop.run_until_cancelled(timeout(WAY_WITHIN, asking)).await;
    let is_reached = matches!(answered, Some(Ok(Ok(true))));
    end.peer.close().await;
    is_reached
}

async fn loopback(config: &PeerConfig, stop: &CancellationToken) -> Result<Option<Loopback>, RtcError> {
    if !config.ice_servers.iter().any(|server| server.transport().is_some()) {
        return Ok(None);
    }
    let mut near = End::open(config).await?;
    let mut far = match End::open(config).await {
        Ok(far) => far,
        Err(error) => {
            near.peer.close().await;
            return Err(error);
        }
    };
    let began = Instant::now();
    let calling = async {
        let connecting = connect(&mut near, &mut far);
        match timeout(CONNECT_WITHIN, connecting).await {
            Ok(connected) => connected?,
            Err(_) => return Ok(None),
        }
        let lasts = LASTS.min(ENDS_AFTER.saturating_sub(began.elapsed()));
        Ok(Some(call(&near, &far, lasts).await))
    };
    let found = stop.run_until_cancelled(calling).await.unwrap_or(Ok(None));
    tokio::join!(near.peer.close(), far.peer.close());
    found
}

/// One of the two ends, both here.
struct End {
    peer: Peer,
    events: mpsc::Receiver<PeerEvent>,
    arrived: Arc<Arrived>,
}

impl End {
    async fn open(config: &PeerConfig) -> Result<Self, RtcError> {
        let arrived = Arc::new(Arrived::default());
        let (peer, events) = Peer::open(config, arrived.clone(), arrived.clone()).await?;
        Ok(Self { peer, events, arrived })
    }
}

/// Counts what comes.
#[derive(Default)]
struct Arrived {
    bytes: AtomicU64,
    /// RTP timestamps of the audio: as many as a test sends.
    audio: Mutex<HashSet<u32>>,
}

impl Arrived {
    fn count(&self, payload: usize) {
        self.bytes.fetch_add(payload as u64 + HEADERS, Ordering::Relaxed);
    }
}

impl RemoteMedia for Arrived {
    fn audio(&self, packet: &OpusPacket<'_>) {
        self.count(packet.data.len());
        self.audio.lock().unwrap_or_else(PoisonError::into_inner).insert(packet.timestamp);
    }

    fn video(&self, _: VideoSource, packet: VideoPacket, _: Instant) {
        self.count(packet.data.len());
    }

    fn key_frame_due(&self, _: VideoSource, _: Instant, _: Duration) -> bool {
        false
    }

    fn sender_clock(&self, _: SenderClock) {}
}

impl SendFeedback for Arrived {
    fn key_frame_wanted(&self, _: VideoSource) {}
    fn report(&self, _: ReportBlock) {}
}

/// Passes what the two have to say of themselves until they are connected.
async fn connect(near: &mut End, far: &mut End) -> Result<(), RtcError> {
    let offer = near.peer.offer(false).await?;
    let answer = far.peer.answer(offer).await?;
    near.peer.accept(answer).await?;
    let (mut near_up, mut far_up) = (false, false);
    while !(near_up && far_up) {
        let (event, other, is_up) = tokio::select! {
            event = near.events.recv() => (event, &mut far.peer, &mut near_up),
            event = far.events.recv() => (event, &mut near.peer, &mut far_up),
        };
        match event {
            Some(PeerEvent::Candidate(candidate)) => {
                if let Err(error) = other.add_candidate(candidate).await {
                    // One way less; the others remain.
                    tracing::debug!(%error, "a candidate was not taken");
                }
            }
            Some(PeerEvent::State(state)) => *is_up = state == PeerState::Connected,
            Some(PeerEvent::GatheringComplete) => {}
            None => return Err(RtcError::Incompatible("its other end is gone")),
        }
    }
    near.peer.set_connected(true);
    far.peer.set_connected(true);
    Ok(())
}

/// How much had come by then.
#[derive(Clone, Copy)]
struct Sample {
    at: Duration,
    bytes: u64,
}

async fn call(near: &End, far: &End, lasts: Duration) -> Loopback {
    let media = near.peer.media();
    media.set_wanted(TrackSource::Video(VideoSource::Camera), STEPS[STEPS.len() - 1].enough);
    // What a network might make smaller shows nothing.
    let noise: Vec<u8> = std::iter::repeat_with(rand::random).take(LARGEST_FRAME).collect();
    let began = Instant::now();
    let mut ticks = tokio::time::interval(TICK);
    let (mut samples, mut sent, mut rtt) = (vec![], vec![], None::<Duration>);
    for number in 0.. {
        let captured = ticks.tick().await.into_std();
        let at = began.elapsed();
        if at >= lasts {
            break;
        }
        samples.push(Sample { at, bytes: far.arrived.bytes.load(Ordering::Relaxed) });
        let timestamp = number * 960;
        if (lasts.mul_f64(SETTLES)..lasts.saturating_sub(ON_ITS_WAY)).contains(&at) {
            sent.push(timestamp);
        }
        media.audio(AudioPacket { timestamp, captured, data: noise[..AUDIO_PACKET].to_vec().into() });
        if number % 2 == 0 && !media.is_congested(VideoSource::Camera) {
            let rate = media.link().estimate.target - AUDIO;
            let size = (rate * (TICK * 2)).as_bytes() as usize;
            let data = noise[..size.clamp(1, noise.len())].to_vec().into();
            // Dropped: the next one comes in a moment.
            let frame = VideoFrame { timestamp: timestamp / 8 * 15, captured, codec: VideoCodec::Vp8, data };
            media.video(VideoSource::Camera, frame);
        }
        if number % LOOK_EVERY == 0
            && let Some(seen) = near.peer.stats().await.round_trip.filter(|seen| !seen.is_zero())
        {
            rtt = Some(rtt.map_or(seen, |least| least.min(seen)));
        }
    }
    let arrived = far.arrived.audio.lock().unwrap_or_else(PoisonError::into_inner);
    let lost = sent.iter().filter(|timestamp| !arrived.contains(timestamp)).count();
    Loopback {
        rate: best_second(&samples),
        loss: lost as f64 / sent.len().max(1) as f64,
        // There and back is twice to the relay and back: both ends are here.
        rtt: rtt.map(|rtt| rtt / 2),
    }
}

fn best_second(samples: &[Sample]) -> Bitrate {
    let rate_to = |to: usize| {
        let last = samples[to];
        let since = |first: &Sample| last.at.saturating_sub(first.at);
        let from = samples[..to].iter().rfind(|first| since(first) >= Duration::from_secs(1))?;
        let passed = since(from).as_secs_f64();
        Some(Bitrate::bps(((last.bytes - from.bytes) as f64 * 8.0 / passed) as u64))
    };
    (0..samples.len()).filter_map(rate_to).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_second_is_no_burst() {
        let samples: Vec<_> = (0..150)
            .map(|n: u64| {
                let burst = if n >= 75 { 25_000 } else { 0 };
                Sample { at: TICK * n as u32, bytes: n * 1_000 + burst }
            })
            .collect();
        // 50 kB a second, and once 25 kB more.
        assert_eq!(best_second(&samples), Bitrate::kbps(600));
        assert_eq!(best_second(&samples[..20]), Bitrate::ZERO);
    }
}
