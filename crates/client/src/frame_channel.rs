//! Pictures to the page: encoded or raw, acknowledged, never queued without a bound.
//!
//! A message is a header of 16 bytes and the picture. Header: kind (0 VP8, 1 I420, 2 H.264), flags
//! (1 key frame), width and height (u16), 2 bytes unused, sequence number (u32), when it is to be drawn
//! (u32: milliseconds since 1970, the lower half; 0 for at once); little-endian.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bedside_call::FreezeMeter;
use bedside_media::{AssembledFrame, I420, VideoCodec};

/// Takes a message for the page; false when the page is gone.
pub type FrameSink = Box<dyn Fn(Vec<u8>) -> bool + Send + Sync>;

/// Encoded pictures on their way to the page: one second. Then none until the next key frame.
const MAX_ENCODED: u32 = 30;
/// Raw pictures on their way: each is a hundred times larger. Then the newest is dropped.
const MAX_RAW: u32 = 2;

/// Pictures a second are counted over no less than this: two pictures after 50 ms say nothing.
const LEAST_COUNTED: Duration = Duration::from_millis(250);

/// One stream of pictures to the page.
#[derive(Default)]
pub struct FrameChannel {
    sink: Mutex<Option<FrameSink>>,
    raw: AtomicBool,
    sent: AtomicU32,
    acknowledged: AtomicU32,
    waits_for_key: AtomicBool,
    /// The page has as many as it may and takes none.
    is_behind: AtomicBool,
    wants_key: AtomicBool,
    size: AtomicU64,
    shown: Mutex<Shown>,
}

/// What the page has made of what it was given.
#[derive(Default)]
struct Shown {
    /// Pictures drawn.
    drawn: u64,
    /// Pictures that the page was too busy to draw.
    late: u64,
    freezes: FreezeMeter,
    /// Those on the way, in order.
    on_the_way: VecDeque<OnTheWay>,
    /// When the newest that was drawn should have been.
    newest: Option<Instant>,
    /// When the first was drawn since there has been something to see.
    since: Option<Instant>,
}

/// A picture that the page has and has not told of yet.
struct OnTheWay {
    number: u32,
    /// When it is to be drawn.
    due: Instant,
    /// It was due when it came: several of those come at once after a repair, and are no page's fault.
    was_due: bool,
}

/// How far a stream of pictures has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Progress {
    /// Pictures drawn so far.
    pub(crate) drawn: u64,
    /// Pictures so far that the page was too busy to draw.
    pub(crate) late: u64,
    /// Since when there has been something to see, without a pause; none where there is nothing.
    pub(crate) since: Option<Instant>,
    /// Width and height of the last.
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Progress {
    /// Pictures a second in the time that `passed` until `now`, of which only so much counts as there was
    /// something to see: a call does not begin with a weak connection.
    pub(crate) fn rate(self, before: Self, passed: Duration, now: Instant) -> u32 {
        let seen = self.since.map_or(passed, |since| now.saturating_duration_since(since));
        let counted = passed.min(seen.max(LEAST_COUNTED));
        ((self.drawn - before.drawn) as f64 / counted.as_secs_f64()).round() as u32
    }
}

impl FrameChannel {
    /// The page listens. `raw`: it can't decode, and is to be given I420.
    pub fn connect(&self, sink: FrameSink, raw: bool) {
        *self.sink.lock().unwrap_or_else(PoisonError::into_inner) = Some(sink);
        self.raw.store(raw, Ordering::Relaxed);
        self.sent.store(0, Ordering::Relaxed);
        self.acknowledged.store(0, Ordering::Relaxed);
        self.shown().on_the_way.clear();
        self.restart();
    }

