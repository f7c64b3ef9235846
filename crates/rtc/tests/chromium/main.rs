//! A call between this stack and a browser's: media both ways, whoever offers, and over an ICE
//! restart. A mistake that both ends of our own make alike shows only here.

mod browser;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bedside_bwe::Bitrate;
use bedside_media::{
    FrameAssembler, I420, OpusPacket, SenderClock, VideoCodec, VideoPacket, VideoSource,
    codec::{ContentHint, EncoderConfig, VideoDecoder},
    opus::{VoiceDecoder, VoiceEncoder},
};
use bedside_redact::Secret;
use bedside_rtc::{
    AudioPacket, Candidate, IceServer, Peer, PeerConfig, PeerEvent, PeerState, RemoteMedia, ReportBlock,
    SendFeedback, VideoFrame,
};
use bedside_service::{config::RelayConfig, relay::Relay};
use browser::Page;
use serde_json::{Value, json};
use tokio::sync::mpsc;

const PAGE: &str = include_str!("page.html");
/// Sound of this energy or more is not silence, and the browser's beeps have a hundred times it.
const AUDIBLE: f32 = 0.01;
/// A clear blue, as Y, U and V (BT.601, studio range).
const BLUE: [u8; 3] = [41, 240, 110];

/// What came from the browser, decoded.
struct Received {
    assembler: FrameAssembler,
    decoders: HashMap<VideoCodec, Box<dyn VideoDecoder>>,
    /// Of the last picture.
    codec: Option<VideoCodec>,
    sound: VoiceDecoder,
    frames: u32,
    size: (usize, usize),
    /// Brightest less darkest of the last picture.
    contrast: u8,
    loudest: f32,
}

struct Sink(Mutex<Received>);

impl RemoteMedia for Sink {
    fn audio(&self, packet: &OpusPacket<'_>) {
        let mut received = self.0.lock().unwrap();
        let loudest = received.sound.decode(packet.data).unwrap().iter().fold(0.0_f32, |a, b| a.max(b.abs()));
        received.loudest = received.loudest.max(loudest);
    }
    fn video(&self, source: VideoSource, packet: VideoPacket, now: Instant) {
        assert_eq!(source, VideoSource::Camera, "it sends no other");
        let mut received = self.0.lock().unwrap();
        for frame in received.assembler.push(packet, now) {
            received.codec = Some(frame.codec);
            let decoder =
                received.decoders.entry(frame.codec).or_insert_with(|| frame.codec.decoder().unwrap());
            let Some(picture) = decoder.decode(&frame.data).unwrap() else { continue };
            let (luma, ..) = picture.planes();
            received.contrast = luma.iter().max().unwrap() - luma.iter().min().unwrap();
            received.size = (picture.width(), picture.height());
            received.frames += 1;
        }
    }
    fn sender_clock(&self, _: SenderClock) {}

    fn key_frame_due(&self, source: VideoSource, now: Instant, rtt: Duration) -> bool {
        if source != VideoSource::Camera {
            return false;
        }
        let mut received = self.0.lock().unwrap();
        received.assembler.set_rtt(rtt);
        received.assembler.poll_key_request(now)
    }
}

impl SendFeedback for Sink {
    fn key_frame_wanted(&self, _: VideoSource) {}
    fn report(&self, _: ReportBlock) {}
}

struct Call {
    page: Page,
    peer: Peer,
    events: mpsc::Receiver<PeerEvent>,
    received: Arc<Sink>,
}

impl Call {
    async fn open() -> Self {
        Self::open_over(PeerConfig { loopback: true, ..PeerConfig::default() }).await
    }

    async fn open_over(config: PeerConfig) -> Self {
        let mut page = Page::open(PAGE).await;
        let servers: Vec<Value> = config
            .ice_servers
            .iter()
            .map(|server| json!({ "urls": server.url, "username": server.username, "credential": server.credential.expose() }))
            .collect();
        let policy = if config.relay_only { "relay" } else { "all" };
        page.run("open", json!({ "iceServers": servers, "iceTransportPolicy": policy })).await;
        let received = Arc::new(Sink(Mutex::new(Received {
            assembler: FrameAssembler::new(),
            decoders: HashMap::new(),
            codec: None,
            sound: VoiceDecoder::new().unwrap(),
            frames: 0,
            size: (0, 0),
            contrast: 0,
            loudest: 0.0,
        })));
        let (peer, events) = Peer::open(&config, received.clone(), received.clone()).await.unwrap();
        Self { page, peer, events, received }
    }

