// Generated from the core's types by `cargo xtask bindings`. Not to be edited.

export type AppointmentId = string;

export type Attachment = { 
/**
 * Which; fetched from `/api/v1/consultations/sessions/{id}/attachments/{attachmentId}`.
 */
attachmentId: AttachmentId, 
/**
 * As its sender's device named it, without a path.
 */
fileName: string, 
/**
 * Bytes.
 */
fileSize: number, 
/**
 * As the service recognised it from the bytes.
 */
mimeType: string, 
/**
 * Where a small picture of it is, if there is one: a path of the service's.
 */
thumbnailUrl?: string, };

export type AttachmentId = string;

export type CallState = { 
/**
 * How it stands.
 */
status: CallStatus, 
/**
 * Seconds left to be brought back.
 */
secondsLeft: number | null, 
/**
 * Who else is in it; nobody until they say what they send.
 */
participants: Array<Participant>, 
/**
 * How the picture and sound come in.
 */
quality: Quality, 
/**
 * The same of each track that they send, over the last second.
 */
received: Array<TrackStats>, };

export type CallStatus = "calling" | "connecting" | "connected" | "reconnecting" | "lost";

export type Change = Omit<Partial<Snapshot>, "visit"> & { visit?: Partial<Visit> | null };

export type Chat = { 
/**
 * Stored messages, in order.
 */
messages: Array<ChatMessage>, 
/**
 * Messages on their way, in order.
 */
pending: Array<PendingMessage>, 
/**
 * Whether there are older ones to fetch.
 */
hasOlder: boolean, 
/**
 * Messages of the other side that were not on the screen yet.
 */
unread: number, 
/**
 * The other side writes.
 */
otherTypes: boolean, };

export type ChatMessage = { 
/**
 * Given by the service.
 */
messageId: MessageId, 
/**
 * Given by the writer's device.
 */
clientMessageId: ClientMessageId, 
/**
 * In which visit.
 */
sessionId: SessionId, 
/**
 * Counts up by one in each session: the order for everybody.
 */
seq: number, 
/**
 * Who wrote it.
 */
senderId: UserId, 
/**
 * Their name.
 */
senderName: string, 
/**
 * Their side: `patient` or `doctor` here.
 */
senderType: "patient" | "doctor", 
/**
 * What it carries.
 */
messageType: MessageType, 
/**
 * The words; empty where only a file was sent.
 */
content: string, 
/**
 * The file, where there is one.
 */
attachment?: Attachment, 
/**
 * How far it has come.
 */
status: MessageStatus, 
/**
 * When it came to the other's device.
 */
deliveredAt?: string, 
/**
 * When it came onto the other's screen.
 */
readAt?: string, 
/**
 * Whether its writer has taken it back: its words and its file are gone.
 */
isDeleted?: boolean, 
/**
 * When the service stored it.
 */
timestamp: string, };

export type ClientMessageId = string;

export type ClinicId = string;

export type Command = { "ask": "signIn", 
/**
 * The service's address.
 */
service: string, 
/**
 * With this address.
 */
email: string, 
/**
 * And this password.
 */
password: string, } | { "ask": "register", 
/**
 * The service's address.
 */
service: string, 
/**
 * The name the doctor sees.
 */
name: string, 
/**
 * With this address.
 */
email: string, 
/**
 * And this password.
 */
password: string, } | { "ask": "decodes", 
/**
 * Codecs of video.
 */
codecs: Array<DecodableCodec>, } | { "ask": "signOut" } | { "ask": "home" } | { "ask": "history" } | { "ask": "openPast", 
/**
 * Which.
 */
session: SessionId, } | { "ask": "recall", 
/**
 * Which.
 */
session: SessionId, } | { "ask": "lookUp", 
/**
 * The service's address.
 */
service: string, } | { "ask": "enter", 
/**
 * Which.
 */
session: SessionId, } | { "ask": "ready" } | { "ask": "join" } | { "ask": "decline" } | { "ask": "admit", 
/**
 * Which.
 */
session: SessionId, } | { "ask": "leave" } | { "ask": "end" } | { "ask": "hold", 
/**
 * Whether.
 */
on: boolean, } | { "ask": "rejoin" } | { "ask": "sendText", 
/**
 * The words.
 */
text: string, } | { "ask": "discard", 
/**
 * Which.
 */
id: ClientMessageId, } | { "ask": "olderMessages" } | { "ask": "chatOpen", 
/**
 * Whether.
 */
open: boolean, } | { "ask": "typing", 
/**
 * Whether.
 */
typing: boolean, } | { "ask": "feedback", 
/**
 * What was said.
 */
feedback: FeedbackRequest, } | { "ask": "switch", 
/**
 * Which.
 */
device: DeviceKind, 
/**
 * On or off.
 */
on: boolean, } | { "ask": "choose", 
/**
 * Which kind.
 */
device: DeviceKind, 
/**
 * Which one; none for the system's choice.
 */
id: string | null, } | { "ask": "lookForDevices" } | { "ask": "testSound" } | { "ask": "testSoundHeard", 
/**
 * Whether.
 */
heard: boolean, } | { "ask": "echoTest" } | { "ask": "testNetwork" } | { "ask": "chooseScreen" } | { "ask": "leaveScreenChoice" } | { "ask": "shareScreen", 
/**
 * Which.
 */
id: string, } | { "ask": "stopSharing" } | { "ask": "dismiss" };