    /// The page has taken everything up to `sequence`; `late` of it was not drawn.
    pub fn acknowledge(&self, sequence: u32, late: u32) {
        let taken = sequence.saturating_sub(self.acknowledged.fetch_max(sequence, Ordering::Relaxed));
        if taken == 0 {
            return;
        }
        let mut shown = self.shown();
        let late = late.min(taken);
        shown.drawn += u64::from(taken - late);
        let (mut newest, mut were_due) = (None, 0);
        while let Some(picture) = shown.on_the_way.pop_front_if(|picture| picture.number <= sequence) {
            newest = Some(picture.due);
            were_due += u32::from(picture.was_due);
        }
        shown.late += u64::from(late.saturating_sub(were_due));
        if late < taken {
            let now = Instant::now();
            shown.freezes.shown(now);
            shown.since.get_or_insert(now);
            shown.newest = newest.or(shown.newest);
        }
    }

    /// A picture was left out before the page had it, as it, or who decodes for it, is behind.
    pub(crate) fn note_left_out(&self) {
        self.shown().late += 1;
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much of the last ten seconds the picture stood still.
    pub(crate) fn freezes(&self, now: Instant) -> Duration {
        self.shown().freezes.frozen_lately(now)
    }

    /// How long ago the picture that is seen should have been: what the page holds up, and what does not
    /// come, counted. None where none is meant to be seen.
    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        self.shown().newest.map(|due| now.saturating_duration_since(due))
    }

    /// How long the picture has been due that the page has had for longest; but for the very last, which it
    /// tells of only with the next.
    pub(crate) fn behind(&self, now: Instant) -> Duration {
        let shown = self.shown();
        let oldest = shown.on_the_way.front().filter(|_| shown.on_the_way.len() > 1);
        oldest.map_or(Duration::ZERO, |oldest| now.saturating_duration_since(oldest.due))
    }

    /// The other side sends no picture now.
    pub(crate) fn pause(&self) {
        let mut shown = self.shown();
        shown.freezes.pause();
        shown.newest = None;
        shown.since = None;
        shown.on_the_way.clear();
    }

    /// Another connection's pictures come from now on.
    pub(crate) fn begin(&self) {
        let mut shown = self.shown();
        shown.freezes.restart();
        shown.newest = None;
        shown.since = None;
        shown.on_the_way.clear();
        drop(shown);
        self.size.store(0, Ordering::Relaxed);
    }

    /// The page's decoder lost its way: it needs a key frame.
    pub fn restart(&self) {
        self.waits_for_key.store(true, Ordering::Relaxed);
        self.wants_key.store(true, Ordering::Relaxed);
    }

    /// Whether a key frame should be asked for, once.
    pub(crate) fn take_key_request(&self) -> bool {
        self.wants_key.swap(false, Ordering::Relaxed)
    }

    /// Whether the page is to be given decoded pictures.
    pub(crate) fn wants_raw(&self) -> bool {
        self.raw.load(Ordering::Relaxed)
    }

    /// How far it has come.
    pub(crate) fn progress(&self) -> Progress {
        let size = self.size.load(Ordering::Relaxed);
        let shown = self.shown();
        Progress {
            drawn: shown.drawn,
            late: shown.late,
            since: shown.since,
            width: (size >> 32) as u32,
            height: size as u32,
        }
    }

    /// Gives an encoded picture, to be drawn in `wait`.
    pub(crate) fn encoded(&self, frame: &AssembledFrame, wait: Duration) {
        if let Some((width, height)) = frame.codec.key_frame_size(&frame.data) {
            self.size.store(u64::from(width) << 32 | u64::from(height), Ordering::Relaxed);
        }
        if self.on_the_way() >= MAX_ENCODED {
            // Nothing more until the page has caught up; the key frame is asked for then.
            self.waits_for_key.store(true, Ordering::Relaxed);
            self.is_behind.store(true, Ordering::Relaxed);
            self.note_left_out();
            return;
        }
        if self.is_behind.swap(false, Ordering::Relaxed) {
            self.wants_key.store(true, Ordering::Relaxed);
        }
        if self.waits_for_key.load(Ordering::Relaxed) && !frame.key {
            return;
        }
        let Progress { width, height, .. } = self.progress();
        let kind = match frame.codec {
            VideoCodec::Vp8 => 0,
            VideoCodec::H264 => 2,
        };
        let header = Header { key: frame.key, draw_at: draw_at(wait), ..Header::of(kind, width, height) };
        if self.send(header, &frame.data, wait) {
            self.waits_for_key.store(false, Ordering::Relaxed);
        }
    }

