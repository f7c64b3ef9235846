import { LoaderCircle, MicOff, RefreshCw } from "lucide-react";
import type { ReactNode } from "react";
import { Button } from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk, useLevels } from "../api/context";
import type { User, Visit } from "../api/bindings";
import { Initials } from "../parts/Initials";
import { Picture } from "../parts/Picture";
import { hasSoundGaps, isFrozen, isLostThere, isSlow, secondsOld, sends } from "./quality";

/** The other person, or in words why they can't be seen now. */
export function Stage({
  visit,
  other,
  held,
  hasPicture,
  children,
}: {
  visit: Visit;
  other: User;
  held: boolean;
  hasPicture: boolean;
  children: ReactNode;
}) {
  const { t } = useTranslation();
  const { call } = visit;
  const status = call?.status ?? "calling";
  // While it rings the two connect; nobody has come in yet.
  const rings = visit.session.status === "WAITING";
  const connected = status === "connected" && !rings;
  if (visit.session.consultationMode === "CHAT") {
    return (
      <section className="stage" aria-label={other.name}>
        <div className="stage-message">
          <Initials name={other.name} size={144} />
          <strong>{other.name}</strong>
          <p role="status">
            {rings ? t("call.ringing", { name: other.name }) : t("call.inWriting")}
          </p>
        </div>
        {children}
      </section>
    );
  }
  const showsPicture =
    hasPicture && !held && (!connected || (call !== null && sends(call, "camera")));
  const showsScreen = connected && !held && call !== null && sends(call, "screen");
  const isOld = connected && call !== null && secondsOld(call) !== null;
  const look = rings ? "unshown" : showsScreen ? "beside" : "";
  return (
    <section
      className={`stage ${connected && !held ? "" : "dimmed"} ${showsScreen ? "presents" : ""}`}
      aria-label={other.name}
    >
      {showsScreen && (
        <Picture which="screen" label={t("share.other", { name: other.name })} className="remote" />
      )}
      {showsPicture && (
        // There while it rings, so that the first picture needs nothing but to be drawn.
        <Picture
          which="remote"
          label={other.name}
          className={`remote ${look} ${isOld ? "old" : ""}`}
        />
      )}
      {connected && !held && !showsPicture && !showsScreen && (
        <div className="stage-message">
          <Initials name={other.name} size={144} />
          <strong>{other.name}</strong>
          {hasPicture && <p>{t("call.otherNoCamera", { name: other.name })}</p>}
          <Wave />
        </div>
      )}
      {held ? (
        <p className="stage-message" role="status">
          {visit.party === "DOCTOR"
            ? t("call.onHoldDoctor")
            : t("call.onHold", { name: other.name })}
        </p>
      ) : (
        <StageState visit={visit} other={other} />
      )}
      {children}
    </section>
  );
}

/** What there is to say about the other side's picture and sound, over the picture. */
export function StageNotes({
  visit,
  other,
  held,
  children,
}: {
  visit: Visit;
  other: User;
  held: boolean;
  children: ReactNode;
}) {
  const { t } = useTranslation();
  const { call } = visit;
  const talks = call?.status === "connected" && !held && visit.session.status !== "WAITING";
  const seconds = talks ? secondsOld(call) : null;
  return (
    <div className="stage-notes">
      {children}
      {talks && !sends(call, "microphone") && (
        <p role="status">
          <MicOff aria-hidden size={20} /> {t("call.otherMuted", { name: other.name })}
        </p>
      )}
      {talks && sends(call, "screen") && (
        <p className="unseen" role="status">
          {t("share.otherShares", { name: other.name })}
        </p>
      )}
      {seconds !== null && (
        <p>
          <span role="status">{t("call.old")}</span>{" "}
          <span aria-hidden>{t("call.oldBy", { count: seconds })}</span>
        </p>
      )}
      {talks && seconds === null && isSlow(call) && (
        <p role="status">{t("call.slow", { fps: call.quality.fps })}</p>
      )}
      {talks && seconds === null && !isSlow(call) && isFrozen(call) && (
        <p role="status">{t("call.frozen")}</p>
      )}
      {talks && isLostThere(call) && (
        <p role="status">{t("call.lostThere", { name: other.name })}</p>
      )}
      {talks && hasSoundGaps(call) && <p role="status">{t("call.soundGaps")}</p>}
      {talks && visit.otherPresence === "reconnecting" && (
        <p role="status">{t("call.otherReconnecting", { name: other.name })}</p>
      )}
    </div>
  );
}

function StageState({ visit, other }: { visit: Visit; other: User }) {
  const { t } = useTranslation();
  const ask = useAsk();
  const { call } = visit;
  const name = other.name;
  const isThere = visit.otherPresence !== "disconnected";
  if (visit.session.status === "WAITING") {
    return (
      <p className="stage-message" role="status">
        <LoaderCircle aria-hidden /> {t("call.ringing", { name })}
      </p>
    );
  }
  switch (call?.status) {
    case "connected":
      return null;
    case "reconnecting":
      return (
        <p className="stage-message">
          <LoaderCircle aria-hidden />
          <span role="status">
            {visit.otherPresence === "reconnecting"
              ? t("call.otherReconnecting", { name })
              : t("call.reconnecting")}
          </span>
          <span aria-hidden>{t("call.secondsLeft", { seconds: call.secondsLeft ?? 0 })}</span>
        </p>
      );
    case "lost":
      return (
        <div className="stage-message" role="alert">
          <strong>{t("call.lost", { name })}</strong>
          <p>{t("call.lostLead")}</p>
          <Button
            className="button main"
            data-do="rejoin"
            onPress={() => {
              ask({ ask: "rejoin" });
            }}
          >
            <RefreshCw aria-hidden size={20} /> {t("call.rejoin")}
          </Button>
        </div>
      );
    case "connecting":
      return (
        <p className="stage-message" role="status">
          <LoaderCircle aria-hidden /> {t("call.connecting", { name })}
        </p>
      );
    case "calling":
    case undefined:
      return (
        <p className="stage-message" role="status">
          {isThere && <LoaderCircle aria-hidden />}
          {isThere ? t("call.calling", { name }) : t("call.otherGone", { name })}
        </p>
      );
  }
}

const BARS = [0.4, 0.7, 1, 0.7, 0.4];

/** A live wave while the other person speaks. */
function Wave() {
  const { speaker } = useLevels();
  return (
    <div className="wave" aria-hidden>
      {BARS.map((share, index) => (
        <span key={index} style={{ transform: `scaleY(${Math.max(0.15, speaker * share)})` }} />
      ))}
    </div>
  );
}
