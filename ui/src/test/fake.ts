import type { Backend } from "../api/backend";
import type { Command, Session, Snapshot, Visit } from "../api/bindings";

const doctor = {
  id: "d",
  role: "DOCTOR",
  name: "Dr. Amara Okafor",
  specialization: "General practice",
} as const;
const patient = { id: "p", role: "PATIENT", name: "Maria Keller" } as const;

/** A visit that is going on. */
export const session: Session = {
  sessionId: "s",
  appointmentId: "a",
  status: "IN_PROGRESS",
  consultationMode: "VIDEO",
  scheduledStartTime: "2026-01-30T14:30:00Z",
  scheduledDurationMinutes: 15,
  roomName: "room",
  patient,
  doctor,
  patientReady: true,
  admitted: true,
  elapsedSeconds: 65,
  revision: 3,
  asOf: "2026-01-30T14:31:05Z",
  participants: [
    { userId: "p", party: "PATIENT", status: "connected" },
    { userId: "d", party: "DOCTOR", status: "connected" },
  ],
};

const device = {
  choices: [],
  chosen: null,
  on: true,
  opening: false,
  works: true,
  trouble: null,
  systemWords: null,
};

/** The patient in a call. */
export const visit: Visit = {
  session,
  party: "PATIENT",
  ready: true,
  otherPresence: "connected",
  chat: { messages: [], pending: [], hasOlder: false, unread: 0, otherTypes: false },
  call: {
    status: "connected",
    secondsLeft: null,
    participants: [{ party: "DOCTOR", tracks: ["microphone", "camera"] }],
    quality: {
      fps: 30,
      width: 640,
      height: 360,
      roundTripMs: 20,
      concealedPercent: 0,
      frozenPercent: 0,
      pictureAgeMs: 40,
      lostTherePercent: 0,
      bitsPerSecond: 600_000,
      relayed: false,
      packetLossPercent: 0,
      jitterMs: 4,
      mos: 4.3,
      path: "host",
      transport: "udp",
      sending: { width: 640, height: 360, fps: 30 },
    },
    received: [
      {
        track: "microphone",
        bitsPerSecond: 32_000,
        packetLossPercent: 0,
        jitterMs: 4,
        concealedPercent: 0,
        picture: null,
      },
      {
        track: "camera",
        bitsPerSecond: 568_000,
        packetLossPercent: 1,
        jitterMs: 7,
        concealedPercent: null,
        picture: { fps: 30, width: 640, height: 360, frozenPercent: 0 },
      },
    ],
  },
  elapsedSeconds: 65,
  clockRuns: true,
  minutesLeft: null,
  summary: null,
  screen: { looks: false, choices: null, opening: false, shared: null, trouble: null },
  feedbackGiven: false,
};

/** What the core says in that call. */
export const snapshot: Snapshot = {
  service: "clinic.example",
  clinic: null,
  user: patient,
  link: "up",
  screen: "call",
  sessions: [session],
  visit,
  history: null,
  past: null,
  connection: {
    reach: "good",
    roundTripMs: 24,
    test: { runs: false, verdict: null, found: null, code: null },
  },
  device: "this",
  devices: {
    microphone: device,
    speaker: device,
    camera: device,
    microphoneIsSilent: false,
    testSoundPlays: false,
    testSoundHeard: null,
    echoTest: "idle",
  },
  busy: false,
  problem: null,
};

/** A core that says one thing, then what it is given to say, and remembers what it is asked. */
export function fakeBackend(says: Snapshot) {
  const asked: Command[] = [];
  const files: string[] = [];
  let tell: (says: Snapshot) => void = () => undefined;
  const backend: Backend = {
    ask: (ask) => {
      asked.push(ask);
    },
    watch: (onSnapshot) => {
      tell = onSnapshot;
      onSnapshot(says);
    },
    meters: () => undefined,
    pictures: () => undefined,
    acknowledge: () => undefined,
    decoderLost: () => undefined,
    sendFile: (name) => {
      files.push(name);
    },
    fetchFile: () => Promise.resolve(new ArrayBuffer(0)),
  };
  const changes = (to: Snapshot) => {
    tell(to);
  };
  return { backend, asked, files, changes };
}