    /// Offers from here; the browser answers.
    async fn offer(&mut self, restart: bool) {
        let offer = self.peer.offer(restart).await.unwrap();
        let answer = self.page.run("answer", json!(offer)).await;
        self.peer.accept(answer.as_str().unwrap().to_owned()).await.unwrap();
        self.connect().await;
    }

    /// The browser offers; this end answers.
    async fn be_offered(&mut self) {
        let offer = self.page.run("offer", json!(false)).await;
        let answer = self.peer.answer(offer.as_str().unwrap().to_owned()).await.unwrap();
        self.page.run("accept", json!(answer)).await;
        self.connect().await;
    }

    /// Passes candidates until both ends say that they are connected.
    async fn connect(&mut self) {
        let (mut here, mut there) = (false, false);
        let mut ask = tokio::time::interval(Duration::from_millis(30));
        tokio::time::timeout(Duration::from_secs(20), async {
            while !(here && there) {
                tokio::select! {
                    Some(event) = self.events.recv() => match event {
                        PeerEvent::Candidate(candidate) => {
                            let init = json!({
                                "candidate": candidate.candidate,
                                "sdpMid": candidate.sdp_mid,
                                "sdpMLineIndex": candidate.sdp_m_line_index,
                            });
                            self.page.run("candidate", init).await;
                        }
                        PeerEvent::State(state) => here = state == PeerState::Connected,
                        PeerEvent::GatheringComplete => {}
                    },
                    _ = ask.tick() => {
                        let news = self.page.run("news", json!(null)).await;
                        there = news["state"] == "connected";
                        for init in news["candidates"].as_array().unwrap() {
                            self.peer.add_candidate(candidate(init)).await.unwrap();
                        }
                    }
                }
            }
        })
        .await
        .expect("connected within 20 s");
        self.peer.set_connected(true);
    }

    /// Sends a blue picture and a tone until each end has more of the other's.
    async fn talk(&mut self) {
        let before = self.page.run("received", json!(null)).await;
        let frames = {
            let mut received = self.received.0.lock().unwrap();
            received.loudest = 0.0;
            received.frames
        };
        let config = EncoderConfig { width: 640, height: 360, kbps: 800, content: ContentHint::Motion };
        let codec = self.peer.media().codec(VideoSource::Camera);
        let mut encoder = codec.encoder(config).unwrap();
        let mut voice = VoiceEncoder::new().unwrap();
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        let mut last = Value::Null;
        for n in 0..1000_u32 {
            ticks.tick().await;
            let tone: Vec<f32> = (0..960)
                .map(|i| 0.3 * ((n * 960 + i) as f32 * 440.0 * std::f32::consts::TAU / 48_000.0).sin())
                .collect();
            let data = voice.encode(&tone).unwrap().to_vec().into();
            self.peer.media().audio(AudioPacket { timestamp: n * 960, captured: Instant::now(), data });
            if n % 2 == 0
                && let Some(encoded) =
                    encoder.encode(&blue(), i64::from(n) * 1800, 3600, n % 100 == 0).unwrap()
            {
                let data = encoded.data.to_vec().into();
                let frame = VideoFrame { timestamp: n * 1800, captured: Instant::now(), codec, data };
                self.peer.media().video(VideoSource::Camera, frame);
            }
            if n % 25 != 24 {
                continue;
            }
            last = self.page.run("received", json!(null)).await;
            let received = self.received.0.lock().unwrap();
            let more = |name: &str| last[name].as_f64() > before[name].as_f64();
            if more("framesDecoded")
                && more("audioEnergy")
                && received.frames > frames + 20
                && received.loudest > AUDIBLE
            {
                return;
            }
        }
        let received = self.received.0.lock().unwrap();
        panic!(
            "the browser got {last}; this end got {} pictures and sound up to {}",
            received.frames - frames,
            received.loudest
        );
    }

    /// Says that this end can take no more than so much, until the browser sends no more.
    async fn limit(&mut self, most: Bitrate) {
        let sends_more = |target: &Value| target.as_f64() > Some(most.as_f64());
        let talks = async {
            while !sends_more(&self.page.run("target", json!(null)).await) {
                self.talk().await;
            }
            while sends_more(&self.page.run("target", json!(null)).await) {
                self.peer.limit(VideoSource::Camera, most).await;
                self.talk().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), talks).await.expect("the browser heeds it");
    }

