//! What the other end says of what it receives: read on its way in, because the stack keeps
//! RTCP to itself and its own counters of it stay at zero (0.21.1).

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use rtc::{
    interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket},
    rtcp::{
        payload_feedbacks::{
            full_intra_request::FullIntraRequest, picture_loss_indication::PictureLossIndication,
        },
        receiver_report::ReceiverReport,
        transport_feedbacks::transport_layer_cc::TransportLayerCc,
    },
    sansio::Protocol,
    shared::error::Error,
};

use crate::Inbound;

/// Nearest to the wire, so that it sees all that comes in.
pub(crate) const SLOT: usize = 500;

pub(crate) struct Feedback {
    read: VecDeque<TaggedPacket>,
    written: VecDeque<TaggedPacket>,
    inbound: Arc<dyn Inbound>,
    audio_ssrc: u32,
    known_from: Arc<KnownFrom>,
    /// Count of the last transport-wide feedback.
    count: Option<u8>,
}

impl Feedback {
    pub(crate) fn new(inbound: Arc<dyn Inbound>, audio_ssrc: u32, known_from: Arc<KnownFrom>) -> Self {
        Self { read: VecDeque::new(), written: VecDeque::new(), inbound, audio_ssrc, known_from, count: None }
    }

    fn on_transport_feedback(&mut self, feedback: &TransportLayerCc) {
        let is_next = self.count.is_none_or(|count| feedback.fb_pkt_count == count.wrapping_add(1));
        self.count = Some(feedback.fb_pkt_count);
        if !is_next {
            self.known_from.set(feedback.base_sequence_number);
        }
    }
}

/// The first packet, by transport-wide number, that a feedback tells of whose predecessor was
/// lost. What the lost one would have told of, the stack (0.21.1) counts as lost itself.
#[derive(Debug)]
pub(crate) struct KnownFrom(AtomicU32);

impl Default for KnownFrom {
    fn default() -> Self {
        Self(AtomicU32::new(Self::NONE))
    }
}

impl KnownFrom {
    const NONE: u32 = u32::MAX;

    fn set(&self, number: u16) {
        self.0.store(u32::from(number), Ordering::Relaxed);
    }

    /// The number, once.
    pub(crate) fn take(&self) -> Option<u16> {
        u16::try_from(self.0.swap(Self::NONE, Ordering::Relaxed)).ok()
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Feedback {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &message.message.packet {
            for packet in packets {
                let packet = packet.as_any();
                if packet.is::<PictureLossIndication>() || packet.is::<FullIntraRequest>() {
                    self.inbound.key_frame_wanted();
                } else if let Some(feedback) = packet.downcast_ref::<TransportLayerCc>() {
                    self.on_transport_feedback(feedback);
                } else if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
                    for block in &report.reports {
                        // Q8, RFC 3550 §6.4.1.
                        self.inbound
                            .loss(block.ssrc == self.audio_ssrc, f32::from(block.fraction_lost) / 256.0);
                    }
                }
            }
        }
        self.read.push_back(message);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.read.pop_front()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        self.written.push_back(message);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.written.pop_front()
    }
}

impl Interceptor for Feedback {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
