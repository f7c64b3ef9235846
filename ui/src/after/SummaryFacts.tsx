import { useTranslation } from "react-i18next";

import type { Party, Summary } from "../api/bindings";
import { useMode } from "../home/when";
import { dayAndClock, money } from "../i18n";

/** A visit in six lines. */
export function SummaryFacts({ summary, party }: { summary: Summary; party: Party }) {
  const { t } = useTranslation();
  const mode = useMode();
  return (
    <dl className="facts">
      <dt>{party === "PATIENT" ? t("after.doctor") : t("after.patient")}</dt>
      <dd>{party === "PATIENT" ? summary.doctorName : summary.patientName}</dd>
      {summary.startTime !== undefined && (
        <>
          <dt>{t("after.when")}</dt>
          <dd>{dayAndClock(summary.startTime)}</dd>
        </>
      )}
      <dt>{t("after.lasted")}</dt>
      <dd>{t("after.minutes", { count: summary.actualDuration })}</dd>
      <dt>{t("after.how")}</dt>
      <dd>{mode(summary.consultationMode)}</dd>
      <dt>{t("after.messages")}</dt>
      <dd>{summary.chatMessageCount}</dd>
      {summary.amountCharged !== undefined && summary.currency !== undefined && (
        <>
          <dt>{t("after.amount")}</dt>
          <dd>{money(summary.amountCharged, summary.currency)}</dd>
        </>
      )}
    </dl>
  );
}