    async fn close(self) {
        tokio::time::timeout(Duration::from_secs(5), self.peer.close()).await.expect("the peer ends");
    }
}

fn blue() -> I420 {
    let mut picture = I420::black(640, 360);
    let (y, u, v) = picture.planes_mut();
    for (plane, value) in [y, u, v].into_iter().zip(BLUE) {
        plane.fill(value);
    }
    picture
}

fn candidate(init: &Value) -> Candidate {
    Candidate {
        candidate: init["candidate"].as_str().unwrap().to_owned(),
        sdp_mid: init["sdpMid"].as_str().map(str::to_owned),
        sdp_m_line_index: init["sdpMLineIndex"].as_u64().and_then(|n| u16::try_from(n).ok()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn this_end_offers_and_restarts() {
    let mut call = Call::open().await;
    call.offer(false).await;
    call.talk().await;
    let got = call.page.run("received", json!(null)).await;
    assert_eq!((got["width"].as_u64(), got["height"].as_u64()), (Some(640), Some(360)));
    let colour: Vec<u64> = got["colour"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    assert!(colour[2] > 200 && colour[0] < 60 && colour[1] < 60, "the browser shows {colour:?}, not blue");
    {
        let received = call.received.0.lock().unwrap();
        assert_eq!(received.size, (640, 360));
        assert!(received.contrast > 60, "the browser's picture is flat");
    }
    call.offer(true).await;
    call.talk().await;
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_browser_offers() {
    let mut call = Call::open().await;
    call.be_offered().await;
    call.talk().await;
    call.limit(Bitrate::kbps(200)).await;
    call.close().await;
}

/// H.264 both ways, whoever offers.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_speak_h264_where_this_end_shows_it() {
    let codecs = vec![VideoCodec::H264, VideoCodec::Vp8];
    let config = PeerConfig { loopback: true, video_codecs: codecs, ..PeerConfig::default() };
    for offers in [true, false] {
        let mut call = Call::open_over(config.clone()).await;
        if offers {
            call.offer(false).await;
        } else {
            call.be_offered().await;
        }
        assert_eq!(call.peer.media().codec(VideoSource::Camera), VideoCodec::H264);
        call.talk().await;
        let got = call.page.run("received", json!(null)).await;
        assert_eq!((got["width"].as_u64(), got["height"].as_u64()), (Some(640), Some(360)));
        let colour: Vec<u64> = got["colour"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
        assert!(
            colour[2] > 200 && colour[0] < 60 && colour[1] < 60,
            "the browser shows {colour:?}, not blue"
        );
        {
            let received = call.received.0.lock().unwrap();
            assert_eq!(received.size, (640, 360));
            assert!(received.contrast > 60, "the browser's picture is flat");
            // Who offers says which is the best; a browser's is VP8.
            assert_eq!(received.codec, Some(if offers { VideoCodec::H264 } else { VideoCodec::Vp8 }));
        }
        call.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_go_through_the_services_relay() {
    through_the_relay("?transport=udp").await;
}

/// The browser's own TURN client frames what it sends over TCP by itself: an error that both our ends
/// shared would show here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_go_through_the_services_relay_over_tcp() {
    through_the_relay("?transport=tcp").await;
}

async fn through_the_relay(over: &str) {
    let here = "127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap();
    let relay = RelayConfig { listen: here, tls: None, public_ip: here.ip(), allow_private: false };
    let relay = Relay::start(&relay, Secret::new(vec![7; 32])).await.unwrap();
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(5);
    let mut offered = relay.ice_servers().issue("somebody", "here", None, until).into_iter();
    let server = offered.find(|server| server.urls.ends_with(over)).unwrap();
    let server = IceServer {
        url: server.urls,
        username: server.username.unwrap(),
        credential: Secret::new(server.credential.unwrap().expose().to_owned()),
    };
    let config =
        PeerConfig { ice_servers: vec![server], relay_only: true, loopback: true, ..PeerConfig::default() };
    let mut call = Call::open_over(config).await;
    call.offer(false).await;
    call.talk().await;
    assert_eq!(call.page.run("received", json!(null)).await["pair"], "relay", "the browser's way");
    assert_eq!(call.peer.stats().await.relayed, Some(true), "this end's way");
    call.close().await;
    relay.stop().await;
}
