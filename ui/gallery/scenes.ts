// Every screen in every state that it can be in, as snapshots.
import type {
  CallState,
  ChatMessage,
  Devices,
  NetworkTest,
  Participant,
  ScreenChoice,
  Session,
  Snapshot,
  Summary,
  Track,
  Visit,
} from "../src/api/bindings";
import { session, snapshot, visit } from "../src/test/fake";

export interface Scene {
  snapshot: Snapshot;
  /** What to press once it is there, as selectors. */
  press?: string[];
}

const MINUTE = 60_000;
const at = (minutes: number) => new Date(Date.now() + minutes * MINUTE).toISOString();

const doctorUser = session.doctor;
const patientUser = session.patient;

const planned: Session = {
  ...session,
  status: "SCHEDULED",
  scheduledStartTime: at(20),
  patientReady: false,
  admitted: false,
  elapsedSeconds: 0,
};
const waits: Session = {
  ...planned,
  status: "WAITING",
  waitingSince: at(-4),
  placeInLine: 2,
  expectedWaitMinutes: 22,
  patientReady: true,
  deviceCheck: { camera: true, microphone: true, speaker: true },
};
const other = (id: string, name: string, over: Partial<Session>): Session => ({
  ...waits,
  sessionId: id,
  patient: { ...patientUser, id, name },
  ...over,
});

const works = { ...snapshot.devices.camera };
const choices = [
  { id: "1", name: "Built-in" },
  { id: "2", name: "Logitech Brio 4K Stream Edition" },
];
const devices: Devices = {
  ...snapshot.devices,
  camera: { ...works, choices },
  microphone: { ...works, choices },
  testSoundHeard: true,
};
const broken: Devices = {
  ...devices,
  camera: { ...works, works: false, trouble: "missing" },
  microphoneIsSilent: true,
  testSoundHeard: false,
};
const denied: Devices = {
  ...devices,
  camera: { ...works, works: false, trouble: "busy" },
  microphone: { ...works, works: false, trouble: "denied" },
  speaker: { ...works, works: false, trouble: "missing" },
  testSoundHeard: null,
};
const opening = { ...works, works: false, opening: true };

const preview = (colour: string) =>
  `data:image/svg+xml,${encodeURIComponent(
    `<svg xmlns="http://www.w3.org/2000/svg" width="320" height="200"><rect width="320" height="200" fill="${colour}"/><rect x="20" y="24" width="180" height="12" fill="#fff"/><rect x="20" y="52" width="280" height="8" fill="#ddd"/><rect x="20" y="72" width="240" height="8" fill="#ddd"/></svg>`,
  )}`;
const screens: ScreenChoice[] = [
  { id: "display:1", kind: "display", name: "DP-1", preview: preview("#3b5b73") },
  { id: "display:2", kind: "display", name: "DP-2", preview: preview("#59496b") },
  { id: "window:1", kind: "window", name: "Blood results 2026.pdf", preview: preview("#6b5b49") },
  { id: "window:2", kind: "window", name: "Exercises for the shoulder", preview: null },
];

const sending = (...tracks: Track[]): Participant[] => [{ party: "DOCTOR", tracks }];

const say = (seq: number, mine: boolean, content: string): ChatMessage => ({
  messageId: `m${seq}`,
  clientMessageId: `c${seq}`,
  sessionId: session.sessionId,
  seq,
  senderId: mine ? patientUser.id : doctorUser.id,
  senderName: mine ? patientUser.name : doctorUser.name,
  senderType: mine ? "patient" : "doctor",
  messageType: "text",
  content,
  status: seq < 3 ? "read" : "delivered",
  timestamp: at(seq - 6),
});
const chat: Visit["chat"] = {
  messages: [
    say(1, false, "Good afternoon. Can you hear me well?"),
    say(2, true, "Yes, very well, thank you."),
    say(
      3,
      false,
      "Please take one tablet in the morning, and write down your blood pressure each evening for a week.",
    ),
    {
      ...say(4, true, "My readings"),
      messageType: "file",
      attachment: {
        attachmentId: "a",
        fileName: "Blutdruckmesswertaufzeichnungen-November.pdf",
        mimeType: "application/pdf",
        fileSize: 182_044,
      },
    },
  ],
  pending: [
    { id: "p1", content: "I will do that.", refused: null },
    { id: "p2", content: "…", refused: "The visit has ended." },
  ],
  hasOlder: true,
  unread: 1,
  otherTypes: true,
};

