import { Button } from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk } from "../api/context";
import type { Devices, Visit } from "../api/bindings";
import { ChatPanel } from "../chat/ChatPanel";
import { clock } from "../i18n";
import { Initials } from "../parts/Initials";
import { OwnPicture } from "../parts/OwnPicture";

/** The waiting room, second part: who comes, which place in line, how one looks. */
export function Waiting({ visit, devices }: { visit: Visit; devices: Devices }) {
  const { t } = useTranslation();
  const ask = useAsk();
  const { session } = visit;
  const place = session.placeInLine;
  // In steps of five: nobody can know it to the minute.
  const wait = (minutes: number | undefined) =>
    minutes === undefined
      ? ""
      : minutes === 0
        ? t("waiting.soon")
        : t("waiting.expected", { minutes: Math.ceil(minutes / 5) * 5 });
  return (
    <main className="page">
      <div className="waiting">
        <section className="stack">
          <div className="row">
            <Initials name={session.doctor.name} size={88} />
            <div className="grow">
              <h1>{t("waiting.title", { name: session.doctor.name })}</h1>
              {place !== undefined && (
                <p role="status">
                  <strong>
                    {place === 1 ? t("waiting.next") : t("waiting.place", { count: place })}
                  </strong>{" "}
                  {wait(session.expectedWaitMinutes)}
                </p>
              )}
            </div>
          </div>
          <p className="quiet">
            {t("waiting.since", {
              time: clock(session.waitingSince ?? session.asOf),
              planned: clock(session.scheduledStartTime),
            })}
          </p>
          <p role="status">
            {visit.ready ? t("waiting.stay") : t("waiting.notReady", { name: session.doctor.name })}
          </p>
        </section>
        {session.consultationMode === "VIDEO" && (
          <div className="stack">
            <OwnPicture camera={devices.camera} label={t("waiting.own")} />
            <p className="quiet small">{t("waiting.own")}</p>
          </div>
        )}
      </div>
      <ChatPanel visit={visit} inPage />
      <div className="next-step">
        <Button
          className="button outlined"
          data-do="leave"
          onPress={() => {
            ask({ ask: "leave" });
          }}
        >
          {t("waiting.leave")}
        </Button>
        {!visit.ready && (
          <Button
            className="button main"
            data-do="ready"
            onPress={() => {
              ask({ ask: "ready" });
            }}
          >
            {t("waiting.ready")}
          </Button>
        )}
      </div>
    </main>
  );
}
