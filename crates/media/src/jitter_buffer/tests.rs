//! Streams through networks, and through what no network does.

use proptest::prelude::*;

use super::*;
use crate::opus::VoiceEncoder;

/// The packet with this number of a stream in packets of 20 ms.
fn numbered(number: u16, data: &[u8]) -> OpusPacket<'_> {
    OpusPacket { ssrc: 1, sequence: number, timestamp: u32::from(number) * PACKET_SAMPLES as u32, data }
}

/// A sample of something with a voice's pitch and syllables, which libopus takes for one and gives
/// redundancy to; to a steady tone it gives none.
fn voice(sample: usize) -> f32 {
    let t = sample as f32 / SAMPLE_RATE as f32;
    let turn = std::f32::consts::TAU;
    let phase = 160.0 * t + 6.0 * (2.0 * t * turn).sin();
    let syllables = 0.55 + 0.45 * (4.0 * t * turn).sin();
    syllables * (1..6).map(|k| 0.35 / k as f32 * (phase * k as f32 * turn).sin()).sum::<f32>()
}

/// A voice sent in packets of 20 ms through a network given as a delay in
/// milliseconds for each packet, none for lost; played at its own pace.
fn play(network: impl Fn(usize) -> Option<u64>, packets: usize) -> (Vec<f32>, JitterStats) {
    let mut encoder = VoiceEncoder::new().unwrap();
    let mut arrivals: Vec<(u64, u16, Vec<u8>)> = vec![];
    for n in 0..packets {
        let sound: Vec<f32> = (0..PACKET_SAMPLES).map(|i| voice(n * PACKET_SAMPLES + i)).collect();
        let packet = encoder.encode(&sound).unwrap().to_vec();
        if let Some(delay) = network(n) {
            arrivals.push((n as u64 * 20 + delay, n as u16, packet));
        }
    }
    arrivals.sort_by_key(|a| a.0);
    let mut arrivals = arrivals.into_iter().peekable();
    let mut buffer = JitterBuffer::new().unwrap();
    let mut out = vec![];
    for ms in 0..packets as u64 * 20 {
        while arrivals.peek().is_some_and(|a| a.0 <= ms) {
            let (_, n, packet) = arrivals.next().unwrap();
            buffer.push(&numbered(n, &packet));
        }
        if ms % 10 == 0 {
            out.extend(buffer.pull().unwrap());
        }
    }
    (out, buffer.stats())
}

/// Cheap, repeatable noise from 0 to `range`.
fn noise(n: usize, range: u64) -> u64 {
    let mut x = n as u64 ^ 0x9e37_79b9_7f4a_7c15;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) % (range + 1)
}

#[test]
fn an_even_network_costs_next_to_nothing() {
    let (out, stats) = play(|_| Some(30), 500);
    assert_eq!(stats.concealed, 0, "{stats:?}");
    assert!(stats.level <= Duration::from_millis(50), "{stats:?}");
    let loud = out.iter().skip(48_000).map(|s| s * s).sum::<f32>() / (out.len() - 48_000) as f32;
    assert!(loud > 0.02, "the voice is heard: {loud}");
}

#[test]
fn lost_packets_are_repaired_or_concealed() {
    let (_, stats) = play(|n| (noise(n, 99) >= 10).then_some(30), 1_000);
    let lost = (0..1_000).filter(|n| noise(*n, 99) < 10).count() as u64 * PACKET_SAMPLES as u64;
    assert!(stats.recovered + stats.concealed >= lost * 9 / 10, "{stats:?}, lost {lost}");
    assert!(stats.recovered > stats.concealed, "most single losses are repaired: {stats:?}");
    assert!(stats.level < Duration::from_millis(100), "{stats:?}");
}

#[test]
fn jitter_is_waited_out() {
    let (_, stats) = play(|n| Some(30 + noise(n, 60)), 1_000);
    assert!(stats.concealed < stats.played / 25, "{stats:?}");
    assert!((40..=110).contains(&stats.level.as_millis()), "{stats:?}");
}