export type Connection = { 
/**
 * In a word.
 */
reach: Reach, 
/**
 * The usual time until it answers, milliseconds.
 */
roundTripMs: number | null, 
/**
 * A call to oneself through the service's relay.
 */
test: NetworkTest, };

export type ConnectionQuality = "excellent" | "good" | "poor";

export type ConsultationMode = "VIDEO" | "AUDIO" | "CHAT";

export type DecodableCodec = "vp8" | "h264";

export type DeviceCheck = { 
/**
 * A camera gives pictures.
 */
camera: boolean, 
/**
 * A microphone gives sound.
 */
microphone: boolean, 
/**
 * A speaker is there.
 */
speaker: boolean, };

export type DeviceChoice = { 
/**
 * For the command that chooses.
 */
id: string, 
/**
 * What it calls itself.
 */
name: string, };

export type DeviceId = string;

export type DeviceKind = "microphone" | "speaker" | "camera";

export type DeviceState = { 
/**
 * What there is to choose from.
 */
choices: Array<DeviceChoice>, 
/**
 * The one in use or chosen.
 */
chosen: string | null, 
/**
 * Whether the person has it switched on.
 */
on: boolean, 
/**
 * Being opened.
 */
opening: boolean, 
/**
 * It works now.
 */
works: boolean, 
/**
 * Why not.
 */
trouble: DeviceTrouble | null, 
/**
 * The system's own words for it, for whoever helps; only where the reason says too little.
 */
systemWords: string | null, };

export type DeviceTrouble = "missing" | "busy" | "denied" | "failed";

export type Devices = { 
/**
 * The microphone.
 */
microphone: DeviceState, 
/**
 * The speaker.
 */
speaker: DeviceState, 
/**
 * The camera.
 */
camera: DeviceState, 
/**
 * The microphone is open but gives nothing at all.
 */
microphoneIsSilent: boolean, 
/**
 * The test sound plays.
 */
testSoundPlays: boolean, 
/**
 * The person said that they heard it, or that they did not.
 */
testSoundHeard: boolean | null, 
/**
 * Hearing oneself.
 */
echoTest: EchoTest, };

export type EchoTest = "idle" | "listening" | "playing" | "played";

export type EndReason = "completed" | "patient_left" | "doctor_left" | "timeout" | "connection_lost" | "cancelled" | "declined" | "no_show" | "error";

export type FeedbackRequest = { 
/**
 * The visit as a whole.
 */
overallRating: number, 
/**
 * The sound.
 */
audioQuality?: number, 
/**
 * The picture; not for a visit by sound only.
 */
videoQuality?: number, 
/**
 * The doctor.
 */
doctorBehaviour?: number, 
/**
 * In their own words, at most 2000 characters.
 */
reviewText?: string, 
/**
 * Words tapped, each once.
 */
feedbackTags: Array<FeedbackTag>, 
/**
 * Yes, no, or not said.
 */
wouldRecommend?: boolean, 
/**
 * Whether others may read it, without the patient's name; they may unless it says no.
 */
isPublic?: boolean, };

export type FeedbackTag = string;

export type HistoryPage = { 
/**
 * The page's visits.
 */
items: Array<Summary>, 
/**
 * Give this as `before` for the next page; absent on the last.
 */
next?: SessionId, };

export type Link = "off" | "connecting" | "up";

export type MediaPath = "host" | "srflx" | "relay";

export type MediaTransport = "udp" | "tcp" | "tls";

export type MessageId = string;

export type MessageStatus = "sent" | "delivered" | "read";

export type MessageType = "text" | "image" | "file" | "system";

