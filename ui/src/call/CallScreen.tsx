import {
  Clock,
  MessageSquare,
  Mic,
  MicOff,
  MonitorUp,
  MonitorX,
  Pause,
  PhoneOff,
  Play,
  Settings2,
  SignalHigh,
  SignalLow,
  Video,
  VideoOff,
  VolumeX,
} from "lucide-react";
import { useEffect, useState, type ReactNode } from "react";
import { Button } from "react-aria-components";
import { useTranslation } from "react-i18next";

import { useAsk } from "../api/context";
import type { Devices, Snapshot, Visit } from "../api/bindings";
import { ChatPanel } from "../chat/ChatPanel";
import { duration } from "../i18n";
import { Picture } from "../parts/Picture";
import { Problem } from "../parts/Problem";
import { ConfirmDialog, SettingsDialog } from "./dialogs";
import { Stage, StageNotes } from "./Stage";
import { ShareDialog } from "./ShareDialog";
import { Statistics } from "./Statistics";
import { isWeak, sendsOnlySound } from "./quality";

type Open = "settings" | "end" | "leave" | null;

/** The call: the other person large, oneself in a corner, everything by word and by key. */
export function CallScreen({ snapshot, visit }: { snapshot: Snapshot; visit: Visit }) {
  const { t } = useTranslation();
  const ask = useAsk();
  const inWriting = visit.session.consultationMode === "CHAT";
  const [chat, setChat] = useState(inWriting);
  const [open, setOpen] = useState<Open>(null);
  const [corner, setCorner] = useState(0);
  const { devices } = snapshot;
  const isDoctor = visit.party === "DOCTOR";
  const other = isDoctor ? visit.session.patient : visit.session.doctor;
  const held = visit.session.status === "PAUSED";
  const rings = visit.session.status === "WAITING";
  const microphoneOn = devices.microphone.on;
  const cameraOn = devices.camera.on;
  const hasPicture = visit.session.consultationMode === "VIDEO";
  const shared = visit.screen.shared !== null;
  const mayShare = !inWriting && !rings && !held && visit.call !== null;
  const chooses = visit.screen.looks || visit.screen.choices !== null;
  const close = () => {
    setOpen(null);
  };

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const target = event.target instanceof HTMLElement ? event.target : null;
      const types = target?.matches("input, textarea, select, [contenteditable]") ?? false;
      if (
        types ||
        event.repeat ||
        event.ctrlKey ||
        event.metaKey ||
        event.altKey ||
        open !== null ||
        chooses
      )
        return;
      switch (event.key.toLowerCase()) {
        case "m":
          if (inWriting) return;
          ask({ ask: "switch", device: "microphone", on: !microphoneOn });
          break;
        case "v":
          if (!hasPicture) return;
          ask({ ask: "switch", device: "camera", on: !cameraOn });
          break;
        case "p":
          if (!mayShare) return;
          ask({ ask: shared ? "stopSharing" : "chooseScreen" });
          break;
        case "c":
          setChat((shown) => !shown);
          break;
        case "s":
          if (inWriting) return;
          setOpen("settings");
          break;
        case "e":
          setOpen(isDoctor ? "end" : "leave");
          break;
        default:
          return;
      }
      event.preventDefault();
    };
    window.addEventListener("keydown", onKey);
    return () => {
      window.removeEventListener("keydown", onKey);
    };
  }, [
    ask,
    microphoneOn,
    cameraOn,
    hasPicture,
    inWriting,
    isDoctor,
    open,
    chooses,
    mayShare,
    shared,
  ]);

  const unread = visit.chat.unread;
  return (
    <main className="call">
      <header className="call-top">
        <h1 className="who">{other.name}</h1>
        <span className="quiet">{other.specialization}</span>
        <CallQuality visit={visit} />
        <span className="timer" role="timer" aria-label={t("call.time")}>
          {duration(visit.elapsedSeconds)}
        </span>
      </header>
      <p className="unseen" role="status">
        {unread > 0 && !chat ? t("chat.unread", { count: unread }) : ""}
      </p>
      <Stage visit={visit} other={other} held={held} hasPicture={hasPicture}>
        {hasPicture && (
          <Button
            className={`self corner-${corner}`}
            onPress={() => {
              setCorner((corner + 1) % 4);
            }}
          >
            {cameraOn && devices.camera.works ? (
              <Picture which="own" label={t("check.preview")} />
            ) : (
              <VideoOff aria-hidden />
            )}
            <span className="caption">
              {t("call.you")}
              {!microphoneOn && <MicOff aria-hidden size={16} />}
            </span>
          </Button>
        )}
        <StageNotes visit={visit} other={other} held={held}>
          <Problem problem={snapshot.problem} />
          {snapshot.link !== "up" && <p role="status">{t("app.reconnecting")}</p>}
          {visit.minutesLeft !== null && (
            <p role="status">
              <Clock aria-hidden size={20} /> {t("call.minutesLeft", { count: visit.minutesLeft })}
            </p>
          )}
          {shared && (
            <div className="shares">
              <MonitorUp aria-hidden size={20} />
              <span role="status">{t("share.shares", { name: other.name })}</span>
              <Button
                className="button"
                data-do="stop-sharing"
                onPress={() => {
                  ask({ ask: "stopSharing" });
                }}
              >
                {t("share.stop")}
              </Button>
            </div>
          )}
          {visit.screen.trouble && !chooses && (
            <p role="status">
              <MonitorX aria-hidden size={20} /> {t(`share.${visit.screen.trouble}`)}
            </p>
          )}
          <DeviceTrouble devices={devices} hasPicture={hasPicture} />
          {hasPicture &&
            cameraOn &&
            devices.camera.works &&
            !held &&
            visit.call?.status === "connected" &&
            !shared &&
            sendsOnlySound(visit.call) && (
              <p role="status">
                <VideoOff aria-hidden size={20} /> {t("call.soundOnly", { name: other.name })}
              </p>
            )}
          {devices.microphoneIsSilent && microphoneOn && (
            <p role="status">
              <MicOff aria-hidden size={20} /> {t("devices.microphoneSilent")}
            </p>
          )}
        </StageNotes>
      </Stage>
      {chat && (
        <ChatPanel
          visit={visit}
          onClose={() => {
            setChat(false);
          }}
        />
      )}
      <nav className="controls">
        {!inWriting && (
          <Control
            name="microphone"
            off={!microphoneOn}
            label={microphoneOn ? t("call.microphoneOn") : t("call.microphoneOff")}
            shortcut="M"
            onPress={() => {
              ask({ ask: "switch", device: "microphone", on: !microphoneOn });
            }}
          >
            {microphoneOn ? <Mic aria-hidden /> : <MicOff aria-hidden />}
          </Control>
        )}
        {hasPicture && (
          <Control
            name="camera"
            off={!cameraOn}
            label={cameraOn ? t("call.cameraOn") : t("call.cameraOff")}
            shortcut="V"
            onPress={() => {
              ask({ ask: "switch", device: "camera", on: !cameraOn });
            }}
          >
            {cameraOn ? <Video aria-hidden /> : <VideoOff aria-hidden />}
          </Control>
        )}
        {!inWriting && !rings && (
          <Control
            name="screen"
            off={shared}
            isDisabled={!mayShare}
            label={shared ? t("share.stop") : t("share.control")}
            shortcut="P"
            onPress={() => {
              ask({ ask: shared ? "stopSharing" : "chooseScreen" });
            }}
          >
            {shared ? <MonitorX aria-hidden /> : <MonitorUp aria-hidden />}
          </Control>
        )}
        <Control
          name="chat"
          label={t("call.chat")}
          {...(unread > 0 && !chat ? { more: t("chat.unread", { count: unread }) } : {})}
          shortcut="C"
          onPress={() => {
            setChat(!chat);
          }}
        >
          <MessageSquare aria-hidden />
          {unread > 0 && !chat && (
            <span className="badge" aria-hidden>
              {unread}
            </span>
          )}
        </Control>
        {!inWriting && (
          <Control
            name="settings"
            label={t("call.settings")}
            shortcut="S"
            onPress={() => {
              setOpen("settings");
            }}
          >
            <Settings2 aria-hidden />
          </Control>
        )}
        {isDoctor && !rings && (
          <Control
            name="hold"
            off={held}
            label={held ? t("call.unhold") : t("call.hold")}
            onPress={() => {
              ask({ ask: "hold", on: !held });
            }}
          >
            {held ? <Play aria-hidden /> : <Pause aria-hidden />}
          </Control>
        )}
        <Control
          name="end"
          className="end"
          label={rings ? t("call.takeBack") : isDoctor ? t("call.end") : t("call.leave")}
          shortcut="E"
          onPress={() => {
            setOpen(isDoctor ? "end" : "leave");
          }}
        >
          <PhoneOff aria-hidden />
        </Control>
      </nav>
      <ShareDialog screen={visit.screen} name={other.name} />
      <SettingsDialog
        isOpen={open === "settings"}
        onClose={close}
        devices={devices}
        withCamera={hasPicture}
      />
      <ConfirmDialog
        isOpen={open === "end"}
        onClose={close}
        title={rings ? t("call.takeBackTitle", { name: other.name }) : t("call.endTitle")}
        lead={t(rings ? "call.takeBackLead" : "call.endLead", { name: other.name })}
        yes={rings ? t("call.takeBack") : t("call.endYes")}
        onYes={() => {
          ask({ ask: "end" });
        }}
      />
      <ConfirmDialog
        isOpen={open === "leave"}
        onClose={close}
        title={t("call.leaveTitle")}
        lead={t("call.leaveLead", { name: other.name })}
        yes={t("call.leaveYes")}
        onYes={() => {
          ask({ ask: "leave" });
        }}
      />
    </main>
  );
}