#[test]
fn a_burst_that_comes_again_finds_enough() {
    // Every five seconds the network stands still for 50 ms, as a busy machine does.
    let (_, stats) = play(|n| Some(if n % 250 == 249 { 80 } else { 30 }), 3_000);
    assert!(stats.concealed <= 3 * PACKET_SAMPLES as u64, "only the first one is heard: {stats:?}");
    assert!(stats.level < Duration::from_millis(110), "{stats:?}");
}

#[test]
fn what_was_made_up_for_is_not_made_up_again() {
    // Half a second is lost, as when a laptop changes to another access point.
    let (_, stats) = play(|n| (!(250..275).contains(&n)).then_some(30), 1_500);
    assert!(stats.concealed <= 30 * PACKET_SAMPLES as u64, "{stats:?}");
    assert!(stats.level < Duration::from_millis(120), "{stats:?}");
}

#[test]
fn a_long_burst_that_comes_again_finds_enough() {
    let (_, stats) =
        play(|n| Some(if n % 250 >= 240 { 30 + (250 - n as u64 % 250) * 20 } else { 30 }), 3_000);
    // Twelve bursts of ten packets: the first two are heard, and one when it is forgotten.
    assert!(stats.concealed <= 36 * PACKET_SAMPLES as u64, "{stats:?}");
}

#[test]
fn it_goes_back_when_the_network_calms_down() {
    let (_, stats) = play(|n| Some(if n < 250 { 30 + noise(n, 150) } else { 30 }), 1_500);
    assert!(stats.accelerated > 0, "{stats:?}");
    assert!(stats.level < Duration::from_millis(70), "{stats:?}");
}

#[test]
fn an_interruption_is_survived() {
    let (out, stats) = play(|n| (!(200..400).contains(&n)).then_some(30), 600);
    let end = &out[out.len() - 48_000..];
    assert!(end.iter().map(|s| s * s).sum::<f32>() / 48_000.0 > 0.02, "the voice is back: {stats:?}");
}

#[test]
fn what_nobody_listened_to_is_not_played() {
    let mut encoder = VoiceEncoder::new().unwrap();
    let mut buffer = JitterBuffer::new().unwrap();
    let mut come = |buffer: &mut JitterBuffer, numbers: std::ops::Range<u16>| {
        for number in numbers {
            buffer.push(&numbered(number, encoder.encode(&[0.1; PACKET_SAMPLES]).unwrap()));
        }
    };
    come(&mut buffer, 0..150);
    buffer.pull().unwrap();
    assert!(buffer.stats().level <= START, "at the beginning: {:?}", buffer.stats().level);
    come(&mut buffer, 150..220);
    buffer.pull().unwrap();
    assert!(buffer.stats().level <= START, "later on: {:?}", buffer.stats().level);
    assert_eq!(buffer.stats().concealed, 0);
}

#[test]
fn numbers_may_wrap_around() {
    let mut encoder = VoiceEncoder::new().unwrap();
    let packet = encoder.encode(&[0.1; PACKET_SAMPLES]).unwrap().to_vec();
    let mut buffer = JitterBuffer::new().unwrap();
    for n in 0..100_u32 {
        let sequence = 65_500_u16.wrapping_add(n as u16);
        let timestamp = (u32::MAX - 20_000).wrapping_add(n * PACKET_SAMPLES as u32);
        buffer.push(&OpusPacket { ssrc: 1, sequence, timestamp, data: &packet });
        buffer.pull().unwrap();
        buffer.pull().unwrap();
    }
    let stats = buffer.stats();
    assert_eq!((stats.late_packets, stats.concealed), (0, 0), "{stats:?}");
}

/// Packets of a voice.
fn spoken(packets: usize) -> Vec<Vec<u8>> {
    let mut encoder = VoiceEncoder::new().unwrap();
    (0..packets)
        .map(|n| {
            let pcm: Vec<f32> = (0..PACKET_SAMPLES).map(|i| voice(n * PACKET_SAMPLES + i)).collect();
            encoder.encode(&pcm).unwrap().to_vec()
        })
        .collect()
}