export type NetworkCheck = { 
/**
 * What arrived in its best second, bits a second; none when nothing did.
 */
bitsPerSecond: number | null, 
/**
 * Of the audio, 0 to 100.
 */
lossPercent: number | null, 
/**
 * To the relay and back, milliseconds.
 */
roundTripMs: number | null, 
/**
 * Whether the relay was reached over UDP.
 */
udp: boolean, 
/**
 * Over TCP.
 */
tcp: boolean, 
/**
 * Over TLS.
 */
tls: boolean, };

export type NetworkTest = { 
/**
 * It goes on.
 */
runs: boolean, 
/**
 * What the last one came to; none before, and where the service has no relay.
 */
verdict: NetworkVerdict | null, 
/**
 * What it measured.
 */
found: NetworkCheck | null, 
/**
 * By which the practice finds it.
 */
code: string | null, };

export type NetworkVerdict = "good" | "slow" | "lossy" | "narrow" | "soundOnly" | "blocked";

export type Participant = { 
/**
 * Which side.
 */
party: Party, 
/**
 * What they send, as they say.
 */
tracks: Array<Track>, };

export type Party = "PATIENT" | "DOCTOR";

export type PastChat = { 
/**
 * In order.
 */
messages: Array<ChatMessage>, 
/**
 * Whether there are older ones to fetch.
 */
hasOlder: boolean, };

export type PastVisit = { 
/**
 * What it came to.
 */
summary: Summary, 
/**
 * What was written; none until it is here.
 */
chat: PastChat | null, 
/**
 * What the patient said of it.
 */
feedback: FeedbackRequest | null, };

export type PendingMessage = { 
/**
 * Its id on this device.
 */
id: ClientMessageId, 
/**
 * The words, or the file's name.
 */
content: string, 
/**
 * Why the service will not take it.
 */
refused: string | null, };

export type PictureStats = { 
/**
 * Pictures a second.
 */
fps: number, 
/**
 * Width.
 */
width: number, 
/**
 * Height.
 */
height: number, 
/**
 * Share of the last ten seconds in which it stood still, percent; none of a screen, which may.
 */
frozenPercent: number | null, };

export type Pictures = "remote" | "screen" | "own";

export type Presence = { 
/**
 * Who.
 */
userId: UserId, 
/**
 * On which side.
 */
party: Party, 
/**
 * How.
 */
status: PresenceStatus, };

export type PresenceStatus = "connected" | "reconnecting" | "disconnected";

export type Quality = { 
/**
 * Pictures a second.
 */
fps: number, 
/**
 * Width of the picture.
 */
width: number, 
/**
 * Height of the picture.
 */
height: number, 
/**
 * Round trip, milliseconds.
 */
roundTripMs: number | null, 
/**
 * Share of the sound that had to be made up, percent.
 */
concealedPercent: number, 
/**
 * Share of the last ten seconds in which the picture stood still, percent.
 */
frozenPercent: number, 
/**
 * How long ago the picture that is seen should have been, milliseconds: it stands still, or comes late.
 * None where none is meant to be seen.
 */
pictureAgeMs: number | null, 
/**
 * Share of what one sends that is lost on the way, percent.
 */
lostTherePercent: number, 
/**
 * Bits a second received, picture and sound.
 */
bitsPerSecond: number, 
/**
 * Whether media goes through a relay.
 */
relayed: boolean, 
/**
 * Share of the audio packets that did not arrive, percent.
 */
packetLossPercent: number, 
/**
 * Interarrival jitter of the audio, milliseconds.
 */
jitterMs: number, 
/**
 * How the conversation is likely to be judged: mean opinion score, 1 to 4.5 (ITU-T G.107).
 */
mos: number, 
/**
 * By which kind of own candidate media goes.
 */
path: MediaPath | null, 
/**
 * Over what.
 */
transport: MediaTransport | null, 
/**
 * What one's own picture is sent as; none when the network carries only sound.
 */
sending: SentPicture | null, };

export type Reach = "unknown" | "good" | "slow" | "lost";

export type Role = "PATIENT" | "DOCTOR" | "CLINIC_ADMIN" | "KIOSK" | "GUEST" | "SERVICE";

export type Screen = "starting" | "signIn" | "home" | "check" | "waiting" | "calledIn" | "call" | "elsewhere" | "after" | "history" | "past";

export type ScreenChoice = { 
/**
 * For the command that shares it.
 */
id: string, 
/**
 * Which of the two.
 */
kind: ScreenChoiceKind, 
/**
 * A window's title; a display's connector.
 */
name: string, 
/**
 * What it shows, as a `data:` address; none where that can't be had.
 */
preview: string | null, };

