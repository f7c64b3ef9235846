import "./i18n";

import { act, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it } from "vitest";

import { App } from "./App";
import { BackendProvider } from "./api/context";
import type { Snapshot } from "./api/bindings";
import { expectNoAxeViolations } from "./test/axe";
import { fakeBackend, session, snapshot, visit } from "./test/fake";

function open(says: Snapshot) {
  const { backend, asked, files, changes } = fakeBackend(says);
  render(
    <BackendProvider backend={backend}>
      <App />
    </BackendProvider>,
  );
  const change = (to: Snapshot) => {
    act(() => {
      changes(to);
    });
  };
  return { asked, files, change };
}

function show(says: Snapshot) {
  return open(says).asked;
}

const signedOut: Snapshot = {
  ...snapshot,
  screen: "signIn",
  user: null,
  visit: null,
  sessions: [],
};
const trouble = { code: "unreachable", message: "" } as const;
const summary = {
  sessionId: "s",
  appointmentId: "a",
  doctorName: "Dr. Amara Okafor",
  patientName: "Maria Keller",
  consultationMode: "VIDEO",
  scheduledDuration: 15,
  actualDuration: 2,
  durationSeconds: 95,
  startTime: "2026-01-30T14:30:00Z",
  status: "COMPLETED",
  chatMessageCount: 3,
  feedbackSubmitted: false,
  amountCharged: 48.5,
  currency: "EUR",
} as const;
const ended: Snapshot = {
  ...snapshot,
  screen: "after",
  visit: { ...visit, session: { ...session, status: "COMPLETED" }, call: null, summary },
};
const day = 24 * 3_600_000;
const waiting = { ...session, status: "WAITING", admitted: false, placeInLine: 1 } as const;

describe("every screen", () => {
  const screens: [string, Snapshot][] = [
    ["sign in", signedOut],
    ["sign in, unreachable", { ...signedOut, problem: trouble }],
    ["home", { ...snapshot, screen: "home", visit: null }],
    ["home with nothing", { ...snapshot, screen: "home", visit: null, sessions: [] }],
    ["check", { ...snapshot, screen: "check" }],
    ["waiting", { ...snapshot, screen: "waiting", visit: { ...visit, session: waiting } }],
    ["called in", { ...snapshot, screen: "calledIn" }],
    ["on another device", { ...snapshot, screen: "elsewhere" }],
    ["call", snapshot],
    ["after", ended],
    ["history", { ...snapshot, screen: "history", visit: null, history: { items: [summary] } }],
    [
      "doctor's room",
      { ...snapshot, screen: "home", user: session.doctor, visit: null, sessions: [waiting] },
    ],
  ];
  it.each(screens)("%s can be used by everybody", async (_, says) => {
    const { container } = { container: document.body };
    show(says);
    await expectNoAxeViolations(container);
  });
});

describe("being called in", () => {
  it("is not answered by what was being typed", async () => {
    const asked = show({ ...snapshot, screen: "calledIn" });
    expect(screen.getByRole("heading", { level: 1 })).toHaveFocus();
    await userEvent.keyboard(" {Enter}yes");
    expect(asked).not.toContainEqual({ ask: "join" });
    await userEvent.tab();
    await userEvent.keyboard("{Enter}");
    expect(asked).toContainEqual({ ask: "join" });
  });

  it("rings at the doctor's end until the patient has joined", async () => {
    const asked = show({
      ...snapshot,
      user: session.doctor,
      visit: { ...visit, party: "DOCTOR", session: waiting },
    });
    expect(screen.getByText(/It rings at Maria Keller/)).toBeVisible();
    expect(screen.queryByRole("button", { name: /Hold/ })).toBeNull();
    await userEvent.click(screen.getByRole("button", { name: /Stop calling/ }));
    await userEvent.click(screen.getByRole("button", { name: "Stop calling" }));
    expect(asked).toContainEqual({ ask: "end" });
  });
});

describe("the chat", () => {
  it("keeps what was begun when it is closed", async () => {
    show(snapshot);
    await userEvent.keyboard("c");
    await userEvent.type(screen.getByRole("textbox"), "my blood pres");
    await userEvent.click(screen.getByRole("button", { name: "Close the chat" }));
    await userEvent.click(screen.getByRole("button", { name: /Chat/ }));
    expect(screen.getByRole("textbox")).toHaveValue("my blood pres");
  });

  it("says at once that a file is too large", async () => {
    const { files } = open(snapshot);
    await userEvent.keyboard("c");
    const large = new File([new Uint8Array(10 * 1024 * 1024 + 1)], "scan.png", {
      type: "image/png",
    });
    const input = document.querySelector<HTMLInputElement>("input[type=file]");
    if (!input) throw new Error("a file can be chosen");
    await userEvent.upload(input, large);
    expect(screen.getByRole("alert")).toHaveTextContent(/too large/);
    expect(files).toEqual([]);
  });
});

