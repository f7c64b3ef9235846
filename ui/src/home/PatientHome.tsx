import { ArrowRight } from "lucide-react";
import { Button } from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk } from "../api/context";
import type { Session, Snapshot } from "../api/bindings";
import { Initials } from "../parts/Initials";
import { isElsewhere, isOpen, opensAt, runs, useMode, useNow, useShortWhen, useWhen } from "./when";

/** The next visit as one large card; later ones below. */
export function PatientHome({ snapshot }: { snapshot: Snapshot }) {
  const { t } = useTranslation();
  const ask = useAsk();
  const open = snapshot.sessions.filter(isOpen);
  const next = open.find(runs) ?? open[0];
  const later = open.filter((session) => session !== next);
  const shortWhen = useShortWhen();
  const now = useNow();
  const opens = next ? opensAt(next, now) : null;
  return (
    <main className="page">
      <h1>{t("home.hello", { name: snapshot.user?.name ?? "" })}</h1>
      {next ? (
        <NextVisit session={next} elsewhere={isElsewhere(next, snapshot.device)} />
      ) : snapshot.link !== "up" ? (
        <p role="status">{t("home.loading")}</p>
      ) : (
        <section className="card stack">
          <h2>{t("home.none")}</h2>
          <p className="quiet">{t("home.noneLead")}</p>
        </section>
      )}
      {later.length > 0 && (
        <section className="stack">
          <h2>{t("home.later")}</h2>
          <ul className="list">
            {later.map((session) => (
              <Later key={session.sessionId} session={session} />
            ))}
          </ul>
        </section>
      )}
      {next && (
        <div className="next-step">
          {opens !== null && (
            <p className="quiet grow">{t("home.opens", { time: shortWhen(opens) })}</p>
          )}
          <Button
            className="button main"
            data-do="enter"
            isDisabled={opens !== null}
            onPress={() => {
              ask({ ask: "enter", session: next.sessionId });
            }}
          >
            {isElsewhere(next, snapshot.device)
              ? t("elsewhere.takeBack")
              : runs(next)
                ? t("home.return")
                : t("home.enter")}{" "}
            <ArrowRight aria-hidden />
          </Button>
        </div>
      )}
    </main>
  );
}

function NextVisit({ session, elsewhere }: { session: Session; elsewhere: boolean }) {
  const { t } = useTranslation();
  const when = useWhen();
  const mode = useMode();
  return (
    <section className="card next-visit" aria-label={t("home.nextVisit")}>
      <p className="quiet">
        {elsewhere
          ? t("elsewhere.title")
          : runs(session)
            ? t("home.returnLead")
            : session.recalledFrom === undefined
              ? t("home.nextVisit")
              : t("home.recalled")}
      </p>
      <div className="row">
        <Initials name={session.doctor.name} size={88} />
        <div className="grow">
          <h2>{session.doctor.name}</h2>
          <p className="quiet">{session.doctor.specialization}</p>
        </div>
      </div>
      <p>
        {when(session.scheduledStartTime)}, {mode(session.consultationMode)}
      </p>
    </section>
  );
}

function Later({ session }: { session: Session }) {
  const { t } = useTranslation();
  const when = useWhen();
  return (
    <li>
      {when(session.scheduledStartTime)} {t("home.with", { name: session.doctor.name })}
    </li>
  );
}
