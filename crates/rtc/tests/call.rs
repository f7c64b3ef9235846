//! Two ends in one process: connect, exchange sound and pictures, restart ICE, close.

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use bedside_bwe::Bitrate;
use bedside_media::{
    AssembledFrame, FrameAssembler, I420, OpusPacket, SenderClock, VideoCodec, VideoPacket, VideoSource,
    codec::{ContentHint, EncoderConfig},
    opus::VoiceEncoder,
};
use bedside_rtc::{
    AudioPacket, IceServer, Path, Peer, PeerConfig, PeerEvent, PeerState, Proxies, RemoteMedia, ReportBlock,
    SendFeedback, VideoFrame,
};
use support::{LocalRelay, is_tcp, is_tls, is_udp, local_relay, proxy::Proxy};
use tokio::sync::mpsc;

#[derive(Default)]
struct Received {
    audio: AtomicU32,
    key_frames_wanted: AtomicU32,
    reports: AtomicU32,
    asks: AtomicBool,
    assembler: Mutex<Option<FrameAssembler>>,
    frames: Mutex<Vec<AssembledFrame>>,
    screen: Mutex<Vec<VideoPacket>>,
    clocks: Mutex<Vec<SenderClock>>,
}

impl RemoteMedia for Received {
    fn audio(&self, packet: &OpusPacket<'_>) {
        assert!(!packet.data.is_empty());
        self.audio.fetch_add(1, Ordering::Relaxed);
    }
    fn video(&self, source: VideoSource, packet: VideoPacket, now: Instant) {
        if source == VideoSource::Screen {
            self.screen.lock().unwrap().push(packet);
            return;
        }
        let mut assembler = self.assembler.lock().unwrap();
        let frames = assembler.get_or_insert_with(FrameAssembler::new).push(packet, now);
        self.frames.lock().unwrap().extend(frames);
    }
    fn sender_clock(&self, clock: SenderClock) {
        self.clocks.lock().unwrap().push(clock);
    }

    fn key_frame_due(&self, source: VideoSource, _: Instant, _: Duration) -> bool {
        source == VideoSource::Camera && self.asks.swap(false, Ordering::Relaxed)
    }
}

impl SendFeedback for Received {
    fn key_frame_wanted(&self, source: VideoSource) {
        assert_eq!(source, VideoSource::Camera, "that is what is asked for");
        self.key_frames_wanted.fetch_add(1, Ordering::Relaxed);
    }
    fn report(&self, report: ReportBlock) {
        assert!((0.0..=1.0).contains(&report.loss));
        self.reports.fetch_add(1, Ordering::Relaxed);
    }
}

struct End {
    peer: Peer,
    events: mpsc::Receiver<PeerEvent>,
    received: Arc<Received>,
}

async fn end() -> End {
    end_over(&PeerConfig { loopback: true, ..PeerConfig::default() }).await
}

async fn end_over(config: &PeerConfig) -> End {
    let received = Arc::new(Received::default());
    let (peer, events) = Peer::open(config, received.clone(), received.clone()).await.unwrap();
    End { peer, events, received }
}

/// Passes candidates both ways until both ends are connected.
async fn connect(a: &mut End, b: &mut End) -> Duration {
    let started = Instant::now();
    let (mut a_up, mut b_up) = (false, false);
    tokio::time::timeout(Duration::from_secs(20), async {
        while !(a_up && b_up) {
            tokio::select! {
                Some(event) = a.events.recv() => match event {
                    PeerEvent::Candidate(candidate) => b.peer.add_candidate(candidate).await.unwrap(),
                    PeerEvent::State(state) => a_up = state == PeerState::Connected,
                    PeerEvent::GatheringComplete => {}
                },
                Some(event) = b.events.recv() => match event {
                    PeerEvent::Candidate(candidate) => a.peer.add_candidate(candidate).await.unwrap(),
                    PeerEvent::State(state) => b_up = state == PeerState::Connected,
                    PeerEvent::GatheringComplete => {}
                },
            }
        }
    })
    .await
    .expect("connected within 20 s");
    a.peer.set_connected(true);
    b.peer.set_connected(true);
    started.elapsed()
}