describe("sign in", () => {
  it("keeps what was typed when the service is away", async () => {
    const asked = show({ ...signedOut, problem: trouble });
    await userEvent.type(screen.getByLabelText("E-mail address"), "maria@x.example");
    await userEvent.type(screen.getByLabelText("Password"), "a long password{Enter}");
    expect(asked).toContainEqual({
      ask: "signIn",
      service: "clinic.example",
      email: "maria@x.example",
      password: "a long password",
    });
    expect(screen.getByLabelText("E-mail address")).toHaveValue("maria@x.example");
  });
});

describe("the call", () => {
  it("is driven by keys", async () => {
    const asked = show(snapshot);
    await userEvent.keyboard("m");
    await userEvent.keyboard("v");
    expect(asked).toEqual([
      { ask: "switch", device: "microphone", on: false },
      { ask: "switch", device: "camera", on: false },
    ]);
  });

  it("does not take what is written for a shortcut", async () => {
    const asked = show(snapshot);
    await userEvent.keyboard("c");
    await userEvent.type(screen.getByLabelText("Your message"), "mm{Enter}");
    expect(asked).toContainEqual({ ask: "sendText", text: "mm" });
    expect(asked.some((ask) => ask.ask === "switch")).toBe(false);
  });

  it("asks before it ends", async () => {
    const asked = show(snapshot);
    await userEvent.keyboard("e");
    expect(asked).toEqual([]);
    await userEvent.click(await screen.findByRole("button", { name: "Leave" }));
    expect(asked).toContainEqual({ ask: "leave" });
  });

  it("says in words what is wrong", () => {
    const call = visit.call;
    if (!call) throw new Error("there is a call");
    show({
      ...snapshot,
      visit: { ...visit, call: { ...call, quality: { ...call.quality, fps: 9 } } },
      devices: { ...snapshot.devices, microphoneIsSilent: true },
    });
    expect(screen.getByText(/9 pictures a second: too few/)).toBeInTheDocument();
    expect(screen.getByText(/Is it muted on the headset/)).toBeInTheDocument();
  });

  it("tells whoever helps what was measured of each track", async () => {
    show(snapshot);
    await userEvent.click(screen.getByRole("button", { name: "Details of the connection" }));
    const details = await screen.findByRole("dialog", { name: "Details of the connection" });
    expect(details).toHaveTextContent("Direct, 20 ms there and back");
    expect(details).toHaveTextContent(
      "640×360, 30 pictures a second, 568 kbit/s, 1 % lost, 7 ms jitter",
    );
    expect(details).toHaveTextContent("32 kbit/s, 0 % lost, 4 ms jitter, 0 % made up");
    await expectNoAxeViolations(document.body);
  });

  it("greys a picture that stands still, and says how old it is", () => {
    const call = visit.call;
    if (!call) throw new Error("there is a call");
    const quality = { ...call.quality, fps: 0, frozenPercent: 60, pictureAgeMs: 5_200 };
    show({ ...snapshot, visit: { ...visit, call: { ...call, quality } } });
    expect(screen.getByText(/It is 5 seconds old/)).toBeInTheDocument();
    expect(screen.queryByText(/0 pictures a second/)).toBeNull();
    const picture = screen.getByLabelText(visit.session.doctor.name, { selector: "canvas" });
    expect(picture).toHaveClass("old");
    expect(screen.getByText("Weak connection")).toBeInTheDocument();
  });

  it("offers to rejoin when the connection is lost", async () => {
    const call = visit.call;
    if (!call) throw new Error("there is a call");
    const asked = show({ ...snapshot, visit: { ...visit, call: { ...call, status: "lost" } } });
    await userEvent.click(screen.getByRole("button", { name: "Rejoin" }));
    expect(asked).toEqual([{ ask: "rejoin" }]);
  });
});

describe("not now", () => {
  it("keeps one's place", async () => {
    const asked = show({ ...snapshot, screen: "calledIn" });
    await userEvent.click(screen.getByRole("button", { name: "Not now" }));
    expect(asked).toEqual([{ ask: "decline" }]);
  });

  it("lets one say when one is ready", async () => {
    const notNow = { ...visit, session: waiting, ready: false };
    const page = open({ ...snapshot, screen: "waiting", visit: notNow });
    expect(screen.getByText(/Your place is kept/)).toBeInTheDocument();
    await userEvent.click(screen.getByRole("button", { name: "I’m ready" }));
    expect(page.asked).toContainEqual({ ask: "ready" });
    // The button goes, and the focus with it.
    page.change({ ...snapshot, screen: "waiting", visit: { ...notNow, ready: true } });
    expect(screen.getByRole("heading", { level: 1 })).toHaveFocus();
  });
});

