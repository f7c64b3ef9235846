import { CircleCheck, CircleDashed, Gauge, TriangleAlert, VideoOff } from "lucide-react";
import { Button } from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk } from "../api/context";
import type { Connection, NetworkCheck } from "../api/bindings";

/**
 * How well the clinic is reached, in a sentence that says no more than was measured: by a call to oneself
 * through the clinic’s relay, and until that has ended by how quickly the clinic answers.
 */
export function ConnectionRow({
  connection,
  offersSoundOnly,
}: {
  connection: Connection;
  /** The camera is on, and the visit could do without. */
  offersSoundOnly: boolean;
}) {
  const { t } = useTranslation();
  const ask = useAsk();
  const { reach, test } = connection;
  const verdict = reach === "lost" ? null : test.verdict;
  const isGood = verdict === null ? reach === "good" && !test.runs : verdict === "good";
  const isBad = verdict === null ? reach === "slow" || reach === "lost" : verdict !== "good";
  const Icon = isBad ? TriangleAlert : isGood ? CircleCheck : CircleDashed;
  return (
    <section
      className="device"
      aria-label={t("connection.title")}
      data-reach={reach}
      data-verdict={verdict ?? undefined}
    >
      <Icon
        aria-label={
          isBad ? t("devices.attention") : isGood ? t("devices.works") : t("connection.looking")
        }
        className={isBad ? "attention" : "good"}
      />
      <h2 className="label">{t("connection.title")}</h2>
      <p role="status">
        {test.runs && reach !== "lost"
          ? t("connection.trying")
          : verdict
            ? t(`connection.verdict.${verdict}`)
            : t(`connection.${reach}`)}
      </p>
      {test.found && verdict && !test.runs && <Found found={test.found} />}
      {!test.runs && reach !== "lost" && (
        <div className="chips">
          {verdict === "soundOnly" && offersSoundOnly && (
            <Button
              className="button outlined"
              data-do="soundOnly"
              onPress={() => {
                ask({ ask: "switch", device: "camera", on: false });
              }}
            >
              <VideoOff aria-hidden size={20} />
              {t("connection.soundOnly")}
            </Button>
          )}
          <Button
            className="button outlined"
            data-do="testNetwork"
            onPress={() => {
              ask({ ask: "testNetwork" });
            }}
          >
            <Gauge aria-hidden size={20} />
            {t("connection.again")}
          </Button>
        </div>
      )}
      {test.code && verdict && verdict !== "good" && !test.runs && (
        <p className="quiet">
          {t("connection.code")} <strong data-code>{spaced(test.code)}</strong>
        </p>
      )}
    </section>
  );
}

/** A code is read out in two breaths. */
function spaced(code: string): string {
  const half = Math.ceil(code.length / 2);
  return `${code.slice(0, half)} ${code.slice(half)}`;
}

function Found({ found }: { found: NetworkCheck }) {
  const { t } = useTranslation();
  const { bitsPerSecond, lossPercent, roundTripMs } = found;
  const ways = (["udp", "tcp", "tls"] as const).filter((way) => found[way]);
  const parts = [
    bitsPerSecond === null
      ? null
      : bitsPerSecond < 1e6
        ? t("connection.rateNarrow", { kilobits: Math.round(bitsPerSecond / 1e3) })
        : t("connection.rate", { megabits: (bitsPerSecond / 1e6).toFixed(1) }),
    lossPercent === null ? null : t("connection.loss", { percent: lossPercent }),
    roundTripMs === null ? null : t("connection.roundTrip", { ms: roundTripMs }),
    ways.length === 0
      ? t("connection.noWay")
      : t("connection.ways", { ways: ways.map((way) => way.toUpperCase()).join(", ") }),
  ];
  return <p className="quiet small">{parts.filter((part) => part !== null).join(" · ")}</p>;
}
