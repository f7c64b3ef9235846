import { Button } from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk } from "../api/context";
import type { Session, Visit } from "../api/bindings";
import { isOpen, runs } from "../home/when";
import { Notice } from "../parts/Notice";
import { FeedbackForm } from "./FeedbackForm";
import { SummaryFacts } from "./SummaryFacts";

/** After the visit: the summary in six lines, then feedback, then the way home. */
export function After({
  visit,
  sessions,
  busy,
}: {
  visit: Visit;
  sessions: Session[];
  busy: boolean;
}) {
  const { t } = useTranslation();
  const ask = useAsk();
  const { session, summary, party } = visit;
  const open = runs(session);
  const wasHeld = session.status === "COMPLETED" || session.status === "FAILED";
  const isPatient = party === "PATIENT";
  const again = sessions.find((one) => one.recalledFrom === session.sessionId && isOpen(one));
  const invited = isPatient ? again : undefined;
  return (
    <main className="page">
      <div>
        <h1>{open ? t("after.left") : t("after.title")}</h1>
        {open && <p className="quiet">{t("after.leftLead")}</p>}
        {session.status === "CANCELLED" && <p>{t("after.cancelled")}</p>}
        {session.status === "NO_SHOW" && <p>{t("after.noShow")}</p>}
        {session.status === "FAILED" && <p>{t("after.failed")}</p>}
      </div>
      {invited && (
        <Notice kind="attention">{t("after.recalled", { name: session.doctor.name })}</Notice>
      )}
      {!open && (
        <section className="card">
          {summary ? (
            <SummaryFacts summary={summary} party={party} />
          ) : (
            <p role="status">{t("after.loading")}</p>
          )}
        </section>
      )}
      {isPatient && wasHeld && visit.feedbackGiven && (
        <Notice kind="good">{t("feedback.thanks")}</Notice>
      )}
      {isPatient && wasHeld && !visit.feedbackGiven && summary?.feedbackSubmitted === false && (
        <FeedbackForm withPicture={session.consultationMode === "VIDEO"} busy={busy} />
      )}
      <div className="next-step">
        {!open && !isPatient && again === undefined && (
          <Button
            className="button"
            data-do="recall"
            isDisabled={busy}
            onPress={() => {
              ask({ ask: "recall", session: session.sessionId });
            }}
          >
            {t("after.recall", { name: session.patient.name })}
          </Button>
        )}
        <Button
          className={open || invited ? "button" : "button main"}
          data-do="home"
          onPress={() => {
            ask({ ask: "home" });
          }}
        >
          {isPatient ? t("after.done") : t("after.next")}
        </Button>
        {open && (
          <Button
            className="button main"
            data-do="return"
            onPress={() => {
              ask(
                isPatient
                  ? { ask: "enter", session: session.sessionId }
                  : { ask: "admit", session: session.sessionId },
              );
            }}
          >
            {t("after.return")}
          </Button>
        )}
        {invited && (
          <Button
            className="button main"
            data-do="enterAgain"
            onPress={() => {
              ask({ ask: "enter", session: invited.sessionId });
            }}
          >
            {t("home.enter")}
          </Button>
        )}
      </div>
    </main>
  );
}