describe("sharing one's screen", () => {
  const choices = [
    { id: "display:1", kind: "display", name: "DP-1", preview: null },
    { id: "window:7", kind: "window", name: "Blood results", preview: null },
  ] as const;
  const sharingWith = (screen: Partial<typeof visit.screen>): Snapshot => ({
    ...snapshot,
    visit: { ...visit, screen: { ...visit.screen, ...screen } },
  });

  it("begins with a choice, by key and by button", async () => {
    const asked = show(snapshot);
    await userEvent.keyboard("p");
    await userEvent.click(screen.getByRole("button", { name: "Share screen (P)" }));
    expect(asked).toEqual([{ ask: "chooseScreen" }, { ask: "chooseScreen" }]);
  });

  it("shares what was chosen, once it is pressed", async () => {
    const asked = show(sharingWith({ choices: [...choices] }));
    expect(screen.getByText(/will see everything on it/)).toBeInTheDocument();
    await userEvent.click(screen.getByRole("option", { name: "Blood results" }));
    expect(asked).toEqual([]);
    await userEvent.keyboard("m");
    await userEvent.click(screen.getByRole("button", { name: "Share" }));
    expect(asked).toEqual([{ ask: "shareScreen", id: "window:7" }]);
  });

  it("shares nothing that was not chosen, nor anything else when that is gone", async () => {
    const page = open(sharingWith({ choices: [...choices] }));
    expect(screen.getByRole("button", { name: "Share" })).toBeDisabled();
    await userEvent.click(screen.getByRole("option", { name: "Blood results" }));
    expect(screen.getByRole("button", { name: "Share" })).toBeEnabled();
    page.change(sharingWith({ choices: [choices[0]] }));
    expect(screen.getByRole("button", { name: "Share" })).toBeDisabled();
    page.change(sharingWith({ choices: [...choices] }));
    expect(screen.getByRole("button", { name: "Share" })).toBeDisabled();
    await userEvent.click(screen.getByRole("option", { name: "Blood results" }));
    page.change(sharingWith({ choices: null }));
    page.change(sharingWith({ choices: [...choices] }));
    expect(screen.getByRole("button", { name: "Share" })).toBeDisabled();
  });

  it("says what comes next where the system asks itself", async () => {
    const system = { id: "portal", kind: "system", name: "", preview: null } as const;
    const page = open(sharingWith({ choices: [system] }));
    expect(screen.getByText(/asks you next what to share/)).toBeInTheDocument();
    await userEvent.click(screen.getByRole("button", { name: "Choose…" }));
    expect(page.asked).toEqual([{ ask: "shareScreen", id: "portal" }]);
    page.change(sharingWith({ choices: [system], opening: true }));
    expect(screen.getByText(/window that your computer has opened/)).toBeInTheDocument();
    expect(screen.getByRole("button", { name: "Choose…" })).toBeDisabled();
  });

  it("shares nothing when it is left", async () => {
    const asked = show(sharingWith({ choices: [...choices] }));
    await userEvent.click(screen.getByRole("button", { name: "Cancel" }));
    expect(asked).toEqual([{ ask: "leaveScreenChoice" }]);
  });

  it("says so while it is shared, and stops at a press", async () => {
    const asked = show(sharingWith({ shared: choices[1] }));
    expect(screen.getByText(/sees what you share/)).toBeInTheDocument();
    const [stop] = screen.getAllByRole("button", { name: /Stop sharing/ });
    if (!stop) throw new Error("there is a way to stop");
    await userEvent.click(stop);
    expect(asked).toEqual([{ ask: "stopSharing" }]);
  });

  it("says why nothing is shared any more", () => {
    show(sharingWith({ trouble: "gone" }));
    expect(screen.getByText(/the window or screen is gone/)).toBeInTheDocument();
  });

  it("shows what the other side shares, and them beside it", () => {
    const call = visit.call;
    if (!call) throw new Error("there is a call");
    const participants = [{ party: "DOCTOR", tracks: ["camera", "screen"] }] as const;
    const sharing = {
      ...call,
      participants: [{ ...participants[0], tracks: [...participants[0].tracks] }],
    };
    show({ ...snapshot, visit: { ...visit, call: sharing } });
    expect(screen.getByLabelText(/shares of their screen/)).toBeInTheDocument();
    expect(screen.getByLabelText(visit.session.doctor.name, { selector: "canvas" })).toHaveClass(
      "beside",
    );
  });

  it("can't be begun while the visit is on hold", async () => {
    const held = { ...visit.session, status: "PAUSED" } as const;
    const asked = show({ ...snapshot, visit: { ...visit, session: held } });
    await userEvent.keyboard("p");
    expect(screen.getByRole("button", { name: "Share screen (P)" })).toBeDisabled();
    expect(asked).toEqual([]);
  });
});

