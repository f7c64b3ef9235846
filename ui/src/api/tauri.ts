import { Channel, invoke } from "@tauri-apps/api/core";

import type { Backend } from "./backend";
import type { Snapshot, UiEvent } from "./bindings";
import { withChange } from "./change";

/** A call whose failure means that the core is gone, and the window with it. */
function call(command: string, args: Record<string, unknown>): void {
  invoke(command, args).catch(() => undefined);
}

/** The core behind this window. */
export function tauriBackend(): Backend {
  return {
    ask: (ask) => {
      call("act", { ask });
    },
    watch: (onSnapshot, onLevels) => {
      const channel = new Channel<UiEvent>();
      let known: Snapshot | null = null;
      channel.onmessage = (told) => {
        if (told.kind === "levels") {
          onLevels(told.value);
          return;
        }
        // A change without a state that it is of can't come.
        if (told.kind === "snapshot") known = told.value;
        else if (known) known = withChange(known, told.value);
        if (known) onSnapshot(known);
      };
      call("watch", { channel });
    },
    meters: (on) => {
      call("meters", { on });
    },
    pictures: (which, raw, onMessage) => {
      const channel = new Channel<ArrayBuffer | number[]>();
      // A picture of less than a kilobyte comes as numbers.
      channel.onmessage = (message) => {
        onMessage(message instanceof ArrayBuffer ? message : new Uint8Array(message).buffer);
      };
      call("pictures", { which, raw, channel });
    },
    acknowledge: (which, sequence, late) => {
      call("acknowledge", { which, sequence, late });
    },
    decoderLost: (which) => {
      call("decoder_lost", { which });
    },
    sendFile: (name, bytes) => {
      invoke("send_file", bytes, { headers: { "x-name": encodeURIComponent(name) } }).catch(
        () => undefined,
      );
    },
    fetchFile: (attachment) => invoke<ArrayBuffer>("fetch_file", { attachment }),
  };
}
