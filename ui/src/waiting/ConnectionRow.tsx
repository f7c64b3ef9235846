import { CircleCheck, CircleDashed, TriangleAlert } from "lucide-react";
import { useTranslation } from "react-i18next";

import type { Connection } from "../api/bindings";

/** How well the clinic is reached, in a sentence that says no more than was measured. */
export function ConnectionRow({ connection }: { connection: Connection }) {
  const { t } = useTranslation();
  const { reach, roundTripMs } = connection;
  const isBad = reach === "slow" || reach === "lost";
  const Icon = isBad ? TriangleAlert : reach === "good" ? CircleCheck : CircleDashed;
  return (
    <section className="device" aria-label={t("connection.title")} data-reach={reach}>
      <Icon
        aria-label={
          isBad
            ? t("devices.attention")
            : reach === "good"
              ? t("devices.works")
              : t("connection.looking")
        }
        className={isBad ? "attention" : "good"}
      />
      <h2 className="label">{t("connection.title")}</h2>
      <p role="status">{t(`connection.${reach}`)}</p>
      {reach === "slow" && roundTripMs !== null && (
        <p className="quiet small">{t("connection.slowBy", { ms: roundTripMs })}</p>
      )}
    </section>
  );
}