if (!visit.call) throw new Error("the fake visit has a call");
const inCall: CallState = visit.call;
const talks: Visit = { ...visit, elapsedSeconds: 247 };
const callWith = (over: Partial<CallState>): Visit => ({ ...talks, call: { ...inCall, ...over } });
const asDoctor = (one: Visit): Visit => ({ ...one, party: "DOCTOR" });

const summary: Summary = {
  sessionId: session.sessionId,
  appointmentId: session.appointmentId,
  doctorName: doctorUser.name,
  patientName: patientUser.name,
  specialization: "General practice",
  consultationMode: "VIDEO",
  scheduledDuration: 15,
  actualDuration: 13,
  durationSeconds: 754,
  startTime: at(-14),
  endTime: at(-1),
  status: "COMPLETED",
  endReason: "completed",
  chatMessageCount: 4,
  feedbackSubmitted: false,
  amountCharged: 45,
  currency: "EUR",
};
const ended: Visit = {
  ...visit,
  call: null,
  session: { ...session, status: "COMPLETED" },
  summary,
};

const patient: Snapshot = {
  ...snapshot,
  devices,
  sessions: [planned],
  visit: null,
  screen: "home",
};
const doctor: Snapshot = { ...patient, user: doctorUser };
const signedOut: Snapshot = { ...patient, user: null, screen: "signIn", sessions: [], link: "off" };
const check = (over: Devices): Scene => ({
  snapshot: {
    ...patient,
    screen: "check",
    devices: over,
    visit: { ...visit, call: null, session: planned },
  },
});
const network = (test: NetworkTest): Scene => ({
  snapshot: { ...check(devices).snapshot, connection: { ...patient.connection, test } },
});
const waiting: Visit = { ...visit, call: null, session: waits };
const call = (one: Visit, over: Partial<Snapshot> = {}, press: string[] = []): Scene => ({
  snapshot: {
    ...(one.party === "DOCTOR" ? doctor : patient),
    screen: "call",
    visit: one,
    ...over,
  },
  press,
});
const chatButton = "[data-do=chat]";

