import {
  createContext,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useState,
  useSyncExternalStore,
  type ReactNode,
} from "react";

import type { Backend, Levels } from "./backend";
import type { Command, Snapshot } from "./bindings";
import { withNextPicture } from "../parts/beat";

/** Loudness changes fifteen times a second: only meters listen to it, not every screen. */
class LevelStore {
  private current: Levels = { microphone: 0, speaker: 0 };
  private readonly listeners = new Set<() => void>();
  private readonly backend: Backend;

  constructor(backend: Backend) {
    this.backend = backend;
  }

  readonly get = () => this.current;

  readonly tell = (levels: Levels) => {
    this.current = levels;
    withNextPicture(this.changed);
  };

  private readonly changed = () => {
    this.listeners.forEach((changed) => {
      changed();
    });
  };

  readonly subscribe = (changed: () => void) => {
    this.listeners.add(changed);
    if (this.listeners.size === 1) this.backend.meters(true);
    return () => {
      this.listeners.delete(changed);
      if (this.listeners.size === 0) this.backend.meters(false);
    };
  };
}

interface Store {
  backend: Backend;
  levels: LevelStore;
}

const StoreContext = createContext<Store | null>(null);
const SnapshotContext = createContext<Snapshot | null>(null);

/** Connects the page to a core and keeps its newest state. */
export function BackendProvider({ backend, children }: { backend: Backend; children: ReactNode }) {
  const [snapshot, setSnapshot] = useState<Snapshot | null>(null);
  const store = useMemo(() => ({ backend, levels: new LevelStore(backend) }), [backend]);
  useEffect(() => {
    store.backend.watch(setSnapshot, store.levels.tell);
  }, [store]);
  return (
    <StoreContext value={store}>
      <SnapshotContext value={snapshot}>{children}</SnapshotContext>
    </StoreContext>
  );
}

function useStore(): Store {
  const store = useContext(StoreContext);
  if (!store) throw new Error("a BackendProvider is needed around this");
  return store;
}

/** The core. */
export function useBackend(): Backend {
  return useStore().backend;
}

/** Asks the core for something. */
export function useAsk(): (ask: Command) => void {
  const { backend } = useStore();
  return useCallback(
    (ask) => {
      backend.ask(ask);
    },
    [backend],
  );
}

/** The newest state; null until the first. */
export function useSnapshot(): Snapshot | null {
  return useContext(SnapshotContext);
}

/** Loudness now. */
export function useLevels(): Levels {
  const { levels } = useStore();
  return useSyncExternalStore(levels.subscribe, levels.get);
}
