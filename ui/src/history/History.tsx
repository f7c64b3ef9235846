import { ArrowLeft, ChevronRight } from "lucide-react";
import { useState } from "react";
import { Button, Input, Label, SearchField } from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk } from "../api/context";
import type { HistoryPage, Summary } from "../api/bindings";
import { useMode } from "../home/when";
import { dayAndClock, month } from "../i18n";

/** Few enough to see at a glance: a search would only be in the way. */
const SEARCHABLE_FROM = 3;

/** Past visits by month; one opens to what it came to, what was written and how it was rated. */
export function History({ history, isDoctor }: { history: HistoryPage | null; isDoctor: boolean }) {
  const { t } = useTranslation();
  const ask = useAsk();
  const mode = useMode();
  const [wanted, setWanted] = useState("");
  const items = history?.items ?? [];
  const name = (visit: Summary) => (isDoctor ? visit.patientName : visit.doctorName);
  const found = items.filter((visit) =>
    matches(`${name(visit)} ${visit.specialization ?? ""} ${mode(visit.consultationMode)}`, wanted),
  );
  return (
    <main className="page">
      <h1>{t("history.title")}</h1>
      {history === null && <p role="status">{t("history.loading")}</p>}
      {history?.items.length === 0 && <p>{t("history.none")}</p>}
      {items.length >= SEARCHABLE_FROM && (
        <SearchField className="field" value={wanted} onChange={setWanted}>
          <Label>{t("history.search")}</Label>
          <Input />
        </SearchField>
      )}
      {items.length > 0 && found.length === 0 && (
        <p role="status">{t("history.notFound", { wanted })}</p>
      )}
      {byMonth(found).map(([heading, visits]) => (
        <section key={heading} className="stack">
          <h2>{heading}</h2>
          <div className="card list-card">
            {visits.map((visit) => (
              <h3 key={visit.sessionId} className="past">
                <Button
                  className="past-line"
                  data-do="past"
                  onPress={() => {
                    ask({ ask: "openPast", session: visit.sessionId });
                  }}
                >
                  <span className="grow">
                    <strong>{name(visit)}</strong>
                    <br />
                    <span className="quiet">
                      {visit.startTime !== undefined && `${dayAndClock(visit.startTime)}, `}
                      {mode(visit.consultationMode)}
                    </span>
                  </span>
                  <span className="quiet">
                    {t("after.minutes", { count: visit.actualDuration })}
                  </span>
                  <ChevronRight aria-hidden size={20} />
                </Button>
              </h3>
            ))}
          </div>
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

/** Whether a text has every word that is wanted, however they are written. */
export function matches(text: string, wanted: string): boolean {
  const plain = (one: string) =>
    one
      .normalize("NFD")
      .replace(/\p{Diacritic}/gu, "")
      .toLocaleLowerCase();
  return plain(wanted)
    .split(/\s+/)
    .every((word) => plain(text).includes(word));
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
