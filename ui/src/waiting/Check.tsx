import { ArrowRight } from "lucide-react";
import { Button } from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk } from "../api/context";
import type { Connection, Devices, Visit } from "../api/bindings";
import { either } from "../i18n";
import { OwnPicture } from "../parts/OwnPicture";
import { ConnectionRow } from "./ConnectionRow";
import { DeviceRows } from "./DeviceRows";

/** The waiting room, first part: camera, microphone, speaker, line. Nothing here keeps anybody out. */
export function Check({
  visit,
  devices,
  connection,
}: {
  visit: Visit;
  devices: Devices;
  connection: Connection;
}) {
  const { t } = useTranslation();
  const ask = useAsk();
  const { name } = visit.session.doctor;
  const byVideo = visit.session.consultationMode === "VIDEO";
  const lacks = [
    devices.camera.works || !byVideo ? null : t("check.notSee"),
    devices.microphone.works ? null : t("check.notHear"),
    devices.speaker.works ? null : t("check.notHeard"),
  ].filter((what) => what !== null);
  const opening = devices.camera.opening || devices.microphone.opening || devices.speaker.opening;
  return (
    <main className="page">
      <div>
        <h1>{byVideo ? t("check.title") : t("check.titleSound")}</h1>
        <p className="quiet">{t("check.lead", { name })}</p>
      </div>
      <div className="check">
        <div className="stack">
          {byVideo && <OwnPicture camera={devices.camera} label={t("check.preview")} />}
          <div className="card">
            <ConnectionRow connection={connection} offersSoundOnly={byVideo && devices.camera.on} />
          </div>
        </div>
        <div className="card">
          <DeviceRows devices={devices} withCamera={byVideo} withEcho />
        </div>
      </div>
      <div className="next-step">
        {lacks.length > 0 && !opening && (
          <p className="quiet grow">{t("check.readyWithout", { name, what: either(lacks) })}</p>
        )}
        <Button
          className="button"
          data-do="back"
          onPress={() => {
            ask({ ask: "home" });
          }}
        >
          {t("check.back")}
        </Button>
        <Button
          className="button main"
          data-do="ready"
          onPress={() => {
            ask({ ask: "ready" });
          }}
        >
          {t("check.ready")} <ArrowRight aria-hidden />
        </Button>
      </div>
    </main>
  );
}