export type ScreenChoiceKind = "display" | "window" | "system";

export type ScreenTrouble = "gone" | "unsupported" | "failed";

export type SentPicture = { 
/**
 * Width.
 */
width: number, 
/**
 * Height.
 */
height: number, 
/**
 * Pictures a second.
 */
fps: number, };

export type Session = { 
/**
 * Which.
 */
sessionId: SessionId, 
/**
 * The appointment it was made for.
 */
appointmentId: AppointmentId, 
/**
 * Where it stands.
 */
status: SessionStatus, 
/**
 * Why it ended, once it has.
 */
endReason?: EndReason, 
/**
 * How the two meet.
 */
consultationMode: ConsultationMode, 
/**
 * When it is meant to start.
 */
scheduledStartTime: string, 
/**
 * Minutes it is meant to last, 1 to 120.
 */
scheduledDurationMinutes: number, 
/**
 * Name of the media room.
 */
roomName: string, 
/**
 * Who is seen.
 */
patient: User, 
/**
 * Who sees.
 */
doctor: User, 
/**
 * Since when the patient waits, while they do.
 */
waitingSince?: string, 
/**
 * Whether the patient pressed *I'm ready*.
 */
patientReady: boolean, 
/**
 * What the patient's devices could do then.
 */
deviceCheck?: DeviceCheck, 
/**
 * Whether the doctor has called the patient in.
 */
admitted: boolean, 
/**
 * When the clock started.
 */
actualStartTime?: string, 
/**
 * When it was over.
 */
actualEndTime?: string, 
/**
 * When the patient first entered the call.
 */
patientJoinedAt?: string, 
/**
 * When the doctor did.
 */
doctorJoinedAt?: string, 
/**
 * When it was made; not of other servers.
 */
createdAt?: string, 
/**
 * When it last changed.
 */
updatedAt?: string, 
/**
 * The clinic it is of, where it is of one.
 */
clinicId?: ClinicId, 
/**
 * Seconds on the clock up to `as_of`, holds left out.
 */
elapsedSeconds: number, 
/**
 * Counts up with each change: of two, the one with the higher is the newer.
 */
revision: number, 
/**
 * The service's time at which this was true.
 */
asOf: string, 
/**
 * The patient's place among those who wait for this doctor, from 1; only while waiting.
 */
placeInLine?: number, 
/**
 * Minutes that they can expect to wait: until the planned start at the earliest, and for what
 * is left of the visits before theirs. Only while waiting.
 */
expectedWaitMinutes?: number, 
/**
 * When the visit ends by itself, if nobody ends it before; only while it runs.
 */
endsByItself?: string, 
/**
 * The ended visit that this one is a re-call of.
 */
recalledFrom?: SessionId, 
/**
 * Which of the patient's devices is the one in this visit.
 */
patientDevice?: DeviceId, 
/**
 * Which of the doctor's is.
 */
doctorDevice?: DeviceId, 
/**
 * Who is connected to the session's topic now.
 */
participants: Array<Presence>, };

export type SessionId = string;

export type SessionStatus = "SCHEDULED" | "WAITING" | "IN_PROGRESS" | "PAUSED" | "COMPLETED" | "CANCELLED" | "NO_SHOW" | "FAILED";

export type SharedScreen = { 
/**
 * It is being looked what there is.
 */
looks: boolean, 
/**
 * What there is to choose from, while one chooses.
 */
choices: Array<ScreenChoice> | null, 
/**
 * The chosen one is being opened.
 */
opening: boolean, 
/**
 * What is shared.
 */
shared: ScreenChoice | null, 
/**
 * Why nothing is.
 */
trouble: ScreenTrouble | null, };

export type Snapshot = { 
/**
 * The service's address, as the person knows it.
 */
service: string, 
/**
 * Whose service that is, where it says so.
 */
clinic: string | null, 
/**
 * Who is signed in.
 */
user: User | null, 
/**
 * The realtime link to the service.
 */
link: Link, 
/**
 * What is in front.
 */
screen: Screen, 
/**
 * Open and coming visits, by their start.
 */
sessions: Array<Session>, 
/**
 * The visit one is in.
 */
visit: Visit | null, 
/**
 * Past visits, once asked for.
 */
history: HistoryPage | null, 
/**
 * The past visit that is open.
 */
past: PastVisit | null, 
/**
 * How well the service is reached, while the waiting room looks at it.
 */
connection: Connection, 
/**
 * Which of the person's devices this one is.
 */
device: DeviceId, 
/**
 * Camera, microphone, speaker.
 */
devices: Devices, 
/**
 * Something is being asked of the service; the button that did it waits.
 */
busy: boolean, 
/**
 * What went wrong with what was asked last.
 */
problem: UiProblem | null, };

