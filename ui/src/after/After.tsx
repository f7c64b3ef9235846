import { Button } from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk } from "../api/context";
import type { Visit } from "../api/bindings";
import { runs } from "../home/when";
import { Notice } from "../parts/Notice";
import { FeedbackForm } from "./FeedbackForm";
import { SummaryFacts } from "./SummaryFacts";

/** After the visit: the summary in six lines, then feedback, then the way home. */
export function After({ visit, busy }: { visit: Visit; busy: boolean }) {
  const { t } = useTranslation();
  const ask = useAsk();
  const { session, summary, party } = visit;
  const open = runs(session);
  const wasHeld = session.status === "COMPLETED";
  const isPatient = party === "PATIENT";
  return (
    <main className="page">
      <div>
        <h1>{open ? t("after.left") : t("after.title")}</h1>
        {open && <p className="quiet">{t("after.leftLead")}</p>}
        {session.status === "CANCELLED" && <p>{t("after.cancelled")}</p>}
        {session.status === "NO_SHOW" && <p>{t("after.noShow")}</p>}
      </div>
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
        <Button
          className={open ? "button" : "button main"}
          data-do="home"
          onPress={() => {
            ask({ ask: "home" });
          }}
        >
          {isPatient ? t("after.done") : t("after.next")}
        </Button>
      </div>
    </main>
  );
}