/// Plays packets at their pace from `sequence` and `timestamp` on; gives the power of the last
/// second, or of all where there is less.
fn power_of(buffer: &mut JitterBuffer, packets: &[Vec<u8>], ssrc: u32, sequence: u16, timestamp: u32) -> f32 {
    let mut heard = vec![];
    for (n, data) in packets.iter().enumerate() {
        buffer.push(&OpusPacket {
            ssrc,
            sequence: sequence.wrapping_add(n as u16),
            timestamp: timestamp.wrapping_add((n * PACKET_SAMPLES) as u32),
            data,
        });
        heard.extend(buffer.pull().unwrap());
        heard.extend(buffer.pull().unwrap());
    }
    let last = &heard[heard.len().saturating_sub(SAMPLE_RATE as usize)..];
    last.iter().map(|s| s * s).sum::<f32>() / last.len() as f32
}

const AUDIBLE: f32 = 0.02;

#[test]
fn a_level_that_falls_while_the_next_packet_is_missing_is_no_end() {
    // The audio of a whole call died so: too much waits, the next packet is missing, and once a period
    // is left out of what is decoded, less than a frame remains ("range end index 480 out of range").
    let mut encoder = VoiceEncoder::new().unwrap();
    let mut buffer = JitterBuffer::new().unwrap();
    let hum = |sample: usize| (sample as f32 / SAMPLE_RATE as f32 * 160.0 * std::f32::consts::TAU).sin();
    for n in 0..3_000 {
        let pcm: Vec<f32> = (0..PACKET_SAMPLES).map(|i| 0.3 * hum(n * PACKET_SAMPLES + i)).collect();
        let data = encoder.encode(&pcm).unwrap().to_vec();
        if noise(n, 99) >= 15 {
            buffer.push(&numbered(n as u16, &data));
        }
        // A speaker that takes nothing for a while, and much at once.
        let frames = match noise(n + 7, 9) {
            0 | 1 => 0,
            8 | 9 => 4,
            _ => 2,
        };
        for _ in 0..frames {
            buffer.pull().unwrap();
        }
    }
    assert!(buffer.stats().accelerated > 0, "{:?}", buffer.stats());
}

#[test]
fn a_stream_that_goes_on_elsewhere_is_heard() {
    let packets = spoken(150);
    for (ssrc, sequence, timestamp) in
        [(1, 60_000, 17), (1, 151, 3_000_000_000), (2, 150, 144_000), (1, 0, 0)]
    {
        let mut buffer = JitterBuffer::new().unwrap();
        power_of(&mut buffer, &packets, 1, 0, 0);
        let power = power_of(&mut buffer, &packets, ssrc, sequence, timestamp);
        assert!(power > AUDIBLE, "{power} with {ssrc} {sequence} {timestamp}: {:?}", buffer.stats());
    }
}

#[test]
fn a_stray_packet_costs_nothing() {
    let packets = spoken(150);
    let mut buffer = JitterBuffer::new().unwrap();
    power_of(&mut buffer, &packets[..100], 1, 0, 0);
    let before = buffer.stats().concealed;
    buffer.push(&OpusPacket { ssrc: 1, sequence: 30_000, timestamp: 9_000_000, data: &packets[0] });
    power_of(&mut buffer, &packets[100..], 1, 100, 96_000);
    assert_eq!(buffer.stats().concealed, before, "{:?}", buffer.stats());
    assert_eq!(buffer.stats().invalid_packets, 1);
}

#[test]
fn packets_may_have_another_length() {
    let mono = ::opus::Encoder::new(SAMPLE_RATE, ::opus::Channels::Mono, ::opus::Application::Audio);
    let mut encoder = mono.unwrap();
    let pcm: Vec<f32> = (0..2_880).map(|i| 0.3 * (i as f32 * 0.02).sin()).collect();
    let mut buffer = JitterBuffer::new().unwrap();
    for n in 0..60_u16 {
        let data = encoder.encode_vec_float(&pcm, 1_275).unwrap();
        buffer.push(&OpusPacket { ssrc: 1, sequence: n, timestamp: u32::from(n) * 2_880, data: &data });
        for _ in 0..6 {
            buffer.pull().unwrap();
        }
    }
    let stats = buffer.stats();
    assert!(stats.concealed <= 2_880 && stats.late_packets == 0, "{stats:?}");
}

