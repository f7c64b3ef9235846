//! What was sent, until the receiver has told of it.

use std::{collections::VecDeque, time::Instant};

use bedside_bwe::{DataSize, PacketResult};
use rtc::{interceptor::convert_twcc, rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc};

/// Packets remembered: ten seconds of the best picture and audio. The oldest are forgotten.
const MOST: usize = 4_096;

#[derive(Clone, Copy, Debug)]
struct Sent {
    departure: Instant,
    size: DataSize,
    is_told: bool,
}

/// Packets sent, by transport-wide number.
#[derive(Debug, Default)]
pub(super) struct History {
    sent: VecDeque<Sent>,
    /// Number of the first of them.
    first: u64,
}

impl History {
    /// The number of the next packet (draft-holmer-rmcat-transport-wide-cc-extensions-01 §2).
    pub(super) fn next_number(&self) -> u16 {
        (self.first + self.sent.len() as u64) as u16
    }

    /// The packet with the next number left.
    pub(super) fn push(&mut self, departure: Instant, size: DataSize) {
        self.sent.push_back(Sent { departure, size, is_told: false });
        if self.sent.len() > MOST {
            self.sent.pop_front();
            self.first += 1;
        }
    }

    /// What a feedback tells of packets that nothing was told of yet, in the order of sending. What
    /// it does not cover stays unknown: a feedback that was lost is not a loss of packets.
    pub(super) fn take(&mut self, feedback: &TransportLayerCc) -> Vec<PacketResult> {
        let told = convert_twcc(feedback);
        let mut results = Vec::with_capacity(told.len());
        // The stack gives whole chunks, beyond the packets that the feedback covers (0.21.1).
        for told in told.iter().take(usize::from(feedback.packet_status_count)) {
            let Some(sent) = self.get(told.sequence_number) else { continue };
            if !sent.is_told && (!told.arrived || told.arrival.is_some()) {
                sent.is_told = true;
                results.push(PacketResult {
                    departure: sent.departure,
                    arrival: told.arrival.filter(|_| told.arrived),
                    size: sent.size,
                });
            }
        }
        results
    }

    fn get(&mut self, number: u16) -> Option<&mut Sent> {
        let at = number.wrapping_sub(self.first as u16);
        self.sent.get_mut(usize::from(at))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rtc::rtcp::transport_feedbacks::transport_layer_cc::{
        PacketStatusChunk, RecvDelta, StatusChunkTypeTcc, StatusVectorChunk, SymbolSizeTypeTcc, SymbolTypeTcc,
    };

    use super::*;

    /// A feedback on packets from `base` on: whether each arrived.
    fn feedback(base: u16, arrived: &[bool]) -> TransportLayerCc {
        let symbol = |arrived: &bool| {
            if *arrived { SymbolTypeTcc::PacketReceivedSmallDelta } else { SymbolTypeTcc::PacketNotReceived }
        };
        let mut symbol_list: Vec<_> = arrived.iter().map(symbol).collect();
        symbol_list.resize(14, SymbolTypeTcc::PacketNotReceived);
        TransportLayerCc {
            base_sequence_number: base,
            packet_status_count: arrived.len() as u16,
            reference_time: 10,
            packet_chunks: vec![PacketStatusChunk::StatusVectorChunk(StatusVectorChunk {
                type_tcc: StatusChunkTypeTcc::StatusVectorChunk,
                symbol_size: SymbolSizeTypeTcc::OneBit,
                symbol_list,
            })],
            recv_deltas: arrived
                .iter()
                .filter(|arrived| **arrived)
                .map(|_| RecvDelta { type_tcc_packet: SymbolTypeTcc::PacketReceivedSmallDelta, delta: 1_000 })
                .collect(),
            ..TransportLayerCc::default()
        }
    }

    fn history(packets: u64) -> History {
        let mut history = History::default();
        let began = Instant::now();
        for n in 0..packets {
            history.push(began + Duration::from_millis(n), DataSize::bytes(100));
        }
        history
    }

    #[test]
    fn each_packet_is_told_of_once_and_none_that_is_not_covered() {
        let mut history = history(20);
        let results = history.take(&feedback(3, &[true, false, true]));
        assert_eq!(results.iter().map(|r| r.arrival.is_some()).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(history.take(&feedback(4, &[false, true, true])).len(), 1, "the third is new");
        assert!(history.take(&feedback(900, &[true; 9])).is_empty(), "what was never sent");
    }

    #[test]
    fn numbers_wrap_around_and_little_is_remembered() {
        let mut history = history(65_540);
        assert_eq!((history.next_number(), history.sent.len()), (4, MOST));
        assert_eq!(history.take(&feedback(65_534, &[true; 6])).len(), 6);
        assert!(history.take(&feedback(100, &[true; 6])).is_empty(), "forgotten");
    }
}
