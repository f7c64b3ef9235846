//! A speaker of PulseAudio's (or of PipeWire's in its place), asked for directly.
//!
//! cpal 0.18 asks for a buffer of just two requests. The server keeps two requests back for the client
//! and gives the device half of what is left, which is nothing: the device then runs at its least
//! latency, wakes the server thousands of times a second and runs dry when the machine is busy. cpal has
//! no way to ask for another buffer.

use std::{ffi::CString, sync::Mutex};

use bedside_media::SAMPLE_RATE;
use futures_executor::block_on;
use futures_util::FutureExt;
use pulseaudio::{
    AsPlaybackSource, Client, ClientError, PlaybackStream,
    protocol::{ChannelMap, PlaybackStreamParams, SampleFormat, SampleSpec, stream},
};

use super::PlayoutSource;
use crate::{Trouble, run_before_others};

const BYTES_PER_SAMPLE: u32 = size_of::<f32>() as u32;
/// What the server asks for at a time, in samples: 10 ms, as the call's audio comes.
const REQUEST: u32 = SAMPLE_RATE / 100;
/// What it and the device keep, in samples: 40 ms. Two requests wait at the server, the device gets half
/// of the rest: 10 ms.
const KEPT: u32 = 4 * REQUEST;

/// The connection to the server, made when the first speaker is opened. It has a thread, and so there is
/// one.
#[derive(Default)]
pub(super) struct Pulse {
    client: Mutex<Option<Client>>,
}

impl Pulse {
    /// Opens the speaker of this name. Blocks until it plays or fails.
    pub(super) fn playout(
        &self,
        speaker: &str,
        source: impl PlayoutSource,
    ) -> Result<PlaybackStream, Trouble> {
        let client = self.client()?;
        let opened = open(&client, speaker, source);
        if matches!(&opened, Err(ClientError::Disconnected)) {
            // The server was restarted: the next attempt finds the new one.
            self.forget();
        }
        opened.map_err(|error| match error {
            ClientError::ServerUnavailable | ClientError::Disconnected => Trouble::Missing,
            error => Trouble::Other(error.to_string()),
        })
    }

    fn client(&self) -> Result<Client, Trouble> {
        let mut kept = self.client.lock().map_err(|_| Trouble::Other("a sound thread broke".into()))?;
        if let Some(client) = &*kept {
            return Ok(client.clone());
        }
        let client = Client::from_env(c"Bedside").map_err(|error| Trouble::Other(error.to_string()))?;
        Ok(kept.insert(client).clone())
    }

    fn forget(&self) {
        if let Ok(mut kept) = self.client.lock() {
            *kept = None;
        }
    }
}

/// Whether it has ended by itself, as when the server did.
pub(super) fn has_ended(stream: &PlaybackStream) -> bool {
    stream.source_eof().now_or_never().is_some()
}

fn open(
    client: &Client,
    speaker: &str,
    mut source: impl PlayoutSource,
) -> Result<PlaybackStream, ClientError> {
    let first = std::sync::Once::new();
    let mut samples: Vec<f32> = vec![];
    let give = move |bytes: &mut [u8]| {
        first.call_once(|| _ = run_before_others());
        samples.resize(bytes.len() / size_of::<f32>(), 0.0);
        source.play(&mut samples);
        for (bytes, sample) in bytes.chunks_exact_mut(size_of::<f32>()).zip(&samples) {
            bytes.copy_from_slice(&sample.to_le_bytes());
        }
        samples.len() * size_of::<f32>()
    };
    let params = PlaybackStreamParams {
        sample_spec: SampleSpec { format: SampleFormat::Float32Le, channels: 1, sample_rate: SAMPLE_RATE },
        channel_map: ChannelMap::mono(),
        sink_name: CString::new(speaker).ok(),
        buffer_attr: stream::BufferAttr {
            target_length: KEPT * BYTES_PER_SAMPLE,
            minimum_request_length: REQUEST * BYTES_PER_SAMPLE,
            ..Default::default()
        },
        flags: stream::StreamFlags { adjust_latency: true, ..Default::default() },
        ..Default::default()
    };
    block_on(client.create_playback_stream(params, give.as_playback_source()))
}
