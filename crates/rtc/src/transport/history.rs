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
    told: Reported,
}

/// What was told of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reported {
    Nothing,
    /// It had not arrived. It may have been overtaken, which the next feedback tells.
    Missing,
    Done,
}

/// Packets sent, by transport-wide number.
#[derive(Debug, Default)]
pub(super) struct History {
    sent: VecDeque<Sent>,
    /// Number of the first of them.
    first: u64,
    /// Reported to be missing by the feedback before.
    missing: Vec<u16>,
}

impl History {
    /// The number of the next packet (draft-holmer-rmcat-transport-wide-cc-extensions-01 §2).
    pub(super) fn next_number(&self) -> u16 {
        (self.first + self.sent.len() as u64) as u16
    }

    /// The packet with the next number left.
    pub(super) fn push(&mut self, departure: Instant, size: DataSize) {
        self.sent.push_back(Sent { departure, size, told: Reported::Nothing });
        if self.sent.len() > MOST {
            self.sent.pop_front();
            self.first += 1;
        }
    }

    /// What became of packets of which that was not known yet, in the order of sending. One that is told
    /// to be missing is lost once a later feedback has not told that it came after all. What no feedback
    /// covers stays unknown: a feedback that was lost is not a loss of packets.
    pub(super) fn take(&mut self, feedback: &TransportLayerCc) -> Vec<PacketResult> {
        let told = convert_twcc(feedback);
        let mut results = Vec::with_capacity(told.len());
        let mut missing = vec![];
        // The stack gives whole chunks, beyond the packets that the feedback covers (0.21.1).
        for told in told.iter().take(usize::from(feedback.packet_status_count)) {
            let Some(sent) = self.get(told.sequence_number) else { continue };
            match (sent.told, told.arrival.filter(|_| told.arrived)) {
                (Reported::Nothing | Reported::Missing, Some(arrival)) => {
                    sent.told = Reported::Done;
                    results.push(PacketResult {
                        departure: sent.departure,
                        arrival: Some(arrival),
                        size: sent.size,
                    });
                }
                (Reported::Nothing, None) if !told.arrived => {
                    sent.told = Reported::Missing;
                    missing.push(told.sequence_number);
                }
                _ => {}
            }
        }
        for number in std::mem::replace(&mut self.missing, missing) {
            if let Some(sent) = self.get(number).filter(|sent| sent.told == Reported::Missing) {
                sent.told = Reported::Done;
                let lost = PacketResult { departure: sent.departure, arrival: None, size: sent.size };
                results.push(lost);
            }
        }
        results.sort_by_key(|result| result.departure);
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

    fn arrived(results: &[PacketResult]) -> Vec<bool> {
        results.iter().map(|result| result.arrival.is_some()).collect()
    }

    #[test]
    fn each_packet_is_told_of_once_and_none_that_is_not_covered() {
        let mut history = history(20);
        assert_eq!(arrived(&history.take(&feedback(3, &[true, false, true]))), [true, true]);
        assert_eq!(arrived(&history.take(&feedback(6, &[true]))), [false, true], "the fourth is lost");
        assert!(history.take(&feedback(3, &[true, true, true])).is_empty(), "all of that was told");
        assert!(history.take(&feedback(900, &[true; 9])).is_empty(), "what was never sent");
    }

    #[test]
    fn a_packet_that_was_overtaken_is_not_lost() {
        let mut history = history(20);
        assert_eq!(arrived(&history.take(&feedback(3, &[true, false, true]))), [true, true]);
        assert_eq!(
            arrived(&history.take(&feedback(4, &[true, true, true]))),
            [true, true],
            "it and the next"
        );
        assert!(history.take(&feedback(7, &[true])).iter().all(|result| result.arrival.is_some()));
    }

    #[test]
    fn numbers_wrap_around_and_little_is_remembered() {
        let mut history = history(65_540);
        assert_eq!((history.next_number(), history.sent.len()), (4, MOST));
        assert_eq!(history.take(&feedback(65_534, &[true; 6])).len(), 6);
        assert!(history.take(&feedback(100, &[true; 6])).is_empty(), "forgotten");
    }
}
