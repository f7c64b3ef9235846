import { Info } from "lucide-react";
import { Button, Dialog, DialogTrigger, Heading, Popover } from "react-aria-components";
import { useTranslation } from "react-i18next";

import type { CallState, Quality, Track, TrackStats } from "../api/bindings";

/** What was measured of the call in the last second, for whoever helps when it is bad. */
export function Statistics({ call }: { call: CallState }) {
  const { t } = useTranslation();
  return (
    <DialogTrigger>
      <Button className="button" aria-label={t("statistics.title")} data-do="statistics">
        <Info aria-hidden size={20} />
      </Button>
      <Popover className="popover statistics" placement="bottom">
        <Dialog>
          <Heading slot="title">{t("statistics.title")}</Heading>
          <Rows call={call} />
        </Dialog>
      </Popover>
    </DialogTrigger>
  );
}

function Rows({ call }: { call: CallState }) {
  const { t } = useTranslation();
  const { quality, received } = call;
  const { sending } = quality;
  return (
    <dl>
      <dt>{t("statistics.way")}</dt>
      <dd>
        {way(quality, t)}
        {quality.roundTripMs !== null &&
          `, ${t("statistics.roundTrip", { ms: quality.roundTripMs })}`}
      </dd>
      {received.map((stats) => (
        <Received key={stats.track} stats={stats} />
      ))}
      <dt>{t("statistics.sound")}</dt>
      <dd>{t("statistics.mos", { mos: quality.mos.toFixed(1) })}</dd>
      <dt>{t("statistics.sent")}</dt>
      <dd>
        {sending === null ? t("statistics.noPicture") : t("statistics.picture", { ...sending })}
      </dd>
      <dt>{t("statistics.there")}</dt>
      <dd>{t("statistics.lost", { percent: Math.round(quality.lostTherePercent) })}</dd>
    </dl>
  );
}

const TITLES = {
  microphone: "statistics.microphone",
  camera: "statistics.camera",
  screen: "statistics.screen",
} as const satisfies Record<Track, string>;

function Received({ stats }: { stats: TrackStats }) {
  const { t } = useTranslation();
  const { track, bitsPerSecond, packetLossPercent, jitterMs, concealedPercent, picture } = stats;
  const parts = [
    picture && picture.width > 0 ? t("statistics.picture", { ...picture }) : null,
    t("statistics.rate", { kbps: Math.round(bitsPerSecond / 1_000) }),
    t("statistics.lost", { percent: Math.round(packetLossPercent) }),
    t("statistics.jitter", { ms: jitterMs }),
    concealedPercent === null
      ? null
      : t("statistics.concealed", { percent: Math.round(concealedPercent) }),
    picture?.frozenPercent == null
      ? null
      : t("statistics.frozen", { percent: Math.round(picture.frozenPercent) }),
  ];
  return (
    <>
      <dt>{t(TITLES[track])}</dt>
      <dd>{parts.filter((part) => part !== null).join(", ")}</dd>
    </>
  );
}

function way({ path, transport }: Quality, t: ReturnType<typeof useTranslation>["t"]): string {
  if (path !== "relay") return t("statistics.direct");
  return t("statistics.relay", { transport: (transport ?? "udp").toUpperCase() });
}
