import { PhoneIncoming, X } from "lucide-react";
import { useEffect, useState } from "react";
import { Button, ToggleButton } from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk } from "../api/context";
import type { Session, Snapshot } from "../api/bindings";
import { clock } from "../i18n";
import { Initials } from "../parts/Initials";
import { Notice } from "../parts/Notice";
import { isOnDay, isOpen, runs, useMode, useNow, useShortWhen } from "./when";

/** Who waits on the left, the chosen patient on the right, one key to call in. */
export function DoctorRoom({ snapshot }: { snapshot: Snapshot }) {
  const { t } = useTranslation();
  const [chosenId, choose] = useState<string | null>(null);
  // By arrival, not by visit: somebody who left and is back arrives again.
  const [seen, setSeen] = useState<ReadonlySet<string>>(new Set());
  const arrival = (session: Session) => `${session.sessionId} ${session.waitingSince ?? ""}`;
  const open = snapshot.sessions.filter(isOpen);
  const waiting = open
    .filter((session) => session.status === "WAITING")
    .sort((a, b) => (a.placeInLine ?? 0) - (b.placeInLine ?? 0));
  const running = open.filter(runs);
  const now = useNow();
  const scheduled = open.filter((session) => session.status === "SCHEDULED");
  const planned = scheduled.filter((session) => isOnDay(session.scheduledStartTime, now));
  const later = scheduled.filter((session) => !isOnDay(session.scheduledStartTime, now));
  const chosen =
    open.find((session) => session.sessionId === chosenId) ??
    running[0] ??
    waiting[0] ??
    planned[0];
  const ask = useAsk();
  const next = running.length === 0 ? waiting[0]?.sessionId : undefined;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const types = event.target instanceof HTMLElement && event.target.matches("input, textarea");
      if (types || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key.toLowerCase() !== "n" || next === undefined) return;
      event.preventDefault();
      ask({ ask: "admit", session: next });
    };
    window.addEventListener("keydown", onKey);
    return () => {
      window.removeEventListener("keydown", onKey);
    };
  }, [ask, next]);
  const arrivals = waiting.filter((session) => !seen.has(arrival(session)));
  const list = (sessions: Session[]) =>
    sessions.map((session, index) => (
      <Person
        key={session.sessionId}
        session={session}
        number={session.status === "WAITING" ? index + 1 : null}
        isChosen={session === chosen}
        onChoose={() => {
          choose(session.sessionId);
        }}
      />
    ));
  return (
    <main className="page">
      <h1>{t("room.title")}</h1>
      {arrivals.map((session) => (
        <Notice
          key={session.sessionId}
          kind="good"
          action={
            <Button
              className="button"
              aria-label={t("app.dismiss")}
              onPress={() => {
                setSeen(new Set([...seen, arrival(session)]));
              }}
            >
              <X aria-hidden size={20} />
            </Button>
          }
        >
          {t("room.arrived", { name: session.patient.name })}
        </Notice>
      ))}
      <div className="room">
        <div className="card stack">
          {running.length > 0 && (
            <section className="people">
              <h2>{t("room.goingOn")}</h2>
              {list(running)}
            </section>
          )}
          <section className="people">
            <h2>{t("room.waiting")}</h2>
            {waiting.length > 0 ? (
              <>
                {list(waiting)}
                {next !== undefined && <p className="quiet">{t("room.callInKey")}</p>}
              </>
            ) : snapshot.link !== "up" && open.length === 0 ? (
              <p role="status">{t("home.loading")}</p>
            ) : (
              <>
                <p>{t("room.nobody")}</p>
                <p className="quiet">{t("room.nobodyLead")}</p>
              </>
            )}
          </section>
          {planned.length > 0 && (
            <section className="people">
              <h2>{t("room.todays")}</h2>
              {list(planned)}
            </section>
          )}
          {later.length > 0 && (
            <section className="people">
              <h2>{t("room.laters")}</h2>
              {list(later)}
            </section>
          )}
        </div>
        {chosen && <Chosen key={chosen.sessionId} session={chosen} />}
      </div>
    </main>
  );
}

function Person({
  session,
  number,
  isChosen,
  onChoose,
}: {
  session: Session;
  number: number | null;
  isChosen: boolean;
  onChoose: () => void;
}) {
  const { t } = useTranslation();
  const shortWhen = useShortWhen();
  const line =
    session.status === "WAITING" && session.waitingSince
      ? t("room.since", { time: clock(session.waitingSince) })
      : shortWhen(session.scheduledStartTime);
  const presence = session.participants.find((one) => one.party === "PATIENT")?.status;
  const isAbsent = session.status === "WAITING" && presence !== "connected";
  return (
    <ToggleButton className="person" isSelected={isChosen} onChange={onChoose}>
      <Initials name={session.patient.name} size={44} />
      <span className="grow">
        <strong>
          {number !== null && (
            <>
              <span aria-hidden>{number}. </span>
              <span className="unseen">{t("room.number", { number })} </span>
            </>
          )}
          {session.patient.name}
        </strong>
        <br />
        <span className="quiet">{line}</span>
        {session.status === "WAITING" && (
          <>
            <br />
            <span className="quiet">
              {isAbsent
                ? t("room.absent")
                : session.patientReady
                  ? t("room.ready")
                  : t("room.checking")}
            </span>
          </>
        )}
      </span>
    </ToggleButton>
  );
}

function Chosen({ session }: { session: Session }) {
  const { t } = useTranslation();
  const ask = useAsk();
  const mode = useMode();
  const { name } = session.patient;
  const check = session.deviceCheck;
  const shortWhen = useShortWhen();
  const canCall = session.status === "WAITING" || runs(session);
  const device = (works: boolean, label: string) => (
    <li>{t(works ? "room.works" : "room.missing", { device: label })}</li>
  );
  return (
    <section className="card stack" aria-label={name}>
      <div className="row">
        <Initials name={name} size={72} />
        <div className="grow">
          <h2>{name}</h2>
          <p className="quiet">
            {t("room.reason", {
              time: shortWhen(session.scheduledStartTime),
              minutes: session.scheduledDurationMinutes,
              mode: mode(session.consultationMode),
            })}
          </p>
        </div>
      </div>
      <div>
        <h3>{t("room.devices")}</h3>
        {check ? (
          <ul>
            {device(check.camera, t("devices.camera"))}
            {device(check.microphone, t("devices.microphone"))}
            {device(check.speaker, t("devices.speaker"))}
          </ul>
        ) : (
          <p className="quiet">{t("room.unknown")}</p>
        )}
      </div>
      <div className="actions next-step">
        {!canCall && <p className="quiet grow">{t("room.notThere", { name })}</p>}
        <Button
          className="button main"
          data-do="admit"
          isDisabled={!canCall}
          onPress={() => {
            ask({ ask: "admit", session: session.sessionId });
          }}
        >
          <PhoneIncoming aria-hidden size={20} />
          {runs(session) ? t("room.goBack", { name }) : t("room.callIn", { name })}
        </Button>
      </div>
    </section>
  );
}