export const scenes: Record<string, Scene> = {
  "starting-unreachable": {
    snapshot: {
      ...signedOut,
      screen: "starting",
      problem: { code: "unreachable", message: "" },
    },
  },
  "doctor-call-ringing": call(asDoctor({ ...talks, elapsedSeconds: 0, session: waits })),
  "doctor-call-stop-calling": call(asDoctor({ ...talks, elapsedSeconds: 0, session: waits }), {}, [
    "[data-do=end]",
  ]),
  "doctor-room-other-days": {
    snapshot: {
      ...doctor,
      problem: { code: "patientGone", message: "" },
      sessions: [
        other("w1", "Maria Keller", {
          placeInLine: 1,
          participants: [{ userId: "w1", party: "PATIENT", status: "reconnecting" }],
        }),
        other("w2", "Giovanni Sebastian Oberhauser", { status: "SCHEDULED" }),
        other("w3", "Ada Lindqvist", { status: "SCHEDULED", scheduledStartTime: at(60 * 24 * 3) }),
      ],
    },
  },
  "call-devices-lost": call(talks, { devices: denied, link: "connecting" }),
  "call-in-writing": call({
    ...talks,
    call: null,
    session: { ...session, consultationMode: "CHAT" },
    chat,
  }),
  "called-in-writing": {
    snapshot: {
      ...patient,
      screen: "calledIn",
      visit: { ...visit, call: null, session: { ...waits, consultationMode: "CHAT" } },
    },
  },
  "patient-home-loading": { snapshot: { ...patient, sessions: [], link: "connecting" } },
  "sign-in": { snapshot: signedOut },
  "sign-in-taken": {
    snapshot: { ...signedOut, problem: { code: "emailTaken", message: "" } },
    press: ["[data-do=newHere]"],
  },
  "sign-in-wrong": {
    snapshot: {
      ...signedOut,
      clinic: "Gemeinschaftspraxis am Lindenhof",
      problem: { code: "wrongCredentials", message: "" },
    },
  },
  "sign-in-unreachable": {
    snapshot: { ...signedOut, busy: true, problem: { code: "unreachable", message: "" } },
  },
  "sign-in-proxy": {
    snapshot: { ...signedOut, busy: true, problem: { code: "proxyWantsName", message: "" } },
  },
  "patient-home": {
    snapshot: {
      ...patient,
      sessions: [planned, { ...planned, sessionId: "s2", scheduledStartTime: at(60 * 24 * 9) }],
    },
  },
  "patient-home-nothing": { snapshot: { ...patient, sessions: [] } },
  "patient-home-return": { snapshot: { ...patient, sessions: [session] } },
  "patient-home-elsewhere": {
    snapshot: { ...patient, sessions: [{ ...session, patientDevice: "their-telephone" }] },
  },
  "patient-home-offline": { snapshot: { ...patient, link: "connecting" } },
  check: check(devices),
  "check-opening": check({
    ...devices,
    camera: opening,
    microphone: opening,
    speaker: opening,
    testSoundHeard: null,
  }),
  "check-silent": check(broken),
  "check-denied": check(denied),
  "check-echo-slow": {
    snapshot: {
      ...check({ ...devices, echoTest: "listening" }).snapshot,
      connection: { ...patient.connection, reach: "slow", roundTripMs: 640 },
    },
  },
  "check-offline": {
    snapshot: {
      ...check({ ...devices, echoTest: "played" }).snapshot,
      link: "connecting",
      connection: { ...patient.connection, reach: "lost", roundTripMs: null },
    },
  },
  "check-network-runs": network({ runs: true, verdict: null, found: null, code: null }),
  "check-network-good": network({
    runs: false,
    verdict: "good",
    found: {
      bitsPerSecond: 2_480_000,
      lossPercent: 0,
      roundTripMs: 31,
      udp: true,
      tcp: true,
      tls: true,
    },
    code: "K7M2QX",
  }),
  "check-network-sound-only": network({
    runs: false,
    verdict: "soundOnly",
    found: {
      bitsPerSecond: 140_000,
      lossPercent: 4,
      roundTripMs: 180,
      udp: false,
      tcp: true,
      tls: true,
    },
    code: "K7M2QX",
  }),
  "check-network-blocked": network({
    runs: false,
    verdict: "blocked",
    found: {
      bitsPerSecond: null,
      lossPercent: null,
      roundTripMs: null,
      udp: false,
      tcp: false,
      tls: false,
    },
    code: "K7M2QX",
  }),
  "check-audio": {
    snapshot: {
      ...patient,
      screen: "check",
      visit: { ...visit, call: null, session: { ...planned, consultationMode: "AUDIO" } },
    },
  },
  waiting: { snapshot: { ...patient, screen: "waiting", visit: waiting } },
  "waiting-offline": {
    snapshot: {
      ...patient,
      screen: "waiting",
      link: "connecting",
      visit: { ...waiting, chat },
      devices: broken,
    },
  },
  "waiting-not-ready": {
    snapshot: { ...patient, screen: "waiting", visit: { ...waiting, ready: false } },
  },
  "called-in": { snapshot: { ...patient, screen: "calledIn", visit: talks } },
  elsewhere: { snapshot: { ...patient, screen: "elsewhere", visit: talks } },
  call: call(talks),
  "call-chat": call({ ...talks, chat }, {}, [chatButton]),
  "call-settings": call(talks, {}, ["[data-do=settings]"]),
  "call-leave": call(talks, {}, ["[data-do=end]"]),
  "call-connecting": call(callWith({ status: "connecting" })),
  "call-alone": call({ ...callWith({ status: "calling" }), otherPresence: "disconnected" }),
  "call-weak": call(
    callWith({
      participants: sending("camera"),
      quality: { ...inCall.quality, fps: 7, concealedPercent: 9, roundTripMs: 420 },
    }),
    { devices: broken },
  ),
  "call-frozen": call(
    callWith({ quality: { ...inCall.quality, frozenPercent: 18, lostTherePercent: 12 } }),
    { problem: { code: "soundRestarted", message: "" } },
  ),
  "call-old": call(
    callWith({ quality: { ...inCall.quality, fps: 0, frozenPercent: 60, pictureAgeMs: 7_200 } }),
  ),
  "call-statistics": call(talks, {}, ["[data-do=statistics]"]),
  "call-no-camera": call(callWith({ participants: sending("microphone") })),
  "call-audio": call({ ...talks, session: { ...session, consultationMode: "AUDIO" } }),
  "call-only-sound": call(callWith({ quality: { ...inCall.quality, sending: null } })),
  "call-share": call({ ...talks, screen: { ...visit.screen, choices: screens } }),
  "call-share-system": call({
    ...talks,
    screen: {
      ...visit.screen,
      choices: [{ id: "portal", kind: "system", name: "", preview: null }],
    },
  }),
  "call-share-looks": call({ ...talks, screen: { ...visit.screen, looks: true } }),
  "call-shares": call({ ...talks, screen: { ...visit.screen, shared: screens[0] ?? null } }),
  "call-share-gone": call({ ...talks, screen: { ...visit.screen, trouble: "gone" } }),
  "call-screen": call(callWith({ participants: sending("microphone", "camera", "screen") })),
  "call-near-its-end": call({ ...talks, minutesLeft: 4, elapsedSeconds: 2460 }),
  "call-held": call({ ...talks, session: { ...session, status: "PAUSED" } }),
  "call-reconnecting": call(callWith({ status: "reconnecting", secondsLeft: 42 })),
  "call-lost": call(callWith({ status: "lost" })),
  "doctor-room-empty": { snapshot: { ...doctor, sessions: [] } },
  "doctor-room": {
    snapshot: {
      ...doctor,
      sessions: [
        other("w1", "Maria Keller", { waitingSince: at(-11) }),
        other("w2", "Friedrich-Wilhelm von Oberschlesien-Hohenstein", {
          patientReady: false,
          deviceCheck: { camera: false, microphone: true, speaker: true },
        }),
        other("p1", "Jon Oyelaran", { ...planned, sessionId: "p1" }),
        other("p2", "Aiko Tanaka", { ...planned, sessionId: "p2", scheduledStartTime: at(50) }),
      ],
    },
  },
  "doctor-call": call(asDoctor(talks)),
  "doctor-call-chat": call({ ...asDoctor(talks), chat }, {}, [chatButton]),
  "doctor-call-end": call(asDoctor(talks), {}, ["[data-do=end]"]),
  after: { snapshot: { ...patient, screen: "after", visit: ended } },
  "after-loading": {
    snapshot: { ...patient, screen: "after", visit: { ...ended, summary: null } },
  },
  "after-thanks": {
    snapshot: { ...patient, screen: "after", visit: { ...ended, feedbackGiven: true } },
  },
  "after-left": {
    snapshot: { ...patient, screen: "after", visit: { ...ended, session, summary: null } },
  },
  "after-recalled": {
    snapshot: {
      ...patient,
      screen: "after",
      sessions: [{ ...planned, sessionId: "again", recalledFrom: session.sessionId }],
      visit: { ...ended, feedbackGiven: true },
    },
  },
  "after-failed": {
    snapshot: {
      ...patient,
      screen: "after",
      visit: {
        ...ended,
        session: { ...session, status: "FAILED", endReason: "connection_lost" },
        summary: { ...summary, status: "FAILED", endReason: "connection_lost" },
      },
    },
  },
  "doctor-after": { snapshot: { ...doctor, screen: "after", visit: asDoctor(ended) } },
  past: {
    snapshot: {
      ...patient,
      screen: "past",
      past: {
        summary: { ...summary, feedbackSubmitted: true },
        chat: { messages: chat.messages, hasOlder: true },
        feedback: {
          overallRating: 4,
          audioQuality: 5,
          videoQuality: 3,
          reviewText: "She took her time, and I understood every word.",
          feedbackTags: ["Good listener", "On-time"],
          wouldRecommend: true,
        },
      },
    },
  },
  "past-loading": {
    snapshot: { ...doctor, screen: "past", past: { summary, chat: null, feedback: null } },
  },
  "past-nothing": {
    snapshot: {
      ...doctor,
      screen: "past",
      past: { summary, chat: { messages: [], hasOlder: false }, feedback: null },
    },
  },
  "history-loading": { snapshot: { ...patient, screen: "history" } },
  "history-nothing": { snapshot: { ...patient, screen: "history", history: { items: [] } } },
  history: {
    snapshot: {
      ...patient,
      screen: "history",
      history: {
        items: [
          summary,
          { ...summary, sessionId: "h2", startTime: at(-60 * 24 * 12), feedbackSubmitted: true },
          { ...summary, sessionId: "h3", startTime: at(-60 * 24 * 40), consultationMode: "AUDIO" },
        ],
        next: "h3",
      },
    },
  },
};