describe("one person on two devices", () => {
  const home: Snapshot = { ...snapshot, screen: "home", visit: null };
  const there = { ...session, patientDevice: "their-telephone" };

  it("says so at home, and offers to continue here", () => {
    show({ ...home, sessions: [there] });
    expect(screen.getByText("You are in this visit on another device")).toBeInTheDocument();
    expect(screen.getByRole("button", { name: /Continue on this device/ })).toBeInTheDocument();
  });

  it("takes one that crashed for gone", () => {
    const participants = there.participants.map((one) => ({
      ...one,
      status: "disconnected" as const,
    }));
    show({ ...home, sessions: [{ ...there, participants }] });
    expect(screen.getByRole("button", { name: /Return to your visit/ })).toBeInTheDocument();
  });
});

describe("the network test", () => {
  const narrow: Snapshot = {
    ...snapshot,
    screen: "check",
    visit: { ...visit, call: null, session: waiting },
    connection: {
      ...snapshot.connection,
      test: {
        runs: false,
        verdict: "soundOnly",
        found: {
          bitsPerSecond: 140_000,
          lossPercent: 3,
          roundTripMs: 90,
          udp: false,
          tcp: true,
          tls: true,
        },
        code: "K7M2QX",
      },
    },
  };

  it("offers to come with sound only, and to try again, and says the code", async () => {
    const asked = show(narrow);
    expect(screen.getByText(/too narrow for a picture/)).toBeInTheDocument();
    expect(screen.getByText("K7M 2QX")).toBeInTheDocument();
    expect(screen.getByText(/by TCP, TLS/)).toBeInTheDocument();
    await userEvent.click(screen.getByRole("button", { name: "Come with sound only" }));
    await userEvent.click(screen.getByRole("button", { name: "Try again" }));
    expect(asked).toContainEqual({ ask: "switch", device: "camera", on: false });
    expect(asked).toContainEqual({ ask: "testNetwork" });
  });

  it("claims nothing while it runs, and nothing while the clinic does not answer", () => {
    const { connection } = narrow;
    show({ ...narrow, connection: { ...connection, test: { ...connection.test, runs: true } } });
    expect(screen.getByText(/Trying your connection/)).toBeInTheDocument();
    expect(screen.queryByText(/too narrow/)).not.toBeInTheDocument();
  });
});

describe("a device that does not work", () => {
  it("is explained, with the computer's own words for whoever helps", () => {
    const { devices } = snapshot;
    const microphone = {
      ...devices.microphone,
      works: false,
      trouble: "failed",
      systemWords: "error -77",
    } as const;
    show({ ...snapshot, screen: "check", devices: { ...devices, microphone } });
    expect(screen.getByText(/Unplug it and plug it in again/)).toBeInTheDocument();
    expect(screen.getByText(/the computer says: error -77/)).toBeInTheDocument();
  });
});

describe("feedback", () => {
  it("needs stars, and sends what was said", async () => {
    const asked = show(ended);
    expect(screen.getByRole("button", { name: "Send" })).toBeDisabled();
    await userEvent.click(screen.getByRole("radio", { name: "4 stars" }));
    await userEvent.click(screen.getByRole("button", { name: "Good listener" }));
    await userEvent.click(screen.getByRole("button", { name: "Send" }));
    expect(asked).toContainEqual({
      ask: "feedback",
      feedback: { overallRating: 4, feedbackTags: ["Good listener"] },
    });
  });
});

describe("what is near and what is not", () => {
  it("opens a waiting room half an hour before the visit, and says when", () => {
    const later = {
      ...session,
      status: "SCHEDULED",
      scheduledStartTime: new Date(Date.now() + 9 * day).toISOString(),
    } as const;
    show({ ...snapshot, screen: "home", visit: null, sessions: [later] });
    expect(screen.getByText(/The waiting room opens/)).toBeInTheDocument();
    expect(screen.getByRole("button", { name: /Enter the waiting room/ })).toBeDisabled();
  });

  it("calls in who is next by one key, and nobody while a visit goes on", async () => {
    const room = { ...snapshot, screen: "home", visit: null, user: session.doctor } as const;
    const asked = show({ ...room, sessions: [waiting] });
    await userEvent.keyboard("n");
    expect(asked).toContainEqual({ ask: "admit", session: "s" });
    const busy = show({ ...room, sessions: [session, { ...waiting, sessionId: "w" }] });
    await userEvent.keyboard("n");
    expect(busy).not.toContainEqual({ ask: "admit", session: "w" });
  });
});