export type Summary = { 
/**
 * Which.
 */
sessionId: SessionId, 
/**
 * Its appointment.
 */
appointmentId: AppointmentId, 
/**
 * The doctor's name.
 */
doctorName: string, 
/**
 * The patient's name.
 */
patientName: string, 
/**
 * The doctor's speciality.
 */
specialization?: string, 
/**
 * How they met.
 */
consultationMode: ConsultationMode, 
/**
 * Minutes planned.
 */
scheduledDuration: number, 
/**
 * Minutes on the clock, rounded up.
 */
actualDuration: number, 
/**
 * Seconds on the clock.
 */
durationSeconds: number, 
/**
 * When the clock started.
 */
startTime?: string, 
/**
 * When it stopped.
 */
endTime?: string, 
/**
 * Where it stands.
 */
status: SessionStatus, 
/**
 * Why it ended.
 */
endReason?: EndReason, 
/**
 * Messages written.
 */
chatMessageCount: number, 
/**
 * Whether the patient gave feedback.
 */
feedbackSubmitted: boolean, 
/**
 * What it came to; absent where the doctor has no price, and before the end.
 */
amountCharged?: number, 
/**
 * ISO 4217 code.
 */
currency?: string, 
/**
 * How the patient saw and heard it, where their app said; once it has ended.
 */
patientConnectionQuality?: ConnectionQuality, 
/**
 * How the doctor did.
 */
doctorConnectionQuality?: ConnectionQuality, 
/**
 * What was prescribed in it, by its name in the system that keeps prescriptions.
 */
prescriptionId?: string, };

export type Track = "microphone" | "camera" | "screen";

export type TrackStats = { 
/**
 * Which.
 */
track: Track, 
/**
 * Bits a second received.
 */
bitsPerSecond: number, 
/**
 * Share of the packets that did not arrive, not even repaired, percent.
 */
packetLossPercent: number, 
/**
 * Interarrival jitter, milliseconds (RFC 3550 §6.4.1).
 */
jitterMs: number, 
/**
 * Of a voice: share of the sound that had to be made up, percent.
 */
concealedPercent: number | null, 
/**
 * Of a picture: what was drawn.
 */
picture: PictureStats | null, };

export type UiCode = "unreachable" | "proxyWantsName" | "wrongCredentials" | "emailTaken" | "tooManyAttempts" | "signedOut" | "sessionEnded" | "patientGone" | "noAnswer" | "declined" | "joinedMeanwhile" | "invalid" | "tooLarge" | "unsupportedType" | "incompatible" | "soundRestarted" | "pictureRestarted" | "other";

export type UiEvent = { "kind": "snapshot", "value": Snapshot } | { "kind": "change", "value": Change } | { "kind": "levels", "value": { 
/**
 * The microphone's.
 */
microphone: number, 
/**
 * The speaker's.
 */
speaker: number, } };

export type UiProblem = { 
/**
 * What to act on.
 */
code: UiCode, 
/**
 * In the service's or the system's words, where the code says too little.
 */
message: string, };

export type User = { 
/**
 * Who.
 */
id: UserId, 
/**
 * What they may do.
 */
role: Role, 
/**
 * The name shown to others.
 */
name: string, 
/**
 * A doctor's speciality, as the clinic writes it.
 */
specialization?: string, };

export type UserId = string;

export type Visit = { 
/**
 * As the service has it.
 */
session: Session, 
/**
 * One's own side.
 */
party: Party, 
/**
 * Whether one has said that one is ready.
 */
ready: boolean, 
/**
 * The other side's link to the service.
 */
otherPresence: PresenceStatus, 
/**
 * The chat.
 */
chat: Chat, 
/**
 * The call, once admitted.
 */
call: CallState | null, 
/**
 * Seconds on the visit's clock, as of now.
 */
elapsedSeconds: number, 
/**
 * Whether the clock runs.
 */
clockRuns: boolean, 
/**
 * Minutes until it ends by itself, begun ones counted; only when that is near.
 */
minutesLeft: number | null, 
/**
 * What it came to, once it has ended.
 */
summary: Summary | null, 
/**
 * One's own screen.
 */
screen: SharedScreen, 
/**
 * Whether feedback was given just now.
 */
feedbackGiven: boolean, };
