import { useEffect, useRef } from "react";
import { Button } from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk, useSnapshot } from "./api/context";
import type { Snapshot } from "./api/bindings";
import { After } from "./after/After";
import { CallScreen } from "./call/CallScreen";
import { History } from "./history/History";
import { Past } from "./history/Past";
import { PatientHome } from "./home/PatientHome";
import { DoctorRoom } from "./home/DoctorRoom";
import { Shell } from "./parts/Shell";
import { SignIn } from "./signin/SignIn";
import { CalledIn } from "./waiting/CalledIn";
import { Elsewhere } from "./waiting/Elsewhere";
import { Check } from "./waiting/Check";
import { Waiting } from "./waiting/Waiting";

/** The screen that the snapshot says: nothing else decides. */
export function App() {
  const snapshot = useSnapshot();
  const { t } = useTranslation();
  const ask = useAsk();
  useFocusOnHeading(snapshot?.screen);
  if (!snapshot || snapshot.screen === "starting") {
    return (
      <main className="centred">
        <div className="stack">
          <p role="status">
            {snapshot?.problem
              ? t("app.startingUnreachable", { service: snapshot.service })
              : t("app.starting")}
          </p>
          {snapshot?.problem && (
            <Button
              className="button outlined"
              onPress={() => {
                ask({ ask: "signOut" });
              }}
            >
              {t("app.elsewhere")}
            </Button>
          )}
        </div>
      </main>
    );
  }
  return <div className={isDoctor(snapshot) ? "doctor shell" : "shell"}>{screen(snapshot)}</div>;
}

/**
 * A new screen is read out from its heading, and the next Tab goes to what is in it. So it is where what
 * was pressed goes with what it did, and would take the focus with it.
 */
function useFocusOnHeading(screen: Snapshot["screen"] | undefined) {
  const focused = useRef<Element | null>(null);
  useEffect(() => {
    const note = ({ target }: FocusEvent) => {
      // Dialogs lie outside, and give the focus back to it by themselves.
      if (target instanceof Element && target.closest("main")) focused.current = target;
    };
    const leave = ({ target }: PointerEvent) => {
      const takesFocus = "button, a, input, textarea, select, [tabindex]";
      if (target instanceof Element && !target.closest(takesFocus)) focused.current = null;
    };
    document.addEventListener("focusin", note);
    document.addEventListener("pointerdown", leave);
    return () => {
      document.removeEventListener("focusin", note);
      document.removeEventListener("pointerdown", leave);
    };
  }, []);
  useEffect(() => {
    // Sign-in has its first field.
    if (screen !== undefined && screen !== "starting" && screen !== "signIn") focusHeading();
  }, [screen]);
  useEffect(() => {
    const isGone = focused.current?.isConnected === false;
    if (isGone && document.activeElement === document.body) focusHeading();
  });
}

function focusHeading() {
  const heading = document.querySelector<HTMLElement>("main h1");
  if (!heading) return;
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}

function isDoctor(snapshot: Snapshot): boolean {
  return snapshot.user?.role === "DOCTOR";
}

function screen(snapshot: Snapshot) {
  const { visit } = snapshot;
  switch (snapshot.screen) {
    case "starting":
    case "signIn":
      return <SignIn snapshot={snapshot} />;
    case "call":
      if (visit) return <CallScreen snapshot={snapshot} visit={visit} />;
      break;
    case "calledIn":
      if (visit) return <CalledIn visit={visit} />;
      break;
    case "elsewhere":
      if (visit) return <Elsewhere />;
      break;
    case "check":
      if (visit)
        return (
          <Shell snapshot={snapshot}>
            <Check visit={visit} devices={snapshot.devices} connection={snapshot.connection} />
          </Shell>
        );
      break;
    case "waiting":
      if (visit)
        return (
          <Shell snapshot={snapshot}>
            <Waiting visit={visit} devices={snapshot.devices} />
          </Shell>
        );
      break;
    case "after":
      if (visit)
        return (
          <Shell snapshot={snapshot}>
            <After visit={visit} sessions={snapshot.sessions} busy={snapshot.busy} />
          </Shell>
        );
      break;
    case "history":
      return (
        <Shell snapshot={snapshot}>
          <History history={snapshot.history} isDoctor={isDoctor(snapshot)} />
        </Shell>
      );
    case "past":
      if (snapshot.past)
        return (
          <Shell snapshot={snapshot}>
            <Past past={snapshot.past} isDoctor={isDoctor(snapshot)} />
          </Shell>
        );
      break;
    case "home":
      break;
  }
  return (
    <Shell snapshot={snapshot}>
      {isDoctor(snapshot) ? (
        <DoctorRoom snapshot={snapshot} />
      ) : (
        <PatientHome snapshot={snapshot} />
      )}
    </Shell>
  );
}
