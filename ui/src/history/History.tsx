import { ArrowLeft } from "lucide-react";
import { Button } from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk } from "../api/context";
import type { HistoryPage, Summary } from "../api/bindings";
import { SummaryFacts } from "../after/SummaryFacts";
import { month } from "../i18n";

/** Past visits by month. */
export function History({ history, isDoctor }: { history: HistoryPage | null; isDoctor: boolean }) {
  const { t } = useTranslation();
  const ask = useAsk();
  return (
    <main className="page">
      <h1>{t("history.title")}</h1>
      {history === null && <p role="status">{t("history.loading")}</p>}
      {history?.items.length === 0 && <p>{t("history.none")}</p>}
      {byMonth(history?.items ?? []).map(([heading, visits]) => (
        <section key={heading} className="stack">
          <h2>{heading}</h2>
          {visits.map((visit) => (
            <article key={visit.sessionId} className="card">
              <SummaryFacts summary={visit} party={isDoctor ? "DOCTOR" : "PATIENT"} />
              {visit.feedbackSubmitted && <p className="quiet">{t("history.rated")}</p>}
            </article>
          ))}
        </section>
      ))}
      <div className="next-step">
        {history?.next !== undefined && (
          <Button
            className="button"
            onPress={() => {
              ask({ ask: "history" });
            }}
          >
            {t("history.more")}
          </Button>
        )}
        <Button
          className="button main"
          data-do="home"
          onPress={() => {
            ask({ ask: "home" });
          }}
        >
          <ArrowLeft aria-hidden /> {t("app.home")}
        </Button>
      </div>
    </main>
  );
}

/** Visits under the month in which they were. */
export function byMonth(visits: Summary[]): [string, Summary[]][] {
  const months = new Map<string, Summary[]>();
  for (const visit of visits) {
    const at = visit.startTime ?? visit.endTime;
    const heading = at === undefined ? "" : month(at);
    months.set(heading, [...(months.get(heading) ?? []), visit]);
  }
  return [...months];
}
