//! One end of a call, on a host of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use bedside_media::{OpusPacket, SenderClock, VideoPacket, VideoSource, opus::VoiceEncoder};
use bedside_rtc::{
    AudioPacket, Candidate, Peer, PeerConfig, PeerEvent, PeerState, PeerStats, RemoteMedia, ReportBlock,
    SendFeedback,
};
use tokio::sync::mpsc;

use crate::hosts::Host;

/// Packets that make a conversation: half a second.
const ENOUGH: u32 = 25;
/// Longer nobody waits to be connected.
const WITHIN: Duration = Duration::from_secs(20);

/// What is passed between the ends by the service.
enum Message {
    Offer(String),
    Answer(String),
    Candidate(Candidate),
    /// Heard enough.
    Heard,
}

#[derive(Default)]
struct Ears(AtomicU32);

impl RemoteMedia for Ears {
    fn audio(&self, _: &OpusPacket<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn video(&self, _: VideoSource, _: VideoPacket, _: Instant) {}
    fn key_frame_due(&self, _: VideoSource, _: Instant, _: Duration) -> bool {
        false
    }
    fn sender_clock(&self, _: SenderClock) {}
}

impl SendFeedback for Ears {
    fn key_frame_wanted(&self, _: VideoSource) {}
    fn report(&self, _: ReportBlock) {}
}

/// How an end of a call was connected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connected {
    pub(crate) after: Duration,
    pub(crate) stats: PeerStats,
}

/// Calls from one host to another; both ends' sides of it, the caller's first.
pub(crate) fn call(hosts: [&Host; 2], configs: [PeerConfig; 2]) -> [Connected; 2] {
    let (to_first, at_first) = mpsc::unbounded_channel();
    let (to_second, at_second) = mpsc::unbounded_channel();
    let [first, second] = configs;
    let first = hosts[0].run(move || hold(first, true, to_second, at_first));
    let second = hosts[1].run(move || hold(second, false, to_first, at_second));
    let ends = [first, second].map(|end| end.join().expect("they meet and talk"));
    println!("{ends:?}");
    ends
}

async fn hold(
    config: PeerConfig,
    calls: bool,
    to_other: mpsc::UnboundedSender<Message>,
    from_other: mpsc::UnboundedReceiver<Message>,
) -> Connected {
    tokio::time::timeout(WITHIN, talk(config, calls, to_other, from_other)).await.expect("within 20 s")
}

async fn talk(
    config: PeerConfig,
    calls: bool,
    to_other: mpsc::UnboundedSender<Message>,
    mut from_other: mpsc::UnboundedReceiver<Message>,
) -> Connected {
    // The other end may have gone already once it has heard all.
    let tell = |message| drop(to_other.send(message));
    let began = Instant::now();
    let ears = Arc::new(Ears::default());
    let (mut peer, mut events) = Peer::open(&config, ears.clone(), ears.clone()).await.unwrap();
    if calls {
        tell(Message::Offer(peer.offer(false).await.unwrap()));
    }
    let mut voice = VoiceEncoder::new().unwrap();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let (mut timestamp, mut after, mut has_told, mut is_heard) = (0_u32, None, false, false);
    loop {
        tokio::select! {
            Some(event) = events.recv() => match event {
                PeerEvent::Candidate(candidate) => tell(Message::Candidate(candidate)),
                PeerEvent::State(PeerState::Connected) => {
                    after.get_or_insert_with(|| began.elapsed());
                    peer.set_connected(true);
                }
                PeerEvent::State(_) | PeerEvent::GatheringComplete => {}
            },
            Some(message) = from_other.recv() => match message {
                Message::Offer(offer) => tell(Message::Answer(peer.answer(offer).await.unwrap())),
                Message::Answer(answer) => peer.accept(answer).await.unwrap(),
                Message::Candidate(candidate) => peer.add_candidate(candidate).await.unwrap(),
                Message::Heard => is_heard = true,
            },
            _ = ticks.tick() => {
                let data = voice.encode(&[0.1; 960]).unwrap().to_vec().into();
                peer.media().audio(AudioPacket { timestamp, captured: Instant::now(), data });
                timestamp += 960;
                if !has_told && ears.0.load(Ordering::Relaxed) >= ENOUGH {
                    has_told = true;
                    tell(Message::Heard);
                }
                if has_told && is_heard && let Some(after) = after {
                    let stats = peer.stats().await;
                    peer.close().await;
                    return Connected { after, stats };
                }
            }
        }
    }
}
