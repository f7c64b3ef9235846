// A patient in a browser, who speaks Bedside's protocol as docs/protocol.md has it. Installed by the lab only,
// into call.html, whose connection it uses.
if (!window.bedside) {
  let service, token, session, socket, mediaToken, other, negotiation;
  const peer = crypto.randomUUID();
  const waiting = new Map();
  // Their candidates that came before the offer was taken.
  let early = [];

  const ask = async (method, path, body) => {
    const answer = await fetch(`${service}/api/v1/${path}`, {
      method,
      headers: { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) },
      body: body && JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
  const visit = (what, body) => ask("POST", `consultations/sessions/${session}/${what}`, body);

  const frame = (command, headers, body = "") => {
    const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}`);
    socket.send([command, ...lines, "", body].join("\n") + "\0");
  };

  const connect = () =>
    new Promise((done, failed) => {
      socket = new WebSocket(`${service.replace("http", "ws")}/ws/consultation`, ["v12.stomp"]);
      socket.onerror = () => failed(new Error("the service's WebSocket can't be reached"));
      socket.onopen = () =>
        frame("CONNECT", { "accept-version": "1.2", "heart-beat": "5000,5000", Authorization: `Bearer ${token}` });
      socket.onmessage = ({ data }) => {
        const [head, body = ""] = data.replace(/\0$/, "").split(/\n\n([^]*)/);
        const [command, ...lines] = head.trim().split("\n");
        const headers = Object.fromEntries(lines.map((line) => line.split(/:(.*)/).slice(0, 2)));
        if (command === "CONNECTED") done();
        if (command === "RECEIPT") waiting.get(headers["receipt-id"])?.();
        if (command === "ERROR") window.bedsideLab.errors.push(`the service: ${head} ${body}`);
        if (command === "MESSAGE") heard(JSON.parse(body));
      };
      setInterval(() => socket.readyState === WebSocket.OPEN && socket.send("\n"), 4000);
    });

  const subscribe = (destination) =>
    new Promise((done) => {
      waiting.set(destination, done);
      frame("SUBSCRIBE", { id: destination, destination, receipt: destination });
    });

  const signal = (body) => {
    const payload = { sessionId: session, from: peer, ...(other && { to: other }), body };
    const headers = { destination: "/app/call.signal", "media-token": mediaToken };
    frame("SEND", headers, JSON.stringify({ type: "SIGNAL", payload }));
  };

  const heard = ({ type, payload }) => {
    if (type === "ERROR") window.bedsideLab.errors.push(`the service: ${JSON.stringify(payload)}`);
    if (type !== "SIGNAL" || payload.from === peer || !mediaToken) return;
    if (payload.to && payload.to !== peer) return;
    answered(payload).catch((error) => window.bedsideLab.errors.push(`signal: ${error}`));
  };

  const answered = async ({ from, body }) => {
    // Of another negotiation, or of an end that was here before.
    if (body.kind === "candidate" && (from !== other || (negotiation && body.negotiation !== negotiation))) return;
    if (body.kind === "hello") {
      other = from;
      if (!body.reply) signal({ kind: "hello", reply: true });
    } else if (body.kind === "offer") {
      [other, negotiation] = [from, body.negotiation];
      await connection.setRemoteDescription({ type: "offer", sdp: body.sdp });
      await connection.setLocalDescription();
      signal({ kind: "answer", negotiation, sdp: connection.localDescription.sdp });
      for (const candidate of early.splice(0)) await connection.addIceCandidate(candidate);
      signal({ kind: "media", microphone: true, camera: true });
    } else if (body.kind === "candidate") {
      const { candidate, sdpMid, sdpMLineIndex } = body;
      // Bundled as all is, whose section it was does not matter where it is not said.
      const theirs = candidate ? { candidate, sdpMid, sdpMLineIndex: sdpMLineIndex ?? (sdpMid ? undefined : 0) } : null;
      if (connection.remoteDescription) await connection.addIceCandidate(theirs);
      else early.push(theirs);
    }
  };

  window.bedside = {
    // Signs in, enters the waiting room and is ready.
    async arrives(address, email, password) {
      service = address;
      token = (await ask("POST", "auth/login", { email, password })).accessToken;
      const [first] = await ask("GET", "consultations/sessions");
      session = first.sessionId;
      await connect();
      await Promise.all([`/topic/session.${session}`, "/user/queue/signals", "/user/queue/errors"].map(subscribe));
      await visit("join", {});
      await visit("join", { ready: true, deviceCheck: { camera: true, microphone: true, speaker: true } });
      return true;
    },
    // Enters the call.
    async joins() {
      const joined = await visit("join", {});
      mediaToken = joined.accessToken;
      connection.setConfiguration({ ...connection.getConfiguration(), iceServers: joined.iceServers });
      connection.onicecandidate = ({ candidate }) =>
        signal({
          kind: "candidate",
          negotiation,
          candidate: candidate?.candidate ?? "",
          sdpMid: candidate?.sdpMid,
          sdpMLineIndex: candidate?.sdpMLineIndex,
        });
      const calls = setInterval(() => other ? clearInterval(calls) : signal({ kind: "hello", reply: false }), 2000);
      signal({ kind: "hello", reply: false });
      return true;
    },
  };
}