#[test]
fn a_pause_of_the_sender_is_no_loss() {
    let packets = spoken(200);
    let mut buffer = JitterBuffer::new().unwrap();
    power_of(&mut buffer, &packets[..100], 1, 0, 0);
    let before = buffer.stats();
    // RFC 7587 §3.1.3: a packet of two bytes, then nothing for 400 ms.
    buffer.push(&OpusPacket { ssrc: 1, sequence: 100, timestamp: 96_000, data: &[packets[0][0] & !3, 0] });
    for _ in 0..40 {
        buffer.pull().unwrap();
    }
    power_of(&mut buffer, &packets[100..], 1, 101, 96_000 + 19_200);
    let after = buffer.stats();
    assert!(after.concealed - before.concealed <= 960, "{before:?} {after:?}");
}

/// What may happen to a buffer.
#[derive(Clone, Debug)]
enum Event {
    /// A packet so far from the newest, in packets and in samples.
    Push {
        ahead: i16,
        later: i32,
        kind: u8,
    },
    Pull(u8),
}

fn event() -> impl Strategy<Value = Event> {
    let near = (-8_i16..20, 0_u8..6).prop_map(|(ahead, kind)| Event::Push {
        ahead,
        later: i32::from(ahead) * PACKET_SAMPLES as i32,
        kind,
    });
    let anywhere = (any::<i16>(), any::<i32>(), 0_u8..6).prop_map(|(ahead, later, kind)| Event::Push {
        ahead,
        later,
        kind,
    });
    let crooked = (-3_i16..6, -3_000_i32..6_000, 0_u8..6).prop_map(|(ahead, later, kind)| Event::Push {
        ahead,
        later,
        kind,
    });
    prop_oneof![6 => near, 1 => anywhere, 1 => crooked, 6 => (1_u8..12).prop_map(Event::Pull)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Whatever comes in whatever order, with whatever waits: it never panics, gives a whole frame
    /// each time, keeps no more than it may, and plays what comes afterwards.
    #[test]
    fn any_stream_is_survived(events in prop::collection::vec(event(), 1..200)) {
        let packets = spoken(200);
        let mut buffer = JitterBuffer::new().unwrap();
        let (mut sequence, mut timestamp) = (0_u16, 0_u32);
        for event in events {
            match event {
                Event::Push { ahead, later, kind } => {
                    let (at, when) = (sequence.wrapping_add_signed(ahead), timestamp.wrapping_add_signed(later));
                    let good = &packets[usize::from(at) % packets.len()];
                    let data: &[u8] = match kind {
                        0 => &[],
                        1 => &[0xff; 7],
                        2 => &good[..good.len() / 2],
                        3 => &[0x08, 0],
                        _ => good,
                    };
                    buffer.push(&OpusPacket { ssrc: 1 + u32::from(kind == 5 && ahead == 3), sequence: at, timestamp: when, data });
                    if ahead > 0 && later > 0 {
                        (sequence, timestamp) = (at, when);
                    }
                }
                Event::Pull(times) => {
                    for _ in 0..times {
                        let frame = buffer.pull().unwrap();
                        prop_assert!(frame.iter().all(|sample| sample.is_finite()));
                    }
                }
            }
            prop_assert!(buffer.packets.len() <= MAX_PACKETS);
            prop_assert!(buffer.pcm.len() <= 12_000, "{}", buffer.pcm.len());
        }
        let power = power_of(&mut buffer, &packets, 9, 12_345, 67_890);
        prop_assert!(power > AUDIBLE, "{}: {:?}", power, buffer.stats());
    }
}