async fn negotiate(a: &mut End, b: &mut End, restart: bool) {
    let offer = a.peer.offer(restart).await.unwrap();
    let answer = b.peer.answer(offer).await.unwrap();
    a.peer.accept(answer).await.unwrap();
}

/// How much earlier the sound that is sent was captured than the picture of the same number.
const BEFORE: Duration = Duration::from_millis(120);

/// Sends pictures and sound from `a` until `b` has some of each, counted from now.
async fn talk(a: &End, b: &End) {
    let config = EncoderConfig { width: 320, height: 180, kbps: 300, content: ContentHint::Motion };
    let codec = a.peer.media().codec(VideoSource::Camera);
    let mut encoder = codec.encoder(config).unwrap();
    let mut voice = VoiceEncoder::new().unwrap();
    let (frames, audio) = (b.received.frames.lock().unwrap().len(), b.received.audio.load(Ordering::Relaxed));
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    for n in 0..500_u32 {
        ticks.tick().await;
        // After a loss nothing comes until a key frame: one does every half second.
        if let Some(assembler) = b.received.assembler.lock().unwrap().as_mut() {
            assembler.poll_key_request(Instant::now());
        }
        let media = a.peer.media();
        media.audio(AudioPacket {
            timestamp: n * 960,
            captured: Instant::now().checked_sub(BEFORE).unwrap(),
            data: voice.encode(&[0.1; 960]).unwrap().to_vec().into(),
        });
        if let Some(encoded) =
            encoder.encode(&I420::black(320, 180), i64::from(n) * 1800, 1800, n % 25 == 0).unwrap()
        {
            let data = encoded.data.to_vec().into();
            let frame = VideoFrame { timestamp: n * 1800, captured: Instant::now(), codec, data };
            media.video(VideoSource::Camera, frame);
        }
        let enough = b.received.frames.lock().unwrap().len() > frames + 5
            && b.received.audio.load(Ordering::Relaxed) > audio + 10;
        if enough {
            return;
        }
    }
    let received = &b.received;
    panic!(
        "in ten seconds only {} pictures and {} packets of sound came through",
        received.frames.lock().unwrap().len(),
        received.audio.load(Ordering::Relaxed)
    );
}