    /// Gives a raw picture, or drops it when the page is behind.
    pub(crate) fn picture(&self, picture: &I420) {
        self.size.store((picture.width() as u64) << 32 | picture.height() as u64, Ordering::Relaxed);
        if self.on_the_way() >= MAX_RAW {
            return self.note_left_out();
        }
        let (width, height) = (picture.width() as u32, picture.height() as u32);
        self.send(Header::of(1, width, height), picture.data(), Duration::ZERO);
    }

    fn on_the_way(&self) -> u32 {
        self.sent.load(Ordering::Relaxed).saturating_sub(self.acknowledged.load(Ordering::Relaxed))
    }

    fn send(&self, header: Header, data: &[u8], wait: Duration) -> bool {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(send) = sink.as_ref() else { return false };
        let sequence = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
        let mut message = Vec::with_capacity(16 + data.len());
        message.extend([header.kind, u8::from(header.key)]);
        message.extend(header.width.to_le_bytes());
        message.extend(header.height.to_le_bytes());
        message.extend([0; 2]);
        message.extend(sequence.to_le_bytes());
        message.extend(header.draw_at.to_le_bytes());
        message.extend(data);
        // Before the page can have taken it.
        let (due, was_due) = (Instant::now() + wait, wait.is_zero());
        self.shown().on_the_way.push_back(OnTheWay { number: sequence, due, was_due });
        if !send(message) {
            *sink = None;
            return false;
        }
        true
    }
}

/// What a message begins with, but for its number.
struct Header {
    kind: u8,
    key: bool,
    width: u16,
    height: u16,
    draw_at: u32,
}

impl Header {
    const fn of(kind: u8, width: u32, height: u32) -> Self {
        Self { kind, key: true, width: width as u16, height: height as u16, draw_at: 0 }
    }
}