function CallQuality({ visit }: { visit: Visit }) {
  const { t } = useTranslation();
  const { call } = visit;
  const isUp = call?.status === "connected";
  if (!call || (!isUp && call.status !== "reconnecting")) return null;
  if (visit.session.status === "WAITING") return null;
  const { quality } = call;
  const weak = !isUp || isWeak(call);
  return (
    <span className={weak ? "quality attention" : "quality"}>
      {weak ? <SignalLow aria-hidden size={20} /> : <SignalHigh aria-hidden size={20} />}
      <span role="status">{weak ? t("call.fair") : t("call.good")}</span>
      {visit.party === "DOCTOR" && quality.width > 0 && (
        <span className="quiet small">
          {t("call.fineprint", {
            width: quality.width,
            height: quality.height,
            fps: quality.fps,
          })}
        </span>
      )}
      <Statistics call={call} />
    </span>
  );
}

/** What can't be heard or seen because of this machine, in words. */
function DeviceTrouble({ devices, hasPicture }: { devices: Devices; hasPicture: boolean }) {
  const { t } = useTranslation();
  const kinds = hasPicture
    ? (["microphone", "speaker", "camera"] as const)
    : (["microphone", "speaker"] as const);
  const icons = { microphone: MicOff, speaker: VolumeX, camera: VideoOff };
  return kinds.map((kind) => {
    const { trouble } = devices[kind];
    const Icon = icons[kind];
    return (
      trouble && (
        <p key={kind} role="status">
          <Icon aria-hidden size={20} /> {t(`devices.${kind}`)}: {t(`devices.${trouble}`)}
        </p>
      )
    );
  });
}

function Control({
  name,
  label,
  more,
  shortcut,
  off = false,
  isDisabled = false,
  className = "",
  onPress,
  children,
}: {
  name: string;
  label: string;
  /** Said after the label to those who can't see what it shows. */
  more?: string;
  shortcut?: string;
  off?: boolean;
  isDisabled?: boolean;
  className?: string;
  onPress: () => void;
  children: ReactNode;
}) {
  const { t } = useTranslation();
  return (
    <Button
      className={`control ${className} ${off ? "off" : ""}`}
      data-do={name}
      isDisabled={isDisabled}
      {...(shortcut === undefined
        ? {}
        : {
            "aria-keyshortcuts": shortcut,
            "aria-label": t("call.shortcut", {
              label: more === undefined ? label : `${label}, ${more}`,
              key: shortcut,
            }),
          })}
      onPress={onPress}
    >
      {children}
      <span>{label}</span>
    </Button>
  );
}