/// Sends frames of a screen until one is there.
async fn shows_screen(from: &End, to: &End) {
    let before = to.received.screen.lock().unwrap().len();
    let config = EncoderConfig { width: 640, height: 360, kbps: 500, content: ContentHint::Text };
    let mut encoder = VideoCodec::Vp8.encoder(config).unwrap();
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    for n in 0..200_u32 {
        ticks.tick().await;
        let encoded = encoder.encode(&I420::black(640, 360), i64::from(n) * 4_500, 4_500, false).unwrap();
        let data = encoded.expect("no page is left out").data.to_vec().into();
        let codec = from.peer.media().codec(VideoSource::Screen);
        assert_eq!(codec, VideoCodec::Vp8);
        let frame = VideoFrame { timestamp: n * 4_500, captured: Instant::now(), codec, data };
        from.peer.media().video(VideoSource::Screen, frame);
        let screen = to.received.screen.lock().unwrap();
        if screen[before..].iter().any(|packet| packet.end && !packet.data.is_empty()) {
            return;
        }
    }
    panic!("in ten seconds nothing of the screen came through");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_from_beginning_to_end() {
    let (mut a, mut b) = (end().await, end().await);
    negotiate(&mut a, &mut b, false).await;
    let took = connect(&mut a, &mut b).await;
    assert!(took < Duration::from_millis(1500), "connecting took {took:?}");
    talk(&a, &b).await;
    talk(&b, &a).await;
    assert!(b.received.frames.lock().unwrap()[0].key, "the first frame is a key frame");

    b.received.asks.store(true, Ordering::Relaxed);
    tokio::time::timeout(Duration::from_secs(5), async {
        while a.received.key_frames_wanted.load(Ordering::Relaxed) == 0 {
            talk(&a, &b).await;
        }
    })
    .await
    .expect("the request arrives");

    let most = || a.peer.media().most(VideoSource::Camera);
    assert_eq!(most(), Bitrate::MAX);
    tokio::time::timeout(Duration::from_secs(5), async {
        while most() != Bitrate::kbps(400) {
            b.peer.limit(VideoSource::Camera, Bitrate::kbps(400)).await;
            talk(&a, &b).await;
        }
    })
    .await
    .expect("what the other end can take is heard of");
    assert_eq!(a.peer.media().most(VideoSource::Screen), Bitrate::MAX);

    let stats = a.peer.stats().await;
    assert_eq!(stats.relayed, Some(false));
    assert!(stats.bytes_sent > 0 && stats.available > Bitrate::ZERO, "{stats:?}");

    // What reports say of both clocks is when things were captured, not when they were sent.
    let clocks = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            talk(&a, &b).await;
            let clocks = b.received.clocks.lock().unwrap();
            // Of one moment: each of these short talks begins its timestamps anew.
            let at_once = |a: &SenderClock, b: &SenderClock| a.ntp.abs_diff(b.ntp) < (1 << 32) / 100;
            let mut pairs = clocks.iter().filter(|clock| clock.source.is_audio()).filter_map(|audio| {
                let video = clocks.iter().find(|clock| !clock.source.is_audio() && at_once(clock, audio))?;
                Some((*audio, *video))
            });
            if let Some(pair) = pairs.next_back() {
                return pair;
            }
        }
    });
    let (audio, video) = clocks.await.expect("reports of both streams come");
    let later = video.captured_at(1_800) - audio.captured_at(960);
    assert!((later - BEFORE.as_secs_f64()).abs() < 0.04, "{later} s");

    // A screen needs no new negotiation, and is told from the camera both ways.
    for (from, to) in [(&a, &b), (&b, &a)] {
        shows_screen(from, to).await;
    }

    negotiate(&mut a, &mut b, true).await;
    connect(&mut a, &mut b).await;
    talk(&a, &b).await;
    shows_screen(&b, &a).await;

    let media = a.peer.media();
    tokio::time::timeout(Duration::from_secs(5), async {
        a.peer.close().await;
        b.peer.close().await;
    })
    .await
    .expect("closing ends every task");
    assert!(!media.is_connected());
}

/// H.264 is spoken where both ends show it, whoever offers, and VP8 otherwise; and what comes can be
/// decoded.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_is_sent_in_a_codec_that_both_ends_show() {
    for (shows, spoken) in
        [([true, true], VideoCodec::H264), ([true, false], VideoCodec::Vp8), ([false, true], VideoCodec::Vp8)]
    {
        let configs = shows.map(|shows| PeerConfig {
            loopback: true,
            video_codecs: if shows { vec![VideoCodec::H264, VideoCodec::Vp8] } else { vec![] },
            ..PeerConfig::default()
        });
        let (mut a, mut b) = (end_over(&configs[0]).await, end_over(&configs[1]).await);
        negotiate(&mut a, &mut b, false).await;
        connect(&mut a, &mut b).await;
        for (from, to) in [(&a, &b), (&b, &a)] {
            assert_eq!(from.peer.media().codec(VideoSource::Camera), spoken, "{shows:?}");
            talk(from, to).await;
            let frames = to.received.frames.lock().unwrap();
            let mut decoder = spoken.decoder().unwrap();
            for frame in frames.iter() {
                assert_eq!(frame.codec, spoken);
                assert_eq!(spoken.key_frame_size(&frame.data), frame.key.then_some((320, 180)));
                decoder.decode(&frame.data).unwrap().expect("a picture");
            }
        }
        shows_screen(&a, &b).await;
        a.peer.close().await;
        b.peer.close().await;
    }
}

