// Two people in a visit, as a web client would be written with @stomp/stompjs. Reads what it needs
// from the environment; prints what it checked; exits with 1 at the first thing that is not so.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(process.env.BEDSIDE_PACKAGES);
const { Client } = require("@stomp/stompjs");
const { WebSocket } = require("ws");

const { address, session, doctor, patient } = JSON.parse(process.env.BEDSIDE_VISIT);
const topic = `/topic/session.${session}`;

/** A promise, with what resolves it. */
function later(what) {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  const late = new Promise((_, reject) =>
    setTimeout(() => reject(new Error(`waited in vain for ${what}`)), 15_000).unref(),
  );
  return { resolve, promise: Promise.race([promise, late]) };
}

class Person {
  constructor(token) {
    this.heard = [];
    this.waiting = [];
    this.refused = later("an ERROR frame");
    this.closed = later("the socket's closing");
    this.client = new Client({
      webSocketFactory: () => new WebSocket(`ws://${address}/ws/consultation`, ["v12.stomp"]),
      connectHeaders: { Authorization: `Bearer ${token}` },
      heartbeatIncoming: 5000,
      heartbeatOutgoing: 5000,
      reconnectDelay: 0,
      onStompError: (frame) => this.refused.resolve(frame),
      onWebSocketClose: (event) => this.closed.resolve(event),
    });
  }

  async connect() {
    const connected = later("CONNECTED");
    this.client.onConnect = connected.resolve;
    this.client.activate();
    return connected.promise;
  }

  async subscribe(destination) {
    const there = later(`the receipt for ${destination}`);
    this.client.watchForReceipt(destination, there.resolve);
    const subscription = this.client.subscribe(destination, (message) => this.hear(destination, message), {
      receipt: destination,
    });
    await there.promise;
    return subscription;
  }

  hear(destination, message) {
    const told = { destination, ...JSON.parse(message.body) };
    this.heard.push(told);
    this.waiting = this.waiting.filter(({ wanted, resolve }) => !wanted(told) || resolve(told));
  }

  /** The first thing told, now or later, that is wanted. */
  async told(type, wanted = () => true) {
    const both = (one) => one.type === type && wanted(one.payload, one.destination);
    const before = this.heard.find(both);
    if (before) return before.payload;
    const heard = later(type);
    this.waiting.push({ wanted: both, resolve: (one) => heard.resolve(one.payload) });
    return heard.promise;
  }

  say(destination, type, payload, headers = {}) {
    this.client.publish({ destination, headers, body: JSON.stringify({ type, payload }) });
  }
}

async function post(person, path) {
  const response = await fetch(`http://${address}/api/v1/consultations/sessions/${session}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${person.access}` },
    body: "{}",
  });
  assert.equal(response.status, 200, path);
}

const [a, b] = [new Person(doctor.access), new Person(patient.access)];
const hello = await a.connect();
assert.equal(hello.headers.version, "1.2");
assert.match(hello.headers["heart-beat"], /^\d+,\d+$/);
await b.connect();
await a.subscribe(topic);
await a.subscribe("/user/queue/signals");
const queue = await b.subscribe("/user/queue/errors");
await b.subscribe("/user/queue/signals");
await b.subscribe(topic);
await a.told("PARTICIPANT_STATUS", (p) => p.party === "PATIENT" && p.status === "connected");
console.log("connected, subscribed with receipts, present");

// What headers and bodies have to survive: line ends, colons, backslashes, letters of every kind.
const words = "Schmerzen: ja\nseit \\ gestern · 発疹 🙂";
b.say("/app/chat.send", "CHAT_MESSAGE", {
  sessionId: session,
  clientMessageId: "01890a5d-ac96-774b-bcce-b302099a8057",
  messageType: "text",
  content: words,
});
const stored = await a.told("CHAT_MESSAGE");
assert.equal(stored.content, words);
assert.deepEqual((await b.told("CHAT_MESSAGE")).seq, stored.seq);
a.say("/app/chat.status", "CHAT_STATUS", { sessionId: session, seq: stored.seq, status: "read" });
await b.told("CHAT_STATUS", (s) => s.seq === stored.seq && s.status === "read");
a.say("/app/chat.typing", "TYPING", { sessionId: session, typing: true });
await b.told("TYPING", (t) => t.typing === true);
console.log("chat, status and typing came through");

const signal = { sessionId: session, from: "01890a5d-ac96-774b-bcce-b302099a8058", body: { kind: "hello", reply: false } };
b.say("/app/call.signal", "SIGNAL", signal);
assert.equal((await b.told("ERROR", (e) => e.code === "media-token-invalid")).status, 403);
b.say("/app/call.signal", "SIGNAL", signal, { "media-token": doctor.media });
a.say("/app/call.signal", "SIGNAL", signal, { "media-token": doctor.media });
assert.deepEqual((await b.told("SIGNAL")).body, signal.body);
assert.ok(!a.heard.some(({ type }) => type === "SIGNAL"), "a token is good for its owner alone");
console.log("signals pass with one's own media token only");

await post(doctor, "/pause");
await b.told("SESSION_STATUS", (s) => s.status === "PAUSED");
await post(doctor, "/resume");
await a.told("SESSION_STATUS", (s) => s.status === "IN_PROGRESS");

queue.unsubscribe();
const left = later("DISCONNECT's receipt");
b.client.onDisconnect = left.resolve;
await b.client.deactivate();
await left.promise;
await a.told("PARTICIPANT_STATUS", (p) => p.party === "PATIENT" && p.status === "reconnecting");
console.log("said good-bye, and the other side was told");

a.client.publish({ destination: "/app/nowhere", body: "{}" });
assert.equal((await a.refused.promise).headers.code, "unknown-destination");
const end = await a.closed.promise;
assert.deepEqual([end.code, end.reason], [1008, "unknown-destination"]);

const stranger = new Person("no token");
stranger.client.activate();
assert.equal((await stranger.refused.promise).headers.code, "not-signed-in");
console.log("an unknown destination and an unknown person get an ERROR with its code");
process.exit(0);