/// By the clock that the page has too.
fn draw_at(wait: Duration) -> u32 {
    if wait.is_zero() {
        return 0;
    }
    let at = SystemTime::now() + wait;
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u32)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn frame(key: bool) -> AssembledFrame {
        AssembledFrame { timestamp: 0, codec: VideoCodec::Vp8, key, data: vec![u8::from(!key), 2, 3] }
    }

    fn feed() -> (FrameChannel, Arc<Mutex<Vec<Vec<u8>>>>) {
        let got = Arc::new(Mutex::new(vec![]));
        let feed = FrameChannel::default();
        let sink = got.clone();
        feed.connect(
            Box::new(move |message| {
                sink.lock().unwrap().push(message);
                true
            }),
            false,
        );
        (feed, got)
    }

    #[test]
    fn begins_with_a_key_frame_and_asks_for_it() {
        let (feed, got) = feed();
        assert!(feed.take_key_request() && !feed.take_key_request());
        feed.encoded(&frame(false), Duration::ZERO);
        assert!(got.lock().unwrap().is_empty());
        feed.encoded(&frame(true), Duration::ZERO);
        feed.encoded(&frame(false), Duration::ZERO);
        assert_eq!(got.lock().unwrap().iter().map(|m| m[1]).collect::<Vec<_>>(), [1, 0]);
        assert_eq!(got.lock().unwrap()[1][8], 2, "the sequence number");
    }

    #[test]
    fn a_page_that_falls_behind_is_given_nothing_until_a_key_frame() {
        let (feed, got) = feed();
        feed.encoded(&frame(true), Duration::ZERO);
        for _ in 0..100 {
            feed.encoded(&frame(false), Duration::ZERO);
        }
        feed.take_key_request();
        for _ in 0..100 {
            feed.encoded(&frame(true), Duration::ZERO);
        }
        assert_eq!(got.lock().unwrap().len(), MAX_ENCODED as usize, "key frames least of all");
        assert!(!feed.take_key_request(), "nor are more of them asked for");
        feed.acknowledge(MAX_ENCODED, 0);
        feed.encoded(&frame(false), Duration::ZERO);
        assert!(feed.take_key_request());
        assert_eq!(got.lock().unwrap().len(), MAX_ENCODED as usize, "not without a key frame");
        feed.encoded(&frame(true), Duration::ZERO);
        assert_eq!(got.lock().unwrap().len(), MAX_ENCODED as usize + 1);
    }

    #[test]
    fn what_came_too_late_is_not_drawn_and_what_is_seen_grows_old() {
        let (feed, _) = feed();
        let began = Instant::now();
        assert_eq!(feed.age(began), None, "nothing is seen");
        feed.encoded(&frame(true), Duration::ZERO);
        for _ in 0..3 {
            feed.encoded(&frame(false), Duration::from_millis(200));
        }
        feed.acknowledge(1, 0);
        assert_eq!((feed.progress().drawn, feed.progress().late), (1, 0));
        let later = Instant::now() + Duration::from_secs(3);
        let age = feed.age(later).unwrap();
        assert!(age >= Duration::from_secs(3) && age < later - began, "{age:?}");
        feed.acknowledge(4, 2);
        assert_eq!((feed.progress().drawn, feed.progress().late), (2, 2));
        assert!(feed.age(later).unwrap() < Duration::from_millis(2_900), "it was to be drawn later");
        feed.acknowledge(4, 9);
        assert_eq!(feed.progress().late, 2, "said twice");
        for _ in 0..3 {
            feed.encoded(&frame(false), Duration::ZERO);
        }
        feed.acknowledge(7, 2);
        assert_eq!(
            (feed.progress().drawn, feed.progress().late),
            (3, 2),
            "what came at once is nobody's fault"
        );
        feed.pause();
        assert_eq!(feed.age(later), None, "their camera is off");
    }

    #[test]
    fn a_stream_that_stops_is_no_page_that_is_behind() {
        let (feed, _) = feed();
        feed.encoded(&frame(true), Duration::ZERO);
        let later = Instant::now() + Duration::from_secs(5);
        assert_eq!(feed.behind(later), Duration::ZERO, "the last is told of with the next");
        feed.encoded(&frame(false), Duration::ZERO);
        assert!(feed.behind(later) > Duration::from_secs(4));
        feed.pause();
        assert_eq!(feed.behind(later), Duration::ZERO, "their camera is off");
    }

    #[test]
    fn the_second_in_which_the_first_picture_comes_has_the_rate_of_what_is_seen() {
        let now = Instant::now();
        let at = |drawn, ms| Progress {
            drawn,
            since: now.checked_sub(Duration::from_millis(ms)),
            ..Progress::default()
        };
        let second = Duration::from_secs(1);
        assert_eq!(at(9, 300).rate(Progress::default(), second, now), 30);
        assert_eq!(at(2, 50).rate(Progress::default(), second, now), 8, "over a quarter of a second");
        assert_eq!(at(24, 5_000).rate(Progress::default(), second, now), 24);
        assert_eq!(Progress::default().rate(Progress::default(), second, now), 0);
    }

    #[test]
    fn pictures_that_a_slow_page_is_not_even_given_count_as_well() {
        let (feed, _) = feed();
        for _ in 0..5 {
            feed.picture(&I420::black(320, 180));
        }
        assert_eq!(feed.progress().late, u64::from(5 - MAX_RAW));
        feed.acknowledge(2, 2);
        assert_eq!((feed.progress().drawn, feed.age(Instant::now())), (0, None), "none of them was drawn");
    }
}