/// Two meet, talk, make a fresh connection, and talk; then everything ends.
async fn meets(relay: LocalRelay, ways: [PeerConfig; 2]) {
    let (mut a, mut b) = (end_over(&ways[0]).await, end_over(&ways[1]).await);
    for restart in [false, true] {
        negotiate(&mut a, &mut b, restart).await;
        connect(&mut a, &mut b).await;
        talk(&a, &b).await;
        talk(&b, &a).await;
    }
    let stats = a.peer.stats().await;
    assert_eq!((stats.relayed, stats.path), (Some(true), Some(Path::Relay)));
    let wanted = ways[0].ice_servers.iter().find_map(IceServer::transport);
    assert_eq!(stats.transport, wanted);
    tokio::time::timeout(Duration::from_secs(8), async {
        a.peer.close().await;
        b.peer.close().await;
        relay.relay.stop().await;
    })
    .await
    .expect("every task ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_meet_through_a_relay_over_tcp() {
    let relay = local_relay().await;
    let ways = [relay.by(is_tcp), relay.by(is_tcp)];
    meets(relay, ways).await;
}

/// Whoever signs out is not relayed for any more, in the middle of a call, and can't begin another; a second
/// sign-in of theirs goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_relayed_for_a_sign_in_that_has_ended() {
    for is_wanted in [is_udp as fn(&str) -> bool, is_tcp] {
        let relay = local_relay().await;
        let config = relay.by(is_wanted);
        let (mut a, mut b) = (end_over(&config).await, end_over(&config).await);
        negotiate(&mut a, &mut b, false).await;
        connect(&mut a, &mut b).await;
        relay.relay.ice_servers().end("another");
        talk(&a, &b).await;
        relay.relay.ice_servers().end("here");
        let is_cut =
            async { while b.events.recv().await != Some(PeerEvent::State(PeerState::Disconnected)) {} };
        tokio::time::timeout(Duration::from_secs(8), is_cut).await.expect("the call is cut");
        let mut again = end_over(&config).await;
        again.peer.offer(false).await.unwrap();
        let refused = async {
            loop {
                match again.events.recv().await.expect("the peer lives") {
                    PeerEvent::Candidate(candidate) => panic!("a relay for nobody: {candidate:?}"),
                    PeerEvent::GatheringComplete => return,
                    PeerEvent::State(_) => {}
                }
            }
        };
        // Silence, or a word: no address in either case.
        let _ = tokio::time::timeout(Duration::from_secs(2), refused).await;
        tokio::join!(a.peer.close(), b.peer.close(), again.peer.close());
        relay.relay.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_comes_over_tls_and_the_other_over_udp() {
    let relay = local_relay().await;
    let ways = [relay.by(is_tls), relay.by(is_udp)];
    meets(relay, ways).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_meet_behind_a_proxy_that_lets_nothing_else_out() {
    let relay = local_relay().await;
    let proxy = Proxy::start().await;
    let proxies = Proxies::through(&proxy.url());
    let over_tls = PeerConfig { proxies: proxies.clone(), ..relay.by(is_tls) };
    let over_tcp = PeerConfig { proxies, ..relay.by(is_tcp) };
    meets(relay, [over_tls, over_tcp]).await;
    assert!(proxy.let_through() >= 2, "the proxy was gone past");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_believed_whom_nobody_knows() {
    let relay = local_relay().await;
    let stranger = local_relay().await;
    let config = PeerConfig { tls: Some(stranger.tls.clone()), ..relay.by(is_tls) };
    let mut end = end_over(&config).await;
    end.peer.offer(false).await.unwrap();
    let complete = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            match end.events.recv().await.expect("the peer lives") {
                PeerEvent::GatheringComplete => return,
                PeerEvent::Candidate(candidate) => panic!("a candidate of a relay that lies: {candidate:?}"),
                PeerEvent::State(_) => {}
            }
        }
    });
    complete.await.expect("gathering ends without it");
    end.peer.close().await;
    relay.relay.stop().await;
    stranger.relay.stop().await;
}
